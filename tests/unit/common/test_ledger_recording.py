"""What a change makes of a row, where the table of transitions alone does not say it, and who is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from trellis.common.contracts.commands import Action, AddNote, MoveApplication, Origin, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    Visit,
    stable_id,
)
from trellis.common.contracts.outcomes import CommandSettled, OutcomeState
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import EffectCommand, Intent
from trellis.common.ledger.recording import Changed, Row, changed, told, told_repeat
from trellis.common.ledger.states import Occurrence, State

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EARLIER = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
COMMAND = CommandId(UUID("6b7f3f3c-0000-5000-8000-000000000001"))
ORIGIN = Origin(workflow="hiring", version=1, rule="invite", reason="no condition")
ABOUT = {
    "command_id": COMMAND,
    "application_id": ApplicationId(101),
    "candidate_id": CandidateId(7),
    "job_id": JobId(3),
    "visit": Visit("n1"),
    "origin": ORIGIN,
}
INVITE = SendInvite(**ABOUT, stage_id=StageId(11), assessment_id=AssessmentId("python"))  # type: ignore[arg-type]
MOVE = MoveApplication(**ABOUT, from_stage_id=StageId(11))  # type: ignore[arg-type]
NOTE = AddNote(**ABOUT, stage_id=StageId(11), text="a note", assessment_id=AssessmentId("python"))  # type: ignore[arg-type]


def row(state: State, *, absent: int = 0) -> Row:
    return Row(state=state, attempt=1, absent_count=absent, retries=3, resolved={"kept": 1, "to_stage_id": 12})


def after(state: State, occurrence: Occurrence, *, absent: int = 0, seen_absent: bool = False) -> Changed:
    made = changed(row(state, absent=absent), 1, Change(occurrence=occurrence, absent=seen_absent))
    assert made is not None
    return made


def intent(command: EffectCommand, action: Action) -> Intent:
    return Intent(
        id=COMMAND,
        account=AccountId("acme"),
        application_id=command.application_id,
        candidate_id=command.candidate_id,
        visit=command.visit,
        action=action,
        command=command,
        state=State.ATTEMPTING,
        attempt=1,
        absent_count=0,
        retries=0,
        cause="",
        created_at=EARLIER,
        correlationid="corr",
        claimed=0.0,
        lease_token=uuid4(),
    )


def test_a_late_answer_that_proves_nothing_leaves_what_a_person_is_told_to_do() -> None:
    late = Change(occurrence=Occurrence.AMBIGUOUS, reason="no answer in time")
    assert changed(row(State.IN_DOUBT), 1, late) is None


def test_a_late_answer_that_proves_it_settles_what_is_in_doubt() -> None:
    settled = after(State.IN_DOUBT, Occurrence.SUCCEEDED)
    assert (settled.state, settled.tells) == (State.DONE, True)


def test_an_answer_of_an_older_attempt_changes_nothing() -> None:
    assert changed(row(State.ATTEMPTING), 0, Change(occurrence=Occurrence.SUCCEEDED)) is None


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("occurrence", list(Occurrence))
def test_people_hear_when_a_row_ends_needs_them_or_needs_them_no_more_and_never_of_a_standstill(
    state: State, occurrence: Occurrence
) -> None:
    made = changed(row(state), 1, Change(occurrence=occurrence))
    if made is None:
        return
    news = {"waiting": 0, "attempting": 0, "unknown": 0, "in_doubt": 1, "parked": 2}
    before, now = (news.get(which, 3) for which in (state, made.state))
    assert made.tells == (made.state is not state and (before, now) != (0, 0))


@pytest.mark.parametrize("state", [State.WAITING, State.UNKNOWN, State.PARKED, State.ATTEMPTING])
def test_only_what_moves_a_row_out_of_its_attempt_ends_the_attempt(state: State) -> None:
    assert after(state, Occurrence.SUCCEEDED).ends_attempt is (state is State.ATTEMPTING)


def test_a_row_that_begins_its_attempt_has_not_ended_it() -> None:
    assert not after(State.WAITING, Occurrence.BEGUN).ends_attempt


def test_readings_without_the_effect_are_counted_in_a_row() -> None:
    assert after(State.UNKNOWN, Occurrence.POSTPONED, absent=1, seen_absent=True).absent_count == 2


def test_a_look_up_put_off_keeps_the_count_and_anything_else_begins_it_anew() -> None:
    assert after(State.UNKNOWN, Occurrence.POSTPONED, absent=1).absent_count == 1
    assert after(State.UNKNOWN, Occurrence.ABSENT, absent=1).absent_count == 0
    assert after(State.WAITING, Occurrence.POSTPONED, absent=1).absent_count == 0


def test_only_an_effect_proven_absent_counts_as_a_retry() -> None:
    assert after(State.UNKNOWN, Occurrence.ABSENT).retries == 4
    assert after(State.UNKNOWN, Occurrence.CANNOT_TELL).retries == 3


def test_what_was_learnt_is_added_to_what_was_known() -> None:
    made = changed(row(State.ATTEMPTING), 1, Change(occurrence=Occurrence.SUCCEEDED, resolved={"new": "x", "kept": 2}))
    assert made is not None
    assert made.resolved == {"kept": 2, "to_stage_id": 12, "new": "x"}
    assert after(State.ATTEMPTING, Occurrence.SUCCEEDED).resolved == {"kept": 1, "to_stage_id": 12}


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State.WAITING, OutcomeState.WAITING),
        (State.ATTEMPTING, OutcomeState.WAITING),
        (State.UNKNOWN, OutcomeState.WAITING),
        (State.IN_DOUBT, OutcomeState.PARKED),
        (State.PARKED, OutcomeState.PARKED),
        (State.DONE, OutcomeState.DONE),
        (State.REFUSED, OutcomeState.REFUSED),
        (State.SUPERSEDED, OutcomeState.SUPERSEDED),
    ],
)
def test_outside_the_ledger_a_row_ended_waits_or_is_parked(state: State, shown: OutcomeState) -> None:
    message = told("source", intent(MOVE, Action.MOVE), 1, 1, stands(state), Change(occurrence=Occurrence.BEGUN), AT)
    assert isinstance(message.data, CommandSettled)
    assert message.data.state is shown


def stands(state: State) -> Changed:
    return replace(after(State.ATTEMPTING, Occurrence.SUCCEEDED), state=state)


def test_an_outcome_tells_all_that_is_known_of_its_command() -> None:
    change = Change(occurrence=Occurrence.UNMET, reason="no address", remedy="enter one")
    message = told("trellis.test", intent(MOVE, Action.MOVE), 2, 5, stands(State.PARKED), change, AT)
    assert message == Envelope(
        id=stable_id("settled", COMMAND, 5),
        source="trellis.test",
        accountid=AccountId("acme"),
        time=AT,
        data=CommandSettled(
            command_id=COMMAND,
            action=Action.MOVE,
            application_id=ApplicationId(101),
            visit=Visit("n1"),
            state=OutcomeState.PARKED,
            settled_at=AT,
            attempt=2,
            reason="no address",
            remedy="enter one",
            to_stage_id=StageId(12),
        ),
        correlationid="corr",
        causationid=str(COMMAND),
        subject="application/101",
    )


def test_only_the_outcome_of_an_invite_names_an_assessment() -> None:
    named = {
        action: told(
            "source", intent(command, action), 1, 1, stands(State.DONE), Change(occurrence=Occurrence.FOUND), AT
        )
        for command, action in ((INVITE, Action.INVITE), (NOTE, Action.NOTE))
    }
    assert [getattr(message.data, "assessment_id", "?") for message in named.values()] == ["python", None]


def test_a_stage_that_is_no_number_is_not_told() -> None:
    made = replace(stands(State.DONE), resolved={"to_stage_id": None})
    message = told("source", intent(MOVE, Action.MOVE), 1, 1, made, Change(occurrence=Occurrence.FOUND), AT)
    assert isinstance(message.data, CommandSettled)
    assert message.data.to_stage_id is None


def test_a_second_command_for_one_effect_is_answered_as_superseded() -> None:
    asked = Envelope(
        id=uuid4(), source="workflow", accountid=AccountId("acme"), time=EARLIER, data=INVITE, correlationid="corr"
    )
    assert told_repeat("trellis.test", asked, INVITE, Action.INVITE) == Envelope(
        id=stable_id("settled", COMMAND, "repeat"),
        source="trellis.test",
        accountid=AccountId("acme"),
        time=EARLIER,
        data=CommandSettled(
            command_id=COMMAND,
            action=Action.INVITE,
            application_id=ApplicationId(101),
            visit=Visit("n1"),
            state=OutcomeState.SUPERSEDED,
            settled_at=EARLIER,
            reason="another command already stands for this assessment in this stage visit",
        ),
        correlationid="corr",
        causationid=str(COMMAND),
        subject="application/101",
    )
