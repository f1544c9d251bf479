"""What each event makes of an application's state, and which commands it asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from tests.fakes.histories import ACCOUNT, APPLICATION, CALL, CANDIDATE, CODING, JOB, OFFER, TEST, at, result

from trellis.common.contracts import commands as c
from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import ApplicationStatus, FoundBy
from trellis.common.contracts.identifiers import CandidateId, CommandId, JobId, Visit
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application, Commanded, StageVisit, evolve, initial_state, latest
from trellis.workflow.domain.outgoing import commands_for

COMMAND = CommandId(UUID("6b7f3f3c-0000-5000-8000-000000000003"))
START = initial_state(ACCOUNT, APPLICATION)
WHY = {"workflow": "hiring", "version": 2, "rule": "invite", "reason": "no condition"}
ORIGIN = c.Origin(workflow="hiring", version=2, rule="invite", reason="no condition")


def entry(visit: str = "n1", **more: object) -> e.StageEntered:
    fields: dict[str, object] = {
        "application_id": APPLICATION,
        "candidate_id": CANDIDATE,
        "job_id": JOB,
        "stage_id": CODING,
        "stage_name": "Coding",
        "visit": Visit(visit),
        "activity_at": at(3),
        "moved_by": "person",
        "pins": {"hiring": 2},
        "settle_due_at": at(4),
        "by_creation": True,
    }
    return e.StageEntered(**(fields | more))  # type: ignore[arg-type]


def adopted(**more: object) -> e.ApplicationAdopted:
    fields: dict[str, object] = {
        "application_id": APPLICATION,
        "candidate_id": CANDIDATE,
        "job_id": JOB,
        "stage_id": CODING,
        "stage_name": "Coding",
        "status": ApplicationStatus.HIRED,
        "visit": Visit("n1"),
        "activity_at": at(3),
        "found_by": FoundBy.READING,
    }
    return e.ApplicationAdopted(**(fields | more))  # type: ignore[arg-type]


ENTERED = evolve(START, entry())
ASKED = replace(START, observation=COMMAND, observation_count=1)


def test_before_the_first_event_nothing_is_known() -> None:
    assert (
        Application(
            account=ACCOUNT,
            application_id=APPLICATION,
            known=False,
            candidate_id=None,
            job_id=None,
            status=ApplicationStatus.ACTIVE,
            deleted=False,
            visit=None,
            visit_count=0,
            activity_at=None,
            commands={},
            results={},
            started=frozenset(),
            held=frozenset(),
            observation=None,
            observation_count=0,
        )
        == START
    )


def test_an_entry_begins_a_visit_and_answers_the_open_reading() -> None:
    assert evolve(ASKED, entry()) == replace(
        ASKED,
        known=True,
        candidate_id=CANDIDATE,
        job_id=JOB,
        visit=StageVisit(
            name=Visit("n1"),
            stage_id=CODING,
            stage_name="Coding",
            job_id=JOB,
            entered_at=at(3),
            pins={"hiring": 2},
            entry_seen=True,
            by_creation=True,
            settled=False,
            settle_due_at=at(4),
        ),
        visit_count=1,
        activity_at=at(3),
        observation=None,
    )


def test_an_entry_that_names_neither_candidate_nor_job_keeps_both() -> None:
    again = evolve(ENTERED, entry("n2", candidate_id=None, job_id=None))
    assert (again.candidate_id, again.job_id, again.visit_count) == (CANDIDATE, JOB, 2)
    changed = evolve(ENTERED, entry("n2", candidate_id=CandidateId(1), job_id=JobId(2)))
    assert (changed.candidate_id, changed.job_id) == (1, 2)


def test_an_entry_under_the_name_of_the_visit_completes_it() -> None:
    assert evolve(ENTERED, entry("n1", activity_at=at(1))).visit_count == 1
    assert evolve(ENTERED, entry("n1", activity_at=at(1))).activity_at == at(3)


def test_an_adopted_application_is_in_its_stage_without_an_entry() -> None:
    assert evolve(ASKED, adopted()) == replace(
        ASKED,
        known=True,
        candidate_id=CANDIDATE,
        job_id=JOB,
        status=ApplicationStatus.HIRED,
        visit=StageVisit(
            name=Visit("n1"),
            stage_id=CODING,
            stage_name="Coding",
            job_id=JOB,
            entered_at=at(3),
            pins={},
            entry_seen=False,
            by_creation=False,
            settled=False,
            settle_due_at=None,
            found_by=FoundBy.READING,
        ),
        visit_count=1,
        activity_at=at(3),
        observation=None,
    )


def test_an_application_adopted_without_a_stage_is_in_none() -> None:
    state = evolve(START, adopted(stage_id=None, stage_name=None))
    assert (state.visit, state.visit_count, state.known) == (None, 0, True)
    assert evolve(replace(START, activity_at=at(9)), adopted()).activity_at == at(9)


def test_settling_is_of_the_present_visit_only() -> None:
    settled = evolve(ENTERED, e.StageSettled(visit=Visit("n1")))
    assert settled.visit == replace(ENTERED.visit, settled=True)  # type: ignore[type-var]
    assert evolve(ENTERED, e.StageSettled(visit=Visit("n2"))) is ENTERED
    assert evolve(START, e.StageSettled(visit=Visit("n1"))) is START


def test_a_status_is_taken_and_the_latest_time_kept() -> None:
    rejected = e.StatusChanged(status=ApplicationStatus.REJECTED, activity_at=at(1))
    state = evolve(ENTERED, rejected)
    assert (state.status, state.activity_at) == (ApplicationStatus.REJECTED, at(3))
    assert evolve(START, rejected).activity_at == at(1)


def test_a_deletion_makes_it_known_and_deleted() -> None:
    assert evolve(START, e.ApplicationDeleted(reason="gone")) == replace(START, known=True, deleted=True)


def test_another_candidate_is_taken() -> None:
    assert evolve(ENTERED, e.CandidateChanged(candidate_id=CandidateId(9))) == replace(ENTERED, candidate_id=9)  # type: ignore[arg-type]


def test_what_is_for_the_record_changes_nothing() -> None:
    judged = e.RulesJudged(visit=Visit("n1"), trigger="stage_entered", subject="", engine=1, rules=())
    assert evolve(ENTERED, judged) is ENTERED


def test_an_anonymisation_stops_the_visit_that_it_finds() -> None:
    assert ENTERED.visit is not None
    anonymized = e.CandidateAnonymized(fields=("email",))
    assert evolve(ENTERED, anonymized) == replace(ENTERED, anonymized_in=ENTERED.visit.name)
    assert evolve(START, anonymized) == START


def test_a_note_of_a_fact_advances_the_time_and_only_that_of_a_reading_answers_one() -> None:
    read = evolve(ASKED, e.FactNoted(fact="application.observed", reason="known", activity_at=at(2)))
    assert read == replace(ASKED, known=True, activity_at=at(2), observation=None)
    told = evolve(ASKED, e.FactNoted(fact="application.updated", reason="late"))
    assert told == replace(ASKED, known=True)


def test_each_command_asked_for_is_kept_with_its_visit() -> None:
    visit = Visit("n1")
    asked: list[tuple[e.Event, Action]] = [
        (
            e.InviteRequested(command_id=COMMAND, visit=visit, stage_id=CODING, assessment_id=TEST, **WHY),  # type: ignore[arg-type]
            Action.INVITE,
        ),
        (
            e.NoteRequested(
                command_id=COMMAND,
                visit=visit,
                stage_id=CODING,
                text="x",
                assessment_id=None,
                **WHY,  # type: ignore[arg-type]
            ),
            Action.NOTE,
        ),
        (
            e.MoveRequested(
                command_id=COMMAND,
                visit=visit,
                from_stage_id=CODING,
                to_stage_id=None,
                to_stage_name=None,
                **WHY,  # type: ignore[arg-type]
            ),
            Action.MOVE,
        ),
    ]
    other = CommandId(UUID(int=1))
    before = replace(START, commands={other: Commanded(action=Action.NOTE, visit=visit)})
    for event, action in asked:
        assert evolve(before, event).commands == {
            **before.commands,
            COMMAND: Commanded(action=action, visit=visit, requested=True, state=None),
        }


def test_an_outcome_is_kept_with_its_command() -> None:
    outcome = e.EffectSettled(
        command_id=COMMAND,
        action=Action.MOVE,
        visit=Visit("n1"),
        state=OutcomeState.PARKED,
        reason="closed",
        remedy="open it",
        to_stage_id=None,
        settled_at=at(1),
    )
    other = CommandId(UUID(int=1))
    before = replace(START, commands={other: Commanded(action=Action.NOTE, visit=Visit("n1"))})
    parked = Commanded(
        action=Action.MOVE,
        visit=Visit("n1"),
        state=OutcomeState.PARKED,
        reason="closed",
        remedy="open it",
        settled_at=at(1),
    )
    after = evolve(before, outcome)
    assert after.commands == {**before.commands, COMMAND: parked}
    asked = replace(parked, requested=True, state=None)
    assert evolve(replace(before, commands={COMMAND: asked}), outcome).commands[COMMAND].requested


def test_what_is_shown_is_kept_and_counted() -> None:
    told = e.StandingChanged(command_id=COMMAND, standing=c.Standing.PROBLEM, detail="why")
    once = evolve(START, told)
    assert once == replace(START, shown=(c.Standing.PROBLEM, "why"), shown_count=1)
    assert evolve(once, replace(told, standing=None, detail="")) == replace(START, shown_count=2)


def test_what_is_held_begun_and_received_is_added() -> None:
    held = e.ApprovalRequested(visit=Visit("n1"), text="?", held=(), **WHY)  # type: ignore[arg-type]
    before = replace(START, held=frozenset({(Visit("n0"), "a", "b")}), started=frozenset({(Visit("n0"), TEST)}))
    assert evolve(before, held).held == before.held | {("n1", "hiring", "invite")}
    begun = e.AssessmentStarted(visit=Visit("n1"), assessment_id=TEST)
    assert evolve(before, begun).started == before.started | {("n1", TEST)}
    one = evolve(before, e.ResultReceived(result=result(), used=True, reason=""))
    two = evolve(one, e.ResultReceived(result=result("n2", version=3), used=False, reason="late"))
    assert two.results == {("n1", TEST): 1, ("n2", TEST): 3}


def test_a_request_for_a_reading_is_counted() -> None:
    asked = e.ObservationRequested(command_id=COMMAND, reason="why")
    once = evolve(START, asked)
    assert once == replace(START, known=True, observation=COMMAND, observation_count=1)
    assert evolve(once, asked).observation_count == 2


@pytest.mark.parametrize("state", [None, *OutcomeState])
@pytest.mark.parametrize("action", list(Action))
def test_a_move_is_open_until_it_is_known_to_be_made_or_not(action: Action, state: OutcomeState | None) -> None:
    commanded = Commanded(action=action, visit=Visit("n1"), state=state)
    open_ = action is Action.MOVE and state in (None, OutcomeState.WAITING, OutcomeState.PARKED)
    assert replace(START, commands={COMMAND: commanded}).open_move is open_


@pytest.mark.parametrize(
    ("one", "other", "is_"),
    [(at(1), at(2), at(2)), (at(2), at(1), at(2)), (at(1), None, at(1)), (None, at(1), at(1)), (None, None, None)],
)
def test_of_two_times_the_later_known_one_counts(
    one: datetime | None, other: datetime | None, is_: datetime | None
) -> None:
    assert latest(one, other) == is_


# -- commands


STATE = replace(START, candidate_id=CANDIDATE, job_id=JOB)
ABOUT = {"command_id": COMMAND, "application_id": APPLICATION, "candidate_id": CANDIDATE, "job_id": JOB}


@pytest.mark.parametrize(
    ("event", "command"),
    [
        (
            e.InviteRequested(command_id=COMMAND, visit=Visit("n1"), stage_id=CODING, assessment_id=TEST, **WHY),  # type: ignore[arg-type]
            c.SendInvite(**ABOUT, visit=Visit("n1"), stage_id=CODING, assessment_id=TEST, origin=ORIGIN),  # type: ignore[arg-type]
        ),
        (
            e.NoteRequested(
                command_id=COMMAND,
                visit=Visit("n1"),
                stage_id=CODING,
                text="x",
                assessment_id=TEST,
                **WHY,  # type: ignore[arg-type]
            ),
            c.AddNote(
                **ABOUT,  # type: ignore[arg-type]
                visit=Visit("n1"),
                stage_id=CODING,
                text="x",
                origin=ORIGIN,
                assessment_id=TEST,
            ),
        ),
        (
            e.MoveRequested(
                command_id=COMMAND,
                visit=Visit("n1"),
                from_stage_id=CODING,
                to_stage_id=OFFER,
                to_stage_name="Offer",
                **WHY,  # type: ignore[arg-type]
            ),
            c.MoveApplication(
                **ABOUT,  # type: ignore[arg-type]
                visit=Visit("n1"),
                from_stage_id=CODING,
                origin=ORIGIN,
                to_stage_id=OFFER,
                to_stage_name="Offer",
            ),
        ),
        (
            e.ObservationRequested(command_id=COMMAND, reason="why"),
            c.ObserveApplication(command_id=COMMAND, application_id=APPLICATION, reason="why"),
        ),
    ],
)
def test_a_request_becomes_its_command_with_all_that_it_says(event: e.Event, command: c.Command) -> None:
    assert commands_for(STATE, event) == [command]


def test_what_requests_nothing_becomes_no_command() -> None:
    assert commands_for(STATE, entry(stage_id=CALL)) == []


def test_an_offer_stands_until_the_application_is_told_of_otherwise() -> None:
    offer = e.EntryOffered(visit=Visit("n1"), pins={}, went_live={}, reason="old")
    offered = evolve(evolve(START, adopted()), offer)
    assert offered.offered == "n1"
    assert evolve(offered, entry()).offered is None
    assert evolve(offered, adopted()).offered is None


def test_what_told_of_an_entry_is_kept_with_its_visit() -> None:
    found = evolve(START, replace(entry("n1"), found_by=FoundBy.RECONCILIATION))
    assert found.visit is not None
    assert found.visit.found_by is FoundBy.RECONCILIATION
