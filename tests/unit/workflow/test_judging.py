"""What is recorded of a judgement, what a fired rule asks for, and how a note's text is filled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fakes.histories import (
    ACCOUNT,
    APPLICATION,
    CODING,
    DOCUMENT,
    JOB,
    OFFER,
    TEST,
    History,
    at,
    entered,
    kinds,
    result,
    settled,
    workflows,
)

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import JobId, Visit, command_id
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import initial_state
from trellis.workflow.domain.judging import ENGINE, fill, judge_result, judge_stage_entry

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


# -- what is asked for


def test_an_invite_is_asked_for_with_its_reason() -> None:
    history = judged_on_entry(rule(ENTRY, {"send_assessment": TEST}, if_={"job": JOB}))
    assert history.of(e.InviteRequested) == [
        e.InviteRequested(
            command_id=ident("invite", TEST),  # type: ignore[arg-type]
            visit=Visit("n1"),
            stage_id=CODING,
            assessment_id=TEST,
            workflow="engineering",
            version=3,
            rule="rule-1",
            reason=f"job is {JOB} (wanted: {JOB})",
        )
    ]


def test_two_rules_that_invite_to_one_assessment_are_one_invite() -> None:
    history = judged_on_entry(rule(ENTRY, {"send_assessment": TEST}), rule(ENTRY, {"send_assessment": TEST}))
    assert len(history.of(e.InviteRequested)) == 1


def test_one_rule_that_invites_twice_to_one_assessment_is_one_invite() -> None:
    history = judged_on_entry(rule(ENTRY, {"send_assessment": TEST}, {"send_assessment": TEST}))
    assert len(history.of(e.InviteRequested)) == 1


def test_a_note_on_a_result_is_asked_for_once_for_each_version_of_it() -> None:
    history = judged_on_result(rule(DONE, {"add_note": "{score}"}))
    assert history.of(e.NoteRequested) == [
        e.NoteRequested(
            command_id=ident("note", f"engineering/rule-1#0@{TEST}:1"),  # type: ignore[arg-type]
            visit=Visit("n1"),
            stage_id=CODING,
            text="82",
            assessment_id=TEST,
            workflow="engineering",
            version=3,
            rule="rule-1",
            reason="no condition",
        )
    ]


def test_a_note_on_an_entry_is_of_no_result() -> None:
    history = judged_on_entry(rule(ENTRY, {"add_note": "Waiting."}))
    (noted,) = history.of(e.NoteRequested)
    assert isinstance(noted, e.NoteRequested)
    assert (noted.command_id, noted.text, noted.assessment_id) == (
        ident("note", "engineering/rule-1#0@:0"),
        "Waiting.",
        None,
    )


def test_two_notes_of_one_rule_are_two_notes() -> None:
    history = judged_on_entry(rule(ENTRY, {"add_note": "One."}, {"add_note": "Two."}))
    assert [event.text for event in history.of(e.NoteRequested) if isinstance(event, e.NoteRequested)] == [
        "One.",
        "Two.",
    ]


@pytest.mark.parametrize(
    ("to", "stage", "name"), [("next", None, None), (int(OFFER), OFFER, None), ("Offer", None, "Offer")]
)
def test_a_move_is_asked_for_to_the_stage_the_rule_names(to: object, stage: object, name: object) -> None:
    history = judged_on_entry(rule(ENTRY, {"add_note": "Going."}, {"move": to}))
    assert history.of(e.MoveRequested) == [
        e.MoveRequested(
            command_id=ident("move", "engineering/rule-1#1"),  # type: ignore[arg-type]
            visit=Visit("n1"),
            from_stage_id=CODING,
            to_stage_id=stage,  # type: ignore[arg-type]
            to_stage_name=name,  # type: ignore[arg-type]
            workflow="engineering",
            version=3,
            rule="rule-1",
            reason="no condition",
        )
    ]


def test_one_move_stands_for_a_visit() -> None:
    history = judged_on_entry(rule(ENTRY, {"move": "next"}, {"move": "Offer"}), rule(ENTRY, {"move": "Offer"}))
    assert len(history.of(e.MoveRequested)) == 1


@pytest.mark.parametrize("state", list(o.OutcomeState))
def test_another_rules_move_is_asked_for_once_the_first_came_to_nothing(state: o.OutcomeState) -> None:
    history = judged_on_entry(rule(ENTRY, {"move": "next"}), rule(DONE, {"move": "Offer"}))
    (first,) = history.of(e.MoveRequested)
    assert isinstance(first, e.MoveRequested)
    history.tell(settled(first.command_id, Action.MOVE, state))
    history.tell(result())
    failed = state in (o.OutcomeState.REFUSED, o.OutcomeState.SUPERSEDED)
    assert len(history.of(e.MoveRequested)) == (2 if failed else 1)


def test_a_note_that_stands_keeps_no_move_back_and_an_earlier_visits_move_neither() -> None:
    history = judged_on_entry(rule(ENTRY, {"add_note": "Here."}, {"move": "next"}))
    history.tell(entered(OFFER, 5))
    history.tell(entered(CODING, 9))
    assert [event.visit for event in history.of(e.MoveRequested) if isinstance(event, e.MoveRequested)] == ["n1", "n3"]


def test_an_approval_holds_the_rest_of_its_rule_in_words() -> None:
    history = judged_on_entry(
        rule(
            ENTRY,
            {"add_note": "Before."},
            {"ask_approval": "Go on?"},
            {"send_assessment": "sql"},
            {"add_note": "After."},
            {"move": "next"},
            {"move": "Offer"},
            {"ask_approval": "Really?"},
        )
    )
    assert kinds(history.events)[-2:] == ["NoteRequested", "ApprovalRequested"]
    assert history.of(e.ApprovalRequested) == [
        e.ApprovalRequested(
            visit=Visit("n1"),
            text="Go on?",
            held=("invite to sql", "write a note", "move to the next stage", "move to Offer", "ask: Really?"),
            workflow="engineering",
            version=3,
            rule="rule-1",
            reason="no condition",
        )
    ]


def test_an_approval_is_asked_for_once_a_visit_and_rule() -> None:
    ask = {"ask_approval": "Go on?"}
    history = judged_on_result(rule(DONE, ask), rule(DONE, ask))
    history.tell(result(version=2))
    assert [event.rule for event in history.of(e.ApprovalRequested) if isinstance(event, e.ApprovalRequested)] == [
        "rule-1",
        "rule-2",
    ]


def test_a_rule_that_waits_for_no_stage_of_this_name_lets_its_entry_settle_by_the_others() -> None:
    slow = workflows(document(rule({"stage_entered": {"stage": "Offer"}})) | {"name": "slow", "settle_s": 90})
    quick = workflows(DOCUMENT | {"settle_s": 30})
    history = History(type(slow)(live=(*slow.live, *quick.live), versions={**slow.versions, **quick.versions}))
    (entry,) = history.tell(entered(), handled=at(0))
    assert isinstance(entry, e.StageEntered)
    assert entry.settle_due_at == at(0.5)


# -- texts


def test_every_placeholder_is_filled_with_what_is_known() -> None:
    text = "{assessment}|{score}|{qualified}|{qualifying_score}|{integrity}|{time}|{report_link}"
    known = result(assessment_name="Backend", score=82.5, qualifying_score=70.0, minutes_taken=41, time_expired=True)
    assert fill(text, known) == "Backend|82.5|qualified|70|none|41 minutes, ended by the clock|{report_link}"


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    text = "{assessment}|{score}|{qualified}|{qualifying_score}|{integrity}|{time}"
    nothing = result(score=None, qualified=None, integrity=o.Integrity.UNKNOWN)
    assert fill(text, nothing) == f"{TEST}|unknown|qualification unknown|unknown|unknown|time unknown"


def test_a_failed_test_is_not_qualified() -> None:
    assert fill("{qualified}, {time}", result(qualified=False, minutes_taken=5)) == "not qualified, 5 minutes"


def test_a_text_without_a_result_stays_as_it_is() -> None:
    assert fill("{literally}", None) == "{literally}"
