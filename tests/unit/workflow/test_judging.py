"""What is recorded of a judgement: which rule fired, which did not, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fakes.histories import ACCOUNT, APPLICATION, CODING, JOB, TEST, History, entered, kinds, result, workflows
from tests.unit.workflow.judged import (
    DONE,
    ENTRY,
    compared,
    document,
    judged_on_entry,
    judged_on_result,
    judgement,
    rule,
    said,
)

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.identifiers import JobId, Visit
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import initial_state
from trellis.workflow.domain.judging import ENGINE, judge_result, judge_stage_entry


# -- the record
def test_a_judgement_names_its_visit_its_trigger_and_its_engine() -> None:
    history = judged_on_entry(rule(ENTRY))
    assert judgement(history) == e.RulesJudged(
        visit=Visit("n1"),
        trigger="stage_entered",
        subject="",
        engine=ENGINE,
        rules=(
            e.RuleJudged(
                workflow="engineering", version=3, rule="rule-1", verdict="fired", reason="no condition", comparisons=()
            ),
        ),
    )


def test_a_judgement_of_a_result_names_it() -> None:
    history = judged_on_result(rule(DONE), version=2)
    assert (judgement(history).trigger, judgement(history).subject) == ("assessment_completed", f"{TEST}@2")


def test_without_a_workflow_that_applies_nothing_is_judged() -> None:
    history = History(workflows(document(rule(ENTRY), jobs=[1])))
    history.tell(entered())
    assert kinds(history.tell(result())) == ["ResultReceived"]
    assert history.of(e.RulesJudged) == []


def test_without_a_visit_nothing_is_judged() -> None:
    nobody = initial_state(ACCOUNT, APPLICATION)
    assert judge_stage_entry(nobody, workflows()) == []
    assert judge_result(nobody, result(), workflows()) == []


def test_a_visit_without_pins_is_not_judged() -> None:
    history = History(workflows(document(rule(ENTRY), jobs=[1])))
    history.tell(entered())
    assert judge_stage_entry(history.state, workflows()) == []
    assert judge_result(history.state, result(), workflows()) == []


def test_workflows_are_judged_in_the_order_of_their_names() -> None:
    later, earlier = workflows(document(rule(ENTRY)) | {"name": "zebra"}), workflows(document(rule(ENTRY)))
    history = History(type(later)(live=(*later.live, *earlier.live), versions={**later.versions, **earlier.versions}))
    history.tell(entered())
    assert [one.workflow for one in judgement(history).rules] == ["engineering", "zebra"]
    assert len(history.of(e.MoveRequested)) == 1, "the first of them moves, and one move stands"


# -- why a rule did not fire
def test_a_rule_for_entering_says_so_of_a_result() -> None:
    assert said(judged_on_result(rule(ENTRY))) == ("untriggered", "its trigger is entering a stage")


def test_a_rule_for_a_result_says_so_of_an_entry() -> None:
    one, _ = judgement(judged_on_entry(rule(DONE), rule(ENTRY))).rules
    assert (one.verdict, one.reason) == ("untriggered", "its trigger is a completed assessment")


def test_a_rule_for_other_stages_names_them_and_where_the_application_is() -> None:
    elsewhere: dict[str, object] = {"stage_entered": {"stage": ["Phone Screen", 12]}}
    history = judged_on_entry(rule(elsewhere))
    assert history.of(e.RulesJudged) == [], "no rule waits for this stage"
    both = judged_on_entry(rule(elsewhere), rule(ENTRY))
    assert judgement(both).rules[0].reason == "its stage is Phone Screen or 12, not Coding Assessment"


def test_a_stage_without_a_name_is_told_by_its_id() -> None:
    history = History(
        workflows(document(rule({"stage_entered": {"stage": 12}}), rule({"stage_entered": {"stage": CODING}})))
    )
    told = entered().application
    history.tell(f.ApplicationStageChanged(application=replace(told, stage=f.Stage(id=CODING))))
    assert judgement(history).rules[0].reason == f"its stage is 12, not {CODING}"


def test_a_rule_for_another_assessment_names_both() -> None:
    history = judged_on_result(rule({"assessment_completed": {"assessment": "sql"}}))
    assert said(history) == ("untriggered", f"its assessment is sql, not {TEST}")


@pytest.mark.parametrize("named", [{}, {"assessment": TEST}])
def test_a_rule_for_any_or_for_this_assessment_fires(named: dict[str, object]) -> None:
    assert said(judged_on_result(rule({"assessment_completed": named})))[0] == "fired"


# -- conditions
def test_what_is_not_known_is_named() -> None:
    history = judged_on_result(
        rule(DONE, if_={"all": [{"qualified": True}, {"score": {"at_least": 1}}, {"integrity": "none"}]}),
        score=None,
        qualified=None,
    )
    assert said(history) == ("unknown", "not known: qualified, score")


def test_a_rule_that_does_not_hold_tells_which_comparison_failed() -> None:
    history = judged_on_result(
        rule(DONE, if_={"all": [{"qualified": True}, {"score": {"at_least": 90}}, {"integrity": "detected"}]}),
    )
    assert said(history) == (
        "no",
        "score is 82.0 (wanted: at least 90); integrity is none (wanted: detected)",
    )
    assert compared(history) == [
        ("qualified", True, "yes", True),
        ("score", 82.0, "at least 90", False),
        ("integrity", "none", "detected", False),
    ]


def test_a_rule_that_fails_though_all_its_comparisons_hold_says_that() -> None:
    history = judged_on_result(rule(DONE, if_={"not": {"qualified": True}}))
    assert said(history) == ("no", "its condition does not hold")


def test_a_rule_that_fires_tells_what_held() -> None:
    history = judged_on_result(
        rule(DONE, if_={"any": [{"qualified": False}, {"score": {"below": 90}}, {"integrity": ["none", "suspected"]}]})
    )
    assert said(history) == (
        "fired",
        "score is 82.0 (wanted: below 90); integrity is none (wanted: none or suspected)",
    )


@pytest.mark.parametrize(("value", "told"), [(True, "yes"), (False, "no")])
def test_a_truth_is_told_as_yes_or_no(value: bool, told: str) -> None:
    history = judged_on_result(rule(DONE, if_={"qualified": True}), qualified=value)
    assert said(history)[1] == f"qualified is {told} (wanted: yes)"


def test_an_unknown_integrity_is_no_value() -> None:
    history = judged_on_result(rule(DONE, if_={"integrity": "none"}), integrity=o.Integrity.UNKNOWN)
    assert compared(history) == [("integrity", None, "none", None)]


@pytest.mark.parametrize("when", [ENTRY, DONE])
def test_job_and_stage_are_known_on_every_trigger(when: dict[str, object]) -> None:
    history = judged_on_result(rule(when, if_={"all": [{"job": JOB}, {"stage": "Coding Assessment"}]}))
    (one,) = history.of(e.RulesJudged)[0].rules  # type: ignore[attr-defined]
    assert (one.verdict, [seen.value for seen in one.comparisons]) == ("fired", [JOB, "Coding Assessment"])


def test_a_condition_on_a_job_that_is_not_told_is_unknown() -> None:
    history = judged_on_entry(rule(ENTRY, if_={"job": 5}), job_id=None)
    assert said(history) == ("unknown", "not known: job")
    assert said(judged_on_entry(rule(ENTRY, if_={"job": 5}), job_id=JobId(6)))[0] == "no"
