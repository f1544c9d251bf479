"""An application that comes back into the running in the visit it was in."""

from __future__ import annotations

import pytest
from tests.fakes.histories import APPLICATION, CODING, DOCUMENT, History, at, entered, kinds, snapshot, workflows

from trellis.common.contracts import facts as f
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import Visit
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import SettleElapsed


@pytest.fixture
def history() -> History:
    """An application rejected while its entry settled."""
    history = History(workflows(DOCUMENT | {"settle_s": 60}))
    history.tell(entered())
    history.tell(f.ApplicationRejected(application=snapshot(CODING, 0.5, status=ApplicationStatus.REJECTED)))
    return history


def test_unrejected_after_its_settle_time_it_is_invited(history: History) -> None:
    history.tell(SettleElapsed(application_id=APPLICATION, visit=Visit("n1")), handled=at(1))
    told = history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 5)), handled=at(5))
    assert kinds(told) == ["StatusChanged", "StageSettled", "RulesJudged", "InviteRequested"]
    assert history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 5)), handled=at(6)) == []


def test_unrejected_within_its_settle_time_it_is_invited_when_that_is_over(history: History) -> None:
    told = history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 0.8)), handled=at(0.9))
    assert kinds(told) == ["StatusChanged"]
    history.tell(SettleElapsed(application_id=APPLICATION, visit=Visit("n1")), handled=at(1))
    assert len(history.of(e.InviteRequested)) == 1


@pytest.mark.parametrize("settle", [0, 60])
def test_an_entry_told_after_a_rejection_of_the_same_second_counts_when_a_reading_shows_it_taken_back(
    settle: int,
) -> None:
    history = History(workflows(DOCUMENT | {"settle_s": settle}))
    history.tell(f.ApplicationRejected(application=snapshot(CODING, 0, status=ApplicationStatus.REJECTED)))
    assert kinds(history.tell(entered(), handled=at(0.1))) == ["StageEntered", "ObservationRequested"]
    reading = f.ApplicationObserved(
        application_id=APPLICATION, application=snapshot(CODING, 5), observed_at=at(5), found_by=f.FoundBy.READING
    )
    told = kinds(history.tell(reading, handled=at(5)))
    assert told[:4] == ["StatusChanged", "StageSettled", "RulesJudged", "InviteRequested"]


@pytest.mark.parametrize("settle", [0, 60])
def test_an_entry_told_while_it_is_rejected_counts_when_the_rejection_is_taken_back(settle: int) -> None:
    history = History(workflows(DOCUMENT | {"settle_s": settle}))
    history.tell(f.ApplicationUpdated(application=snapshot(CODING, 0)))
    history.tell(f.ApplicationRejected(application=snapshot(None, 1, status=ApplicationStatus.REJECTED)))
    late = history.tell(f.ApplicationCreated(application=snapshot(CODING, 0)), handled=at(2))
    assert kinds(late) == ["StageEntered"]
    told = history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 5)), handled=at(5))
    assert kinds(told) == ["StatusChanged", "StageSettled", "RulesJudged", "InviteRequested"]
