"""A rejected credential pauses its own connection, loses nothing, and mended, work goes on by itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.integration.greenhouse_actions.bench import ACME, Bench, a_move, a_note, an_observation

from trellis.common.contracts.commands import Command
from trellis.common.contracts.facts import ApplicationObserved
from trellis.common.contracts.identifiers import AccountId

BREAKS: dict[str, tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]], str]] = {
    "note scope": (
        ("revoke_scope", {"scope": "notes:create"}),
        ("grant_scope", {"scope": "notes:create"}),
        "notes:create",
    ),
    "list scope": (
        ("revoke_scope", {"scope": "applications:list"}),
        ("grant_scope", {"scope": "applications:list"}),
        "applications:list",
    ),
    "Site Admin": (("drop_site_admin", {}), ("give_site_admin", {}), "Site Admin"),
}


async def passes(bench: Bench, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await bench.pass_once()
        await bench.replica.observer.answer_due()
        await asyncio.sleep(0.02)


async def waits(bench: Bench, *commands: Command) -> None:
    for command in commands:
        assert (await bench.row(command))[0] == "waiting"


@pytest.mark.parametrize("what", BREAKS)
@pytest.mark.parametrize("non_admin", ["403", "empty"])
async def test_what_is_taken_away_pauses_and_given_back_goes_on(bench: Bench, what: str, non_admin: str) -> None:
    await bench.sandbox.switch("list.non_admin", non_admin)
    (verb, fields), (back, back_fields), named = BREAKS[what]
    commands = [a_note(await bench.apply()) for _ in range(3)]
    await bench.sandbox.act(verb, **fields)
    for command in commands:
        await bench.give(command)
    await passes(bench, 0.8)
    await waits(bench, *commands)
    pause = await bench.pause()
    assert pause is not None and named in pause["reason"] + pause["remedy"]
    await bench.sandbox.act(back, **back_fields)
    for command in commands:
        assert (await bench.settle(command))[0] == "done"
    assert await bench.pause() is None
    assert len(await bench.notes()) == 3


async def test_a_rejected_secret_is_mended_by_a_new_one_at_once(bench: Bench) -> None:
    await bench.connect(settings={"credential.retry_s": 60})
    await bench.sandbox.act("rotate_client_secret", secret="the-new-secret", keep_old=False)
    command = a_note(await bench.apply())
    await bench.give(command)
    await passes(bench, 0.3)
    pause = await bench.pause()
    assert pause is not None and "client id or secret" in pause["reason"] and "apply" in pause["remedy"]
    status, _ = await bench.call(
        "PUT",
        "acme/connection",
        bench.connection_body(client_secret="the-new-secret", settings={"credential.retry_s": 60}),
    )
    assert status == 200
    assert (await bench.settle(command, seconds=3))[0] == "done"
    assert await bench.pause() is None


async def test_a_paused_connection_is_tested_by_one_row_and_not_more_often_than_told(bench: Bench) -> None:
    await bench.connect(settings={"credential.retry_s": 0.5})
    commands = [a_note(await bench.apply()) for _ in range(10)]
    await bench.sandbox.act("revoke_scope", scope="notes:create")
    for command in commands:
        await bench.give(command)
    await passes(bench, 0.3)
    before = await bench.calls("notes.create")
    await passes(bench, 1.2)
    assert 1 <= await bench.calls("notes.create") - before <= 3


async def test_another_accounts_work_goes_on(bench: Bench) -> None:
    globex = AccountId("globex")
    ours, theirs = bench.sandbox.account, await bench.sandbox.control("POST", "/accounts", {"name": "globex"})
    bench.sandbox.account = theirs
    await bench.connect("globex")
    command = a_note(await bench.apply())
    bench.sandbox.account = ours
    await bench.sandbox.act("revoke_scope", scope="notes:create")
    blocked = a_note(await bench.apply())
    await bench.give(blocked)
    await passes(bench, 0.2)
    await bench.give(command, account=globex)
    assert (await bench.settle(command))[0] == "done"
    await waits(bench, blocked)
    assert await bench.pause("globex") is None


async def test_a_lookup_that_may_not_read_waits_and_goes_on(bench: Bench) -> None:
    await bench.sandbox.fault("notes.create", "cut_after")
    await bench.sandbox.act("revoke_scope", scope="notes:list")
    command = a_note(await bench.apply())
    await bench.give(command)
    await passes(bench, 0.5)
    assert (await bench.row(command))[0] == "unknown"
    assert await bench.calls("notes.list") <= 5
    await bench.sandbox.act("grant_scope", scope="notes:list")
    assert (await bench.settle(command))[0] == "done"
    assert await bench.pause() is None
    assert len(await bench.notes()) == 1


async def test_without_a_connection_all_waits_until_there_is_one(bare: Bench) -> None:
    person = await bare.apply()
    note, move = a_note(person), a_move(person)
    await bare.give(note)
    await bare.give(move)
    await bare.give(an_observation(person["application_id"]))
    await passes(bare, 0.3)
    await waits(bare, note, move)
    pause = await bare.pause()
    assert pause is not None and "no Greenhouse connection" in pause["reason"]
    await bare.connect()
    for command in (note, move):
        assert (await bare.settle(command))[0] == "done"


async def test_an_observation_waits_for_a_mended_credential_and_ends_the_pause(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.act("revoke_scope", scope="applications:list")
    await bench.give(an_observation(person["application_id"]))
    await passes(bench, 0.4)
    assert await bench.pause() is not None
    assert not await bench.messages()
    await bench.sandbox.act("grant_scope", scope="applications:list")
    await passes(bench, 0.6)
    (fact,) = await bench.messages()
    assert isinstance(fact, ApplicationObserved) and fact.application is not None
    assert await bench.pause() is None


async def test_a_deactivated_service_user_is_named(bench: Bench) -> None:
    await bench.sandbox.act("deactivate_user")
    command = a_note(await bench.apply())
    await bench.give(command)
    await passes(bench, 0.3)
    pause = await bench.pause()
    user = bench.sandbox.account["greenhouse"]["service_user_id"]
    assert pause is not None and str(user) in pause["reason"]


async def test_a_brake_stops_and_releases(bench: Bench) -> None:
    command = a_note(await bench.apply())
    body = {"scope": "workflow", "name": "screening", "reason": "typo", "by": "imani"}
    assert (await bench.call("PUT", "acme/brakes", body))[0] == 200
    await bench.give(command)
    await passes(bench, 0.3)
    await waits(bench, command)
    (brake,) = (await bench.call("GET", "acme/brakes"))[1]["brakes"]
    assert (brake["scope"], brake["name"], brake["reason"], brake["by"]) == ("workflow", "screening", "typo", "imani")
    assert (await bench.call("DELETE", "acme/brakes", body))[1] == {"brakes": []}
    assert (await bench.settle(command))[0] == "done"
    assert (await bench.replica.store.pause_of(ACME)) is None
