"""How the workflow's story and the two ledgers' rows become one list of steps."""

from __future__ import annotations

from typing import Any

import pytest

from trellis.cli.story import joined


def step(kind: str, at: str, **more: Any) -> dict[str, Any]:
    return {"at": at, "kind": kind, "text": "t", "effect": None, "outcome": None, "reason": None, "until": None, **more}


def row(state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "action": "invite",
        "visit": "n1",
        "state": state,
        "cause": "because",
        "remedy": "",
        "due_at": "2026-11-24T10:05:00+00:00",
        "attempt": 1,
        "held_by": None,
        "entries": [
            {
                "at": "2026-11-24T10:01:00+00:00",
                "kind": "command",
                "attempt": 0,
                "state": "waiting",
                "text": "taken in",
            },
            {
                "at": "2026-11-24T10:02:00+00:00",
                "kind": "attempt",
                "attempt": 1,
                "state": "attempting",
                "text": "begins",
            },
        ],
        **more,
    }


COMMAND = step("command", "2026-11-24T10:00:00+00:00", effect="invite", command_id="c1")


def test_a_command_that_no_ledger_knows_yet_is_planned() -> None:
    (only,) = joined([COMMAND], [])
    assert only["outcome"] == "planned"


@pytest.mark.parametrize(
    ("state", "outcome", "until"),
    [
        ("waiting", "waiting", True),
        ("attempting", "waiting", True),
        ("unknown", "waiting", True),
        ("in_doubt", "parked", False),
        ("parked", "parked", False),
        ("done", "done", False),
        ("refused", "refused", False),
        ("superseded", "superseded", False),
    ],
)
def test_each_state_of_a_row_has_one_word_and_an_open_one_says_until_when(
    state: str, outcome: str, until: bool
) -> None:
    steps = joined([COMMAND], [row(state)])
    (shown,) = [item for item in steps if item["kind"] == "outcome"]
    assert (shown["outcome"], bool(shown["until"])) == (outcome, until)
    assert [item["kind"] for item in steps] == ["command", "attempt", "outcome"]
    assert steps[0]["outcome"] is None


def test_a_brake_is_the_reason_while_it_holds_the_row() -> None:
    (shown,) = [
        item for item in joined([], [row("waiting", held_by="the kill switch is on")]) if item["kind"] == "outcome"
    ]
    assert shown["reason"] == "the kill switch is on"


def test_the_ledgers_word_replaces_the_workflows_copy_of_it() -> None:
    copy = step("outcome", "2026-11-24T10:03:00+00:00", effect="invite", outcome="parked", command_id="c1")
    outcomes = [item["outcome"] for item in joined([COMMAND, copy], [row("done")]) if item["kind"] == "outcome"]
    assert outcomes == ["done"]


def test_an_effect_service_that_cannot_be_reached_is_told_and_the_workflows_copy_stays() -> None:
    copy = step("outcome", "2026-11-24T10:03:00+00:00", effect="invite", outcome="parked", command_id="c1")
    steps = joined([COMMAND, copy], [], unreachable=["assessments"])
    assert [item["outcome"] for item in steps if item["kind"] == "outcome"] == ["parked", None]
    assert steps[0]["outcome"] is None
    assert "assessments cannot be reached" in steps[-1]["text"]


def test_steps_are_told_in_the_order_of_time() -> None:
    later = step("fact", "2026-11-24T10:01:30+00:00")
    steps = joined([COMMAND, later], [row("done")])
    assert [item["at"] for item in steps] == sorted(item["at"] for item in steps)
