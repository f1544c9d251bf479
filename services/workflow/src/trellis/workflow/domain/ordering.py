"""What follows from a person's order by hand. Pure; an order that cannot be carried out is recorded with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from trellis.common.contracts.commands import BY_HAND, Action
from trellis.common.contracts.facts import ApplicationStatus, InviteOrdered, Order
from trellis.common.contracts.identifiers import AssessmentId, CommandId, command_id
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain import rules as r
from trellis.workflow.domain.application import ERASED, Application, StageVisit


def obey(state: Application, order: InviteOrdered, workflows: r.Workflows) -> list[e.Event]:
    """Return what follows from *order*: that it was taken, and what is to be done; nothing for a repeat."""
    if not state.known or order.order_id in state.orders:
        return []
    done = _carried_out(state, order, workflows)
    refused = done if isinstance(done, str) else ""
    taken = e.OrderTaken(
        order_id=order.order_id,
        order=order.order,
        visit=order.visit,
        assessment_id=order.assessment_id,
        refused=refused,
    )
    return [taken] if isinstance(done, str) else [taken, *done]


def _carried_out(state: Application, order: InviteOrdered, workflows: r.Workflows) -> list[e.Event] | str:
    """Return what is to be done, or why nothing is."""
    visit = state.visit
    if state.deleted:
        return "the application was deleted"
    if state.erased:
        return ERASED
    if state.status is not ApplicationStatus.ACTIVE:
        return f"the application is {state.status.value}"
    if visit is None or visit.name != order.visit:
        return "it is in that stage visit no more"
    if visit.name in state.excused:
        return "it was excused from the test in this stage visit"
    match order.order:
        case Order.ATTACH:
            return _attached(state, visit, order, workflows)
        case Order.SEND:
            return _sent(state, visit, order, workflows)
        case Order.SWAP:
            return _swapped(state, visit, order)
        case Order.EXCUSE:
            return _excused(state, visit)
        case Order.WITHDRAW:
            return _withdrawn(state, visit, order)
        case _:
            assert_never(order.order)


# -- invites


def _sent(state: Application, visit: StageVisit, order: InviteOrdered, workflows: r.Workflows) -> list[e.Event] | str:
    """Invite it now, settled or not: to the assessment named, or to the one that this stage's rules send."""
    if order.assessment_id is not None:
        return _invited(state, visit, order.assessment_id, order.order)
    sent = _sent_here(visit, workflows)
    if len(sent) != 1:
        return f"the rules for this stage send {len(sent)} assessments: name one"
    return _invited(state, visit, next(iter(sent)), order.order)


def _swapped(state: Application, visit: StageVisit, order: InviteOrdered) -> list[e.Event] | str:
    if order.assessment_id is None:
        return "the order does not name the assessment to send instead"
    if (visit.name, order.assessment_id) in state.invites:
        return _why_not_again(state, visit, order.assessment_id)
    old = _open(state, visit)
    if len(old) != 1:
        return f"{len(old)} invites are open in this stage visit; withdraw and send instead of swapping"
    sent = _invited(state, visit, order.assessment_id, order.order)
    return sent if isinstance(sent, str) else [*_withdrawals(state, visit, old), *sent]


def _excused(state: Application, visit: StageVisit) -> list[e.Event] | str:
    if any(name == visit.name for name, _ in state.results):
        return "a result of this stage visit is there already"
    return _withdrawals(state, visit, _open(state, visit))


def _withdrawn(state: Application, visit: StageVisit, order: InviteOrdered) -> list[e.Event] | str:
    old = [item for item in _open(state, visit) if order.assessment_id in (None, item)]
    if not old:
        return "no such invite is open in this stage visit"
    if len(old) > 1:
        return f"{len(old)} invites are open in this stage visit: name the assessment"
    return _withdrawals(state, visit, old)


