"""What the decider makes of what the reconciler found and no webhook told."""

from __future__ import annotations

from dataclasses import replace
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
    History,
    ShownHistory,
    at,
    entered,
    kinds,
    snapshot,
    workflows,
)

from trellis.common.contracts import facts as f
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.contracts.facts import ApplicationStatus, FoundBy
from trellis.common.contracts.identifiers import StageId, Visit
from trellis.workflow.adapters.event_store import Recorded
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import Input
from trellis.workflow.redeciding import redecide

DAY_S = 86400.0


def found(
    stage: StageId | None = CODING, minutes: float | None = 0, *, entered_minutes: float | None = 0, **more: object
) -> f.ApplicationObserved:
    return f.ApplicationObserved(
        application_id=APPLICATION,
        application=snapshot(stage, minutes, **more),
        observed_at=at(30),
        entered_at=None if entered_minutes is None else at(entered_minutes),
        found_by=FoundBy.RECONCILIATION,
        act_within_s=DAY_S,
    )


def went_live(minutes: float) -> History:
    known = workflows()
    return History(replace(known, went_live={known.live[0].name: at(minutes)}))


def test_a_missed_entry_invites_once_and_says_how_it_was_found() -> None:
    history = went_live(-60)
    events = history.tell(found())
    assert kinds(events) == ["StageEntered", "StageSettled", "RulesJudged", "InviteRequested"]
    (entry,) = history.of(e.StageEntered)
    assert entry.found_by is FoundBy.RECONCILIATION
    assert history.tell(found()) == []
    assert history.tell(entered()) == []
    assert len(history.of(e.InviteRequested)) == 1


def test_what_a_webhook_told_before_is_no_news() -> None:
    history = History()
    history.tell(entered())
    assert history.tell(found()) == []
    assert kinds(history.tell(found(minutes=10))) == ["FactNoted"]
    assert history.tell(found(minutes=10)) == []
    assert len(history.of(e.InviteRequested)) == 1


def test_a_late_webhook_from_before_the_reading_does_not_win() -> None:
    history = History()
    history.tell(entered(CALL, 0))
    history.tell(found(CALL, 5, entered_minutes=0.5))
    assert kinds(history.tell(entered(CODING, 2))) == ["FactNoted"]
    assert history.state.visit is not None and history.state.visit.stage_id == CALL
    rejected = f.ApplicationRejected(application=snapshot(None, 3, status=ApplicationStatus.REJECTED))
    history.tell(rejected)
    assert history.state.status is ApplicationStatus.ACTIVE


@pytest.mark.parametrize(("seconds", "invites"), [(2, 1), (59, 1), (61, 2)])
def test_a_row_written_a_little_after_its_webhook_is_the_same_visit(seconds: float, invites: int) -> None:
    history = History()
    history.tell(entered())
    history.tell(found(minutes=10, entered_minutes=seconds / 60))
    assert len(history.of(e.InviteRequested)) == invites


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (found(entered_minutes=-25 * 60), "longer ago"),
        (found(entered_minutes=None), "does not say"),
        (found(entered_minutes=-61), "before the workflow went live"),
    ],
)
def test_an_old_entry_is_adopted_and_offered(entry: f.ApplicationObserved, reason: str) -> None:
    history = went_live(-60)
    assert kinds(history.tell(entry))[:2] == ["ApplicationAdopted", "EntryOffered"]
    (offered,) = history.of(e.EntryOffered)
    assert reason in offered.reason
    assert history.state.offered == offered.visit
    assert history.of(e.InviteRequested) == []


def test_an_old_entry_without_a_rule_for_it_is_adopted_and_not_offered() -> None:
    history = History()
    history.tell(found(CALL, entered_minutes=-25 * 60))
    assert history.of(e.EntryOffered) == [] and len(history.of(e.ApplicationAdopted)) == 1
    rejected = History()
    rejected.tell(found(entered_minutes=-25 * 60, status=ApplicationStatus.REJECTED))
    assert rejected.of(e.EntryOffered) == []


