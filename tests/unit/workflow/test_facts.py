"""What the decider records of each fact: every field of every event, and nothing where nothing changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.fakes.histories import (
    ACCOUNT,
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
from trellis.common.contracts.facts import ApplicationStatus, FoundBy
from trellis.common.contracts.identifiers import CandidateId, JobId, Visit, command_id
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import Input, SettleElapsed

OTHER = CandidateId(9)
ELAPSED = SettleElapsed(application_id=APPLICATION, visit=Visit("n1"))


def slow() -> History:
    """A history whose entries settle for a minute."""
    return History(workflows(DOCUMENT | {"settle_s": 60}))


def read(
    stage: object = CODING, minutes: float | None = 0, entered_at: float | None = None, **more: object
) -> f.ApplicationObserved:
    found_by = more.pop("found_by", FoundBy.READING)
    return f.ApplicationObserved(
        application_id=APPLICATION,
        application=snapshot(stage, minutes, **more),  # type: ignore[arg-type]
        observed_at=at(100),
        entered_at=None if entered_at is None else at(entered_at),
        found_by=found_by,  # type: ignore[arg-type]
    )


def rejected(minutes: float | None, **more: object) -> f.ApplicationRejected:
    return f.ApplicationRejected(
        application=snapshot(CODING, minutes, **{"status": ApplicationStatus.REJECTED, **more})
    )


def note(fact: str, reason: str, minutes: float | None = None) -> e.FactNoted:
    return e.FactNoted(fact=fact, reason=reason, activity_at=None if minutes is None else at(minutes))


# -- an entry


def test_an_entry_records_where_when_by_whom_and_with_which_workflows() -> None:
    history = slow()
    assert history.tell(entered(CODING, 3), handled=at(4)) == [
        e.StageEntered(
            application_id=APPLICATION,
            candidate_id=CANDIDATE,
            job_id=JOB,
            stage_id=CODING,
            stage_name="Coding Assessment",
            visit=Visit("n1"),
            activity_at=at(3),
            moved_by="person",
            pins={"engineering": 1},
            settle_due_at=at(5),
            found_by=FoundBy.WEBHOOK,
            by_creation=False,
        )
    ]


def test_a_stage_no_rule_waits_for_is_entered_and_never_settles() -> None:
    (only,) = slow().tell(entered(CALL, 0))
    assert isinstance(only, e.StageEntered)
    assert only.settle_due_at is None
    assert kinds(History().tell(entered(CALL, 0))) == ["StageEntered"]


def test_an_application_begins_with_its_creation() -> None:
    (entry,) = slow().tell(f.ApplicationCreated(application=snapshot(CODING, 0)))
    assert isinstance(entry, e.StageEntered)
    assert entry.by_creation


def test_a_creation_that_does_not_count_as_an_entry_is_adopted() -> None:
    created = f.ApplicationCreated(application=snapshot(CODING, 0), counts_as_entry=False)
    assert kinds(History().tell(created)) == ["ApplicationAdopted"]


def test_a_prospect_enters_no_stage_even_where_one_is_told() -> None:
    created = f.ApplicationCreated(application=snapshot(CODING, 0, prospect=True))
    assert kinds(History().tell(created)) == ["ApplicationAdopted"]


def test_a_prospect_moved_is_entered_and_no_rule_looks_at_it() -> None:
    assert kinds(History().tell(entered(CODING, 0, prospect=True))) == ["StageEntered"]


def test_a_stage_change_without_a_stage_is_adopted() -> None:
    assert kinds(History().tell(entered(None, 0))) == ["ApplicationAdopted"]  # type: ignore[arg-type]


def test_an_entry_of_an_application_that_is_not_active_records_its_status_and_invites_nobody() -> None:
    history = History()
    told = history.tell(entered(CODING, 0, status=ApplicationStatus.HIRED))
    assert kinds(told) == ["StageEntered", "StatusChanged"]
    assert told[1] == e.StatusChanged(status=ApplicationStatus.HIRED, activity_at=at(0))


def test_what_a_fact_does_not_say_stays_as_it_was() -> None:
    history = History()
    history.tell(entered(REVIEW, 0))
    history.tell(entered(CODING, 5, status=None, job_id=None, candidate_id=None))
    state = history.state
    assert (state.status, state.job_id, state.candidate_id) == (ApplicationStatus.ACTIVE, JOB, CANDIDATE)
    assert len(history.of(e.InviteRequested)) == 1


def test_a_status_told_by_the_kind_of_fact_wins_over_its_snapshot() -> None:
    history = History()
    history.tell(entered())
    history.tell(f.ApplicationHired(application=snapshot(CODING, 1, status=ApplicationStatus.ACTIVE)))
    assert history.state.status is ApplicationStatus.HIRED
    history.tell(f.ApplicationUnhired(application=snapshot(CODING, 2, status=ApplicationStatus.HIRED)))
    assert history.state.status is ApplicationStatus.ACTIVE


def test_an_edit_without_a_status_changes_none() -> None:
    history = History()
    history.tell(entered())
    history.tell(rejected(1))
    assert kinds(history.tell(f.ApplicationUpdated(application=snapshot(CODING, 2, status=None)))) == ["FactNoted"]
    assert history.state.status is ApplicationStatus.REJECTED


def test_an_edit_that_changes_nothing_is_noted_with_its_time() -> None:
    history = History()
    history.tell(entered())
    told = history.tell(f.ApplicationUpdated(application=snapshot(CODING, 2)))
    assert told == [note("ApplicationUpdated", "nothing that a rule looks at changed", 2)]
    assert history.state.activity_at == at(2)


def test_an_edit_repeated_within_its_second_says_nothing_more() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(CODING, 2)))
    assert history.tell(f.ApplicationUpdated(application=snapshot(CODING, 2 + 0.5 / 60))) == []


def test_an_edit_by_another_candidates_hand_changes_the_candidate() -> None:
    history = History()
    history.tell(entered())
    told = history.tell(f.ApplicationUpdated(application=snapshot(CODING, 2, candidate_id=OTHER)))
    unchanged = note("ApplicationUpdated", "nothing that a rule looks at changed", 2)
    assert told == [e.CandidateChanged(candidate_id=OTHER), unchanged]


def test_one_stage_of_another_job_is_another_stage() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    told = history.tell(entered(CODING, 5, job_id=JobId(1)))
    assert kinds(told)[0] == "StageEntered"
    assert history.state.visit_count == 2


@pytest.mark.parametrize(("known", "told"), [(JOB, None), (None, JOB), (None, None)])
def test_a_job_that_is_not_told_tells_no_stages_apart(known: JobId | None, told: JobId | None) -> None:
    history = History()
    history.tell(entered(CODING, 0, job_id=known))
    assert kinds(history.tell(entered(CODING, 5, job_id=told))) == ["ObservationRequested"]


def test_a_stage_told_of_an_application_adopted_without_one_is_an_entry() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(None, 0)))
    assert kinds(history.tell(f.ApplicationUpdated(application=snapshot(CODING, 0))))[0] == "StageEntered"


def test_an_edit_that_shows_the_adopted_stage_again_is_no_entry() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(CODING, 0)))
    assert kinds(history.tell(f.ApplicationUpdated(application=snapshot(CODING, 1)))) == ["FactNoted"]


def test_an_application_first_seen_by_an_edit_is_adopted_as_it_is() -> None:
    history = History()
    adopted = e.ApplicationAdopted(
        application_id=APPLICATION,
        candidate_id=CANDIDATE,
        job_id=JOB,
        stage_id=CODING,
        stage_name="Coding Assessment",
        status=ApplicationStatus.REJECTED,
        visit=Visit("n1"),
        activity_at=at(2),
        found_by=FoundBy.WEBHOOK,
    )
    assert history.tell(rejected(2)) == [adopted]


# -- order


def test_a_late_fact_says_so_and_keeps_the_latest_time() -> None:
    history = History()
    history.tell(entered(CODING, 5))
    told = history.tell(f.ApplicationUpdated(application=snapshot(CALL, 3)))
    assert told == [note("ApplicationUpdated", "late: Greenhouse's own time is older than what is known already")]
    assert history.state.activity_at == at(5)


def test_a_late_edit_completes_no_visit_and_a_late_entry_only_its_own() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(CODING, 5)))
    assert kinds(history.tell(f.ApplicationUpdated(application=snapshot(CODING, 4)))) == ["FactNoted"]
    assert kinds(history.tell(entered(CALL, 4))) == ["FactNoted"]
    assert kinds(history.tell(entered(CODING, 4)))[0] == "StageEntered"
    assert kinds(history.tell(entered(CODING, 3))) == ["FactNoted"]


def test_a_late_entry_of_an_application_without_a_stage_is_noted() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(None, 5)))
    assert kinds(history.tell(entered(CODING, 4))) == ["FactNoted"]


def test_parts_of_a_second_are_not_compared() -> None:
    history = History()
    history.tell(entered(REVIEW, 0.9 / 60))
    assert kinds(history.tell(entered(CODING, 0.1 / 60))) == ["ObservationRequested"]


def test_a_creation_and_a_change_of_one_second_into_one_stage_are_one_entry() -> None:
    for first, second in (("created", "changed"), ("changed", "created")):
        told: dict[str, Input] = {
            "created": f.ApplicationCreated(application=snapshot(CODING, 0)),
            "changed": entered(CODING, 0),
        }
        history = History()
        history.tell(told[first])
        assert history.tell(told[second]) == []


def test_two_creations_of_one_second_into_two_stages_are_read() -> None:
    history = History()
    history.tell(f.ApplicationCreated(application=snapshot(REVIEW, 0)))
    told = history.tell(f.ApplicationCreated(application=snapshot(CODING, 0)))
    assert kinds(told) == ["ObservationRequested"]


def test_a_late_creation_of_the_second_of_a_stage_change_is_noted() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    assert kinds(history.tell(f.ApplicationCreated(application=snapshot(REVIEW, 0)))) == ["FactNoted"]


def test_an_edit_of_the_second_of_the_creation_with_another_stage_is_read() -> None:
    history = History()
    history.tell(f.ApplicationCreated(application=snapshot(REVIEW, 0)))
    assert kinds(history.tell(f.ApplicationUpdated(application=snapshot(CODING, 0)))) == ["ObservationRequested"]


def test_an_edit_later_than_a_second_takes_its_status_without_a_reading() -> None:
    history = History()
    history.tell(entered())
    told = history.tell(f.ApplicationUpdated(application=snapshot(CODING, 1, status=ApplicationStatus.REJECTED)))
    assert told == [e.StatusChanged(status=ApplicationStatus.REJECTED, activity_at=at(1))]


@pytest.mark.parametrize(
    ("stage", "asks"), [(None, False), (CODING, False), (CALL, True)], ids=["no stage", "its stage", "another stage"]
)
def test_a_fact_without_a_time_is_read_only_where_it_tells_something_new(stage: object, asks: bool) -> None:
    history = History()
    history.tell(entered(CODING, 0))
    told = history.tell(f.ApplicationUpdated(application=snapshot(stage, None)))  # type: ignore[arg-type]
    assert kinds(told) == (["ObservationRequested"] if asks else [])


def test_a_fact_without_a_time_about_an_application_without_a_stage_is_read_where_it_tells_one() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(None, 0)))
    (asked,) = history.tell(f.ApplicationUpdated(application=snapshot(CODING, None)))
    assert isinstance(asked, e.ObservationRequested)
    assert asked.reason == "ApplicationUpdated came without a time of Greenhouse's"


def test_each_request_for_a_reading_has_an_id_of_its_own() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(None, 0)))
    first = history.tell(f.ApplicationUpdated(application=snapshot(CODING, None)))
    history.tell(read(CODING, 1))
    second = history.tell(f.ApplicationUpdated(application=snapshot(CALL, None)))
    asked = [event.command_id for event in (*first, *second) if isinstance(event, e.ObservationRequested)]
    assert asked == [
        command_id(ACCOUNT, APPLICATION, Visit("n0"), "observe", "1"),
        command_id(ACCOUNT, APPLICATION, Visit("n1"), "observe", "2"),
    ]


# -- settling while out of the running


@pytest.mark.parametrize(("handled", "counts"), [(0.9, False), (1, True), (1.1, True)])
def test_back_in_the_running_an_entry_counts_when_its_time_is_over(handled: float, counts: bool) -> None:
    history = slow()
    history.tell(entered(CODING, 0), handled=at(0))
    history.tell(rejected(0.5))
    told = history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 2)), handled=at(handled))
    assert ("StageSettled" in kinds(told)) is counts


def test_back_in_the_running_without_a_word_of_the_stage_the_entry_counts() -> None:
    history = slow()
    history.tell(entered(CODING, 0), handled=at(0))
    history.tell(rejected(0.5))
    told = history.tell(f.ApplicationUnrejected(application=snapshot(None, 2)), handled=at(9))
    assert kinds(told) == ["StatusChanged", "StageSettled", "RulesJudged", "InviteRequested"]


def test_back_in_the_running_in_another_stage_the_old_entry_does_not_count() -> None:
    history = slow()
    history.tell(entered(CODING, 0), handled=at(0))
    history.tell(rejected(0.5))
    told = history.tell(f.ApplicationUnrejected(application=snapshot(OFFER, 2)), handled=at(9))
    assert kinds(told) == ["StatusChanged", "StageEntered"]


def test_an_entry_that_counted_does_not_count_again_when_the_application_comes_back() -> None:
    history = slow()
    history.tell(entered(CODING, 0), handled=at(0))
    history.tell(ELAPSED, handled=at(1))
    history.tell(rejected(2))
    told = history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 3)), handled=at(9))
    assert kinds(told) == ["StatusChanged"]


def test_an_application_without_a_stage_comes_back_without_one() -> None:
    history = History()
    history.tell(f.ApplicationRejected(application=snapshot(None, 0, status=ApplicationStatus.REJECTED)))
    told = history.tell(f.ApplicationUnrejected(application=snapshot(None, 1)))
    assert kinds(told) == ["StatusChanged"]


def test_the_settle_time_of_an_adopted_visit_counts_for_nothing() -> None:
    history = slow()
    history.tell(f.ApplicationUpdated(application=snapshot(CODING, 0)))
    assert history.tell(ELAPSED) == []


def test_the_settle_time_of_a_deleted_application_counts_for_nothing() -> None:
    history = slow()
    history.tell(entered())
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert history.tell(ELAPSED) == []


def test_the_settle_time_of_an_unknown_application_counts_for_nothing() -> None:
    assert slow().tell(ELAPSED) == []


# -- readings


def test_a_reading_of_an_unknown_application_is_adopted_as_it_was_found() -> None:
    (adopted,) = History().tell(read(CODING, 3, 2, found_by=FoundBy.READING))
    assert adopted == e.ApplicationAdopted(
        application_id=APPLICATION,
        candidate_id=CANDIDATE,
        job_id=JOB,
        stage_id=CODING,
        stage_name="Coding Assessment",
        status=ApplicationStatus.ACTIVE,
        visit=Visit("t20261124T090200Z"),
        activity_at=at(2),
        found_by=FoundBy.READING,
    )


def test_a_reading_of_another_stage_is_an_entry_at_the_time_it_tells() -> None:
    history = History()
    history.tell(entered(REVIEW, 0))
    entry, *_ = history.tell(read(CODING, 9, 5))
    assert entry == e.StageEntered(
        application_id=APPLICATION,
        candidate_id=CANDIDATE,
        job_id=JOB,
        stage_id=CODING,
        stage_name="Coding Assessment",
        visit=Visit("t20261124T090500Z"),
        activity_at=at(5),
        moved_by="person",
        pins={"engineering": 1},
        settle_due_at=None,
        found_by=FoundBy.READING,
        by_creation=False,
    )


def test_a_reading_of_a_first_stage_is_an_entry() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(None, 0)))
    entry, *_ = history.tell(read(CODING, 1))
    assert isinstance(entry, e.StageEntered)
    assert (entry.visit, entry.activity_at) == ("n1", at(1))


def test_a_reading_without_a_stage_or_a_status_leaves_both() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    history.tell(rejected(1))
    told = history.tell(read(None, 2, 9, status=None))
    assert told == [note("ApplicationObserved", "the reading shows the stage visit that is known", 2)]
    assert history.state.status is ApplicationStatus.REJECTED


def test_a_reading_tells_the_status_and_the_candidate() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    told = history.tell(read(CODING, 2, 0, status=ApplicationStatus.HIRED, candidate_id=OTHER))
    assert told == [
        e.StatusChanged(status=ApplicationStatus.HIRED, activity_at=at(2)),
        e.CandidateChanged(candidate_id=OTHER),
        note("ApplicationObserved", "the reading shows the stage visit that is known", 2),
    ]


def test_a_reading_that_shows_it_active_again_lets_the_entry_count() -> None:
    history = slow()
    history.tell(entered(CODING, 0), handled=at(0))
    history.tell(rejected(0.5))
    told = history.tell(read(CODING, 2, 0), handled=at(9))
    assert kinds(told) == ["StatusChanged", "StageSettled", "RulesJudged", "InviteRequested", "FactNoted"]


def test_an_old_reading_is_noted() -> None:
    history = History()
    history.tell(entered(CODING, 5))
    told = history.tell(read(CALL, 4, 4))
    assert told == [note("ApplicationObserved", "the reading is older than what is known already")]


def test_a_reading_that_shows_no_application_is_noted() -> None:
    history = History()
    history.tell(entered())
    gone = f.ApplicationObserved(application_id=APPLICATION, application=None, observed_at=at(1))
    assert history.tell(gone) == [note("ApplicationObserved", "Greenhouse shows no such application")]


def test_a_reading_of_a_deleted_application_says_nothing() -> None:
    history = History()
    history.tell(entered())
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert history.tell(read(CALL, 9)) == []


@pytest.mark.parametrize(("seconds", "anew"), [(1, False), (1.5, True)])
def test_an_entry_is_another_one_when_it_is_more_than_a_second_later(seconds: float, anew: bool) -> None:
    history = History()
    history.tell(entered(CODING, 0))
    told = history.tell(read(CODING, 1, seconds / 60))
    assert ("StageEntered" in kinds(told)) is anew


def test_a_visit_whose_time_is_not_known_is_not_entered_anew() -> None:
    history = History()
    history.tell(entered(CODING, None))
    assert kinds(history.tell(read(CODING, 5, 5))) == ["FactNoted"]


# -- gone


def test_a_deletion_says_whose_it_was_and_comes_once() -> None:
    history = History()
    history.tell(entered())
    gone = f.CandidateDeleted(candidate_id=CANDIDATE, application_ids=(APPLICATION,))
    assert history.tell(gone) == [e.ApplicationDeleted(reason="the candidate was deleted in Greenhouse")]
    assert history.tell(gone) == []
    assert history.tell(entered(OFFER, 9)) == [note("ApplicationStageChanged", "the application was deleted before")]


def test_an_unknown_application_can_be_deleted_before_it_is_told_of() -> None:
    history = History()
    told = history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert told == [e.ApplicationDeleted(reason="the application was deleted in Greenhouse")]
    assert kinds(history.tell(entered())) == ["FactNoted"]


def test_a_merge_counts_once_and_only_for_an_application_that_is_there() -> None:
    merged = f.CandidateMerged(candidate_id=CANDIDATE, into_candidate_id=OTHER)
    history = History()
    assert history.tell(merged) == []
    history.tell(entered())
    assert history.tell(merged) == [e.CandidateChanged(candidate_id=OTHER)]
    assert history.tell(merged) == []
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    back = f.CandidateMerged(candidate_id=OTHER, into_candidate_id=CANDIDATE)
    assert history.tell(back) == []


def test_an_anonymised_candidate_is_recorded_for_an_application_that_is_there() -> None:
    anonymized = f.CandidateAnonymized(candidate_id=CANDIDATE, fields=("phone", "email"))
    history = History()
    assert history.tell(anonymized) == []
    history.tell(entered())
    assert history.tell(anonymized) == [e.CandidateAnonymized(fields=("email", "phone"))]
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert history.tell(anonymized) == []


def test_who_is_anonymised_before_the_settle_time_is_over_is_not_invited() -> None:
    history = slow()
    history.tell(entered())
    history.tell(f.CandidateAnonymized(candidate_id=CANDIDATE, fields=("email",)))
    told = history.tell(ELAPSED, handled=at(2))
    assert kinds(told) == ["StageSettled", "FactNoted"]
    assert isinstance(told[1], e.FactNoted)
    assert "anonymised" in told[1].reason
    assert history.tell(ELAPSED, handled=at(3)) == []


def test_who_was_anonymised_in_an_earlier_stage_visit_is_invited_in_the_next() -> None:
    history = History(workflows(DOCUMENT))
    history.tell(entered(CALL, 0))
    history.tell(f.CandidateAnonymized(candidate_id=CANDIDATE, fields=("notes",)))
    assert "InviteRequested" in kinds(history.tell(entered(CODING, 1)))


def test_after_an_erasure_by_hand_nothing_is_asked_for_any_more() -> None:
    erased = f.CandidateErased(candidate_id=CANDIDATE)
    waiting = workflows(DOCUMENT | {"settle_s": 60})
    history = History(waiting)
    assert history.tell(erased) == []
    history.tell(entered())
    assert history.tell(erased) == [e.CandidateErased()]
    assert history.tell(erased) == []
    told = history.tell(ELAPSED, handled=at(2))
    assert kinds(told) == ["StageSettled", "FactNoted"]
    assert isinstance(told[1], e.FactNoted)
    assert "erased" in told[1].reason
    (received,) = history.tell(result())
    assert isinstance(received, e.ResultReceived)
    assert (received.used, "erased" in received.reason) == (False, True)
    order = f.InviteOrdered(
        order_id=uuid4(), application_id=APPLICATION, visit=Visit("n1"), order=f.Order.SEND, assessment_id=TEST
    )
    (taken,) = history.tell(order)
    assert isinstance(taken, e.OrderTaken)
    assert "erased" in taken.refused
    assert kinds(history.tell(entered(OFFER, 5), handled=at(5)))[0] == "StageEntered"
    assert history.of(e.InviteRequested) == []


def test_who_was_erased_at_once_upon_entering_is_not_invited() -> None:
    history = History()
    history.tell(entered(CALL))
    history.tell(f.CandidateErased(candidate_id=CANDIDATE))
    assert kinds(history.tell(entered(CODING, 5), handled=at(5))) == ["StageEntered", "StageSettled", "FactNoted"]
    history.tell(f.ApplicationDeleted(application_id=APPLICATION))
    assert history.tell(f.CandidateErased(candidate_id=CANDIDATE)) == []


def test_an_edit_of_the_candidate_changes_nothing_here() -> None:
    history = History()
    history.tell(entered())
    assert history.tell(f.CandidateUpdated(candidate_id=CANDIDATE)) == []


# -- outcomes


def test_a_beginning_is_recorded_once_for_each_assessment_of_each_visit() -> None:
    started = o.AssessmentStarted(application_id=APPLICATION, visit=Visit("n1"), assessment_id=TEST)
    history = History()
    history.tell(entered())
    assert history.tell(started) == [e.AssessmentStarted(visit=Visit("n1"), assessment_id=TEST)]
    assert history.tell(started) == []
    again = o.AssessmentStarted(application_id=APPLICATION, visit=Visit("n2"), assessment_id=TEST)
    assert kinds(history.tell(again)) == ["AssessmentStarted"]


def test_an_outcome_is_recorded_with_all_it_says() -> None:
    history = History()
    history.tell(entered())
    (invite,) = history.of(e.InviteRequested)
    outcome = o.CommandSettled(
        command_id=invite.command_id,
        action=Action.INVITE,
        application_id=APPLICATION,
        visit=Visit("n1"),
        state=o.OutcomeState.PARKED,
        settled_at=at(3),
        reason="no address",
        remedy="enter one",
        to_stage_id=OFFER,
    )
    assert history.tell(outcome) == [
        e.EffectSettled(
            command_id=invite.command_id,
            action=Action.INVITE,
            visit=Visit("n1"),
            state=o.OutcomeState.PARKED,
            reason="no address",
            remedy="enter one",
            to_stage_id=OFFER,
            settled_at=at(3),
        )
    ]


@pytest.mark.parametrize("state", list(o.OutcomeState))
def test_only_an_end_ends_what_is_told_of_a_command(state: o.OutcomeState) -> None:
    history = History()
    history.tell(entered())
    (invite,) = history.of(e.InviteRequested)
    history.tell(settled(invite.command_id, Action.INVITE, state))
    told = history.tell(settled(invite.command_id, Action.INVITE))
    ended = state in (o.OutcomeState.DONE, o.OutcomeState.REFUSED, o.OutcomeState.SUPERSEDED)
    assert kinds(told) == ([] if ended else ["EffectSettled"])


def test_of_two_outcomes_of_a_command_the_one_that_was_recorded_later_counts_in_whatever_order_they_come() -> None:
    history = History()
    history.tell(entered())
    (invite,) = history.of(e.InviteRequested)
    parked = settled(invite.command_id, Action.INVITE, o.OutcomeState.PARKED)
    history.tell(parked)
    late = history.tell(replace(parked, state=o.OutcomeState.WAITING, settled_at=at(4)))
    assert kinds(late) == ["FactNoted"]
    assert history.state.commands[invite.command_id].state is o.OutcomeState.PARKED
    assert kinds(history.tell(replace(parked, state=o.OutcomeState.WAITING))) == ["EffectSettled"]


@pytest.mark.parametrize("final", [o.OutcomeState.DONE, o.OutcomeState.REFUSED, o.OutcomeState.SUPERSEDED])
def test_a_ledger_that_was_put_back_has_the_last_word_even_after_an_end(final: o.OutcomeState) -> None:
    history = History()
    history.tell(entered())
    (invite,) = history.of(e.InviteRequested)
    ended = settled(invite.command_id, Action.INVITE, final)
    history.tell(ended)
    parked = replace(ended, state=o.OutcomeState.PARKED)
    assert history.tell(parked) == []
    assert (
        kinds(history.tell(replace(parked, settled_at=ended.settled_at + timedelta(seconds=1))))[0] == "EffectSettled"
    )
    assert history.state.commands[invite.command_id].state is o.OutcomeState.PARKED
    assert history.tell(replace(ended, settled_at=ended.settled_at + timedelta(seconds=2))) != []
    assert history.tell(replace(ended, settled_at=ended.settled_at + timedelta(seconds=3))) == []


def test_an_outcome_of_a_command_this_stream_does_not_know_is_recorded() -> None:
    ident = command_id(ACCOUNT, APPLICATION, Visit("n1"), "invite", TEST)
    assert kinds(History().tell(settled(ident, Action.INVITE))) == ["EffectSettled"]


def test_a_result_that_is_used_says_nothing_more() -> None:
    history = History()
    history.tell(entered())
    received, *_ = history.tell(result())
    assert received == e.ResultReceived(result=result(), used=True, reason="")


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (rejected(5), "the application is rejected; the result is held and shown"),
        (f.ApplicationDeleted(application_id=APPLICATION), "the application was deleted"),
        (entered(OFFER, 5), "its stage visit has ended; the result is held and shown"),
    ],
    ids=["rejected", "deleted", "moved on"],
)
def test_a_result_that_is_not_used_says_why(fact: Input, reason: str) -> None:
    history = History()
    history.tell(entered())
    history.tell(fact)
    assert history.tell(result()) == [e.ResultReceived(result=result(), used=False, reason=reason)]


def test_an_older_result_changes_nothing() -> None:
    history = History()
    history.tell(entered())
    history.tell(result(version=2))
    assert history.tell(result(version=1)) == []


def test_a_result_of_no_visit_is_not_used() -> None:
    (received,) = History().tell(result())
    assert isinstance(received, e.ResultReceived)
    assert not received.used


def test_settling_is_counted_from_when_the_fact_is_handled() -> None:
    (entry,) = slow().tell(entered(CODING, 0), handled=at(30))
    assert isinstance(entry, e.StageEntered)
    assert entry.settle_due_at == at(30) + timedelta(seconds=60)
