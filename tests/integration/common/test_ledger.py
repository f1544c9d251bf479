"""The ledger and its runner on a real database: promises P1, P3 and P5 for any effect."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.fakes.effects import note_command
from tests.integration.common.bench import ACME, Bench

from trellis.common.contracts.commands import AddNote
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId
from trellis.common.errors import StoreAwayError
from trellis.common.ledger import effects as x
from trellis.common.ledger.brakes import Brakes, Scope
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence, State
from trellis.common.store.postgres import transaction


def final(state: str) -> bool:
    return state in ("done", "refused", "superseded", "parked", "in_doubt")


async def test_a_command_taken_twice_is_one_row_and_one_effect(bench: Bench) -> None:
    command = note_command()
    assert await bench.take(command, command) == [True, False]
    assert await bench.take(command) == [False]
    await bench.run_until(final, command)
    assert len(bench.effect.made) == 1
    (outcome,) = await bench.outcomes()
    assert outcome.state == "done"


async def test_a_lost_answer_is_looked_up_and_not_repeated(bench: Bench) -> None:
    command = note_command()
    bench.effect.on_send = bench.effect.lose_answer
    await bench.take(command)
    assert await bench.run_until(final, command) == "done"
    assert len(bench.effect.made) == 1
    assert bench.effect.looked_up == 1


async def test_what_never_happened_is_read_twice_and_then_tried_again(bench: Bench) -> None:
    command = note_command()
    tries: list[int] = []

    def lose_request_once(intent: x.Intent) -> x.Answer:
        tries.append(intent.attempt)
        if len(tries) == 1:
            return x.Ambiguous(reason="the connection was cut")
        return bench.effect.succeed(intent)

    bench.effect.on_send = lose_request_once
    await bench.take(command)
    assert await bench.run_until(final, command) == "done"
    assert len(bench.effect.made) == 1
    assert bench.effect.looked_up == 2, "one reading without it proves nothing yet"


async def test_what_cannot_be_told_is_held_and_never_repeated(bench: Bench) -> None:
    command = note_command()
    bench.effect.on_send = bench.effect.lose_answer
    bench.effect.on_look_up = lambda _: x.CannotTell(reason="nobody can say", remedy="ask")
    await bench.take(command)
    assert await bench.run_until(final, command) == "in_doubt"
    (outcome,) = await bench.outcomes()
    assert (outcome.state, outcome.remedy) == ("parked", "ask")
    for _ in range(3):
        await bench.runner().perform_due()
    assert len(bench.effect.made) == 1


async def test_evidence_settles_what_was_held(bench: Bench) -> None:
    command = note_command()
    bench.effect.on_send = bench.effect.lose_answer
    bench.effect.on_look_up = lambda _: x.CannotTell(reason="nobody can say", remedy="ask")
    await bench.take(command)
    await bench.run_until(final, command)
    assert isinstance(command.data, AddNote)
    async with transaction(bench.pool) as connection:
        intent = await bench.ledger.held(connection, command.data.command_id, ACME)
        assert intent is not None
        change = Change(occurrence=Occurrence.EVIDENCE, reason="a report came")
        assert await bench.ledger.record(connection, intent, intent.attempt, change) is State.DONE
    assert [item.state for item in await bench.outcomes()] == ["parked", "done"]


async def test_a_worker_that_dies_after_committing_its_attempt_leaves_an_unknown_row(bench: Bench) -> None:
    command = note_command()
    await bench.take(command)
    (intent,) = await bench.ledger.claim_due(lease=timedelta(seconds=0.3), per_account=5, vendor="greenhouse")
    assert await bench.ledger.begin(intent, deadline_seconds=0.1, cap=None, resolved={}) == 1
    bench.effect.made.append(intent.id)  # it was sent; then the process died
    runner = bench.runner()
    assert await runner.perform_due() == 0, "a row under way is nobody else's"
    assert await runner.look_up_due() == 0, "nor looked up before its deadline"
    assert await bench.run_until(final, command) == "done"
    assert len(bench.effect.made) == 1


async def test_a_frozen_worker_that_wakes_after_its_lease_begins_nothing(bench: Bench) -> None:
    command = note_command()
    await bench.take(command)
    (frozen,) = await bench.ledger.claim_due(lease=timedelta(seconds=0.1), per_account=5, vendor="greenhouse")
    await asyncio.sleep(0.15)
    await bench.run_until(final, command)
    assert await bench.ledger.begin(frozen, deadline_seconds=0.01, cap=None, resolved={}) is None
    assert len(bench.effect.made) == 1


async def test_too_late_to_end_before_the_deadline_nothing_is_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker frozen after it committed the attempt counts on its own clock and lets the request be."""
    command = note_command()
    await bench.take(command)
    real = bench.ledger.begin

    async def frozen(*arguments: Any, **named: Any) -> Any:
        begun = await real(*arguments, **named)
        await asyncio.sleep(0.2)
        return begun

    monkeypatch.setattr("trellis.common.ledger.runner.SLACK_SECONDS", 0.1)
    monkeypatch.setattr(bench.ledger, "begin", frozen)
    await bench.runner().perform_due()
    assert not bench.effect.made
    state, attempt, cause = await bench.state(command)
    assert (state, attempt) == ("waiting", 1)
    assert "too late" in cause


