"""What the decider makes of a person's orders by hand."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from tests.fakes.histories import (
    ACCOUNT,
    APPLICATION,
    CALL,
    CANDIDATE,
    CODING,
    DOCUMENT,
    TEST,
    History,
    entered,
    kinds,
    result,
    settled,
    snapshot,
    workflows,
)

from trellis.common.contracts import facts as f
from trellis.common.contracts.commands import BY_HAND, Action, AttachResult, SendInvite, WithdrawInvite
from trellis.common.contracts.facts import ApplicationStatus, Order
from trellis.common.contracts.identifiers import AssessmentId, CommandId, Visit, command_id
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import SettleElapsed
from trellis.workflow.domain.outgoing import commands_for
from trellis.workflow.story import _steps

SIGNAL = UUID(int=7)


def ordered(
    order: Order,
    assessment: str | None = None,
    *,
    visit: str = "n1",
    ident: UUID | None = None,
    signal: UUID | None = None,
) -> f.InviteOrdered:
    return f.InviteOrdered(
        order_id=ident or uuid4(),
        application_id=APPLICATION,
        visit=Visit(visit),
        order=order,
        assessment_id=None if assessment is None else AssessmentId(assessment),
        signal_id=signal,
    )


def refusal(history: History) -> str:
    taken = history.events[-1]
    assert isinstance(taken, e.OrderTaken)
    return taken.refused


class TestAttach:
    def test_it_stands_for_the_invite_of_the_present_visit(self) -> None:
        history = History()
        history.tell(entered())
        assert kinds(history.tell(ordered(Order.ATTACH, TEST, signal=SIGNAL))) == ["OrderTaken", "AttachRequested"]
        (command,) = commands_for(history.state, history.events[-1])
        assert isinstance(command, AttachResult)
        assert command.signal_id == SIGNAL
        origin = command.invite.origin
        assert (origin.workflow, origin.version, origin.rule) == (BY_HAND, 1, "attach")
        assert command.command_id == command_id(ACCOUNT, APPLICATION, Visit("n1"), "attach", str(SIGNAL))
        assert command.invite.command_id == command_id(ACCOUNT, APPLICATION, Visit("n1"), "invite", TEST)
        assert (command.invite.stage_id, command.invite.visit) == (CODING, "n1")

    def test_one_order_taken_twice_is_one_and_another_for_the_same_result_is_refused(self) -> None:
        history = History()
        history.tell(entered())
        order = ordered(Order.ATTACH, TEST, signal=SIGNAL)
        history.tell(order)
        assert history.tell(order) == []
        history.tell(ordered(Order.ATTACH, TEST, signal=SIGNAL))
        assert refusal(history) == "this result was attached to it before"

    def test_while_one_is_read_no_other_is_attached_and_after_a_refusal_another_may_be(self) -> None:
        history = History()
        history.tell(entered())
        history.tell(ordered(Order.ATTACH, TEST, signal=SIGNAL))
        asked = history.events[-1]
        assert isinstance(asked, e.AttachRequested)
        history.tell(ordered(Order.ATTACH, TEST, signal=uuid4()))
        assert "is being read" in refusal(history)
        history.tell(settled(asked.command_id, Action.ATTACH, OutcomeState.REFUSED))
        assert kinds(history.tell(ordered(Order.ATTACH, TEST, signal=uuid4())))[-1] == "AttachRequested"

    def test_a_stage_whose_rules_know_nothing_of_the_assessment_takes_no_result_of_it(self) -> None:
        history = History()
        history.tell(entered(CALL))
        history.tell(ordered(Order.ATTACH, TEST, signal=SIGNAL))
        assert "is about this assessment" in refusal(history)

    def test_what_a_person_sent_there_is_known_there_though_no_rule_sends_it(self) -> None:
        history = History()
        history.tell(entered(CALL))
        history.tell(ordered(Order.SEND, OTHER))
        assert kinds(history.tell(ordered(Order.ATTACH, OTHER, signal=SIGNAL)))[-1] == "AttachRequested"

    def test_without_the_result_or_its_assessment_there_is_nothing_to_attach(self) -> None:
        history = History()
        history.tell(entered())
        for order in (ordered(Order.ATTACH, TEST), ordered(Order.ATTACH, signal=SIGNAL)):
            history.tell(order)
            assert refusal(history) == "the order does not name the result"

    def test_a_withdrawn_invite_takes_no_result(self) -> None:
        history, _ = invited()
        history.tell(ordered(Order.WITHDRAW))
        history.tell(ordered(Order.ATTACH, TEST, signal=SIGNAL))
        assert refusal(history) == "its invite to this assessment was withdrawn"

    def test_an_entry_that_has_not_settled_takes_it_all_the_same(self) -> None:
        history = History(workflows(DOCUMENT | {"settle_s": 60}))
        history.tell(entered())
        assert history.of(e.InviteRequested) == []
        assert kinds(history.tell(ordered(Order.ATTACH, TEST, signal=SIGNAL)))[-1] == "AttachRequested"

    def test_a_visit_that_has_its_result_takes_no_other(self) -> None:
        history = History()
        history.tell(entered())
        history.tell(result())
        history.tell(ordered(Order.ATTACH, TEST, signal=SIGNAL))
        assert "has a result" in refusal(history)


OTHER = AssessmentId("frontend-1")


def asked(history: History) -> list[tuple[str, str]]:
    """The invites asked for, and the withdrawals, in order."""
    kinds = {e.InviteRequested: "invite", e.WithdrawRequested: "withdraw"}
    return [
        (kinds[type(event)], event.assessment_id)
        for event in history.events
        if isinstance(event, e.InviteRequested | e.WithdrawRequested)
    ]


class TestSend:
    def test_it_sends_what_the_stages_rules_send_and_only_once_a_visit(self) -> None:
        history = History(workflows(DOCUMENT | {"settle_s": 60}))
        history.tell(entered())
        history.tell(ordered(Order.SEND))
        history.tell(ordered(Order.SEND))
        assert asked(history) == [("invite", TEST)]
        assert "at most once" in refusal(history)
        (invite,) = history.of(e.InviteRequested)
        assert isinstance(invite, e.InviteRequested)
        (command,) = commands_for(history.state, invite)
        assert isinstance(command, SendInvite)
        assert (command.origin.workflow, command.origin.version, command.command_id) == (
            BY_HAND,
            1,
            command_id(ACCOUNT, APPLICATION, Visit("n1"), "invite", TEST),
        )
        settle = SettleElapsed(application_id=APPLICATION, visit=Visit("n1"))
        assert "InviteRequested" not in kinds(history.tell(settle))

    def test_a_stage_without_a_rule_wants_the_assessment_named(self) -> None:
        history = History()
        history.tell(entered(CALL))
        history.tell(ordered(Order.SEND))
        assert "name one" in refusal(history)
        history.tell(ordered(Order.SEND, OTHER))
        assert asked(history) == [("invite", OTHER)]

    def test_what_is_parked_is_redriven_instead(self) -> None:
        history, invite = invited()
        history.tell(settled(invite, Action.INVITE, OutcomeState.PARKED))
        history.tell(ordered(Order.SEND))
        assert "redrive" in refusal(history)

    @pytest.mark.parametrize("state", [OutcomeState.REFUSED, OutcomeState.SUPERSEDED])
    def test_what_came_to_nothing_is_said_so(self, state: OutcomeState) -> None:
        history, invite = invited()
        history.tell(settled(invite, Action.INVITE, state))
        history.tell(ordered(Order.SEND))
        assert "came to nothing" in refusal(history)


class TestWithdraw:
    def test_only_once_and_only_of_this_visit(self) -> None:
        history, _ = invited()
        history.tell(ordered(Order.WITHDRAW))
        (event,) = history.of(e.WithdrawRequested)
        assert isinstance(event, e.WithdrawRequested)
        assert event.command_id == command_id(ACCOUNT, APPLICATION, Visit("n1"), "withdraw", TEST)
        history.tell(ordered(Order.WITHDRAW))
        assert "no such invite" in refusal(history)
        other, _ = invited()
        other.tell(entered(CALL, 5))
        other.tell(ordered(Order.WITHDRAW, visit="n2"))
        assert "no such invite" in refusal(other)

    def test_its_result_is_shown_and_not_judged_and_it_is_not_sent_again(self) -> None:
        history, invite = invited()
        assert kinds(history.tell(ordered(Order.WITHDRAW))) == ["OrderTaken", "WithdrawRequested"]
        (command,) = commands_for(history.state, history.events[-1])
        assert isinstance(command, WithdrawInvite)
        assert (command.invite.command_id, command.invite.origin.rule) == (invite, "withdraw")
        history.tell(ordered(Order.SEND))
        assert "was withdrawn" in refusal(history)
        assert kinds(history.tell(result())) == ["ResultReceived"]
        received = history.events[-1]
        assert isinstance(received, e.ResultReceived)
        assert "withdrew" in received.reason

    @pytest.mark.parametrize("state", [OutcomeState.REFUSED, OutcomeState.SUPERSEDED])
    def test_nothing_open_is_withdrawn(self, state: OutcomeState) -> None:
        history, invite = invited()
        history.tell(ordered(Order.WITHDRAW, OTHER))
        assert "no such invite" in refusal(history)
        history.tell(settled(invite, Action.INVITE, state))
        history.tell(ordered(Order.WITHDRAW))
        assert "no such invite" in refusal(history)

    def test_a_result_that_is_there_stands(self) -> None:
        history, _ = invited()
        history.tell(result())
        history.tell(ordered(Order.WITHDRAW))
        assert "no such invite" in refusal(history)

    def test_of_several_one_is_to_be_named(self) -> None:
        history, _ = invited()
        history.tell(ordered(Order.SEND, OTHER))
        history.tell(ordered(Order.WITHDRAW))
        assert "name the assessment" in refusal(history)
        history.tell(ordered(Order.WITHDRAW, OTHER))
        assert asked(history) == [("invite", TEST), ("invite", OTHER), ("withdraw", OTHER)]


class TestSwap:
    def test_the_open_one_is_withdrawn_and_the_other_sent(self) -> None:
        history, _ = invited()
        history.tell(ordered(Order.SWAP, OTHER))
        assert asked(history) == [("invite", TEST), ("withdraw", TEST), ("invite", OTHER)]
        history.tell(ordered(Order.SWAP, TEST))
        assert "was withdrawn" in refusal(history)

    def test_nothing_to_swap_or_nothing_to_swap_for_is_refused(self) -> None:
        history = History()
        history.tell(entered(CALL))
        history.tell(ordered(Order.SWAP, OTHER))
        assert "0 invites are open" in refusal(history)
        history.tell(ordered(Order.SWAP))
        assert "does not name" in refusal(history)


class TestExcuse:
    def test_no_result_of_the_visit_is_judged_and_nothing_is_sent_any_more(self) -> None:
        history, _ = invited()
        assert kinds(history.tell(ordered(Order.EXCUSE))) == ["OrderTaken", "WithdrawRequested"]
        for order in (ordered(Order.SEND, OTHER), ordered(Order.ATTACH, TEST, signal=SIGNAL)):
            history.tell(order)
            assert "excused" in refusal(history)
        assert kinds(history.tell(result())) == ["ResultReceived"]

    def test_before_the_entry_settles_it_keeps_the_rule_from_sending(self) -> None:
        history = History(workflows(DOCUMENT | {"settle_s": 60}))
        history.tell(entered())
        history.tell(ordered(Order.EXCUSE))
        history.tell(SettleElapsed(application_id=APPLICATION, visit=Visit("n1")))
        assert asked(history) == []

    def test_another_visit_is_as_ever(self) -> None:
        history, _ = invited()
        history.tell(ordered(Order.EXCUSE))
        history.tell(entered(CALL, 5))
        history.tell(entered(CODING, 10))
        assert asked(history)[-1] == ("invite", TEST)

    def test_a_result_that_is_there_stands(self) -> None:
        history, _ = invited()
        history.tell(result())
        history.tell(ordered(Order.EXCUSE))
        assert "there already" in refusal(history)
        assert "RulesJudged" in kinds(history.tell(result(version=2)))


def invited() -> tuple[History, CommandId]:
    history = History()
    history.tell(entered())
    (invite,) = history.of(e.InviteRequested)
    assert isinstance(invite, e.InviteRequested)
    return history, invite.command_id


def test_the_story_says_that_a_person_asked_and_what_comes_of_it() -> None:
    history, _ = invited()
    history.tell(ordered(Order.SWAP, OTHER))
    history.tell(ordered(Order.SEND, TEST))
    told = [step["text"] for event in history.events[-4:] for step in _steps(event)]
    assert told == [
        f"a person asked to send another assessment instead: {OTHER}",
        f"the invite to {TEST} is to be withdrawn",
        f"invite to {OTHER}, asked for by a person",
        f"a person asked to send an invite: {TEST}; nothing is done: its invite to this assessment was withdrawn, "
        "and one is sent at most once a stage visit",
    ]


def test_an_order_for_another_visit_or_an_application_out_of_the_running_does_nothing() -> None:
    history = History()
    order = ordered(Order.ATTACH, TEST, signal=SIGNAL)
    assert history.tell(order) == []
    history.tell(entered())
    history.tell(entered(CALL, 5))
    history.tell(order)
    assert refusal(history) == "it is in that stage visit no more"
    history.tell(f.ApplicationRejected(application=snapshot(CALL, 10, status=ApplicationStatus.REJECTED)))
    history.tell(ordered(Order.ATTACH, TEST, visit="n2", signal=SIGNAL))
    assert refusal(history) == "the application is rejected"
    assert history.of(e.AttachRequested) == []


def test_who_was_deleted_or_is_in_no_stage_is_left_alone() -> None:
    history = History()
    history.tell(f.ApplicationUpdated(application=snapshot(None)))
    history.tell(ordered(Order.SEND, TEST))
    assert refusal(history) == "it is in that stage visit no more"
    erased, deleted = History(), History()
    for one, fact, words in (
        (erased, f.CandidateErased(candidate_id=CANDIDATE), "erased"),
        (deleted, f.ApplicationDeleted(application_id=APPLICATION), "deleted"),
    ):
        one.tell(entered())
        one.tell(fact)
        one.tell(ordered(Order.WITHDRAW))
        assert words in refusal(one)
