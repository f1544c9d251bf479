"""What the decider records of each fact: every field of every event, and nothing where nothing changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.fakes.histories import (
    ACCOUNT,
    APPLICATION,
    CALL,
    CANDIDATE,
    CODING,
    JOB,
    OFFER,
    REVIEW,
    History,
    at,
    entered,
    kinds,
    snapshot,
)
from tests.unit.workflow.telling import ELAPSED, OTHER, note, read, rejected, slow

from trellis.common.contracts import facts as f
from trellis.common.contracts.facts import ApplicationStatus, FoundBy
from trellis.common.contracts.identifiers import JobId, Visit, command_id
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import Input


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


def test_settling_is_counted_from_when_the_fact_is_handled() -> None:
    (entry,) = slow().tell(entered(CODING, 0), handled=at(30))
    assert isinstance(entry, e.StageEntered)
    assert entry.settle_due_at == at(30) + timedelta(seconds=60)