def test_a_persons_yes_acts_once() -> None:
    history = went_live(-60)
    history.tell(found(entered_minutes=-25 * 60))
    visit = history.state.offered
    assert visit is not None
    yes = f.EntryAccepted(application_id=APPLICATION, visit=visit)
    assert kinds(history.tell(yes)) == ["StageEntered", "StageSettled", "RulesJudged", "InviteRequested"]
    assert history.state.offered is None
    assert history.tell(yes) == []
    (invite,) = history.of(e.InviteRequested)
    assert invite.visit == visit


def test_a_yes_to_another_visit_does_nothing() -> None:
    history, _ = offered()
    assert history.tell(f.EntryAccepted(application_id=APPLICATION, visit=Visit("n9"))) == []


def test_a_yes_to_a_rejected_application_is_told_and_may_be_said_again() -> None:
    history, yes = offered()
    history.tell(f.ApplicationRejected(application=snapshot(CODING, 40, status=ApplicationStatus.REJECTED)))
    (noted,) = history.tell(yes)
    assert isinstance(noted, e.FactNoted)
    assert noted.reason == "it is rejected: nothing is sent, and its entry stays offered"
    history.tell(f.ApplicationUnrejected(application=snapshot(CODING, 41)))
    assert "InviteRequested" in kinds(history.tell(yes))


def offered(**more: object) -> tuple[History, f.EntryAccepted]:
    """An old entry that waits for a yes, and the yes."""
    slow = workflows(DOCUMENT | {"settle_s": 60})
    history = History(replace(slow, went_live={slow.live[0].name: at(-60)}))
    history.tell(found(minutes=20, entered_minutes=-25 * 60, **more))
    assert history.state.offered is not None
    return history, f.EntryAccepted(application_id=APPLICATION, visit=history.state.offered)


def test_a_yes_settles_at_once_and_its_entry_tells_all_that_was_adopted() -> None:
    history, yes = offered()
    entry, *judged = history.tell(yes, handled=at(50))
    assert entry == e.StageEntered(
        application_id=APPLICATION,
        candidate_id=CANDIDATE,
        job_id=JOB,
        stage_id=CODING,
        stage_name="Coding Assessment",
        visit=yes.visit,
        activity_at=at(-25 * 60),
        moved_by="person",
        pins={"engineering": 1},
        settle_due_at=None,
        found_by=FoundBy.RECONCILIATION,
        by_creation=False,
    )
    assert kinds(judged) == ["StageSettled", "RulesJudged", "InviteRequested"]


def test_a_yes_to_a_workflow_of_other_jobs_enters_without_it() -> None:
    history, yes = offered()
    other = workflows(DOCUMENT | {"jobs": [1]})
    history.workflows = replace(history.workflows, live=other.live)
    assert kinds(history.tell(yes)) == ["StageEntered"]


@pytest.mark.parametrize(
    "between",
    [
        f.ApplicationDeleted(application_id=APPLICATION),
        entered(CALL, 40),
    ],
    ids=["deleted", "moved on"],
)
def test_a_yes_that_comes_too_late_does_nothing(between: Input) -> None:
    history, yes = offered()
    history.tell(between)
    assert history.tell(yes) == []


def test_a_yes_to_an_application_nobody_knows_does_nothing() -> None:
    assert History().tell(f.EntryAccepted(application_id=APPLICATION, visit=Visit("n1"))) == []


def test_what_a_reading_does_not_say_of_an_adopted_application_stays_open() -> None:
    history = went_live(-60)
    (adopted,) = history.tell(found(None, 5, entered_minutes=None, status=None, job_id=None, candidate_id=None))
    assert adopted == e.ApplicationAdopted(
        application_id=APPLICATION,
        candidate_id=None,
        job_id=None,
        stage_id=None,
        stage_name=None,
        status=ApplicationStatus.ACTIVE,
        visit=Visit("n1"),
        activity_at=at(5),
        found_by=FoundBy.RECONCILIATION,
    )


