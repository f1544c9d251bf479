"""What the tests of facts tell the decider, and the note it leaves where a fact changed nothing."""

from __future__ import annotations

from tests.fakes.histories import APPLICATION, CODING, DOCUMENT, History, at, snapshot, workflows

from trellis.common.contracts import facts as f
from trellis.common.contracts.facts import ApplicationStatus, FoundBy
from trellis.common.contracts.identifiers import CandidateId, Visit
from trellis.workflow.domain import events as e
from trellis.workflow.domain.decisions import SettleElapsed

OTHER = CandidateId(9)
ELAPSED = SettleElapsed(application_id=APPLICATION, visit=Visit("n1"))


def slow() -> History:
    """A history whose entries settle for a minute."""
    return History(workflows(DOCUMENT | {"settle_s": 60}))


def read(
    stage: object = CODING, minutes: float | None = 0, entered_at: float | None = None, **more: object
) -> f.ApplicationObserved:
    found_by = more.pop("found_by", FoundBy.READING)
    return f.ApplicationObserved(
        application_id=APPLICATION,
        application=snapshot(stage, minutes, **more),  # type: ignore[arg-type]
        observed_at=at(100),
        entered_at=None if entered_at is None else at(entered_at),
        found_by=found_by,  # type: ignore[arg-type]
    )


def rejected(minutes: float | None, **more: object) -> f.ApplicationRejected:
    return f.ApplicationRejected(
        application=snapshot(CODING, minutes, **{"status": ApplicationStatus.REJECTED, **more})
    )


def note(fact: str, reason: str, minutes: float | None = None) -> e.FactNoted:
    return e.FactNoted(fact=fact, reason=reason, activity_at=None if minutes is None else at(minutes))
