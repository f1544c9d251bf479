"""A result that matched nothing, attached by a person: read, told once, and nothing is sent any more."""

from __future__ import annotations

from uuid import uuid4

import pytest
from tests.integration.assessments.bench import ACME, TEST, Bench
from tests.integration.assessments.inviting import invited

from trellis.assessments.domain.suggesting import Signal, suggest
from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import CandidateErased, SignalKind
from trellis.common.contracts.identifiers import CandidateId
from trellis.common.contracts.outcomes import CommandSettled, OutcomeState
from trellis.common.store.postgres import acquired

OTHER = "jane.private@mail.example"


async def said(bench: Bench) -> list[tuple[OutcomeState, str]]:
    return [(item.state, item.reason) for item in await bench.messages(CommandSettled) if item.action is Action.ATTACH]


async def test_a_result_under_another_address_is_the_invites_once_it_is_attached(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(OTHER, TEST, final_score=91)
    stranger = bench.signal(SignalKind.COMPLETED, who=OTHER)
    await bench.take(stranger)
    bench.bodies.away = True
    await bench.take(bench.attach(stranger))
    await bench.run()
    assert await bench.results() == []
    bench.bodies.away = False
    await bench.take(bench.attach(stranger))
    await bench.until(bench.results)
    assert [(result.application_id, result.score) for result in await bench.results()] == [(1, 91.0)]
    assert {state for state, _ in await said(bench)} == {OutcomeState.DONE}
    async with acquired(bench.pool) as connection:
        assert await bench.one.api.signals.unmatched(connection, ACME) == []
        assert await bench.one.api.signals.counts(connection) == {}
    assert bench.mails() == 1
    await bench.take(bench.signal(SignalKind.REVIEWED, who=OTHER))
    assert await bench.fetch("select from unmatched_signal where attached_at is null") == []


async def test_a_result_of_somebody_never_invited_stands_for_the_invite_which_goes_out_no_more(bench: Bench) -> None:
    await bench.connect()
    bench.twin.submit(OTHER, TEST, final_score=77)
    stranger = bench.signal(SignalKind.COMPLETED, who=OTHER)
    await bench.take(stranger, bench.attach(stranger, 5))
    invite = bench.invite(5)
    await bench.take(invite)
    await bench.until(bench.results)
    await bench.run(rounds=2)
    assert await bench.state(invite) == "done"
    assert bench.mails(OTHER) == bench.mails() == 0
    assert [(result.application_id, result.score) for result in await bench.results()] == [(5, 77.0)]


async def test_what_cannot_be_attached_is_told(bench: Bench) -> None:
    await bench.connect()
    stranger = bench.signal(SignalKind.COMPLETED, who=OTHER)
    interview = bench.signal(SignalKind.INTERVIEW_COMPLETED, who=OTHER, assessment=None)
    await bench.take(stranger, interview, bench.attach(stranger, 1), bench.attach(stranger, 2))
    await bench.take(
        bench.attach(interview, 3),
        bench.attach(stranger, 4, assessment="another"),
        bench.attach(stranger, 6, ident=uuid4()),
        bench.attach(stranger, 1, visit="n2"),
        bench.attach(stranger, 1),
    )
    reasons = [reason for state, reason in await said(bench) if state is OutcomeState.REFUSED]
    assert reasons == [
        "it was attached to application 1",
        "it is an interview's, which has no report to read",
        "it was attached to application 1",
        "no such result waits unmatched; its person may have been erased",
        "it was attached to another stage visit of this application",
    ]
    assert [row["application_id"] for row in await bench.rows()] == [1]


async def test_a_result_that_came_of_an_erased_person_leaves_no_invite_that_nobody_asked_for(bench: Bench) -> None:
    await bench.connect()
    stranger = bench.signal(SignalKind.COMPLETED, who=OTHER)
    gone = CandidateErased(candidate_id=CandidateId(100))
    await bench.take(stranger, bench.envelope(gone), bench.attach(stranger, 5))
    await bench.run(rounds=2)
    assert await bench.state(bench.invite(5)) == "superseded"
    assert [state for state, _ in await said(bench)] == [OutcomeState.REFUSED]
    assert bench.mails() == 0


async def test_an_invite_in_doubt_counts_as_sent(bench: Bench) -> None:
    await bench.connect()
    bench.twin.fault("invite", "cut_after")
    invite = bench.invite()
    await bench.take(invite)
    await bench.until(lambda: _is_parked(bench))
    bench.twin.submit(OTHER, TEST, final_score=60)
    stranger = bench.signal(SignalKind.COMPLETED, who=OTHER)
    await bench.take(stranger, bench.attach(stranger))
    assert await bench.state(invite) == "done"
    await bench.until(bench.results)
    assert bench.mails() == 1


async def _is_parked(bench: Bench) -> bool:
    return [row["state"] for row in await bench.rows()] == ["in_doubt"]


async def test_a_body_that_has_expired_leaves_the_result_overdue(bench: Bench) -> None:
    await bench.connect()
    stranger = bench.signal(SignalKind.COMPLETED, who=OTHER)
    bench.bodies.addresses.clear()
    await bench.take(stranger, bench.attach(stranger))
    await bench.run(rounds=2)
    (row,) = await bench.fetch("select overdue_at from invite")
    assert row["overdue_at"] is not None


@pytest.mark.parametrize(("who", "words"), [(None, "at the same address"), (OTHER, "went out less than a minute")])
async def test_a_suggestion_says_what_speaks_for_it(bench: Bench, who: str | None, words: str) -> None:
    await invited(bench)
    await bench.connect(result__on_collision="hold")
    signal = bench.signal(SignalKind.COMPLETED, **({} if who is None else {"who": who}))
    assert signal.id
    async with acquired(bench.pool) as connection:
        await bench.one.api.signals.keep(connection, ACME, signal.id, signal.data, "nobody")  # type: ignore[arg-type]
        about = Signal(id=signal.id, received_at=signal.data.received_at)  # type: ignore[union-attr]
        (found,) = suggest(about, await bench.one.api.signals.asked(connection, ACME, about))
    assert found.application_id == 1
    assert words in "; ".join(found.reasons)
