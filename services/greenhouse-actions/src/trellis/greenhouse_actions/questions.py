"""One question to Greenhouse about one application."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId, ApplicationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to read an application."""

    command_id: UUID
    account_id: AccountId
    application_id: ApplicationId
    correlationid: str
    causationid: str
    tries: int = 0
