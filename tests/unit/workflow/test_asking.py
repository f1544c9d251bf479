"""What a fired rule asks for, and how a note's text is filled."""

from __future__ import annotations

import pytest
from tests.fakes.histories import (
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
from tests.unit.workflow.judged import DONE, ENTRY, document, ident, judged_on_entry, judged_on_result, rule

from trellis.common.contracts import outcomes as o
from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import Visit
from trellis.workflow.domain import events as e
from trellis.workflow.domain.judging import fill


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
