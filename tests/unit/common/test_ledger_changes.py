"""What an answer, a look-up or a check before an attempt means for its row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from trellis.common.contracts.commands import Action, Origin, SendInvite
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, CommandId, StageId, Visit
from trellis.common.ledger import effects as x
from trellis.common.ledger.changes import Change, of_answer, of_look_up, of_preparation
from trellis.common.ledger.states import Occurrence, State

COMMAND = CommandId(UUID("6b7f3f3c-0000-5000-8000-000000000002"))
LEARNT: x.Resolved = {"stage": 12}
SECOND_READ = timedelta(seconds=90)


def intent(*, absent: int = 0, retries: int = 0) -> x.Intent:
    command = SendInvite(
        command_id=COMMAND,
        application_id=ApplicationId(101),
        candidate_id=None,
        job_id=None,
        visit=Visit("n1"),
        stage_id=StageId(11),
        assessment_id=AssessmentId("python"),
        origin=Origin(workflow="hiring", version=1, rule="invite", reason="no condition"),
    )
    return x.Intent(
        id=COMMAND,
        account=AccountId("acme"),
        application_id=command.application_id,
        candidate_id=None,
        visit=command.visit,
        action=Action.INVITE,
        command=command,
        state=State.UNKNOWN,
        attempt=4,
        absent_count=absent,
        retries=retries,
        cause="",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        correlationid="corr",
        claimed=0.0,
        lease_token=uuid4(),
    )


def looked(said: x.LookUp, *, absent: int = 0, retries: int = 0) -> Change:
    assert not isinstance(said, x.Unauthorized)
    return of_look_up(said, intent(absent=absent, retries=retries), second_read=SECOND_READ, fraction=0.5)


def test_a_change_says_nothing_beyond_its_occurrence_by_itself() -> None:
    plain = Change(occurrence=Occurrence.FOUND)
    assert (plain.reason, plain.remedy, plain.mended_by, plain.wait, plain.kind) == (
        "",
        "",
        None,
        timedelta(0),
        "outcome",
    )
    assert (plain.resolved, plain.request_id, plain.absent) == (None, None, False)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (x.Overtaken(reason="r"), Change(occurrence=Occurrence.OVERTAKEN, reason="r")),
        (
            x.Blocked(reason="r", remedy="m", mended_by="candidate.updated"),
            Change(occurrence=Occurrence.BLOCKED, reason="r", remedy="m", mended_by="candidate.updated"),
        ),
        (
            x.Settled(reason="r", resolved=LEARNT),
            Change(occurrence=Occurrence.SUCCEEDED, reason="r", resolved=LEARNT),
        ),
    ],
)
def test_a_check_that_asks_for_no_attempt_says_why(said: x.Overtaken | x.Blocked | x.Settled, means: Change) -> None:
    assert of_preparation(said) == means


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (
            x.Succeeded(reason="r", resolved=LEARNT, request_id="q"),
            Change(occurrence=Occurrence.SUCCEEDED, reason="r", resolved=LEARNT, request_id="q", kind="answer"),
        ),
        (
            x.Accepted(reason="r", resolved=LEARNT, request_id="q"),
            Change(occurrence=Occurrence.ACCEPTED, reason="r", resolved=LEARNT, request_id="q", kind="answer"),
        ),
        (
            x.Rejected(reason="r", request_id="q"),
            Change(occurrence=Occurrence.REJECTED, reason="r", request_id="q", kind="answer"),
        ),
        (
            x.Unmet(reason="r", remedy="m", mended_by="candidate.updated", request_id="q"),
            Change(
                occurrence=Occurrence.UNMET,
                reason="r",
                remedy="m",
                mended_by="candidate.updated",
                request_id="q",
                kind="answer",
            ),
        ),
        (
            x.Ambiguous(reason="r", request_id="q"),
            Change(occurrence=Occurrence.AMBIGUOUS, reason="r", request_id="q", kind="answer"),
        ),
        (
            x.Unauthorized(reason="r", remedy="m"),
            Change(occurrence=Occurrence.NOT_EXECUTED, reason="r", kind="answer"),
        ),
    ],
)
def test_each_answer_means_one_occurrence_and_keeps_what_it_says(answer: x.Answer, means: Change) -> None:
    assert of_answer(answer, attempt=1, fraction=0.5) == means


def test_what_was_not_done_waits_as_long_as_the_other_side_asked_or_else_backs_off() -> None:
    asked = of_answer(x.NotExecuted(reason="r", wait=timedelta(0), request_id="q"), attempt=3, fraction=0.5)
    assert asked == Change(occurrence=Occurrence.NOT_EXECUTED, reason="r", request_id="q", kind="answer")
    waits = [of_answer(x.NotExecuted(reason="r"), attempt=n, fraction=0.5).wait.total_seconds() for n in (1, 2, 3, 20)]
    assert waits == [0.5, 1.0, 2.0, 300.0]


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (
            x.Found(reason="r", resolved=LEARNT),
            Change(occurrence=Occurrence.FOUND, reason="r", resolved=LEARNT, kind="look-up"),
        ),
        (
            x.CannotTell(reason="r", remedy="m"),
            Change(occurrence=Occurrence.CANNOT_TELL, reason="r", remedy="m", kind="look-up"),
        ),
        (x.Overtaken(reason="r"), Change(occurrence=Occurrence.OVERTAKEN, reason="r", kind="look-up")),
        (
            x.Blocked(reason="r", remedy="m", mended_by="candidate.updated"),
            Change(
                occurrence=Occurrence.BLOCKED, reason="r", remedy="m", mended_by="candidate.updated", kind="look-up"
            ),
        ),
        (
            x.Later(reason="r", wait=timedelta(seconds=7)),
            Change(occurrence=Occurrence.POSTPONED, reason="r", wait=timedelta(seconds=7), kind="look-up"),
        ),
    ],
)
def test_each_look_up_means_one_occurrence_and_keeps_what_it_says(said: x.LookUp, means: Change) -> None:
    assert looked(said) == means


def test_one_reading_without_the_effect_asks_for_a_second_and_counts() -> None:
    assert looked(x.NotSeen(reason="no note", resolved=LEARNT)) == Change(
        occurrence=Occurrence.POSTPONED,
        reason="no note; read again in 90 s",
        wait=SECOND_READ,
        absent=True,
        resolved=LEARNT,
        kind="look-up",
    )


@pytest.mark.parametrize(("proof", "absent"), [(True, 0), (False, 1)])
def test_a_proof_or_a_second_reading_lets_it_be_tried_again(proof: bool, absent: int) -> None:
    said = x.NotSeen(reason="no note", resolved=LEARNT, proof=proof)
    assert looked(said, absent=absent, retries=2) == Change(
        occurrence=Occurrence.ABSENT,
        reason="proven absent: no note",
        resolved=LEARNT,
        wait=timedelta(seconds=2),
        kind="look-up",
    )


def test_what_was_proven_absent_as_often_as_it_may_be_needs_a_person() -> None:
    said = x.NotSeen(reason="no note", proof=True, most_retries=2, remedy="look")
    assert looked(said, retries=1).occurrence is Occurrence.ABSENT
    assert looked(said, retries=2) == Change(
        occurrence=Occurrence.BLOCKED, reason="no note, 4 attempts made", remedy="look", kind="look-up"
    )
