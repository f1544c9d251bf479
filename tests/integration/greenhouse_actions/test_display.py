"""Recruiters see in Greenhouse how an application stands: its latest, and only where the account allows it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.integration.greenhouse_actions.bench import Bench

from trellis.common.contracts.commands import ShowStanding, Standing
from trellis.common.contracts.identifiers import ApplicationId, CommandId, StageId, Visit, stable_id
from trellis.common.store.postgres import acquired

AT_ONCE = {"standing.delay": 0}


def show(person: dict[str, Any], standing: Standing | None, ordinal: int, detail: str = "") -> ShowStanding:
    return ShowStanding(
        command_id=CommandId(stable_id(person["application_id"], ordinal)),
        application_id=ApplicationId(person["application_id"]),
        candidate_id=None,
        job_id=None,
        visit=Visit("n1"),
        stage_id=StageId(person["stage_id"]),
        standing=standing,
        detail=detail,
        ordinal=ordinal,
    )


async def allow(bench: Bench) -> None:
    await bench.sandbox.act("grant_scope", scope="applications:update")
    await bench.sandbox.act("grant_permission", permission="applications.update")
    await bench.sandbox.act("define_field", key="trellis_standing")


async def shown(bench: Bench) -> list[str]:
    return [field["value"] for field in (await bench.effects())["fields"]]


async def until_shown(bench: Bench, *texts: str) -> None:
    end = time.monotonic() + 10
    while await shown(bench) != list(texts):
        assert time.monotonic() < end, await shown(bench)
        await bench.replica.display.show_due()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("version", ["v3", "v1"])
async def test_what_stands_is_shown_changed_and_taken_back(bare: Bench, version: str) -> None:
    await bare.connect_through(version, settings=AT_ONCE)
    await allow(bare)
    person = await bare.apply()
    await bare.give(show(person, Standing.PROBLEM, 1, "the invite: no address; add one"))
    await until_shown(bare, problem := "Problem: the invite: no address; add one")
    await bare.give(show(person, Standing.PROBLEM, 1, "again"))
    assert await bare.replica.display.show_due() == 0
    await bare.give(show(person, None, 2))
    await until_shown(bare, problem, "")


async def test_short_changes_are_one_write(bare: Bench) -> None:
    await bare.connect(settings={"standing.delay": 0.3})
    await allow(bare)
    person = await bare.apply()
    for ordinal, standing in enumerate((Standing.INVITED, Standing.STARTED, Standing.FINISHED), start=1):
        await bare.give(show(person, standing, ordinal))
        assert await bare.replica.display.show_due() == 0
    await until_shown(bare, "Assessment finished")


async def test_where_it_is_not_allowed_one_call_finds_out_and_nothing_is_shown(bare: Bench) -> None:
    await bare.connect(settings=AT_ONCE)
    people = [await bare.apply() for _ in range(3)]
    for person in people:
        await bare.give(show(person, Standing.INVITED, 1))
    for _ in range(3):
        await bare.replica.display.show_due()
    assert await bare.calls("applications.update") == 1
    async with acquired(bare.pool) as database:
        refused = await database.fetchrow("select reason, remedy from standing_refusal where account_id = 'acme'")
    assert "harvest:applications:update" in refused["reason"] and "standing.show" in refused["remedy"]
    await allow(bare)
    await bare.connect(settings=AT_ONCE | {"reconcile.delay": 61})  # applied again: tried at once
    await until_shown(bare, *["Assessment sent"] * 3)


async def test_an_answer_that_was_lost_is_written_again_and_the_latest_is_what_stays(bare: Bench) -> None:
    await bare.connect(settings=AT_ONCE)
    await allow(bare)
    person = await bare.apply()
    await bare.sandbox.own("POST", "/faults", {"route": "applications.update", "kind": "cut_after", "count": 1})
    await bare.give(show(person, Standing.INVITED, 1))
    await until_shown(bare, "Assessment sent", "Assessment sent")
    await bare.give(show(person, None, 2))
    await until_shown(bare, "Assessment sent", "Assessment sent", "")


async def test_notes_tell_a_problem_and_its_end_once_and_nothing_else(bare: Bench) -> None:
    await bare.connect(settings=AT_ONCE | {"standing.show": "note"})
    person = await bare.apply()
    for ordinal, standing in enumerate((Standing.PROBLEM, Standing.INVITED, Standing.STARTED), start=1):
        await bare.give(show(person, standing, ordinal, "no address" if ordinal == 1 else ""))
        await bare.replica.display.show_due()
        await bare.pass_once()
    end = time.monotonic() + 10
    while len(await bare.notes()) < 2:
        assert time.monotonic() < end
        await bare.pass_once()
    first, second = (note["body"] for note in await bare.notes())
    assert first.startswith("Problem: no address\n") and second.startswith("Solved. It was: Problem: no address\n")
    assert await shown(bare) == []


async def test_an_account_that_does_not_want_it_costs_no_call(bare: Bench) -> None:
    await bare.connect(settings=AT_ONCE | {"standing.show": "off"})
    await allow(bare)
    await bare.give(show(await bare.apply(), Standing.INVITED, 1))
    assert await bare.replica.display.show_due() == 1
    assert await bare.replica.display.show_due() == 0
    assert await bare.calls("applications.update") == 0