async def test_a_reading_older_than_ten_seconds_sends_nothing(bench: Bench) -> None:
    command = note_command()
    bench.effect.on_prepare = lambda _: x.Ready(request="r", read_at=time.monotonic() - 11)
    await bench.take(command)
    await bench.runner().perform_due()
    assert not bench.effect.made
    state, attempt, cause = await bench.state(command)
    assert (state, attempt) == ("waiting", 1)
    assert "too long ago" in cause


async def test_an_answer_of_an_older_attempt_changes_nothing(bench: Bench) -> None:
    command = note_command()
    bench.effect.on_send = lambda _: x.NotExecuted(reason="429", wait=timedelta())
    await bench.take(command)
    runner = bench.runner()
    await runner.perform_due()
    await runner.perform_due()
    assert isinstance(command.data, AddNote)
    async with transaction(bench.pool) as connection:
        intent = await bench.ledger.held(connection, command.data.command_id, ACME)
        assert intent is not None
        assert intent.attempt == 2
        assert await bench.ledger.record(connection, intent, 1, Change(occurrence=Occurrence.SUCCEEDED)) is None
    assert (await bench.state(command))[0] == "waiting"


@pytest.mark.parametrize(
    ("scope", "name"), [(Scope.ACCOUNT, ""), (Scope.CONNECTION, "greenhouse"), (Scope.WORKFLOW, "w")]
)
async def test_a_brake_stops_its_scope_alone_and_releasing_lets_it_go_on(bench: Bench, scope: Scope, name: str) -> None:
    braked, other = note_command(1), note_command(2, "globex", workflow="v")
    brakes = Brakes(bench.pool)
    assert await brakes.put(ACME, scope, name, reason="test", by="me")
    assert not await brakes.put(ACME, scope, name, reason="test", by="me")
    await bench.take(braked, other)
    runner = bench.runner()
    await bench.run_until(final, other, runner)
    assert await bench.state(braked) == ("waiting", 0, "")
    (story,) = await bench.ledger.stories(ACME, ApplicationId(1))
    assert story.held_by
    assert await brakes.release(ACME, scope, name)
    await bench.run_until(final, braked, runner)


async def test_a_brake_put_on_after_the_claim_still_stops_the_attempt(bench: Bench) -> None:
    """It is checked inside the statement that begins the attempt, not before it."""
    command = note_command()
    await bench.take(command)
    (intent,) = await bench.ledger.claim_due(lease=timedelta(seconds=30), per_account=5, vendor="greenhouse")
    await Brakes(bench.pool).put(ACME, Scope.ACCOUNT, "", reason="", by="me")
    assert await bench.ledger.begin(intent, deadline_seconds=1, cap=None, resolved={}) is None


async def test_a_rejected_credential_pauses_that_connection_only_and_mended_it_goes_on(bench: Bench) -> None:
    mine, other = note_command(1), note_command(2, "globex")
    rejected = x.Unauthorized(reason="the client secret was rejected", remedy="apply a valid one")
    bench.effect.on_prepare = lambda intent: (
        rejected if intent.account == ACME else x.Ready(request="", read_at=time.monotonic())
    )
    await bench.take(mine, note_command(3), other)
    runner = bench.runner()
    await bench.run_until(final, other, runner)
    state, attempt, cause = await bench.state(mine)
    assert (state, attempt) == ("waiting", 0)
    assert "client secret was rejected" in cause
    before = bench.effect.prepared
    await asyncio.sleep(0.4)
    for _ in range(4):
        await runner.perform_due()
        await asyncio.sleep(0.06)
    assert 1 <= bench.effect.prepared - before <= 5, "one row tests the credential now and then"
    bench.effect.on_prepare = lambda _: x.Ready(request="", read_at=time.monotonic())
    await bench.run_until(final, mine, runner)
    await bench.run_until(final, note_command(3), runner)


