"""Conditions with three values, stages by id or name, and how a document becomes rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trellis.common.contracts.workflows import DEFAULT_NOTE, WorkflowDocument
from trellis.workflow.domain import rules as r
from trellis.workflow.domain.compiling import compile_workflow
from trellis.workflow.domain.rules import Seen, Verdict, judge, stage_matches

YES, NO, OPEN = (r.OneOf("qualified", (True,)), r.OneOf("qualified", (False,)), r.OneOf("job", (1,)))
VALUES: dict[str, r.Value] = {"qualified": True, "score": 70.0, "stage": 12, "integrity": "none"}


def verdict(condition: r.Condition | None, stage_name: str | None = None, **values: r.Value) -> Verdict:
    return judge(condition, {**VALUES, **values}, stage_name)[0]


def test_no_condition_holds_and_rests_on_nothing() -> None:
    assert judge(None, VALUES, None) == (True, ())


@pytest.mark.parametrize(
    ("parts", "all_", "any_"),
    [
        ((YES, YES), True, True),
        ((YES, NO), False, True),
        ((NO, NO), False, False),
        ((YES, OPEN), None, True),
        ((NO, OPEN), False, None),
        ((OPEN, OPEN), None, None),
    ],
)
def test_all_and_any_know_three_values(parts: tuple[r.Condition, ...], all_: Verdict, any_: Verdict) -> None:
    for ordered in (parts, parts[::-1]):
        assert verdict(r.All(ordered)) is all_
        assert verdict(r.AnyOf(ordered)) is any_


def test_not_turns_round_what_is_known_only() -> None:
    assert [verdict(r.Not(part)) for part in (YES, NO, OPEN)] == [False, True, None]


def test_every_comparison_that_was_made_is_told_in_order() -> None:
    condition = r.All((YES, r.Not(OPEN), r.Between("score", 10, 20)))
    assert judge(condition, VALUES, None)[1] == (
        Seen("qualified", True, "yes", True),
        Seen("job", None, "1", None),
        Seen("score", 70.0, "at least 10 and below 20", False),
    )
    assert judge(r.AnyOf((NO,)), VALUES, None)[1] == (Seen("qualified", True, "no", False),)


@pytest.mark.parametrize(
    ("at_least", "below", "score", "holds"),
    [
        (70, None, 70.0, True),
        (70, None, 69.9, False),
        (None, 70, 69.9, True),
        (None, 70, 70.0, False),
        (50, 70, 60, True),
        (50, 70, 70, False),
        (50, 70, 49, False),
        (50, 70, None, None),
        (0, 2, True, None),
        (0, 2, "1", None),
    ],
)
def test_a_score_is_within_its_bounds_or_unknown(
    at_least: float | None, below: float | None, score: r.Value, holds: Verdict
) -> None:
    assert verdict(r.Between("score", at_least, below), score=score) is holds


def test_bounds_are_told_as_they_are_written() -> None:
    told = [judge(r.Between("score", *b), VALUES, None)[1][0].wanted for b in ((70, None), (None, 70.5), (1, 2))]
    assert told == ["at least 70", "below 70.5", "at least 1 and below 2"]


def test_a_stage_is_shown_by_its_name_where_it_has_one() -> None:
    condition = r.OneOf("stage", (12, "Offer"))
    assert judge(condition, VALUES, "Coding")[1] == (Seen("stage", "Coding", "12 or Offer", True),)
    assert judge(condition, VALUES, None)[1] == (Seen("stage", 12, "12 or Offer", True),)
    assert judge(r.OneOf("integrity", ("none",)), VALUES, "Coding")[1][0].value == "none"


@pytest.mark.parametrize(
    ("wanted", "stage", "name", "holds"),
    [
        ((12,), 12, None, True),
        ((12,), 13, "Offer", False),
        ((12,), 13, None, False),
        (("Offer",), 13, "Offer", True),
        ((" Offer",), 13, "Offer ", True),
        (("offer",), 13, "Offer", False),
        (("Offer",), 13, None, None),
        (("Offer", 13), 13, None, True),
        (("Offer",), None, "Offer", None),
        ((12,), None, None, None),
        ((13, "Call"), 12, "Offer", False),
    ],
)
def test_a_stage_is_matched_by_id_or_name(
    wanted: tuple[r.Value, ...], stage: r.Value, name: str | None, holds: Verdict
) -> None:
    assert stage_matches(wanted, stage, name) is holds


@pytest.mark.parametrize(("jobs", "applies"), [("any", [True, True, True]), ([1, 3], [True, False, False])])
def test_a_workflow_applies_to_its_jobs_or_to_any(jobs: object, applies: list[bool]) -> None:
    workflow = compiled(jobs=jobs)
    assert [workflow.applies_to(job) for job in (1, 2, None)] == applies  # type: ignore[arg-type]


def compiled(*rules: dict[str, object], **more: object) -> r.Workflow:
    plain = {"name": "plain", "when": {"stage_entered": {"stage": 1}}, "then": [{"move": "next"}]}
    document = {"name": "hiring", "rules": list(rules) or [plain], **more}
    return compile_workflow(WorkflowDocument.model_validate(document), 4)


def test_a_document_becomes_its_rules_in_order() -> None:
    workflow = compiled(
        {
            "name": "enter",
            "when": {"stage_entered": {"stage": [5, "Call"]}},
            "if": {"all": [{"job": 5}, {"any": [{"stage": "Call"}, {"not": {"stage": [6, 7]}}]}]},
            "then": [{"send_assessment": "sql"}, {"add_note": "Sent."}, {"ask_approval": "Go?"}, {"move": 9}],
        },
        {
            "name": "done",
            "when": {"assessment_completed": {"assessment": "sql"}},
            "if": {"any": [{"score": {"at_least": 1, "below": 9}}, {"integrity": "none"}, {"qualified": False}]},
            "then": [{"add_note": None}, {"move": "next"}, {"move": "Offer"}],
        },
        {"name": "any", "when": {"assessment_completed": {}}, "then": [{"move": "next"}]},
        settle_s=90,
        jobs=[3, 1],
    )
    assert workflow == r.Workflow(
        name="hiring",
        version=4,
        jobs=frozenset({1, 3}),  # type: ignore[arg-type]
        settle=timedelta(seconds=90),
        rules=(
            r.Rule(
                name="enter",
                trigger=r.OnStageEntered((5, "Call")),
                condition=r.All(
                    (
                        r.OneOf("job", (5,)),
                        r.AnyOf((r.OneOf("stage", ("Call",)), r.Not(r.OneOf("stage", (6, 7))))),
                    )
                ),
                actions=(
                    r.SendAssessment("sql"),  # type: ignore[arg-type]
                    r.AddNote("Sent."),
                    r.AskApproval("Go?"),
                    r.Move(9),
                ),
            ),
            r.Rule(
                name="done",
                trigger=r.OnAssessmentCompleted("sql"),  # type: ignore[arg-type]
                condition=r.AnyOf(
                    (r.Between("score", 1, 9), r.OneOf("integrity", ("none",)), r.OneOf("qualified", (False,)))
                ),
                actions=(r.AddNote(DEFAULT_NOTE), r.Move(None), r.Move("Offer")),
            ),
            r.Rule(name="any", trigger=r.OnAssessmentCompleted(None), condition=None, actions=(r.Move(None),)),
        ),
    )
