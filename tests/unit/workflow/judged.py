"""Workflows of a few rules, histories that they judged, and what was recorded of it."""

from __future__ import annotations

from tests.fakes.histories import ACCOUNT, APPLICATION, CODING, History, entered, result, workflows

from trellis.common.contracts.identifiers import Visit, command_id
from trellis.workflow.domain import events as e

ENTRY = {"stage_entered": {"stage": "Coding Assessment"}}
DONE: dict[str, object] = {"assessment_completed": {}}


def document(*rules: dict[str, object], **more: object) -> dict[str, object]:
    named = [{"name": f"rule-{number}", **rule} for number, rule in enumerate(rules, start=1)]
    return {"name": "engineering", "settle_s": 0, "rules": named, **more}


def rule(when: dict[str, object], *then: dict[str, object], if_: dict[str, object] | None = None) -> dict[str, object]:
    return {"when": when, "then": list(then) or [{"move": "next"}], **({} if if_ is None else {"if": if_})}


def judged_on_entry(*rules: dict[str, object], **more: object) -> History:
    history = History(workflows(document(*rules), version=3))
    history.tell(entered(CODING, 0, **more))
    return history


def judged_on_result(*rules: dict[str, object], **more: object) -> History:
    history = judged_on_entry(*rules)
    history.tell(result(**more))
    return history


def judgement(history: History) -> e.RulesJudged:
    summary = history.of(e.RulesJudged)[-1]
    assert isinstance(summary, e.RulesJudged)
    return summary


def said(history: History) -> tuple[str, str]:
    (one,) = judgement(history).rules
    return one.verdict, one.reason


def compared(history: History) -> list[tuple[str, object, str, bool | None]]:
    (one,) = judgement(history).rules
    return [(seen.field, seen.value, seen.wanted, seen.verdict) for seen in one.comparisons]


def ident(action: str, ordinal: str) -> object:
    return command_id(ACCOUNT, APPLICATION, Visit("n1"), action, ordinal)
