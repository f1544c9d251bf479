"""Signals and reports on a real database: one result for each invite that is owed one, told once a version."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench
from tests.integration.assessments.inviting import invited, progress

from trellis.common.contracts.facts import SignalKind
from trellis.common.contracts.identifiers import AccountId, stable_id
from trellis.common.contracts.outcomes import AssessmentCompleted, Integrity, OutcomeState
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence
from trellis.common.store.postgres import transaction


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
