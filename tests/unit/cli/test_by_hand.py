"""How a person is told what matches nothing, and whose it may be."""

from __future__ import annotations

from typing import Any

from trellis.cli.by_hand import invites_told, told

ROW: dict[str, Any] = {
    "id": "5f0c",
    "kind": "completed",
    "assessment_id": "backend-1",
    "received_at": "2026-11-24T09:00:00+00:00",
    "reason": "no invite went to this address",
    "suggestions": [{"application_id": 7, "visit": "n1", "reasons": ["one", "another"]}],
}


def test_a_result_is_told_with_its_cause_and_what_speaks_for_whom() -> None:
    assert told(ROW) == [
        "5f0c  a result of backend-1, told 2026-11-24 09:00:00",
        "  cause   no invite went to this address",
        "  maybe   application 7: one; another",
    ]


def test_how_invites_stand_is_told_before_an_order() -> None:
    assert invites_told(7, []) == ["application 7 has no invite"]
    rows = [{"visit": "n1", "state": "parked", "cause": "no address"}, {"visit": "n2", "state": "done", "cause": ""}]
    assert invites_told(7, rows) == ["invite of stage visit n1: parked: no address", "invite of stage visit n2: done"]


def test_an_interview_of_nobody_says_so() -> None:
    row = ROW | {"kind": "interview_completed", "assessment_id": None, "suggestions": []}
    assert told(row)[0] == "5f0c  an interview, told 2026-11-24 09:00:00"
    assert told(row)[-1] == "  maybe   nobody who was invited to it"
