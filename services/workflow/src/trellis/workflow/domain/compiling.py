"""From a workflow's document, as users write it, to the rules that the decider judges."""

from __future__ import annotations

from datetime import timedelta

from trellis.common.contracts import workflows as w
from trellis.common.contracts.identifiers import AssessmentId, JobId
from trellis.workflow.domain import rules as r


def compile_workflow(document: w.WorkflowDocument, version: int) -> r.Workflow:
    """Return version *version* of the workflow in *document*."""
    return r.Workflow(
        name=document.name,
        version=version,
        jobs=None if document.jobs == "any" else frozenset(JobId(job) for job in document.jobs),
        settle=timedelta(seconds=document.settle_s),
        rules=tuple(_rule(rule) for rule in document.rules),
    )


def _rule(rule: w.Rule) -> r.Rule:
    return r.Rule(
        name=rule.name,
        trigger=_trigger(rule.when),
        condition=None if rule.if_ is None else _condition(rule.if_),
        actions=tuple(_action(action) for action in rule.then),
    )


def _trigger(when: w.When) -> r.Trigger:
    if when.stage_entered is not None:
        return r.OnStageEntered(tuple(when.stage_entered.stage))
    wanted = when.assessment_completed.assessment if when.assessment_completed is not None else None
    return r.OnAssessmentCompleted(None if wanted is None else AssessmentId(wanted))


def _condition(condition: w.Condition) -> r.Condition:
    if condition.all is not None:
        return r.All(tuple(map(_condition, condition.all)))
    if condition.any is not None:
        return r.AnyOf(tuple(map(_condition, condition.any)))
    if condition.not_ is not None:
        return r.Not(_condition(condition.not_))
    if condition.score is not None:
        return r.Between("score", condition.score.at_least, condition.score.below)
    if condition.job is not None:
        return r.OneOf("job", tuple(condition.job))
    if condition.stage is not None:
        return r.OneOf("stage", tuple(condition.stage))
    if condition.integrity is not None:
        return r.OneOf("integrity", tuple(condition.integrity))
    return r.OneOf("qualified", (condition.qualified,))


def _action(action: w.Action) -> r.Action:
    if action.send_assessment is not None:
        return r.SendAssessment(AssessmentId(action.send_assessment))
    if action.add_note is not None:
        return r.AddNote(action.add_note.text)
    if action.ask_approval is not None:
        return r.AskApproval(action.ask_approval)
    return r.Move(None if action.move == "next" else action.move)