def test_a_recent_reading_without_a_stage_is_adopted() -> None:
    assert kinds(History().tell(found(None))) == ["ApplicationAdopted"]


def test_an_offer_names_the_workflows_that_would_act_and_since_when_they_are_live() -> None:
    history = went_live(-60)
    history.tell(found(entered_minutes=-61))
    assert history.of(e.EntryOffered) == [
        e.EntryOffered(
            visit=Visit("t20261124T075900Z"),
            pins={"engineering": 1},
            went_live={"engineering": at(-60)},
            reason="it entered the stage before the workflow went live",
        )
    ]


def test_of_two_workflows_only_the_one_that_was_live_acts() -> None:
    young = workflows(DOCUMENT | {"name": "young"})
    old = workflows()
    both = replace(old, live=(*old.live, *young.live), versions={**old.versions, **young.versions})
    history = History(replace(both, went_live={"young": at(10)}))
    entry, *_ = history.tell(found())
    assert isinstance(entry, e.StageEntered)
    assert entry.pins == {"engineering": 1}


@pytest.mark.parametrize(("minutes", "acts"), [(0, True), (24 * 60, True), (24 * 60 + 0.1, False)])
def test_an_entry_is_acted_upon_within_its_time(minutes: float, acts: bool) -> None:
    history = went_live(0)
    told = history.tell(found(), handled=at(minutes))
    assert ("StageEntered" in kinds(told)) is acts


def test_the_late_webhook_of_an_offered_entry_completes_it() -> None:
    history = History()
    history.tell(found(entered_minutes=-25 * 60))
    events = history.tell(entered(minutes=-25 * 60))
    assert "InviteRequested" in kinds(events)
    assert history.state.offered is None


def test_an_application_that_another_webhook_told_of_is_acted_upon_when_its_missed_entry_is_found() -> None:
    history = went_live(-60)
    assert kinds(history.tell(f.ApplicationUpdated(application=snapshot(minutes=9)))) == ["ApplicationAdopted"]
    visit = history.state.visit
    assert "InviteRequested" in kinds(history.tell(found(minutes=9)))
    assert history.state.visit is not None and visit is not None and history.state.visit.name == visit.name
    assert history.tell(found(minutes=9)) == []


def test_an_offered_application_that_left_and_came_back_unseen_is_acted_upon_by_its_new_entry() -> None:
    history = went_live(-60)
    assert "EntryOffered" in kinds(history.tell(found(entered_minutes=-25 * 60)))
    offered = history.state.visit
    events = history.tell(found(minutes=20, entered_minutes=20))
    assert "InviteRequested" in kinds(events)
    assert offered is not None and history.state.visit is not None and history.state.visit.name != offered.name
    assert history.state.offered is None
    assert history.tell(found(minutes=20, entered_minutes=20)) == []


def test_an_application_that_another_webhook_told_of_and_entered_long_ago_is_offered_once() -> None:
    history = went_live(-60)
    history.tell(f.ApplicationUpdated(application=snapshot(minutes=9)))
    assert kinds(history.tell(found(minutes=9, entered_minutes=-25 * 60))) == ["EntryOffered"]
    assert history.tell(found(minutes=9, entered_minutes=-25 * 60)) == []
    rejected = found(CODING, 20, entered_minutes=-25 * 60, status=ApplicationStatus.REJECTED)
    assert kinds(history.tell(rejected)) == ["StatusChanged"]


def test_a_missed_move_and_a_missed_rejection_are_recorded() -> None:
    history = History()
    history.tell(entered())
    assert kinds(history.tell(found(CALL, 20, entered_minutes=20))) == ["StageEntered"]
    rejected = found(None, 40, entered_minutes=None, status=ApplicationStatus.REJECTED)
    assert kinds(history.tell(rejected)) == ["StatusChanged"]
    assert history.tell(rejected) == []


