"""Stays that were over before anything told of them are in the log, once, and nothing follows from them."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from tests.fakes.histories import (
    ACCOUNT,
    APPLICATION,
    CALL,
    CODING,
    NAMES,
    OFFER,
    REVIEW,
    History,
    ShownHistory,
    at,
    entered,
    kinds,
    snapshot,
)

from trellis.common.contracts import facts as f
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.contracts.facts import ApplicationStatus, FoundBy, PassedStage, Stage
from trellis.common.contracts.identifiers import StageId
from trellis.workflow.adapters.event_store import Recorded
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import initial_state
from trellis.workflow.domain.passing import is_of_a_passed_stay
from trellis.workflow.redeciding import redecide
from trellis.workflow.story import steps_of


def stay(stage: StageId, since: float, until: float) -> PassedStage:
    return PassedStage(stage=Stage(id=stage, name=NAMES[stage]), entered_at=at(since), exited_at=at(until))


def found(
    stage: StageId | None, minutes: float, *passed: PassedStage, entered_minutes: float | None = None, **more: object
) -> f.ApplicationObserved:
    """A reading of an application that entered *stage* at *minutes*, or at *entered_minutes*."""
    return f.ApplicationObserved(
        application_id=APPLICATION,
        application=snapshot(stage, minutes, **more),
        observed_at=at(60),
        entered_at=None if stage is None else at(minutes if entered_minutes is None else entered_minutes),
        found_by=FoundBy.RECONCILIATION,
        act_within_s=86400.0,
        passed=passed,
    )


def in_review() -> History:
    history = History()
    history.tell(entered(REVIEW, 0))
    return history


def test_a_stay_that_ended_after_the_application_was_read_is_the_present_one() -> None:
    """The application and its stays are two readings; the next look tells how it stands."""
    read = replace(found(CODING, 10, stay(CALL, 5, 10), stay(CODING, 10, 20)), entered_at=None)
    assert [event.stage_id for event in in_review().tell(read) if isinstance(event, e.StagePassed)] == [CALL]
    over = replace(read, application=replace(read.application, status=ApplicationStatus.REJECTED))
    assert [event.stage_id for event in in_review().tell(over) if isinstance(event, e.StagePassed)] == [CALL, CODING]


@pytest.mark.parametrize(
    ("stage", "stays", "passed"),
    [
        (CODING, (), []),
        (None, (stay(CALL, 5, 10),), [CALL]),
        (OFFER, (stay(CALL, 5, 10), stay(CODING, 10, 20)), [CALL, CODING]),
    ],
    ids=["none", "in no stage", "in another stage"],
)
def test_where_the_present_stay_is_not_told_the_others_are_recorded(
    stage: StageId | None, stays: tuple[PassedStage, ...], passed: list[StageId]
) -> None:
    history = in_review()
    events = history.tell(replace(found(stage, 25, *stays), entered_at=None))
    assert [event.stage_id for event in events if isinstance(event, e.StagePassed)] == passed


def test_a_stay_in_the_stage_it_came_back_to_is_recorded() -> None:
    events = in_review().tell(found(CODING, 30, stay(CODING, 10, 20), stay(CALL, 20, 30)))
    assert [event.stage_id for event in events if isinstance(event, e.StagePassed)] == [CODING, CALL]
    events = in_review().tell(found(CODING, 30, stay(CODING, 10, 20)))
    assert [event.stage_id for event in events if isinstance(event, e.StagePassed)] == [CODING]


def test_a_stay_between_two_looks_is_recorded_before_the_present_one_and_invites_nobody() -> None:
    history = in_review()
    events = history.tell(found(OFFER, 20, stay(REVIEW, 0, 5), stay(CALL, 5, 10), stay(CODING, 10, 20)))
    assert kinds(events) == ["StagePassed", "StagePassed", "StageEntered"]
    assert events[1] == e.StagePassed(
        stage_id=CODING, stage_name="Coding Assessment", entered_at=at(10), exited_at=at(20)
    )
    assert history.of(e.InviteRequested) == [] and history.of(e.RulesJudged) == []


def test_the_present_stay_is_acted_upon_as_if_nothing_had_passed() -> None:
    passed = in_review().tell(found(CODING, 20, stay(CALL, 5, 20)))
    assert kinds(passed) == ["StagePassed", "StageEntered", "StageSettled", "RulesJudged", "InviteRequested"]
    assert passed[1:] == in_review().tell(found(CODING, 20))


@pytest.mark.parametrize("minutes", [20, 25], ids=["the same fact", "a later look at the same stay"])
def test_told_again_it_is_recorded_once(minutes: float) -> None:
    history, stays = in_review(), (stay(CODING, 10, 20),)
    history.tell(found(OFFER, 20, *stays))
    history.tell(found(OFFER, minutes, *stays, entered_minutes=20))
    history.tell(found(CALL, 40, *stays, stay(OFFER, 20, 40)))
    assert len(history.of(e.StagePassed)) == 1


def test_of_an_application_that_ended_a_stay_is_recorded_once_too() -> None:
    history = in_review()
    ended = found(None, 20, stay(CODING, 10, 20), status=ApplicationStatus.REJECTED)
    assert kinds(history.tell(ended)) == ["StagePassed", "StatusChanged"]
    assert history.tell(ended) == []
    again = found(OFFER, 40, stay(CODING, 10, 20), stay(CALL, 30, 40))
    assert [event.stage_id for event in history.tell(again) if isinstance(event, e.StagePassed)] == [CALL]


def test_nothing_is_recorded_at_first_sight_or_of_a_visit_whose_time_is_not_known() -> None:
    assert "StagePassed" not in kinds(History().tell(found(OFFER, 20, stay(CODING, 10, 20))))
    history = History()
    history.tell(entered(REVIEW, None))
    assert "StagePassed" not in kinds(history.tell(found(OFFER, 20, stay(CODING, 10, 20))))


def test_a_reading_that_is_overtaken_tells_of_no_stay() -> None:
    history = in_review()
    history.tell(entered(OFFER, 30))
    assert history.tell(found(CALL, 20, stay(CODING, 10, 20))) == []


@pytest.mark.parametrize(("minutes", "is_recorded"), [(-5, False), (0.5, False), (1, False), (1.1, True)])
def test_only_what_came_after_the_known_entry_passed(minutes: float, is_recorded: bool) -> None:
    events = in_review().tell(found(OFFER, 20, stay(CODING, minutes, 20)))
    assert ("StagePassed" in kinds(events)) is is_recorded


def test_a_row_that_does_not_come_before_the_present_one_is_not_recorded() -> None:
    assert kinds(in_review().tell(found(OFFER, 20, stay(CODING, 20, 20)))) == ["StageEntered"]


def test_the_late_webhook_of_such_a_stay_is_late() -> None:
    history = in_review()
    history.tell(found(OFFER, 20, stay(CODING, 10, 20)))
    (noted,) = history.tell(entered(CODING, 10))
    assert isinstance(noted, e.FactNoted) and noted.reason.startswith("late")
    assert history.state.visit is not None and history.state.visit.stage_id == OFFER


@pytest.mark.parametrize(("minutes", "invites"), [(-3000, 0), (-2990, 0), (-2980, 1)])
def test_the_late_webhook_of_a_stay_that_is_over_does_not_complete_the_present_one_in_the_same_stage(
    minutes: float, invites: int
) -> None:
    """The present entry waits for a yes, being old; its own webhook would still complete it."""
    history = History()
    history.tell(entered(REVIEW, -4000))
    history.tell(found(CODING, -2980, stay(CODING, -3000, -2990), stay(CALL, -2990, -2980)))
    assert len(history.of(e.EntryOffered)) == 1
    history.tell(entered(CODING, minutes))
    assert len(history.of(e.InviteRequested)) == invites


def test_its_webhook_is_late_even_where_greenhouse_told_no_other_time() -> None:
    history = in_review()
    told = found(None, 20, stay(CODING, 10, 20), status=ApplicationStatus.REJECTED)
    assert told.application is not None
    history.tell(replace(told, application=replace(told.application, last_activity_at=None)))
    assert kinds(history.tell(entered(CODING, 9))) == ["FactNoted"]
    assert history.of(e.InviteRequested) == []


def test_recruiters_are_shown_nothing_of_it() -> None:
    history = ShownHistory()
    history.tell(entered(REVIEW, 0))
    assert kinds(history.tell(found(OFFER, 20, stay(CODING, 10, 20)))) == ["StagePassed", "StageEntered"]


def recorded(history: History, reading: f.ApplicationObserved) -> list[Recorded]:
    known = list(history.events)
    message = Envelope(
        id=uuid4(), source="trellis/greenhouse-actions", accountid=ACCOUNT, time=at(60), data=reading, correlationid="c"
    )
    told = [(event, None) for event in known] + [(event, message) for event in history.tell(reading)]
    return [
        Recorded(
            version=number,
            event=event,
            recorded_at=at(60),
            handled_at=at(0),
            message_id=uuid4() if cause is None else cause.id,
            correlationid="c",
            message=None if cause is None else encode(cause),
        )
        for number, (event, cause) in enumerate(told, 1)
    ]


def test_deciding_again_gives_the_same() -> None:
    history = in_review()
    log = recorded(history, found(OFFER, 20, stay(CODING, 10, 20)))
    assert [type(item.event).__name__ for item in log][1:] == ["StagePassed", "StageEntered"]
    assert redecide(ACCOUNT, APPLICATION, log, history.workflows.versions) == []


def test_its_story_says_that_nobody_told_and_nothing_was_done() -> None:
    log = recorded(in_review(), found(OFFER, 20, stay(CODING, 10, 20)))
    (step,) = [step for step in steps_of(log) if step["version"] == 2]
    assert (step["kind"], step["stage_id"]) == ("fact", CODING)
    assert step["text"] == (
        "was in stage Coding Assessment from 2026-11-24 09:10:00 UTC to 2026-11-24 09:20:00 UTC; "
        "no webhook told of it, and nothing was done"
    )
    unnamed = replace(log[1], event=replace(log[1].event, stage_name=None))  # type: ignore[type-var]
    assert f"was in stage {CODING} from" in steps_of([unnamed])[0]["text"]


@pytest.mark.parametrize(
    ("passed", "told", "is_over"),
    [(10, 9, True), (10, 10 + 1 / 60, True), (10, 10 + 1.1 / 60, False), (10, None, False), (None, 10, False)],
)
def test_an_entry_told_late_is_of_a_passed_stay_up_to_a_second_after_it(
    passed: float | None, told: float | None, is_over: bool
) -> None:
    state = replace(initial_state(ACCOUNT, APPLICATION), passed_at=None if passed is None else at(passed))
    assert is_of_a_passed_stay(state, snapshot(CODING, told)) is is_over