def _invited(state: Application, visit: StageVisit, assessment: AssessmentId, order: Order) -> list[e.Event] | str:
    ident = _ident(state, visit, Action.INVITE, assessment)
    if ident in state.commands:
        return _why_not_again(state, visit, assessment)
    asked = e.InviteRequested(
        command_id=ident,
        visit=visit.name,
        stage_id=visit.stage_id,
        assessment_id=assessment,
        workflow=BY_HAND,
        version=1,
        rule=order.value,
        reason="a person asked for it",
    )
    return [asked]


def _why_not_again(state: Application, visit: StageVisit, assessment: AssessmentId) -> str:
    known = state.commands[_ident(state, visit, Action.INVITE, assessment)]
    if (visit.name, assessment) in state.withdrawn:
        return "its invite to this assessment was withdrawn, and one is sent at most once a stage visit"
    if known.state in (OutcomeState.REFUSED, OutcomeState.SUPERSEDED):
        return "its invite of this stage visit came to nothing, as its story tells; another visit may be invited anew"
    if known.state is OutcomeState.PARKED:
        return "its invite to this assessment is parked: `trellis parked redrive` sends it"
    return "it was invited to this assessment in this stage visit already, which is done at most once"


def _open(state: Application, visit: StageVisit) -> list[AssessmentId]:
    """Return the assessments of this visit to which an invite is out, or under way, and has no result."""
    return sorted(
        assessment
        for (name, assessment), ident in state.invites.items()
        if name == visit.name
        and (name, assessment) not in state.withdrawn
        and (name, assessment) not in state.results
        and state.commands[ident].state not in (OutcomeState.REFUSED, OutcomeState.SUPERSEDED)
    )


def _withdrawals(state: Application, visit: StageVisit, assessments: Iterable[AssessmentId]) -> list[e.Event]:
    return [
        e.WithdrawRequested(
            command_id=_ident(state, visit, Action.WITHDRAW, assessment),
            invite_id=_ident(state, visit, Action.INVITE, assessment),
            visit=visit.name,
            stage_id=visit.stage_id,
            assessment_id=assessment,
        )
        for assessment in assessments
    ]


# -- results


def _attached(
    state: Application, visit: StageVisit, order: InviteOrdered, workflows: r.Workflows
) -> list[e.Event] | str:
    assessment, signal = order.assessment_id, order.signal_id
    if assessment is None or signal is None:
        return "the order does not name the result"
    is_invited = _ident(state, visit, Action.INVITE, assessment) in state.commands
    if not is_invited and assessment not in _sent_here(visit, workflows):  # its rules would move the wrong way
        return "neither an invite of this stage visit nor a rule for this stage is about this assessment"
    if (visit.name, assessment) in state.withdrawn:
        return "its invite to this assessment was withdrawn"
    if (visit.name, assessment) in state.results:
        return "it has a result of this assessment in this stage visit already"
    ident = _ident(state, visit, Action.ATTACH, str(signal))
    before = state.attached.get((visit.name, assessment))
    if ident in state.commands:
        return "this result was attached to it before"
    if before is not None and state.commands[before].state is not OutcomeState.REFUSED:
        return "another result was attached to it before, and its report is being read"
    return [
        e.AttachRequested(
            command_id=ident,
            invite_id=_ident(state, visit, Action.INVITE, assessment),
            visit=visit.name,
            stage_id=visit.stage_id,
            assessment_id=assessment,
            signal_id=signal,
        )
    ]


def _sent_here(visit: StageVisit, workflows: r.Workflows) -> set[AssessmentId]:
    """Return the assessments that the visit's rules send on entering its stage."""
    return {
        action.assessment
        for pin in visit.pins.items()
        for rule in workflows.versions[pin].rules
        if isinstance(rule.trigger, r.OnStageEntered)
        and r.stage_matches(rule.trigger.stages, visit.stage_id, visit.stage_name)
        for action in rule.actions
        if isinstance(action, r.SendAssessment)
    }


def _ident(state: Application, visit: StageVisit, action: Action, ordinal: str) -> CommandId:
    return command_id(state.account, state.application_id, visit.name, action.value, ordinal)
