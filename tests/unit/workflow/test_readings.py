"""What the decider records of a reading of the application."""

from __future__ import annotations

import pytest
from tests.fakes.histories import (
    APPLICATION,
    CALL,
    CANDIDATE,
    CODING,
    JOB,
    REVIEW,
    History,
    at,
    entered,
    kinds,
    snapshot,
)
from tests.unit.workflow.telling import OTHER, note, read, rejected, slow

from trellis.common.contracts import facts as f
from trellis.common.contracts.facts import ApplicationStatus, FoundBy
from trellis.common.contracts.identifiers import Visit
from trellis.workflow.domain import events as e


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
