"""What the decider makes of each kind of message, by example."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.fakes.histories import (
    APPLICATION,
    CALL,
    CANDIDATE,
    CODING,
    DOCUMENT,
    JOB,
    OFFER,
    REVIEW,
    TEST,
    History,
    at,
    entered,
    kinds,
    result,
    settled,
    snapshot,
    workflows,
)

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import CandidateId, Visit, command_id
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import SettleElapsed


def test_entering_the_stage_invites_once_and_says_why() -> None:
    history = History()
    events = history.tell(entered())
    assert kinds(events) == ["StageEntered", "StageSettled", "RulesJudged", "InviteRequested"]
    (invite,) = history.of(e.InviteRequested)
    assert invite.assessment_id == TEST
    assert (invite.workflow, invite.version, invite.rule) == ("engineering", 1, "send-test")
    assert invite.command_id == command_id(history.state.account, APPLICATION, Visit("n1"), "invite", TEST)


def test_second_delivery_of_a_stage_change_requests_no_second_invite() -> None:
    history = History()
    history.tell(entered())
    assert history.tell(entered()) == []
    assert len(history.of(e.InviteRequested)) == 1


def test_a_new_application_counts_as_entering_its_stage_and_a_stage_change_besides_is_one_visit() -> None:
    history = History()
    history.tell(f.ApplicationCreated(application=snapshot()))
    assert len(history.of(e.InviteRequested)) == 1
    assert history.tell(entered()) == []


def test_an_entry_waits_for_the_settle_time_and_a_slip_of_the_mouse_mails_nobody() -> None:
    history = History(workflows(DOCUMENT | {"settle_s": 60}))
    (first,) = history.tell(entered(CODING, 0), handled=at(0))
    assert isinstance(first, e.StageEntered)
    assert first.settle_due_at == at(1)
    history.tell(entered(CALL, 0.5))
    assert history.tell(SettleElapsed(application_id=APPLICATION, visit=Visit("n1"))) == []
    assert not history.of(e.InviteRequested)


def test_when_the_settle_time_is_over_the_entry_counts_once() -> None:
    history = History(workflows(DOCUMENT | {"settle_s": 60}))
    history.tell(entered())
    assert "InviteRequested" in kinds(history.tell(SettleElapsed(application_id=APPLICATION, visit=Visit("n1"))))
    assert history.tell(SettleElapsed(application_id=APPLICATION, visit=Visit("n1"))) == []


def test_rejected_while_settling_is_not_invited() -> None:
    history = History(workflows(DOCUMENT | {"settle_s": 60}))
    history.tell(entered())
    history.tell(f.ApplicationRejected(application=snapshot(CODING, 0.5, status=ApplicationStatus.REJECTED)))
    assert history.tell(SettleElapsed(application_id=APPLICATION, visit=Visit("n1"))) == []


def test_a_late_stage_change_never_moves_the_state_back() -> None:
    history = History()
    history.tell(entered(OFFER, 10))
    (noted,) = history.tell(entered(CODING, 5))
    assert isinstance(noted, e.FactNoted)
    assert "late" in noted.reason
    assert history.state.visit is not None
    assert history.state.visit.stage_id == OFFER
    assert not history.of(e.InviteRequested)


def test_two_stages_in_one_second_are_read_rather_than_guessed() -> None:
    history = History()
    history.tell(entered(REVIEW, 0))
    assert kinds(history.tell(entered(CODING, 0))) == ["ObservationRequested"]
    assert history.tell(entered(OFFER, 0)) == [], "one reading is under way"
    reading = f.ApplicationObserved(
        application_id=APPLICATION, application=snapshot(CODING, 0), observed_at=at(0.1), entered_at=at(0)
    )
    assert "InviteRequested" in kinds(history.tell(reading))


def test_told_again_of_the_stage_it_is_in_the_reading_decides_whether_it_is_a_new_visit() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    assert kinds(history.tell(entered(CODING, 30))) == ["ObservationRequested"]
    same = f.ApplicationObserved(
        application_id=APPLICATION, application=snapshot(CODING, 30), observed_at=at(31), entered_at=at(0)
    )
    assert kinds(history.tell(same)) == ["FactNoted"]
    history.tell(entered(CODING, 40))
    anew = f.ApplicationObserved(
        application_id=APPLICATION, application=snapshot(CODING, 40), observed_at=at(41), entered_at=at(40)
    )
    events = history.tell(anew)
    assert kinds(events) == ["StageEntered", "StageSettled", "RulesJudged", "InviteRequested"]
    assert isinstance(events[0], e.StageEntered)
    assert events[0].visit == "t20261124T094000Z"


def test_a_fact_without_greenhouses_time_takes_the_status_and_asks_for_a_reading() -> None:
    history = History()
    history.tell(entered())
    hired = f.ApplicationHired(application=snapshot(None, None, status=None))
    assert kinds(history.tell(hired)) == ["StatusChanged", "ObservationRequested"]
    assert history.state.status is ApplicationStatus.HIRED


def test_an_application_first_seen_otherwise_is_adopted_and_triggers_nothing() -> None:
    history = History()
    assert kinds(history.tell(f.ApplicationUpdated(application=snapshot(CODING, 5)))) == ["ApplicationAdopted"]
    assert history.tell(result()) and not history.of(e.NoteRequested)


def test_the_entry_told_after_an_edit_completes_the_adopted_visit() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(CODING, 5)))
    events = history.tell(entered(CODING, 4))
    assert "InviteRequested" in kinds(events)
    assert history.state.visit_count == 1


def test_a_transfer_told_by_an_edit_alone_counts_as_entering() -> None:
    history = History()
    history.tell(entered(REVIEW, 0))
    events = history.tell(f.ApplicationUpdated(application=snapshot(CODING, 5, job_id=4120081003)))
    assert "InviteRequested" in kinds(events)
    assert history.state.job_id == 4120081003


def test_a_workflow_of_other_jobs_does_not_apply() -> None:
    history = History(workflows(DOCUMENT | {"jobs": [1]}))
    (only,) = history.tell(entered())
    assert isinstance(only, e.StageEntered)
    assert only.pins == {}


def test_a_passing_result_is_noted_and_moved() -> None:
    history = History()
    history.tell(entered())
    events = history.tell(result())
    assert kinds(events) == ["ResultReceived", "RulesJudged", "NoteRequested", "MoveRequested"]
    (note,) = history.of(e.NoteRequested)
    assert "82 of 100, qualified" in note.text
    assert "{report_link}" in note.text
    (move,) = history.of(e.MoveRequested)
    assert (move.from_stage_id, move.to_stage_id, move.to_stage_name) == (CODING, None, None)


def test_a_failing_result_is_noted_and_not_moved() -> None:
    history = History()
    history.tell(entered())
    assert kinds(history.tell(result(qualified=False, score=41.0))) == [
        "ResultReceived",
        "RulesJudged",
        "NoteRequested",
    ]


def test_signs_of_cheating_hold_for_a_person_and_plan_the_rest() -> None:
    history = History()
    history.tell(entered())
    events = history.tell(result(integrity=o.Integrity.DETECTED))
    assert kinds(events) == ["ResultReceived", "RulesJudged", "ApprovalRequested"]
    (held,) = history.of(e.ApprovalRequested)
    assert held.held == ("move to the next stage",)


@pytest.mark.parametrize("unknown", [{"qualified": None}, {"score": None}, {"integrity": o.Integrity.UNKNOWN}])
def test_an_unknown_value_makes_a_rule_unknown_and_fires_nothing(unknown: dict[str, object]) -> None:
    history = History()
    history.tell(entered())
    history.tell(result(**unknown))
    assert not history.of(e.MoveRequested)
    (judged,) = [item for item in history.of(e.RulesJudged) if item.trigger == "assessment_completed"]
    verdicts = {rule.rule: rule.verdict for rule in judged.rules}
    assert verdicts["pass"] == "unknown"


def test_a_changed_result_is_noted_again_and_moves_once() -> None:
    history = History()
    history.tell(entered())
    history.tell(result())
    assert history.tell(result()) == []
    assert kinds(history.tell(result(version=2, score=90.0))) == ["ResultReceived", "RulesJudged", "NoteRequested"]


def test_a_result_of_an_ended_visit_is_held_and_shown() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    history.tell(entered(OFFER, 10))
    (received,) = history.tell(result())
    assert isinstance(received, e.ResultReceived)
    assert not received.used
    assert "ended" in received.reason


def test_a_visit_keeps_the_version_that_was_live_when_it_began() -> None:
    history = History()
    history.tell(entered())
    newer = workflows(DOCUMENT | {"rules": DOCUMENT["rules"][:1]}, version=2)  # type: ignore[index]
    history.workflows = type(newer)(live=newer.live, versions={**workflows().versions, **newer.versions})
    history.tell(result())
    assert len(history.of(e.MoveRequested)) == 1


def test_entering_again_is_a_new_visit_with_a_command_of_its_own() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    history.tell(entered(CALL, 10))
    history.tell(entered(CODING, 20))
    first, second = history.of(e.InviteRequested)
    assert first.command_id != second.command_id
    assert second.visit == "n3"


def test_while_our_move_is_open_a_stage_entry_is_not_judged_to_be_a_persons() -> None:
    history = History()
    history.tell(entered())
    history.tell(result())
    events = history.tell(entered(OFFER, 70))
    assert isinstance(events[0], e.StageEntered)
    assert events[0].moved_by == "unsettled"


def test_a_move_that_came_to_nothing_may_be_asked_for_again_by_a_newer_result_only() -> None:
    history = History()
    history.tell(entered())
    history.tell(result())
    (move,) = history.of(e.MoveRequested)
    history.tell(settled(move.command_id, Action.MOVE, o.OutcomeState.REFUSED))
    history.tell(result(version=2, score=90.0))
    assert len(history.of(e.MoveRequested)) == 1, "the same rule's move is one command"


def test_a_final_outcome_is_recorded_once() -> None:
    history = History()
    history.tell(entered())
    (invite,) = history.of(e.InviteRequested)
    assert kinds(history.tell(settled(invite.command_id, Action.INVITE))) == ["EffectSettled"]
    assert history.tell(settled(invite.command_id, Action.INVITE)) == []


def test_deleted_and_merged_follow_greenhouse() -> None:
    history = History()
    history.tell(entered())
    merged = f.CandidateMerged(candidate_id=CANDIDATE, into_candidate_id=CandidateId(1))
    assert kinds(history.tell(merged)) == ["CandidateChanged"]
    assert kinds(history.tell(f.ApplicationDeleted(application_id=APPLICATION))) == ["ApplicationDeleted"]
    assert history.tell(f.ApplicationDeleted(application_id=APPLICATION)) == []
    assert kinds(history.tell(entered(OFFER, 50))) == ["FactNoted"]


def test_unrejected_is_active_again_and_no_new_visit() -> None:
    history = History()
    history.tell(entered())
    history.tell(f.ApplicationRejected(application=snapshot(CODING, 5, status=ApplicationStatus.REJECTED)))
    history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 6)))
    assert history.state.status is ApplicationStatus.ACTIVE
    assert len(history.of(e.InviteRequested)) == 1


def test_a_prospect_is_in_no_stage_and_adopted() -> None:
    history = History()
    created = f.ApplicationCreated(application=snapshot(None, 0, prospect=True))
    assert kinds(history.tell(created)) == ["ApplicationAdopted"]


def test_settle_takes_the_longest_of_the_matching_workflows() -> None:
    slow, fast = workflows(DOCUMENT | {"name": "slow", "settle_s": 90}), workflows()
    both = type(slow)(live=(*fast.live, *slow.live), versions={**fast.versions, **slow.versions})
    history = History(both)
    (only,) = history.tell(entered(), handled=at(0))
    assert isinstance(only, e.StageEntered)
    assert only.settle_due_at == at(0) + timedelta(seconds=90)
    assert only.pins == {"engineering": 1, "slow": 1}
    assert only.job_id == JOB


def test_within_one_second_the_creation_comes_before_a_stage_change() -> None:
    in_order, swapped = History(), History()
    created = f.ApplicationCreated(application=snapshot(REVIEW, 0))
    for message in (created, entered(CODING, 0)):
        in_order.tell(message)
    for message in (entered(CODING, 0), created):
        swapped.tell(message)
    for history in (in_order, swapped):
        assert history.state.visit is not None
        assert history.state.visit.stage_id == CODING
        assert len(history.of(e.InviteRequested)) == 1
        assert not history.of(e.ObservationRequested)


def test_the_late_entry_of_an_application_first_seen_rejected_does_not_make_it_active() -> None:
    history = History()
    history.tell(f.ApplicationRejected(application=snapshot(CODING, 5, status=ApplicationStatus.REJECTED)))
    history.tell(f.ApplicationCreated(application=snapshot(CODING, 0)))
    assert history.state.status is ApplicationStatus.REJECTED
    assert not history.of(e.InviteRequested)


def test_a_fact_older_than_one_that_told_of_another_candidate_is_late() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    merged = snapshot(CODING, 5, candidate_id=CandidateId(2))
    assert kinds(history.tell(f.ApplicationUnrejected(application=merged))) == ["CandidateChanged", "FactNoted"]
    older = snapshot(None, 4, status=ApplicationStatus.REJECTED)
    assert kinds(history.tell(f.ApplicationRejected(application=older))) == ["FactNoted"]
    assert history.state.status is ApplicationStatus.ACTIVE
