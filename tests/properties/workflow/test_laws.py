"""The laws of the decider, over generated histories."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.histories import (
    ACCOUNT,
    APPLICATION,
    CALL,
    CODING,
    OFFER,
    REVIEW,
    TEST,
    History,
    at,
    entered,
    result,
    snapshot,
)

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import StageId, Visit
from trellis.workflow.adapters.codec import from_stored, to_stored
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import fold, initial_state
from trellis.workflow.domain.decisions import Input, SettleElapsed
from trellis.workflow.domain.outgoing import commands_for

STAGES = st.sampled_from([REVIEW, CALL, CODING, OFFER])
MINUTES = st.one_of(st.integers(0, 20), st.none())
VISITS = st.sampled_from(["n1", "n2", "n3"])


def reconciled(stage: StageId, minutes: int, passed: list[tuple[StageId, int]]) -> f.ApplicationObserved:
    return f.ApplicationObserved(
        application_id=APPLICATION,
        application=snapshot(stage, minutes),
        observed_at=at(minutes),
        entered_at=at(minutes),
        found_by=f.FoundBy.RECONCILIATION,
        act_within_s=86400.0,
        passed=tuple(
            f.PassedStage(stage=f.Stage(id=of), entered_at=at(since), exited_at=at(since + 1))
            for of, since in sorted(passed, key=lambda stay: stay[1])
        ),
    )


def inputs() -> st.SearchStrategy[Input]:
    status = st.sampled_from([ApplicationStatus.ACTIVE, ApplicationStatus.REJECTED])
    return st.one_of(
        st.builds(entered, STAGES, MINUTES),
        st.builds(lambda s, m: f.ApplicationCreated(application=snapshot(s, m)), STAGES, MINUTES),
        st.builds(lambda s, m, w: f.ApplicationUpdated(application=snapshot(s, m, status=w)), STAGES, MINUTES, status),
        st.builds(
            lambda s, m: f.ApplicationRejected(application=snapshot(s, m, status=ApplicationStatus.REJECTED)),
            STAGES,
            MINUTES,
        ),
        st.builds(lambda s, m: f.ApplicationUnrejected(application=snapshot(s, m)), STAGES, MINUTES),
        st.just(f.ApplicationHired(application=snapshot(None, None, status=None))),
        st.builds(
            lambda s, m, n: f.ApplicationObserved(
                application_id=APPLICATION,
                application=snapshot(s, m),
                observed_at=at(m or 0),
                entered_at=None if n is None else at(n),
            ),
            STAGES,
            MINUTES,
            MINUTES,
        ),
        st.builds(reconciled, STAGES, st.integers(0, 20), st.lists(st.tuples(STAGES, st.integers(0, 20)), max_size=3)),
        st.builds(lambda v: SettleElapsed(application_id=APPLICATION, visit=Visit(v)), VISITS),
        st.builds(
            lambda v, n, s, q, i: result(v, version=n, score=s, qualified=q, integrity=i),
            VISITS,
            st.integers(1, 3),
            st.one_of(st.none(), st.floats(0, 100)),
            st.sampled_from([True, False, None]),
            st.sampled_from(list(o.Integrity)),
        ),
    )


HISTORIES = st.lists(inputs(), max_size=14)


def played(messages: list[Input]) -> History:
    history = History()
    for message in messages:
        history.tell(message)
    return history


@given(HISTORIES)
def test_deciding_a_message_twice_asks_for_no_further_effect(messages: list[Input]) -> None:
    history = History()
    for message in messages:
        history.tell(message)
        again = history.tell(message)
        assert not [x for x in again if isinstance(x, e.InviteRequested | e.NoteRequested | e.MoveRequested)]


@given(HISTORIES)
def test_no_command_is_asked_for_twice_and_one_invite_a_visit_and_assessment(messages: list[Input]) -> None:
    events = played(messages).events
    ids = [
        x.command_id
        for x in events
        if isinstance(x, e.InviteRequested | e.NoteRequested | e.MoveRequested | e.ObservationRequested)
    ]
    assert len(ids) == len(set(ids))
    invites = [(x.visit, x.assessment_id) for x in events if isinstance(x, e.InviteRequested)]
    assert len(invites) == len(set(invites))
    moves = [x.visit for x in events if isinstance(x, e.MoveRequested)]
    assert len(moves) == len(set(moves))


@given(HISTORIES, st.integers(0, 40))
def test_folding_splits_anywhere(messages: list[Input], cut: int) -> None:
    events = played(messages).events
    start = initial_state(ACCOUNT, APPLICATION)
    assert fold(fold(start, events[:cut]), events[cut:]) == fold(start, events)


@given(HISTORIES)
def test_every_event_survives_being_stored(messages: list[Input]) -> None:
    for event in played(messages).events:
        assert from_stored(*to_stored(event)) == event


@given(HISTORIES)
def test_a_stay_that_passed_is_recorded_once_and_in_order(messages: list[Input]) -> None:
    begun = [event.entered_at for event in played(messages + messages).events if isinstance(event, e.StagePassed)]
    assert begun == sorted(begun)
    together = [stay for reading in messages if isinstance(reading, f.ApplicationObserved) for stay in reading.passed]
    if len({stay.entered_at for stay in together}) == len(together):
        assert len(set(begun)) == len(begun)


@given(HISTORIES)
def test_each_effect_asked_for_becomes_exactly_one_command_of_that_id(messages: list[Input]) -> None:
    history = played(messages)
    for event in history.events:
        commands = commands_for(history.state, event)
        wanted = getattr(event, "command_id", None) if not isinstance(event, e.EffectSettled) else None
        assert [command.command_id for command in commands] == ([wanted] if wanted else [])


@given(HISTORIES)
def test_no_note_and_no_move_follow_from_an_unknown_qualification_or_suspicion(messages: list[Input]) -> None:
    """`pass` needs a known yes, so a move never rests on what is not known."""
    history = History()
    for message in messages:
        new = history.tell(message)
        if any(isinstance(x, e.MoveRequested) for x in new):
            assert isinstance(message, o.AssessmentCompleted)
            assert message.qualified is True
            assert message.integrity is o.Integrity.NONE
            assert message.score is not None
            assert message.score >= 70


STORY = [
    f.ApplicationCreated(application=snapshot(REVIEW, 0)),
    entered(CALL, 10),
    f.ApplicationUpdated(application=snapshot(CALL, 12)),
    entered(CODING, 20),
]


@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_reordered_and_repeated_deliveries_end_in_the_same_stage_with_one_invite(
    rnd: random.Random, extra: int
) -> None:
    messages = STORY + [rnd.choice(STORY) for _ in range(extra)]
    rnd.shuffle(messages)
    history = played(messages)
    assert history.state.visit is not None
    assert history.state.visit.stage_id == CODING
    invites = history.of(e.InviteRequested)
    assert [x.assessment_id for x in invites] == [TEST]
