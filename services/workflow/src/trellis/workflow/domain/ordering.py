"""What follows from a person's order by hand. Pure; an order that cannot be carried out is recorded with its reason."""

from __future__ import annotations

from uuid import UUID

from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import ApplicationStatus, InviteOrdered
from trellis.common.contracts.identifiers import AssessmentId, CommandId, command_id
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain import rules as r
from trellis.workflow.domain.application import Application, StageVisit


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
    if state.status is not ApplicationStatus.ACTIVE:
        return f"the application is {state.status.value}"
    if visit is None or visit.name != order.visit:
        return "it is in that stage visit no more"
    if order.signal_id is None or order.assessment_id is None:
        return "the order does not name the result"
    if not _concerns(state, visit, order.assessment_id, workflows):
        return "neither an invite of this stage visit nor a rule for this stage is about this assessment"
    return _attached(state, visit, order.assessment_id, order.signal_id)


def _attached(state: Application, visit: StageVisit, assessment: AssessmentId, signal: UUID) -> list[e.Event] | str:
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


def _concerns(state: Application, visit: StageVisit, assessment: AssessmentId, workflows: r.Workflows) -> bool:
    """Whether a result of *assessment* belongs into this visit: anywhere else its rules would move the wrong way."""
    if _ident(state, visit, Action.INVITE, assessment) in state.commands:
        return True
    rules = (rule for pin in visit.pins.items() for rule in workflows.versions[pin].rules)
    return any(
        isinstance(rule.trigger, r.OnStageEntered)
        and r.stage_matches(rule.trigger.stages, visit.stage_id, visit.stage_name)
        and any(isinstance(action, r.SendAssessment) and action.assessment == assessment for action in rule.actions)
        for rule in rules
    )


def _ident(state: Application, visit: StageVisit, action: Action, ordinal: str) -> CommandId:
    return command_id(state.account, state.application_id, visit.name, action.value, ordinal)
