"""What the decider records of the commands' outcomes and of results."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fakes.histories import ACCOUNT, APPLICATION, OFFER, TEST, History, at, entered, kinds, result, settled
from tests.unit.workflow.telling import rejected

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import Visit, command_id
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import Input


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
    ("state", "asked"),
    [(o.OutcomeState.SUPERSEDED, True), (o.OutcomeState.DONE, False), (o.OutcomeState.PARKED, False)],
)
def test_an_invite_whose_request_is_forgotten_is_asked_for_unless_it_may_stand(
    state: o.OutcomeState, asked: bool
) -> None:
    """After a restore what came of a request may be under way still, and the request be known to nobody."""
    history = History()
    ident = command_id(ACCOUNT, APPLICATION, Visit("n1"), "invite", TEST)
    history.tell(settled(ident, Action.INVITE, state))
    history.tell(entered())
    assert bool(history.of(e.InviteRequested)) is asked


def test_an_invite_that_was_asked_for_and_passed_over_is_not_asked_for_again() -> None:
    history = History()
    history.tell(entered())
    (invite,) = history.of(e.InviteRequested)
    history.tell(settled(invite.command_id, Action.INVITE, o.OutcomeState.SUPERSEDED))
    assert history.state.stands(invite.command_id)


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
