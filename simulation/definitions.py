"""The workflow of every account."""

from __future__ import annotations

from trellis.common.contracts.workflows import WorkflowDocument
from trellis.workflow.domain.compiling import compile_workflow
from trellis.workflow.domain.rules import Workflow


def definition(settle_seconds: int) -> Workflow:
    """Return the workflow of every account, compiled once."""
    found = _COMPILED.get(settle_seconds)
    if found is None:
        document = WorkflowDocument.model_validate(_DOCUMENT | {"settle_s": settle_seconds})
        found = _COMPILED[settle_seconds] = compile_workflow(document, 1)
    return found


_DOCUMENT: dict[str, object] = {
    "name": "engineering",
    "rules": [
        {
            "name": "send-test",
            "when": {"stage_entered": {"stage": "Coding Assessment"}},
            "then": [{"send_assessment": "backend-1"}],
        },
        {
            "name": "pass",
            "when": {"assessment_completed": {"assessment": "backend-1"}},
            "if": {"score": {"at_least": 70}},
            "then": [{"add_note": None}, {"move": "next"}],
        },
        {
            "name": "fail",
            "when": {"assessment_completed": {"assessment": "backend-1"}},
            "if": {"score": {"below": 70}},
            "then": [{"add_note": "{assessment}: {score} of 100."}],
        },
    ],
}


_COMPILED: dict[int, Workflow] = {}
