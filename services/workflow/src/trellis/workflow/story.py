"""The story of one application, from its events: what came in, what was decided and why, what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, assert_never

from trellis.common.contracts.commands import BY_HAND
from trellis.common.contracts.facts import ApplicationStatus, Order
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.adapters.event_store import Recorded
from trellis.workflow.domain import events as e

Step = dict[str, Any]
_VERDICTS = {
    "fired": "fired",
    "no": "did not fire",
    "unknown": "could not be decided",
    "untriggered": "was not asked",
}


def steps_of(log: Sequence[Recorded]) -> list[Step]:
    """Return the steps that *log* tells, oldest first.

    Each step has at, kind (fact, decision, command or outcome), text, effect, outcome, reason, until,
    and version; a command's step has command_id, a rule's workflow, workflow_version and rule.
    """
    told = [
        {**step, "at": item.recorded_at.isoformat(), "version": item.version}
        for item in log
        for step in _steps(item.event)
    ]
    answered = any(_answers_a_reading(item.event) for item in log[_last_reading_asked(log) :])
    over = _visits_over(log)
    for step in told:
        if (step.get("reading") and answered) or (step.get("settling") and step["visit"] in over):
            step["outcome"] = None  # it waited then; what came of it is told by a later step
    return told


def _visits_over(log: Sequence[Recorded]) -> set[str]:
    """Visits whose settle time is over or can not end any more: they settled, or another visit began."""
    over: set[str] = set()
    present: str | None = None
    for item in log:
        match item.event:
            case e.StageSettled(visit=visit):
                over.add(visit)
            case e.StageEntered(visit=visit) if present not in (None, visit):
                over.add(str(present))
                present = visit
            case e.StageEntered(visit=visit):
                present = visit
            case (
                e.ApplicationDeleted()
                | e.CandidateErased()
                | e.CandidateAnonymized()
                | e.StatusChanged(status=ApplicationStatus.REJECTED | ApplicationStatus.HIRED)
            ):
                over |= {present} if present else set()
            case _:
                pass
    return over


def _last_reading_asked(log: Sequence[Recorded]) -> int:
    asked = [index for index, item in enumerate(log) if isinstance(item.event, e.ObservationRequested)]
    return asked[-1] if asked else 0


def _answers_a_reading(event: e.Event) -> bool:
    if isinstance(event, e.FactNoted):
        return event.fact == "application.observed"
    return isinstance(event, e.StageEntered | e.ApplicationAdopted)


def _step(kind: str, text: str, **more: Any) -> Step:
    return {"kind": kind, "text": text, "effect": None, "outcome": None, "reason": None, "until": None, **more}


def _steps(event: e.Event) -> Iterator[Step]:
    match event:
        case e.ApplicationAdopted():
            where = f"in stage {event.stage_name or event.stage_id}" if event.stage_id else "in no stage"
            yield _step(
                "fact", f"adopted as it is ({event.status.value}, {where}); it triggers nothing", visit=event.visit
            )
        case e.StageEntered():
            yield from _entered(event)
        case e.StagePassed(stage_id=stage, stage_name=name):
            stay = f"was in stage {name or stage} from {_time(event.entered_at)} to {_time(event.exited_at)}"
            yield _step("fact", f"{stay}; no webhook told of it, and nothing was done", stage_id=stage)
        case e.EntryOffered(visit=visit, reason=reason):
            yield _step(
                "decision",
                f"found by reconciliation; {reason}: it waits for a person's yes",
                reason=reason,
                outcome="waiting",
                visit=visit,
                offered=True,
                remedy="`trellis offers accept` acts upon it now; left alone, nothing is sent",
            )
        case e.StageSettled(visit=visit):
            yield _step("decision", "it stayed for the settle time: the entry counts", visit=visit)
        case e.StatusChanged(status=status):
            yield _step("fact", f"the application is {status.value}")
        case e.ApplicationDeleted(reason=reason):
            yield _step("fact", reason)
        case e.CandidateChanged(candidate_id=candidate):
            yield _step("fact", f"it belongs to candidate {candidate} now")
        case e.CandidateAnonymized():
            yield _step("fact", "the candidate was anonymised in Greenhouse")
        case e.CandidateErased():
            yield _step("fact", "the person was erased by hand: nothing is kept of it, and nothing asked for any more")
        case e.FactNoted(fact=fact, reason=reason):
            yield _step("fact", f"{fact}: {reason}", reason=reason)
        case e.StandingChanged(standing=standing, detail=detail):
            shown = (
                "nothing any more" if standing is None else f"{standing.value}: {detail}" if detail else standing.value
            )
            yield _step("decision", f"to be shown in Greenhouse: {shown}", reason=detail)
        case e.RulesJudged():
            yield from _judged(event)
        case e.InviteRequested():
            yield _command("invite", f"invite to {event.assessment_id}", event)
        case e.OrderTaken():
            yield _ordered(event)
        case e.AttachRequested(assessment_id=assessment, visit=visit, command_id=command):
            text = f"the unmatched result of {assessment} is to be taken for this application's"
            yield _step("command", text, effect="attach", visit=visit, command_id=str(command))
        case e.WithdrawRequested(assessment_id=assessment, visit=visit, command_id=command):
            text = f"the invite to {assessment} is to be withdrawn"
            yield _step("command", text, effect="withdraw", visit=visit, command_id=str(command))
        case e.NoteRequested():
            yield _command("note", "write a note", event)
        case e.MoveRequested():
            to = event.to_stage_name or event.to_stage_id or "the next stage"
            yield _command("move", f"move to {to}", event)
        case e.ApprovalRequested():
            yield from _held(event)
        case e.ObservationRequested(reason=reason):
            text = f"the application is to be read in Greenhouse: {reason}"
            yield _step("decision", text, reason=reason, outcome="waiting", reading=True)
        case e.EffectSettled():
            yield _settled(event)
        case e.AssessmentStarted(visit=visit, assessment_id=assessment):
            yield _step("fact", f"the candidate began {assessment}", visit=visit)
        case e.ResultReceived():
            yield _result(event)
        case _:
            assert_never(event)


def _entered(event: e.StageEntered) -> Iterator[Step]:
    by = {"person": "", "trellis": " (moved by Trellis)", "unsettled": " while a move of ours was open"}[event.moved_by]
    when = f" at {_time(event.activity_at)} by Greenhouse" if event.activity_at else ""
    yield _step(
        "fact",
        f"entered stage {event.stage_name or event.stage_id}{by}{when}, told by {event.found_by.value}",
        visit=event.visit,
        stage_id=event.stage_id,
    )
    if not event.pins:
        yield _step("decision", "no workflow applies to this job", visit=event.visit)
        return
    pinned = ", ".join(f"{name} v{version}" for name, version in sorted(event.pins.items()))
    if event.settle_due_at is not None:
        until = event.settle_due_at.isoformat()
        yield _step(
            "decision",
            f"{pinned}: waits until {_time(event.settle_due_at)} whether it stays (settle time)",
            outcome="waiting",
            until=until,
            visit=event.visit,
            settling=True,
        )
    else:
        yield _step("decision", f"in force for this visit: {pinned}", visit=event.visit)


def _judged(event: e.RulesJudged) -> Iterator[Step]:
    about = f" on {event.subject}" if event.subject else ""
    for rule in event.rules:
        words = _VERDICTS[rule.verdict]
        yield _step(
            "decision",
            f'rule "{rule.rule}" of {rule.workflow} v{rule.version} {words}{about}: {rule.reason}',
            reason=rule.reason,
            visit=event.visit,
            workflow=rule.workflow,
            workflow_version=rule.version,
            rule=rule.rule,
            verdict=rule.verdict,
            comparisons=[
                {"field": item.field, "value": item.value, "wanted": item.wanted, "verdict": item.verdict}
                for item in rule.comparisons
            ],
        )


_ORDERS = {
    Order.ATTACH: "to attach an unmatched result",
    Order.SEND: "to send an invite",
    Order.SWAP: "to send another assessment instead",
    Order.EXCUSE: "to excuse it from the test: no result is awaited or judged in this stage visit",
    Order.WITHDRAW: "to withdraw the invite",
}


def _ordered(event: e.OrderTaken) -> Step:
    about = f": {event.assessment_id}" if event.assessment_id else ""
    words = f"a person asked {_ORDERS[event.order]}{about}"
    if event.refused:
        return _step("fact", f"{words}; nothing is done: {event.refused}", reason=event.refused, visit=event.visit)
    remedy = "move the application on by hand when that is wanted" if event.order is Order.EXCUSE else None
    return _step("fact", words, visit=event.visit, remedy=remedy)


def _command(effect: str, text: str, event: e.InviteRequested | e.NoteRequested | e.MoveRequested) -> Step:
    by = f'rule "{event.rule}" of {event.workflow} v{event.version}' if event.workflow != BY_HAND else "a person"
    return _step(
        "command",
        f"{text}, asked for by {by}",
        effect=effect,
        reason=event.reason,
        visit=event.visit,
        command_id=str(event.command_id),
        workflow=event.workflow,
        workflow_version=event.version,
        rule=event.rule,
    )


def _held(event: e.ApprovalRequested) -> Iterator[Step]:
    yield _step(
        "decision",
        f"held for a person: {event.text}",
        outcome="waiting",
        reason=f'rule "{event.rule}" of {event.workflow} v{event.version} asks for approval: {event.reason}',
        visit=event.visit,
        held=True,
        rule=event.rule,
    )
    for action in event.held:
        effect = "invite" if action.startswith("invite") else "note" if "note" in action else "move"
        yield _step(
            "decision", f"{action}: only after approval", effect=effect, outcome="planned", visit=event.visit, held=True
        )


def _settled(event: e.EffectSettled) -> Step:
    to = f" (stage {event.to_stage_id})" if event.to_stage_id else ""
    words = f"{event.action.value} {event.state.value}{to}"
    return _step(
        "outcome",
        f"{words}: {event.reason}" if event.reason else words,
        effect=event.action.value,
        outcome=event.state.value if event.state is not OutcomeState.WAITING else "waiting",
        reason=event.reason or None,
        remedy=event.remedy or None,
        visit=event.visit,
        command_id=str(event.command_id),
    )


def _result(event: e.ResultReceived) -> Step:
    result = event.result
    score = "score unknown" if result.score is None else f"score {result.score:g}"
    qualified = {True: "qualified", False: "not qualified", None: "qualification unknown"}[result.qualified]
    text = f"result of {result.assessment_id} (version {result.result_version}): {score}, {qualified}, integrity {result.integrity.value}"
    held = "" if event.used else f"; not used: {event.reason}"
    return _step("fact", text + held, reason=event.reason or None, visit=result.visit)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
