"""Facts that bear one second of Greenhouse's: their order cannot be known, so the application is read."""

from __future__ import annotations

from tests.fakes.histories import APPLICATION, CODING, REVIEW, History, at, entered, kinds, snapshot

from trellis.common.contracts import facts as f
from trellis.common.contracts.facts import ApplicationStatus
from trellis.workflow.domain import events as e


def rejected(minutes: float = 0) -> f.ApplicationRejected:
    return f.ApplicationRejected(application=snapshot(None, minutes, status=ApplicationStatus.REJECTED))


def read(status: ApplicationStatus) -> f.ApplicationObserved:
    shown = snapshot(None if status is ApplicationStatus.REJECTED else CODING, 0, status=status)
    return f.ApplicationObserved(application_id=APPLICATION, application=shown, observed_at=at(1))


def test_an_application_rejected_in_the_second_of_its_creation_is_not_active_again_when_its_creation_comes_late() -> (
    None
):
    history = History()
    history.tell(rejected())
    assert kinds(history.tell(f.ApplicationCreated(application=snapshot(CODING)))) == ["ObservationRequested"]
    assert history.state.status is ApplicationStatus.REJECTED
    history.tell(read(ApplicationStatus.REJECTED))
    assert history.state.status is ApplicationStatus.REJECTED
    assert history.of(e.InviteRequested) == []


def test_a_stage_change_told_after_a_rejection_of_its_second_does_not_make_the_application_active_again() -> None:
    history = History()
    history.tell(f.ApplicationCreated(application=snapshot(REVIEW)))
    history.tell(rejected(1))
    assert kinds(history.tell(entered(CODING, 1))) == ["ObservationRequested"]
    assert history.state.status is ApplicationStatus.REJECTED
    assert history.of(e.InviteRequested) == []


def test_a_rejection_in_the_second_of_the_latest_activity_counts_and_is_read_back() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(REVIEW)))
    assert kinds(history.tell(rejected())) == ["StatusChanged", "ObservationRequested"]
    assert history.state.status is ApplicationStatus.REJECTED
    history.tell(read(ApplicationStatus.ACTIVE))
    assert history.state.status is ApplicationStatus.ACTIVE


def test_of_two_moves_in_one_second_long_after_the_creation_the_last_is_read_rather_than_guessed() -> None:
    history = History()
    history.tell(f.ApplicationCreated(application=snapshot(CODING)))
    history.tell(f.ApplicationUpdated(application=snapshot(CODING, 5)))
    history.tell(entered(CODING, 5))
    assert kinds(history.tell(entered(REVIEW, 5))) == ["ObservationRequested"]
    assert history.state.visit is not None
    assert history.state.visit.stage_id == CODING


def test_of_two_readings_within_one_second_the_later_counts_in_whatever_order_they_come() -> None:
    history = History()
    history.tell(entered(CODING))
    later = snapshot(None, 1 + 0.9 / 60, status=ApplicationStatus.REJECTED)
    earlier = snapshot(CODING, 1 + 0.1 / 60)
    for shown in (later, earlier):
        history.tell(f.ApplicationObserved(application_id=APPLICATION, application=shown, observed_at=at(1.1)))
    assert history.state.status is ApplicationStatus.REJECTED


def test_two_visits_that_began_within_one_second_are_two_visits() -> None:
    history = History()
    history.tell(f.ApplicationCreated(application=snapshot(REVIEW)))
    for stage, second in ((CODING, 0.1), (REVIEW, 0.8)):
        moment = at(5 + second / 60)
        shown = snapshot(stage, 5 + second / 60)
        history.tell(
            f.ApplicationObserved(application_id=APPLICATION, application=shown, observed_at=moment, entered_at=moment)
        )
    names = [event.visit for event in history.of(e.StageEntered)]
    assert len(names) == len(set(names)) == 3
    assert names[1][:-1] == names[2].partition(".")[0]
