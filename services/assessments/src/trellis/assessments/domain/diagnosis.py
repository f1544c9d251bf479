"""What is wrong with an account's Coderbyte connection. Pure: what a look saw comes in, findings go out.

The cause is told and not what follows from it: without a key nobody asks about assessments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from trellis.assessments.domain.invites import CREDENTIAL_REMEDY, Assessment
from trellis.common.contracts.findings import Finding
from trellis.common.contracts.identifiers import AssessmentId
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.ledger.brakes import Brake
from trellis.common.setup import connections
from trellis.common.setup.connections import PauseSeen

VENDOR: Final = "coderbyte"
_MEANING: Final = "nobody is invited to it: those candidates wait without knowing"
_RULE: Final = "name another assessment in the workflow and apply the file (`trellis apply`)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look saw.

    Attributes:
        opens: Whether the API key could be opened.
        away: Why Coderbyte gave no readable answer; empty when it did.
        held_until: Until when it is asked nothing, because it did not answer before; None when it was asked.
        rejected: Whether it rejects the key.
        assessments: Those of the organization; None when they were not read.
        named: Assessments that workflows name, each with the first rule that does.
    """

    account: str
    now: datetime
    opens: bool = True
    away: str = ""
    held_until: datetime | None = None
    rejected: bool = False
    assessments: Sequence[Assessment] | None = None
    named: Mapping[AssessmentId, str] = field(default_factory=dict)
    pause: PauseSeen | None = None
    brakes: Sequence[Brake] = ()


def named_assessments(documents: Iterable[WorkflowDocument]) -> dict[AssessmentId, str]:
    """Return the assessments that the *documents* name, each with the first rule that does."""
    found: dict[AssessmentId, str] = {}
    for document in documents:
        for rule in document.rules:
            names = [action.send_assessment for action in rule.then]
            names += [rule.when.assessment_completed.assessment] if rule.when.assessment_completed else []
            for name in names:
                if name is not None:
                    found.setdefault(AssessmentId(name), f"{document.name}/{rule.name}")
    return found


def needing(documents: Iterable[WorkflowDocument]) -> list[str]:
    """Return the names of those *documents* that need Coderbyte."""
    return [
        document.name
        for document in documents
        if any(
            rule.when.assessment_completed is not None or any(action.send_assessment for action in rule.then)
            for rule in document.rules
        )
    ]


def of_connection(seen: Seen) -> list[Finding]:
    """Return what is wrong, causes first."""
    found = _of_key(seen)
    if not found:
        found = _of_names(seen) or connections.paused(VENDOR, seen.pause)
    return found + connections.braked(seen.account, seen.brakes, seen.now)


def _of_key(seen: Seen) -> list[Finding]:
    if not seen.opens:
        return [connections.unreadable(VENDOR, "assessments")]
    if seen.away:
        return [connections.away(VENDOR, seen.away)]
    if seen.held_until is not None:
        return connections.held_back(VENDOR, seen.held_until)
    if not seen.rejected:
        return []
    return [
        Finding(
            check="credential-rejected",
            subject=VENDOR,
            fault="Coderbyte rejects the API key",
            meaning=connections.meaning(VENDOR),
            remedy=CREDENTIAL_REMEDY,
        )
    ]


def _of_names(seen: Seen) -> list[Finding]:
    if seen.assessments is None:
        return []
    known = {item.id: item for item in seen.assessments}
    return [finding for name, rule in seen.named.items() for finding in _of_name(name, rule, known.get(name))]


def _of_name(name: AssessmentId, rule: str, assessment: Assessment | None) -> list[Finding]:
    if assessment is None:
        return [
            _finding("assessment-unknown", name, f"the organization has no assessment {name}; {rule} names it", _RULE)
        ]
    if assessment.closed:
        remedy = f"open it again in Coderbyte, or {_RULE}"
        return [
            _finding("assessment-closed", name, f"assessment {name} is closed in Coderbyte; {rule} names it", remedy)
        ]
    if assessment.public_url is None:
        remedy = f"give it a public link in Coderbyte, or {_RULE}"
        return [
            _finding("assessment-without-link", name, f"assessment {name} has no public link; {rule} names it", remedy)
        ]
    return []


def _finding(check: str, name: AssessmentId, fault: str, remedy: str) -> Finding:
    return Finding(check=check, subject=name, fault=fault, meaning=_MEANING, remedy=remedy)
