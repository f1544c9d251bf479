"""Readings and commands for the tests of the core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from trellis.common.contracts.commands import Action, AddNote, MoveApplication, Origin
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    StageRowId,
    UserId,
    Visit,
)
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.states import State
from trellis.greenhouse_actions.domain.readings import ApplicationView, JobStage, NoteView

T0 = datetime(2026, 11, 20, 8, 31, 7, tzinfo=UTC)
APPLICATION, CANDIDATE, JOB = ApplicationId(6_200_455_003), CandidateId(5_600_191_003), JobId(4_120_077_003)
REVIEW, CALL, CODING, ONSITE, OFFER = (StageId(7_310_086_000 + n) for n in range(5))
ROW = StageRowId(9_880_301_003)
SERVICE_USER = UserId(4_400_199_003)
COMMAND = CommandId(UUID("5b0f4d4e-9d5e-5a0a-8a4e-0d2b8a7c1e11"))
NAMES = {REVIEW: "Application Review", CALL: "Recruiter Call", CODING: "Coding", ONSITE: "Onsite", OFFER: "Offer"}
ORIGIN = Origin(workflow="screening", version=1, rule="passed", reason="82 of 100")


def plan(*, inactive: tuple[StageId, ...] = ()) -> list[JobStage]:
    return [
        JobStage(id=ident, job_id=JOB, name=name, sort_order=order, active=ident not in inactive)
        for order, (ident, name) in enumerate(NAMES.items())
    ]


def shown(stage: StageId | None = CODING, **more: Any) -> ApplicationView:
    fields: dict[str, Any] = {
        "id": APPLICATION,
        "candidate_id": CANDIDATE,
        "job_id": JOB,
        "status": ApplicationStatus.ACTIVE,
        "stage_id": stage,
        "stage_name": None if stage is None else NAMES[stage],
        "row_id": ROW,
        "entered_at": T0,
    }
    return ApplicationView(**(fields | more))


def note(**more: Any) -> AddNote:
    fields: dict[str, Any] = {
        "command_id": COMMAND,
        "application_id": APPLICATION,
        "candidate_id": CANDIDATE,
        "job_id": JOB,
        "visit": Visit("n1"),
        "stage_id": CODING,
        "text": "82 of 100, qualified.",
        "origin": ORIGIN,
    }
    return AddNote(**(fields | more))


def move(**more: Any) -> MoveApplication:
    fields: dict[str, Any] = {
        "command_id": COMMAND,
        "application_id": APPLICATION,
        "candidate_id": CANDIDATE,
        "job_id": JOB,
        "visit": Visit("n1"),
        "from_stage_id": CODING,
        "origin": ORIGIN,
    }
    return MoveApplication(**(fields | more))


def intent(command: AddNote | MoveApplication, **more: Any) -> Intent:
    fields: dict[str, Any] = {
        "id": COMMAND,
        "account": AccountId("acme"),
        "application_id": APPLICATION,
        "candidate_id": CANDIDATE,
        "visit": command.visit,
        "action": Action.NOTE if isinstance(command, AddNote) else Action.MOVE,
        "command": command,
        "state": State.UNKNOWN,
        "attempt": 1,
        "absent_count": 0,
        "retries": 0,
        "cause": "",
        "created_at": T0,
        "correlationid": "c1",
        "claimed": 0.0,
        "lease_token": UUID(int=0),
        "attempted_at": T0 + timedelta(minutes=1),
    }
    return Intent(**(fields | more))


def written(body: str, *, by: UserId | None = SERVICE_USER, **more: Any) -> NoteView:
    fields: dict[str, Any] = {"id": 971, "application_id": APPLICATION, "user_id": by, "created_at": T0, "body": body}
    return NoteView(**(fields | more))
