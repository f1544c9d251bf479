"""Signals and reports on a real database: one result for each invite that is owed one, told once a version."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench

from trellis.common.contracts.commands import Action
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import SignalKind
from trellis.common.contracts.identifiers import AccountId, stable_id
from trellis.common.contracts.outcomes import AssessmentCompleted, Integrity, OutcomeState
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Overtaken
from trellis.common.ledger.states import Occurrence
from trellis.common.store.postgres import transaction


async def invited(bench: Bench, application: int = 1, **more: Any) -> Envelope:
    command = bench.invite(application, **more)
    await bench.take(command)
    await bench.until(lambda: _is_done(bench, command))
    return command


async def _is_done(bench: Bench, command: Envelope) -> bool:
    return await bench.state(command) == "done"


async def progress(bench: Bench) -> list[str]:
    return [row["progress"] for row in await bench.fetch("select progress from invite order by created_at")]


# -- signals


async def test_a_join_is_told_once(bench: Bench) -> None:
    await invited(bench)
    first = bench.signal(SignalKind.STARTED)
    await bench.take(first, first)
    await bench.take(first)
    await bench.take(bench.signal(SignalKind.STARTED))
    assert len(await bench.started()) == 1
    assert await progress(bench) == ["started"]


async def test_a_join_that_comes_after_the_completion_takes_nothing_back(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED), bench.signal(SignalKind.STARTED))
    await bench.until(bench.results)
    await bench.take(bench.signal(SignalKind.STARTED))
    assert await progress(bench) == ["graded"]


async def test_a_completion_leads_to_the_result_read_from_the_report(bench: Bench) -> None:
    command = await invited(bench)
    bench.twin.submit(WHO, TEST, final_score=82, mc_score=None, cheating_flag="Likely", time_taken=52)
    at = datetime.now(UTC)
    await bench.take(bench.signal(SignalKind.COMPLETED, expired=True, at=at))
    await bench.until(bench.results)
    await bench.run(rounds=3)
    (result,) = await bench.results()
    assert result == AssessmentCompleted(
        application_id=command.data.application_id,  # type: ignore[union-attr]
        visit=command.data.visit,  # type: ignore[union-attr]
        assessment_id=TEST,  # type: ignore[arg-type]
        result_version=1,
        completed_at=at,
        assessment_name=None,
        score=82.0,
        code_score=80.0,
        mc_score=None,
        qualified=True,
        qualifying_score=70.0,
        integrity=Integrity.SUSPECTED,
        time_expired=True,
        minutes_taken=52,
    )
    (message,) = [item for item in await bench.envelopes() if isinstance(item.data, AssessmentCompleted)]
    assert message.id == stable_id("result", command.data.command_id, 1)  # type: ignore[union-attr]
    assert message.correlationid == "c-1"


async def test_a_hint_alone_makes_no_result(bench: Bench) -> None:
    await invited(bench)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    for _ in range(8):
        await bench.run()
        await asyncio.sleep(0.03)
    assert await bench.results() == []


async def test_an_unknown_score_is_told_as_unknown(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST, final_score=None, code_score=None, qualified=None)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    (result,) = await bench.results()
    assert (result.score, result.code_score, result.qualified) == (None, None, None)


@pytest.mark.parametrize("switch", ["report.not_ready_reads", "report.empty_reads"])
async def test_a_report_that_is_not_there_yet_is_waited_for(bench: Bench, switch: str) -> None:
    await invited(bench)
    bench.twin.switches[switch] = 2
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    assert len(await bench.results()) == 1


async def test_a_report_that_never_gets_ready_is_shown_as_overdue_and_read_on_slowly(bench: Bench) -> None:
    await bench.connect(invite__poll_interval=0.2)
    await invited(bench)
    bench.twin.switches["report.not_ready_reads"] = 6
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.run()
    await bench.execute("update invite set poll_step = 500, poll_at = clock_timestamp()")  # a day later

    async def overdue() -> bool:
        return bool(await bench.fetch("select 1 from invite where overdue_at is not null"))

    await bench.until(overdue)
    await bench.until(bench.results)
    assert not await overdue()


async def test_without_any_webhook_the_slow_reading_finds_start_and_result(bench: Bench) -> None:
    await bench.connect(invite__poll_interval=0.05)
    await invited(bench)
    bench.twin.join(WHO, TEST)
    await bench.until(bench.started)
    bench.twin.submit(WHO, TEST)
    await bench.until(bench.results)
    assert (len(await bench.started()), len(await bench.results())) == (1, 1)


async def test_a_result_stops_the_reading(bench: Bench) -> None:
    await bench.connect(invite__poll_interval=0.02)
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    await bench.until(bench.results)
    before = bench.twin.calls["report"]
    for _ in range(5):
        await asyncio.sleep(0.03)
        await bench.run()
    assert bench.twin.calls["report"] == before


# -- versions


async def test_a_review_tells_again_only_what_visibly_changed(bench: Bench) -> None:
    await invited(bench)
    attempt = bench.twin.submit(WHO, TEST, final_score=60, qualified=False)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    attempt["scorecard"] = {"communication": 5}
    await bench.take(bench.signal(SignalKind.REVIEWED))
    await bench.run(rounds=2)
    assert [result.result_version for result in await bench.results()] == [1]
    attempt |= {"final_score": 71, "qualified": True}
    await bench.take(bench.signal(SignalKind.REVIEWED), bench.signal(SignalKind.REVIEWED))
    await bench.run(rounds=3)
    assert [(r.result_version, r.score) for r in await bench.results()] == [(1, 60.0), (2, 71.0)]
    assert await progress(bench) == ["reviewed"]


class ReviewedMeanwhile:
    """Coderbyte, with the score changed, and told, while the answer to a reading is on its way."""

    def __init__(self, bench: Bench, attempt: dict[str, Any]) -> None:
        self._bench = bench
        self._attempt = attempt

    async def reports(self, *asked: Any) -> Any:
        found = tuple(dict(report) for report in await self._bench.twin.reports(*asked))
        if self._attempt["final_score"] != 71:
            self._attempt["final_score"] = 71
            await self._bench.take(self._bench.signal(SignalKind.REVIEWED))
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench.twin, name)


async def test_a_review_told_while_the_report_was_being_read_is_read_again(bench: Bench) -> None:
    await invited(bench)
    bench.port = ReviewedMeanwhile(bench, bench.twin.submit(WHO, TEST, final_score=60))
    await bench.take(bench.signal(SignalKind.COMPLETED))
    reports = bench.replica().reports
    while await reports.read_due():
        pass
    assert [result.score for result in await bench.results()][-1:] == [71.0]


async def test_a_second_completion_changes_nothing(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.run(rounds=3)
    assert len(await bench.results()) == 1


# -- attempts


async def test_attempts_from_before_the_invite_do_not_count(bench: Bench) -> None:
    bench.twin.submit(WHO, TEST, final_score=99)
    await invited(bench)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    for _ in range(4):
        await bench.run()
        await asyncio.sleep(0.06)
    assert await bench.results() == []
    bench.twin.join(WHO, TEST)
    bench.twin.submit(WHO, TEST, final_score=40)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    assert [(result.score, result.attempt_count) for result in await bench.results()] == [(40.0, 1)]


async def test_an_attempt_begun_before_the_invite_and_finished_after_it_does_not_count(bench: Bench) -> None:
    bench.twin.join(WHO, TEST, report_link=None)
    await invited(bench)
    bench.twin.submit(WHO, TEST, report_link="https://coderbyte.com/report/late:backend-1")
    await bench.take(bench.signal(SignalKind.COMPLETED))
    for _ in range(4):
        await bench.run()
        await asyncio.sleep(0.06)
    assert await bench.results() == []


@pytest.mark.parametrize(("policy", "score"), [("latest", 70.0), ("first", 50.0), ("best", 90.0)])
async def test_which_attempt_counts_is_a_setting(bench: Bench, policy: str, score: float) -> None:
    await bench.connect(report__pick_attempt=policy)
    await invited(bench)
    for value in (50, 90, 70):
        bench.twin.join(WHO, TEST)
        bench.twin.submit(WHO, TEST, final_score=value)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    assert [(result.score, result.attempt_count) for result in await bench.results()] == [(score, 3)]


# -- what matches nothing


@pytest.mark.parametrize("kind", SignalKind)
async def test_a_signal_of_nobody_we_invited_is_kept_and_shown(bench: Bench, kind: SignalKind) -> None:
    await invited(bench)
    assessment = None if kind is SignalKind.INTERVIEW_COMPLETED else TEST
    stranger = bench.signal(kind, who="stranger@mail.example", assessment=assessment)
    await bench.take(stranger)
    await bench.take(stranger)
    rows = await bench.fetch("select kind, reason from unmatched_signal")
    assert [row["kind"] for row in rows] == [kind.value]
    assert rows[0]["reason"]
    assert await bench.started() == []


async def test_another_accounts_signal_touches_nothing(bench: Bench) -> None:
    await invited(bench)
    signal = bench.signal(SignalKind.STARTED)
    await bench.take(bench.envelope(signal.data, account=AccountId("other")))
    assert await bench.started() == []
    assert (await bench.fetch("select account_id from unmatched_signal"))[0]["account_id"] == "other"


async def test_a_signal_older_than_the_invite_is_not_of_it(bench: Bench) -> None:
    await invited(bench)
    await bench.take(bench.signal(SignalKind.STARTED, at=datetime.now(UTC) - timedelta(hours=1)))
    assert await bench.started() == []


# -- one person, two applications


async def take_in_turn(bench: Bench, first: Envelope, second: Envelope) -> None:
    """Take *second* when *first* is out: two that are prepared at the same time go in either order."""
    await bench.take(first)
    await bench.until(lambda: bench.mails() == 1)
    await bench.take(second)


async def test_the_second_application_shares_the_first_ones_invite_and_result(bench: Bench) -> None:
    first, second = bench.invite(1), bench.invite(2)
    await take_in_turn(bench, first, second)
    await bench.run(rounds=4)
    assert (await bench.state(first), await bench.state(second)) == ("done", "waiting")
    assert "application 1" in await bench.cause(second)
    assert bench.mails() == 1
    bench.twin.submit(WHO, TEST, final_score=77)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(lambda: _is_done(bench, second))
    results = await bench.results()
    assert sorted((result.application_id, result.score) for result in results) == [(1, 77.0), (2, 77.0)]
    assert "shared" in (await bench.settled())[-1].reason
    assert bench.mails() == 1


async def test_a_changed_result_reaches_both(bench: Bench) -> None:
    first, second = bench.invite(1), bench.invite(2)
    await take_in_turn(bench, first, second)
    await bench.run(rounds=2)
    attempt = bench.twin.submit(WHO, TEST, final_score=50)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    attempt["final_score"] = 55
    await bench.take(bench.signal(SignalKind.REVIEWED))
    await bench.run(rounds=2)
    told = sorted((r.application_id, r.result_version, r.score) for r in await bench.results())
    assert told == [(1, 1, 50.0), (1, 2, 55.0), (2, 1, 50.0), (2, 2, 55.0)]


async def test_an_application_that_left_meanwhile_shares_nothing(bench: Bench) -> None:
    first, second = bench.invite(1), bench.invite(2)
    await take_in_turn(bench, first, second)
    await bench.run(rounds=2)
    bench.gate.verdicts[2] = Overtaken(reason="rejected")
    await bench.execute("update intent set due_at = clock_timestamp()")
    await bench.run(rounds=2)
    assert await bench.state(second) == "superseded"
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    assert [result.application_id for result in await bench.results()] == [1]


async def test_when_the_first_falls_away_the_second_is_sent(bench: Bench) -> None:
    bench.gate.verdicts[1] = Overtaken(reason="rejected")
    first, second = bench.invite(1), bench.invite(2)
    await bench.take(first, second)
    await bench.until(lambda: _is_done(bench, second))
    assert (await bench.state(first), bench.mails()) == ("superseded", 1)


async def test_newest_sends_both_and_gives_the_result_to_the_newest(bench: Bench) -> None:
    await bench.connect(result__on_collision="newest", invite__poll_interval=0.05)
    await invited(bench, 1)
    await invited(bench, 2)
    assert bench.mails() == 2
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    for _ in range(4):
        await asyncio.sleep(0.06)
        await bench.run()
    assert [result.application_id for result in await bench.results()] == [2]


async def test_hold_parks_the_second_for_a_person(bench: Bench) -> None:
    await bench.connect(result__on_collision="hold")
    await invited(bench, 1)
    second = bench.invite(2)
    await bench.take(second)
    await bench.run(rounds=2)
    assert await bench.state(second) == "parked"
    assert bench.mails() == 1


async def test_once_the_first_has_its_result_the_second_is_invited_of_its_own_and_results_stay_apart(
    bench: Bench,
) -> None:
    await invited(bench, 1)
    bench.twin.submit(WHO, TEST, final_score=50)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await invited(bench, 2)
    assert bench.mails() == 2
    bench.twin.join(WHO, TEST)
    bench.twin.submit(WHO, TEST, final_score=95)
    await bench.take(bench.signal(SignalKind.COMPLETED))

    async def both() -> bool:
        return len(await bench.results()) == 2

    await bench.until(both)
    await bench.take(bench.signal(SignalKind.REVIEWED))
    await bench.run(rounds=3)
    assert [(r.application_id, r.score) for r in await bench.results()] == [(1, 50.0), (2, 95.0)]


async def test_with_internal_ids_each_application_gets_its_own_result(bench: Bench) -> None:
    await bench.connect(
        invite__internal_id_mode="parenthesised", result__on_collision="newest", invite__poll_interval=0.05
    )
    bench.twin.switches["invite.internal_id_mode"] = "parentheses"
    await invited(bench, 1)
    await invited(bench, 2)
    bench.twin.join(WHO, TEST, internal_id="ghapp_2")
    bench.twin.submit(WHO, TEST, final_score=64)
    await bench.until(bench.results)
    for _ in range(3):
        await asyncio.sleep(0.06)
        await bench.run()
    assert [(r.application_id, r.score) for r in await bench.results()] == [(2, 64.0)]


# -- another visit


async def test_never_invites_once_over_all_visits_and_uses_the_result_in_the_new_one(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST, final_score=66)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    again = bench.invite(visit="n2")
    await bench.take(again)
    await bench.run(rounds=2)
    assert (await bench.state(again), bench.mails()) == ("superseded", 1)
    assert "earlier visit" in await bench.cause(again)
    assert [(r.visit, r.score) for r in await bench.results()] == [("n1", 66.0), ("n2", 66.0)]


async def test_a_worker_that_dies_after_using_an_earlier_result_does_not_use_it_twice(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await bench.take(bench.invite(visit="n2"))
    ledger, effect = bench.one.api.ledger, bench.one.runner._effects[Action.INVITE]
    claimed = await ledger.claim_due(lease=timedelta(seconds=0.1), per_account=5, vendor="coderbyte")
    await effect.prepare(ACME, claimed)  # and dies before it records that the invite is overtaken
    await asyncio.sleep(0.2)
    await bench.run(rounds=2)
    assert sorted(result.visit for result in await bench.results()) == ["n1", "n2"]


async def test_a_result_that_comes_later_is_used_in_the_new_visit_to_the_same_stage_only(bench: Bench) -> None:
    await invited(bench)
    same, elsewhere = bench.invite(visit="n2"), bench.invite(visit="n3", stage=8)
    await bench.take(same, elsewhere)
    await bench.run(rounds=2)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    assert sorted(result.visit for result in await bench.results()) == ["n1", "n2"]


@pytest.mark.parametrize(("begun", "mails"), [(False, 2), (True, 1)])
async def test_if_not_started_asks_whether_the_candidate_began(bench: Bench, begun: bool, mails: int) -> None:
    await bench.connect(invite__reinvite="if_not_started")
    await invited(bench)
    if begun:
        await bench.take(bench.signal(SignalKind.STARTED))
    await bench.take(bench.invite(visit="n2"))
    await bench.run(rounds=3)
    assert bench.mails() == mails


async def test_always_invites_in_each_visit_and_the_result_is_the_later_ones(bench: Bench) -> None:
    await bench.connect(invite__reinvite="always", invite__poll_interval=0.05)
    await invited(bench)
    await invited(bench, visit="n2")
    assert bench.mails() == 2
    bench.twin.submit(WHO, TEST)
    await bench.until(bench.results)
    for _ in range(3):
        await asyncio.sleep(0.06)
        await bench.run()
    assert [result.visit for result in await bench.results()] == ["n2"]


# -- what goes wrong on the way


async def test_a_failed_reading_is_made_again(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    bench.twin.fault("report", "500")
    bench.twin.fault("report", "429", retry_after=0)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results, seconds=40)
    assert len(await bench.results()) == 1


async def test_a_reader_that_dies_leaves_the_report_to_another(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    store = bench.one.api.publisher.results
    assert len(await store.claim(lease=timedelta(seconds=0.2), per_account=5)) == 1  # and dies
    await bench.one.reports.read_due()
    assert await bench.results() == []
    await asyncio.sleep(0.3)
    await bench.until(bench.results)
    assert len(await bench.results()) == 1


async def test_readers_side_by_side_tell_a_result_once(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    replicas = [bench.replica() for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(bench.run(replica) for replica in replicas))
    assert len(await bench.results()) == 1


async def test_a_rejected_key_pauses_the_readings_too_and_loses_none(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    bench.twin.api_key = "rotated"
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.run(rounds=2)
    assert await bench.one.api.connections.pause(ACME) is not None
    bench.twin.api_key = "key"
    await bench.until(bench.results)
    assert await bench.one.api.connections.pause(ACME) is None


async def test_an_invite_a_person_gave_up_keeps_its_result_and_tells_nobody(bench: Bench) -> None:
    bench.twin.fault("invite", "cut_after")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    async with transaction(bench.pool) as connection:
        held = await bench.one.api.ledger.held(connection, command.data.command_id, ACME)  # type: ignore[union-attr]
        assert held is not None
        await bench.one.api.ledger.record(connection, held, held.attempt, Change(occurrence=Occurrence.DROPPED))
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))

    async def kept() -> bool:
        return bool(await bench.fetch("select 1 from result where not published"))

    await bench.until(kept)
    assert await bench.results() == []
    assert [s.state for s in await bench.settled()] == [OutcomeState.PARKED, OutcomeState.SUPERSEDED]
