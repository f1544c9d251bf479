"""What is written of an invite, from its command and whom it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from trellis.assessments.adapters.invite_rows import FollowKind, NewInvite, StoredInvite
from trellis.common.contracts.commands import SendInvite
from trellis.common.contracts.identifiers import CandidateId
from trellis.common.ledger.effects import Intent

FRESH_SECONDS: Final = 60.0
"""How old the reading of a person's attempts may be when the invite leaves: a budget refusal does not cost it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom an invite is for.

    Attributes:
        candidate_id: As Greenhouse showed it.
        address: Likewise.
        address_hash: Its keyed hash.
        seen_at: When Greenhouse was read, on the database's clock.
    """

    candidate_id: CandidateId
    address: str = field(repr=False)
    address_hash: str
    seen_at: datetime


def command_of(intent: Intent) -> SendInvite:
    """Return the invite's command."""
    if not isinstance(intent.command, SendInvite):
        raise TypeError(type(intent.command).__name__)
    return intent.command


def new_invite(
    intent: Intent,
    whom: Person,
    *,
    follows: UUID | None = None,
    kind: FollowKind | None = None,
    poll_after: timedelta | None = None,
) -> NewInvite:
    """Return what is written of *intent*'s invite before it leaves, or of one that follows another."""
    command = command_of(intent)
    return NewInvite(
        command_id=intent.id,
        account=intent.account,
        application_id=intent.application_id,
        candidate_id=whom.candidate_id,
        visit=intent.visit,
        stage_id=command.stage_id,
        assessment_id=command.assessment_id,
        correlationid=intent.correlationid,
        address=whom.address,
        address_hash=whom.address_hash,
        seen_at=whom.seen_at,
        follows=follows,
        follow_kind=kind,
        poll_after=poll_after,
    )


def still_known(stored: StoredInvite | None, hashed: str, now: datetime) -> frozenset[str] | None:
    """Return the attempts read a moment before *now*, by the database's clock as they were, for the same address.

    None when they must be read.
    """
    if stored is None or stored.doubted or stored.address_hash != hashed or stored.read_at is None:
        return None
    if stored.follows is not None:
        return None
    age = (now - stored.read_at).total_seconds()
    return stored.known_attempts if 0 <= age < FRESH_SECONDS else None