async def test_the_cap_of_an_hour_holds_back_the_rest_and_says_until_when(bench: Bench) -> None:
    commands = [note_command(number) for number in range(5)]
    bench.effect.capped = 2
    await bench.take(*commands)
    runner, other = bench.runner(), bench.runner()
    for _ in range(3):
        await asyncio.gather(runner.perform_due(), other.perform_due())
    assert len(bench.effect.made) == 2
    waiting = [await bench.state(item) for item in commands]
    assert sum(state == "waiting" and "cap" in cause for state, _, cause in waiting) == 3


async def test_two_runners_side_by_side_make_each_effect_once(bench: Bench) -> None:
    commands = [note_command(number, f"a{number % 3}") for number in range(60)]
    await bench.take(*commands)
    runners = [bench.runner() for _ in range(3)]
    for _ in range(6):
        await asyncio.gather(*(runner.perform_due() for runner in runners))
    assert len(bench.effect.made) == len(set(bench.effect.made)) == 60


async def test_one_accounts_bulk_does_not_starve_another(bench: Bench) -> None:
    await bench.take(*(note_command(number) for number in range(100)))
    late = note_command(1, "globex")
    await bench.take(late)
    await bench.runner().perform_due()
    assert (await bench.state(late))[0] == "done"


async def test_a_refusal_is_final_and_a_missing_address_is_parked_until_mended(bench: Bench) -> None:
    refused, parked = note_command(1), note_command(2)
    bench.effect.on_prepare = lambda intent: (
        x.Blocked(reason="no e-mail address", remedy="add one", mended_by="candidate.updated")
        if intent.application_id == 2
        else x.Ready(request="", read_at=time.monotonic())
    )
    bench.effect.on_send = lambda _: x.Rejected(reason="422 no such thing")
    await bench.take(refused, parked)
    runner = bench.runner()
    assert await bench.run_until(final, refused, runner) == "refused"
    assert await bench.run_until(final, parked, runner) == "parked"
    bench.effect.on_prepare = lambda _: x.Ready(request="", read_at=time.monotonic())
    bench.effect.on_send = bench.effect.succeed
    async with transaction(bench.pool) as connection:
        assert await bench.ledger.mend(connection, ACME, CandidateId(999), "candidate.updated") == []
        assert len(await bench.ledger.mend(connection, ACME, CandidateId(1002), "candidate.updated")) == 1
    assert await bench.run_until(lambda state: state == "done", parked, runner) == "done"


async def test_another_command_for_the_same_invite_is_answered_and_makes_no_second_row(bench: Bench) -> None:
    first, second = note_command(1, ordinal="a"), note_command(1, ordinal="b")
    async with transaction(bench.pool) as connection:
        assert await bench.ledger.take_in(connection, first, "greenhouse", "n1/1/test")
        assert not await bench.ledger.take_in(connection, second, "greenhouse", "n1/1/test")
        assert not await bench.ledger.take_in(connection, first, "greenhouse", "n1/1/test")
    (outcome,) = await bench.outcomes()
    assert isinstance(second.data, AddNote)
    assert (outcome.command_id, outcome.state) == (second.data.command_id, "superseded")


async def test_another_accounts_ids_read_and_change_nothing(bench: Bench) -> None:
    command = note_command()
    await bench.take(command)
    assert isinstance(command.data, AddNote)
    other = AccountId("globex")
    assert await bench.ledger.stories(other, ApplicationId(1)) == []
    async with transaction(bench.pool) as connection:
        assert await bench.ledger.held(connection, command.data.command_id, other) is None
        mine = await bench.ledger.held(connection, command.data.command_id, ACME)
        assert mine is not None
        stolen = x.Intent(**{**{name: getattr(mine, name) for name in mine.__dataclass_fields__}, "account": other})
        assert await bench.ledger.record(connection, stolen, 0, Change(occurrence=Occurrence.DROPPED)) is None
    assert (await bench.state(command))[0] == "waiting"
    assert UUID(str(mine.id)) == mine.id


async def test_a_database_that_goes_away_in_the_middle_of_a_batch_does_not_stop_the_runner(bench: Bench) -> None:
    note = note_command(1)
    await bench.take(note)
    ready = bench.effect.on_prepare

    def away_once(intent: x.Intent) -> x.Preparation:
        bench.effect.on_prepare = ready
        raise StoreAwayError("the database is away")

    bench.effect.on_prepare = away_once
    running = asyncio.ensure_future(bench.runner(lease=7.0).run())
    try:
        end = time.monotonic() + 30
        while (await bench.state(note))[0] != "done":
            assert not running.done() and time.monotonic() < end
            await asyncio.sleep(0.1)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(bench.effect.made) == 1
