"""What the decider makes of a person's orders by hand."""

from __future__ import annotations

from uuid import UUID, uuid4

from tests.fakes.histories import (
    ACCOUNT,
    APPLICATION,
    CALL,
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
from trellis.common.contracts.commands import Action, AttachResult
from trellis.common.contracts.facts import ApplicationStatus, Order
from trellis.common.contracts.identifiers import AssessmentId, Visit, command_id
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain.outgoing import commands_for

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