def test_a_visit_told_of_after_it_began_does_not_make_later_readings_of_it_older() -> None:
    history = History()
    history.tell(f.ApplicationRejected(application=snapshot(None, 0)))
    assert "StageEntered" in kinds(history.tell(f.ApplicationUpdated(application=snapshot(CODING, 8))))
    history.tell(f.ApplicationRejected(application=snapshot(None, 10)))
    assert "StatusChanged" in kinds(history.tell(found(CODING, 12, entered_minutes=5)))
    assert history.state.status is ApplicationStatus.ACTIVE
    assert history.tell(f.ApplicationRejected(application=snapshot(None, 10))) != []
    assert history.state.status is ApplicationStatus.ACTIVE


def test_a_reading_that_was_overtaken_changes_nothing() -> None:
    history = History()
    history.tell(entered(CALL, 0))
    history.tell(entered(CODING, 10))
    assert history.tell(found(CALL, 0)) == []
    assert history.tell(found(CALL, None, entered_minutes=0)) == []


@pytest.mark.parametrize(
    "entry", [found(), found(entered_minutes=-25 * 60), found(entered_minutes=-61), found(entered_minutes=None)]
)
def test_deciding_again_gives_the_same(entry: f.ApplicationObserved) -> None:
    history = ShownHistory(went_live(-60).workflows)
    message = Envelope(
        id=uuid4(), source="trellis/greenhouse-actions", accountid=ACCOUNT, time=at(0), data=entry, correlationid="c"
    )
    log = [
        Recorded(
            version=number,
            event=event,
            recorded_at=at(0),
            handled_at=at(0),
            message_id=message.id,
            correlationid="c",
            message=encode(message) if number == 1 else None,
        )
        for number, event in enumerate(history.tell(entry, name="application.observed"), 1)
    ]
    assert redecide(ACCOUNT, APPLICATION, log, history.workflows.versions) == []


@pytest.mark.parametrize(("seconds", "is_earlier"), [(-1, False), (-1.5, True), (0, False)])
def test_a_visit_from_before_the_present_one_is_no_news(seconds: float, is_earlier: bool) -> None:
    history = History()
    history.tell(entered(CODING, 0))
    told = history.tell(found(CALL, 5, entered_minutes=seconds / 60))
    assert (told == []) is is_earlier


def test_only_the_reconciler_finds_a_visit_from_before_the_present_one_no_news() -> None:
    history = History()
    history.tell(entered(CODING, 0))
    read = replace(found(CALL, 5, entered_minutes=-5), found_by=FoundBy.READING)
    assert kinds(history.tell(read)) == ["StageEntered"]


def test_a_visit_without_a_time_is_not_earlier_than_another() -> None:
    history = History()
    history.tell(entered(CODING, None))
    assert kinds(history.tell(found(CALL, 5, entered_minutes=-5)))[0] == "StageEntered"


def test_an_application_adopted_without_a_stage_is_entered_as_found() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(None, 0)))
    assert kinds(history.tell(found(CODING, 5, entered_minutes=5)))[0] == "StageEntered"


def test_an_entry_completes_the_adopted_visit_under_its_name() -> None:
    history, yes = offered()
    assert yes.visit == "t20261123T080000Z"
    history.tell(yes)
    assert history.state.visit is not None
    assert (history.state.visit.name, history.state.visit_count) == (yes.visit, 1)


def test_a_reading_that_names_no_time_to_act_within_is_offered() -> None:
    history = went_live(60)
    assert kinds(history.tell(replace(found(), act_within_s=None))) == ["ApplicationAdopted", "EntryOffered"]
    (offer,) = history.of(e.EntryOffered)
    assert isinstance(offer, e.EntryOffered)
    assert offer.reason == "it entered the stage before the workflow went live"


def test_an_entry_exactly_as_old_as_is_acted_upon_is_not_called_too_old() -> None:
    history = went_live(60)
    history.tell(found(), handled=at(24 * 60))
    (offer,) = history.of(e.EntryOffered)
    assert isinstance(offer, e.EntryOffered)
    assert offer.reason == "it entered the stage before the workflow went live"
