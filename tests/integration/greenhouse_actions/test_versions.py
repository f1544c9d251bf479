"""Harvest v1, its end, and moving from one version to the other with work under way (P3, P4, P5)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.greenhouse_actions.bench import ACME, Bench, a_move, a_note, an_observation

from trellis.common.contracts.facts import ApplicationObserved, FoundBy
from trellis.common.contracts.identifiers import Visit
from trellis.greenhouse_actions.adapters.harvest import V1
from trellis.greenhouse_actions.adapters.harvest_v1 import ENDED, KEY_REJECTED

FAULTS = ["cut_before", "cut_after", "500", "500_after", "502_after", "429", "503", "truncated_json"]
ROUTES = {
    "v1": {"note": "v1.notes.create", "move": "v1.applications.move"},
    "v3": {"note": "notes.create", "move": "move"},
}


@pytest.fixture
async def old(bare: Bench) -> Bench:
    """The service, connected through Harvest v1, with a limit that is not met."""
    await bare.sandbox.switch("rate.v1_limit", 500)
    await bare.connect_through("v1")
    return bare


async def passes(bench: Bench, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await bench.pass_once()
        await asyncio.sleep(0.02)


async def count(bench: Bench, kind: str) -> int:
    return len(await bench.our_moves() if kind == "move" else await bench.notes())


def a(kind: str, person: dict[str, Any], **more: Any) -> Any:
    return a_move(person, **more) if kind == "move" else a_note(person, **more)


@pytest.mark.parametrize("kind", ["note", "move"])
@pytest.mark.parametrize("fault", [*FAULTS, "204_without_effect", "token_revoked"])
async def test_through_v1_whatever_happens_to_the_request_the_effect_is_made_once(
    old: Bench, kind: str, fault: str
) -> None:
    command = a(kind, await old.apply())
    await old.sandbox.fault(ROUTES["v1"][kind], fault)
    await old.give(command)
    state, cause = await old.settle(command)
    assert state == "done", cause
    assert await count(old, kind) == 1


async def test_through_v1_a_note_is_written_as_the_service_user(old: Bench) -> None:
    person = await old.apply()
    command = a_note(person)
    await old.give(command)
    assert (await old.settle(command))[0] == "done"
    (note,) = await old.notes()
    assert note["user_id"] == old.sandbox.account["greenhouse"]["service_user_id"]
    assert (note["candidate_id"], note["application_id"]) == (person["candidate_id"], None)


@pytest.mark.parametrize("verb", ["reject", "hire", "delete_application", "delete_candidate", "move"])
async def test_through_v1_what_a_person_did_first_wins(old: Bench, verb: str) -> None:
    person = await old.apply()
    key = "candidate_id" if verb == "delete_candidate" else "application_id"
    await old.sandbox.act(verb, **{key: person[key]}, **({"stage": "Onsite"} if verb == "move" else {}))
    for command in (a_note(person), a_move(person)):
        await old.give(command)
        state, cause = await old.settle(command)
        assert (state == "superseded" and "Greenhouse shows" in cause) or "already" in cause, cause
    assert not await old.notes() and not await old.our_moves()


@pytest.mark.parametrize("then", ["v1", "v3"])
async def test_a_move_of_v1_that_a_person_took_back_is_never_made_again(old: Bench, then: str) -> None:
    person = await old.apply()
    await old.sandbox.fault("v1.applications.move", "cut_after")
    command = a_move(person)
    await old.give(command)
    await old.replica.runner.perform_due()
    await old.sandbox.control("PUT", "/time", {"advance_s": 2})
    await old.sandbox.act("move", application_id=person["application_id"], stage="Coding Assessment")
    if then == "v3":
        await old.connect_through("v3")
    state, cause = await old.settle(command)
    if then == "v3":
        assert state == "superseded" and "came back" in cause
    else:
        assert state == "in_doubt" and "does not tell" in cause
    assert len(await old.our_moves()) == 1


@pytest.mark.parametrize(("before", "after"), [("v1", "v3"), ("v3", "v1")])
@pytest.mark.parametrize("kind", ["note", "move"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_under_way_when_the_version_changes_is_made_once(
    old: Bench, before: str, after: str, kind: str, fault: str
) -> None:
    await old.connect_through(before)
    lost, waiting = a(kind, await old.apply()), a(kind, await old.apply())
    await old.sandbox.fault(ROUTES[before][kind], fault)
    await old.give(lost)
    await old.replica.runner.perform_due()
    assert (await old.row(lost))[0] in ("unknown", "waiting", "done")
    await old.give(waiting)
    await old.connect_through(after)
    for command in (lost, waiting):
        state, cause = await old.settle(command)
        assert state == "done", cause
    assert await count(old, kind) == 2


@pytest.mark.parametrize(("before", "after"), [("v1", "v3"), ("v3", "v1")])
@pytest.mark.parametrize("kind", ["note", "move"])
async def test_a_write_that_is_leaving_while_the_version_changes_is_made_once(
    old: Bench, before: str, after: str, kind: str
) -> None:
    await old.connect_through(before)
    command = a(kind, await old.apply())
    await old.sandbox.fault(ROUTES[before][kind], "hang", seconds=0.4)
    await old.give(command)
    attempt = asyncio.ensure_future(old.replica.runner.perform_due())
    await asyncio.sleep(0.2)
    await old.connect_through(after)
    await attempt
    state, cause = await old.settle(command)
    assert state == "done", cause
    assert await count(old, kind) == 1


async def test_a_note_of_v1_is_found_though_v3_writes_as_another_user(old: Bench) -> None:
    command = a_note(await old.apply())
    await old.sandbox.fault("v1.notes.create", "cut_after")
    await old.give(command)
    await old.replica.runner.perform_due()
    await old.connect_through("v3", settings={"v3.sub": "none"})
    assert (await old.settle(command))[0] == "done"
    assert len(await old.notes()) == 1


@pytest.mark.parametrize("state", ["401", "404", "410", "refused"])
async def test_its_end_pauses_and_says_what_to_do_and_v3_takes_over_all_that_waits(old: Bench, state: str) -> None:
    await old.connect_through("v1", settings={"v1.unreachable": "ended"})
    people = [await old.apply() for _ in range(4)]
    lost_note, lost_move = a_note(people[0]), a_move(people[1])
    for route in ROUTES["v1"].values():
        await old.sandbox.fault(route, "cut_after")
    for command in (lost_note, lost_move):
        await old.give(command)
    await old.replica.runner.perform_due()
    await old.sandbox.switch("v1.state", state)
    note, move = a_note(people[2]), a_move(people[3])
    for command in (note, move):
        await old.give(command)
    await old.give(an_observation(people[0]["application_id"]))
    await passes(old, 0.6)
    await old.replica.observer.answer_due()
    pause = await old.pause()
    assert pause is not None and "Harvest v1" in pause["reason"] and "api_version: v3" in pause["remedy"]
    assert (await old.row(lost_note))[0] == (await old.row(lost_move))[0] == "unknown"
    assert (await old.row(note))[0] == (await old.row(move))[0] == "waiting"
    asked = [{"application_id": people[2]["application_id"], "stage_id": people[2]["stage_id"], "visit": "n1"}]
    _, said = await old.call("POST", "acme/candidates-for-invite", {"applications": asked})
    assert said["applications"][str(people[2]["application_id"])]["verdict"] == "later"

    await old.connect_through("v3")
    assert await old.pause() is None
    for command in (lost_note, lost_move, note, move):
        settled, cause = await old.settle(command)
        assert settled == "done", cause
    assert (len(await old.notes()), len(await old.our_moves())) == (2, 2)


async def test_an_outage_of_v1_pauses_nothing_unless_the_account_says_that_it_has_ended(old: Bench) -> None:
    await old.sandbox.switch("v1.state", "refused")
    command = a_note(await old.apply())
    await old.give(command)
    await passes(old, 0.3)
    state, cause = await old.row(command)
    assert state == "waiting" and "Harvest v3" in cause
    assert await old.pause() is None


@pytest.mark.parametrize(("state", "reason"), [("401", KEY_REJECTED.reason), ("410", ENDED.reason)])
async def test_when_v1_is_on_again_work_goes_on_by_itself(old: Bench, state: str, reason: str) -> None:
    await old.sandbox.switch("v1.state", state)
    command = a_note(await old.apply())
    await old.give(command)
    await passes(old, 0.3)
    pause = await old.pause()
    assert pause is not None and pause["reason"] == reason
    await old.sandbox.switch("v1.state", "on")
    assert (await old.settle(command))[0] == "done"
    assert await old.pause() is None


@pytest.mark.parametrize("permission", ["applications.retrieve", "notes.create"])
async def test_a_permission_of_the_key_pauses_and_given_back_goes_on(old: Bench, permission: str) -> None:
    await old.sandbox.act("revoke_permission", permission=permission)
    command = a_note(await old.apply())
    await old.give(command)
    await passes(old, 0.4)
    pause = await old.pause()
    assert pause is not None and "lacks the permission" in pause["reason"]
    await old.sandbox.act("grant_permission", permission=permission)
    assert (await old.settle(command))[0] == "done"
    assert await old.pause() is None


async def test_through_v1_many_writes_are_made_a_few_at_a_time(old: Bench) -> None:
    await old.connect_through("v1", settings={"rate.start_limit": 500, "rate.share": 1})
    commands = [a_note(await old.apply()) for _ in range(12)]
    for command in commands:
        await old.give(command)
    for command in commands:
        assert (await old.settle(command, seconds=30))[0] == "done"
    assert len(await old.notes()) == 12


async def test_through_v1_the_limit_is_kept(old: Bench) -> None:
    await old.sandbox.switch("rate.v1_limit", 50)
    await old.sandbox.switch("rate.time_scale", 10)
    commands = [a_move(await old.apply()) for _ in range(4)]
    for command in commands:
        await old.give(command)
    for command in commands:
        assert (await old.settle(command, seconds=40))[0] == "done"
    assert (await old.effects())["calls_by_status"].get("429") is None


async def test_through_v1_a_few_are_judged_at_once_and_the_others_come_later(old: Bench) -> None:
    people = [await old.apply() for _ in range(V1.together + 2)]
    asked = [
        {"application_id": person["application_id"], "stage_id": person["stage_id"], "visit": Visit("n1")}
        for person in people
    ]
    _, said = await old.call("POST", "acme/candidates-for-invite", {"applications": asked})
    verdicts = [said["applications"][str(person["application_id"])]["verdict"] for person in people]
    assert verdicts == ["ok"] * V1.together + ["later"] * 2


async def test_through_v1_questions_are_answered_without_the_time_of_entry(old: Bench) -> None:
    people = [await old.apply() for _ in range(V1.together + 2)]
    for person in people:
        await old.give(an_observation(person["application_id"]))
    assert await old.replica.observer.answer_due() == len(people)
    facts = [message for message in await old.messages() if isinstance(message, ApplicationObserved)]
    assert len(facts) == len(people)
    for fact in facts:
        assert fact.entered_at is None and fact.application is not None and fact.application.stage is not None


async def test_the_comparison_goes_on_where_it_was_when_the_version_changes(old: Bench) -> None:
    at_once = {"reconcile.delay": 0, "reconcile.interval": 0, "rate.start_limit": 10_000, "rate.share": 1}
    await old.connect_through("v1", settings=at_once)
    first = await old.apply()
    await old.replica.reconciler.step()
    (before,) = await old.replica.reconciliations.progress(ACME)
    assert before.cause == "" and before.mark is not None and before.completed_at is not None
    await old.sandbox.act("move", application_id=first["application_id"], stage="Onsite")
    await old.connect_through("v3", settings=at_once)
    await old.replica.reconciler.step()
    (after,) = await old.replica.reconciliations.progress(ACME)
    assert after.cause == "" and after.mark is not None and after.mark > before.mark
    facts = [message for message in await old.messages() if isinstance(message, ApplicationObserved)]
    assert all(fact.found_by is FoundBy.RECONCILIATION for fact in facts)
    told = [(fact.application.stage.name, fact.entered_at is None) for fact in facts]  # type: ignore[union-attr]
    assert told == [("Coding Assessment", True), ("Onsite", False)]


async def test_a_deep_comparison_through_v1_is_one_window(old: Bench) -> None:
    await old.apply()
    since = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    await old.connect_through("v1", settings={"reconcile.depth": 7 * 86400, "reconcile.delay": 0})
    await old.replica.reconciler.step()
    await old.call("POST", f"{ACME}/reconciliation", {"since": since})
    calls = await old.calls("v1.applications.list")
    await old.replica.reconciler.step()
    assert await old.calls("v1.applications.list") == calls + 1
    (after,) = await old.replica.reconciliations.progress(ACME)
    assert after.mark is not None and after.mark > datetime.now(UTC) - timedelta(minutes=1)
