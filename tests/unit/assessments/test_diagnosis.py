"""What is wrong with a Coderbyte connection, from what a look saw; the cause and not what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from trellis.assessments.domain.diagnosis import Seen, named_assessments, needing, of_connection
from trellis.assessments.domain.invites import Assessment
from trellis.common.contracts.identifiers import AssessmentId
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.ledger.brakes import Brake, Scope
from trellis.common.setup.connections import PauseSeen

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEST = AssessmentId("backend-1")
PAUSE = PauseSeen(reason="no", remedy="ask")


def assessment(**more: Any) -> Assessment:
    fields: dict[str, Any] = {"id": TEST, "name": "Backend", "public_url": "https://coderbyte.com/x", "closed": False}
    return Assessment(**(fields | more))


def told(**more: Any) -> list[tuple[str, str]]:
    fields: dict[str, Any] = {"assessments": (assessment(),), "named": {TEST: "w/send"}}
    return [(item.check, item.subject) for item in of_connection(Seen(account="acme", now=NOW, **(fields | more)))]


def document(name: str, when: dict[str, Any], then: dict[str, Any]) -> WorkflowDocument:
    return WorkflowDocument.model_validate({"name": name, "rules": [{"name": "r", "when": when, "then": [then]}]})


ENTERED = {"stage_entered": {"stage": "Coding"}}
SENDS = document("sends", ENTERED, {"send_assessment": "a"})
WAITS = document("waits", {"assessment_completed": {"assessment": "b"}}, {"move": "next"})
ANY = document("any", {"assessment_completed": {}}, {"move": "next"})
MOVES = document("moves", ENTERED, {"move": "next"})


def test_a_whole_connection_has_no_fault() -> None:
    assert told() == []


def test_each_assessment_that_a_workflow_names_is_there_open_and_has_a_link() -> None:
    assert told(assessments=()) == [("assessment-unknown", TEST)]
    assert told(assessments=(assessment(closed=True),)) == [("assessment-closed", TEST)]
    assert told(assessments=(assessment(public_url=None),)) == [("assessment-without-link", TEST)]
    assert told(assessments=(assessment(closed=True),), named={}) == []


def test_without_key_or_answer_nothing_else_is_told_but_brakes() -> None:
    brake = Brake(scope=Scope.CONNECTION, name="coderbyte", reason="", by="me", since=NOW)
    more = {"assessments": None, "pause": PAUSE, "brakes": [brake]}
    on = ("brake-on", "connection coderbyte")
    assert told(opens=False, **more) == [("credential-unreadable", "coderbyte"), on]
    assert told(away="cut", **more) == [("vendor-away", "coderbyte"), on]
    assert told(held_until=NOW, **more) == [("breaker-open", "coderbyte"), on]
    assert told(rejected=True, **more) == [("credential-rejected", "coderbyte"), on]


def test_a_pause_is_told_when_nothing_else_explains_it() -> None:
    assert told(pause=PAUSE) == [("connection-paused", "coderbyte")]
    assert told(pause=PAUSE, assessments=()) == [("assessment-unknown", TEST)]


def test_what_workflows_name_and_which_of_them_need_coderbyte() -> None:
    documents = [SENDS, WAITS, ANY, MOVES]
    assert named_assessments(documents) == {"a": "sends/r", "b": "waits/r"}
    assert needing(documents) == ["sends", "waits", "any"]
