"""What is written and read of an invite's row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from trellis.assessments.domain.correlation import KnownInvite, Progress
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    StageId,
    Visit,
)
from trellis.common.ledger.states import State

FollowKind = Literal["shared", "earlier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInvite:
    """One row, as the shell works with it; see the columns' comments.

    Attributes:
        ready_token: The claim under which it was made ready; None when a look-up after a restore wrote the row, so that
            what was known then may be of this invite.
    """

    command_id: UUID
    account: AccountId
    application_id: ApplicationId
    candidate_id: CandidateId
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId
    correlationid: str
    address_hash: str | None
    address: bytes | None = field(repr=False)
    known_attempts: frozenset[str]
    read_at: datetime | None
    doubted: bool
    follows: UUID | None
    follow_kind: str | None
    progress: Progress
    completed_at: datetime | None
    time_expired: bool | None
    poll_step: int | None
    attached_body_id: UUID | None = None
    ready_token: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedInvite:
    """An invite whose result a person found in a webhook that matched nothing.

    Attributes:
        address_hash: Of the address that the webhook named.
        body_id: The webhook's sealed body.
    """

    command_id: UUID
    account: AccountId
    application_id: ApplicationId
    candidate_id: CandidateId
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId
    correlationid: str
    address_hash: str
    body_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvite:
    """What is written of an invite that is about to leave, or that follows another."""

    command_id: UUID
    account: AccountId
    application_id: ApplicationId
    candidate_id: CandidateId
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId
    correlationid: str
    address: str = field(repr=False)
    address_hash: str = ""
    known_attempts: frozenset[str] = frozenset()
    seen_at: datetime | None = None
    """When the address was read in Greenhouse, on the database's clock; None when nobody knows."""
    read_at: datetime | None = None
    """When the attempts were read; None for just now."""
    ready_token: UUID | None = None
    """The claim under which it is made ready; None when it only follows another."""
    follows: UUID | None = None
    follow_kind: FollowKind | None = None
    poll_after: timedelta | None = None


def known_of(row: Any) -> KnownInvite:
    """Return *row*, joined with the ledger's, as correlation sees it."""
    return KnownInvite(
        command_id=row["command_id"],
        application_id=ApplicationId(row["application_id"]),
        visit=Visit(row["visit"]),
        stage_id=StageId(row["stage_id"]),
        assessment_id=AssessmentId(row["assessment_id"]),
        state=State(row["state"]),
        attempt=row["attempt"],
        doubted=row["doubted"],
        leaving=row["leaving"],
        progress=Progress(row["progress"]),
        prepared_at=row["prepared_at"],
        knew_attempts=row["knew_attempts"],
        follows=row["follows"],
    )


def stored_of(row: Any) -> StoredInvite:
    """Return *row* as the shell works with it."""
    return StoredInvite(
        command_id=row["command_id"],
        account=AccountId(row["account_id"]),
        application_id=ApplicationId(row["application_id"]),
        candidate_id=CandidateId(row["candidate_id"]),
        visit=Visit(row["visit"]),
        stage_id=StageId(row["stage_id"]),
        assessment_id=AssessmentId(row["assessment_id"]),
        correlationid=row["correlationid"],
        address_hash=row["address_hash"],
        address=row["address"],
        known_attempts=frozenset(row["known_attempts"]),
        read_at=row["read_at"],
        ready_token=row["ready_token"],
        doubted=row["doubted"],
        follows=row["follows"],
        follow_kind=row["follow_kind"],
        progress=Progress(row["progress"]),
        completed_at=row["completed_at"],
        time_expired=row["time_expired"],
        poll_step=row["poll_step"],
        attached_body_id=row["attached_body_id"],
    )
