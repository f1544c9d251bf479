"""Judging the rules of a visit's workflows on one trigger, and what the rules that fire ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final, Literal

from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import Stage
from trellis.common.contracts.identifiers import CommandId, StageId, command_id
from trellis.common.contracts.outcomes import AssessmentCompleted, Integrity, OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain import rules as r
from trellis.workflow.domain.application import ANONYMIZED, ERASED, Application, StageVisit, fold

ENGINE: Final = 4
"""Version of this judging: raised with every change after which an old stream would be decided otherwise."""

_FAILED: Final = (OutcomeState.REFUSED, OutcomeState.SUPERSEDED)


def settle_of(workflows: Iterable[r.Workflow], stage: Stage) -> timedelta | None:
    """Return the longest settle time of the workflows with a rule for entering *stage*; None without one."""
    waiting = [
        workflow.settle
        for workflow in workflows
        for rule in workflow.rules
        if isinstance(rule.trigger, r.OnStageEntered) and r.stage_matches(rule.trigger.stages, stage.id, stage.name)
    ]
    return max(waiting, default=None)


def judge_stage_entry(state: Application, workflows: r.Workflows) -> list[e.Event]:
    """Return the judgement of all rules on the entry of the present visit, and what they ask for."""
    visit = state.visit
    if visit is None or not visit.pins:
        return []
    if state.erased:
        return [e.FactNoted(fact="candidate.erased", reason=ERASED, activity_at=None)]
    if state.anonymized_in == visit.name:
        return [e.FactNoted(fact="candidate.anonymized", reason=ANONYMIZED, activity_at=None)]
    values: dict[str, r.Value] = {"job": visit.job_id, "stage": visit.stage_id}
    return _judge(state, visit, "stage_entered", values, None, workflows)


def judge_result(state: Application, result: AssessmentCompleted, workflows: r.Workflows) -> list[e.Event]:
    """Return the judgement of all rules on a result of the present visit, and what they ask for."""
    visit = state.visit
    if visit is None or not visit.pins:
        return []
    values: dict[str, r.Value] = {
        "job": visit.job_id,
        "stage": visit.stage_id,
        "score": result.score,
        "qualified": result.qualified,
        "integrity": None if result.integrity is Integrity.UNKNOWN else result.integrity.value,
    }
    return _judge(state, visit, "assessment_completed", values, result, workflows)


def _judge(
    state: Application,
    visit: StageVisit,
    trigger: Literal["stage_entered", "assessment_completed"],
    values: Mapping[str, r.Value],
    result: AssessmentCompleted | None,
    workflows: r.Workflows,
) -> list[e.Event]:
    judged: list[e.RuleJudged] = []
    asked: list[e.Event] = []
    for name, version in sorted(visit.pins.items()):
        workflow = workflows.versions[name, version]
        for rule in workflow.rules:
            verdict = _verdict(workflow, rule, visit, values, result)
            judged.append(verdict)
            if verdict.verdict == "fired":
                asked += _asked(fold(state, asked), visit, workflow, rule, verdict.reason, result)
    subject = "" if result is None else f"{result.assessment_id}@{result.result_version}"
    summary = e.RulesJudged(visit=visit.name, trigger=trigger, subject=subject, engine=ENGINE, rules=tuple(judged))
    return [summary, *asked]


def _verdict(
    workflow: r.Workflow,
    rule: r.Rule,
    visit: StageVisit,
    values: Mapping[str, r.Value],
    result: AssessmentCompleted | None,
) -> e.RuleJudged:
    def said(
        verdict: Literal["fired", "no", "unknown", "untriggered"], reason: str, seen: tuple[r.Seen, ...] = ()
    ) -> e.RuleJudged:
        comparisons = tuple(
            e.Comparison(field=item.field, value=item.value, wanted=item.wanted, verdict=item.verdict) for item in seen
        )
        return e.RuleJudged(
            workflow=workflow.name,
            version=workflow.version,
            rule=rule.name,
            verdict=verdict,
            reason=reason,
            comparisons=comparisons,
        )

    untriggered = _why_untriggered(rule.trigger, visit, result)
    if untriggered is not None:
        return said("untriggered", untriggered)
    verdict, seen = r.judge(rule.condition, values, visit.stage_name)
    if verdict is None:
        missing = sorted({item.field for item in seen if item.verdict is None})
        return said("unknown", f"not known: {', '.join(missing)}", seen)
    if not verdict:
        return said(
            "no",
            "; ".join(_told(item) for item in seen if item.verdict is False) or "its condition does not hold",
            seen,
        )
    held = "; ".join(_told(item) for item in seen if item.verdict) or "no condition"
    return said("fired", held, seen)


def _why_untriggered(trigger: r.Trigger, visit: StageVisit, result: AssessmentCompleted | None) -> str | None:
    match trigger:
        case r.OnStageEntered(stages=stages):
            if result is not None:
                return "its trigger is entering a stage"
            if r.stage_matches(stages, visit.stage_id, visit.stage_name):
                return None
            return f"its stage is {' or '.join(map(str, stages))}, not {visit.stage_name or visit.stage_id}"
        case r.OnAssessmentCompleted(assessment=assessment):
            if result is None:
                return "its trigger is a completed assessment"
            if assessment is None or assessment == result.assessment_id:
                return None
            return f"its assessment is {assessment}, not {result.assessment_id}"


def _told(seen: r.Seen) -> str:
    value = (
        "not known"
        if seen.value is None
        else "yes"
        if seen.value is True
        else "no"
        if seen.value is False
        else f"{seen.value}"
    )
    return f"{seen.field} is {value} (wanted: {seen.wanted})"


def _asked(
    state: Application,
    visit: StageVisit,
    workflow: r.Workflow,
    rule: r.Rule,
    reason: str,
    result: AssessmentCompleted | None,
) -> Iterator[e.Event]:
    """Yield what a fired rule asks for, in order; what stands already is not asked for again."""
    for index, action in enumerate(rule.actions):
        if isinstance(action, r.AskApproval):
            if (visit.name, workflow.name, rule.name) not in state.held:
                yield e.ApprovalRequested(
                    visit=visit.name,
                    text=action.text,
                    held=tuple(_in_words(item) for item in rule.actions[index + 1 :]),
                    workflow=workflow.name,
                    version=workflow.version,
                    rule=rule.name,
                    reason=reason,
                )
            return
        event = _requested(state, visit, workflow, rule, index, action, reason, result)
        if event is not None:
            yield event
            state = fold(state, [event])


def _requested(
    state: Application,
    visit: StageVisit,
    workflow: r.Workflow,
    rule: r.Rule,
    index: int,
    action: r.SendAssessment | r.AddNote | r.Move,
    reason: str,
    result: AssessmentCompleted | None,
) -> e.Event | None:
    def ident(kind: Action, ordinal: str) -> CommandId | None:
        made = command_id(state.account, state.application_id, visit.name, kind.value, ordinal)
        return None if state.stands(made) else made

    match action:
        case r.SendAssessment() if visit.name in state.excused:
            return None
        case r.SendAssessment(assessment=assessment):
            made = ident(Action.INVITE, assessment)
            return (
                None
                if made is None
                else e.InviteRequested(
                    command_id=made,
                    visit=visit.name,
                    stage_id=visit.stage_id,
                    assessment_id=assessment,
                    workflow=workflow.name,
                    version=workflow.version,
                    rule=rule.name,
                    reason=reason,
                )
            )
        case r.AddNote(text=text):
            version = 0 if result is None else result.result_version
            about = "" if result is None else result.assessment_id
            made = ident(Action.NOTE, f"{workflow.name}/{rule.name}#{index}@{about}:{version}")
            return (
                None
                if made is None
                else e.NoteRequested(
                    command_id=made,
                    visit=visit.name,
                    stage_id=visit.stage_id,
                    text=fill(text, result),
                    assessment_id=None if result is None else result.assessment_id,
                    workflow=workflow.name,
                    version=workflow.version,
                    rule=rule.name,
                    reason=reason,
                )
            )
        case r.Move(to=to):
            if _move_stands(state, visit):
                return None
            made = ident(Action.MOVE, f"{workflow.name}/{rule.name}#{index}")
            return (
                None
                if made is None
                else e.MoveRequested(
                    command_id=made,
                    visit=visit.name,
                    from_stage_id=visit.stage_id,
                    to_stage_id=_stage_id(to),
                    to_stage_name=to if isinstance(to, str) else None,
                    workflow=workflow.name,
                    version=workflow.version,
                    rule=rule.name,
                    reason=reason,
                )
            )


def _move_stands(state: Application, visit: StageVisit) -> bool:
    """One move a visit: a second one is asked for only after the first came to nothing."""
    return any(
        item.action is Action.MOVE and item.visit == visit.name and item.state not in _FAILED
        for item in state.commands.values()
    )


def _stage_id(to: r.StageRef | None) -> StageId | None:
    return StageId(to) if isinstance(to, int) else None


def _in_words(action: r.Action) -> str:
    match action:
        case r.SendAssessment(assessment=assessment):
            return f"invite to {assessment}"
        case r.AddNote():
            return "write a note"
        case r.Move(to=None):
            return "move to the next stage"
        case r.Move(to=to):
            return f"move to {to}"
        case r.AskApproval(text=text):
            return f"ask: {text}"


def fill(text: str, result: AssessmentCompleted | None) -> str:
    """Return a note's text with what is known of *result*; `{report_link}` is left for the writer."""
    if result is None:
        return text
    known = {
        "assessment": result.assessment_name or result.assessment_id,
        "score": "unknown" if result.score is None else f"{result.score:g}",
        "qualified": {True: "qualified", False: "not qualified", None: "qualification unknown"}[result.qualified],
        "qualifying_score": "unknown" if result.qualifying_score is None else f"{result.qualifying_score:g}",
        "integrity": result.integrity.value,
        "time": _time_taken(result),
        "report_link": "{report_link}",
    }
    return text.format(**known)


def _time_taken(result: AssessmentCompleted) -> str:
    taken = "time unknown" if result.minutes_taken is None else f"{result.minutes_taken} minutes"
    return f"{taken}, ended by the clock" if result.time_expired else taken
