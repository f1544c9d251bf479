"""How far each account was reconciled: the port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One account that one replica compares now.

    Attributes:
        mark: Everything up to here was compared; None before the first comparison.
        now: The present by the database's clock.
        longest: Longest new part of a window; None is the usual one.
        fence: Until when the claim holds; a write under an older claim is refused.
    """

    account: AccountId
    mark: datetime | None
    now: datetime
    longest: timedelta | None
    tries: int
    fence: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an account was reconciled, for people.

    Attributes:
        completed_at: When the comparison last reached the present.
        cause: Why the latest window failed; empty when it did not.
        read_count: Applications that were read and told about.
    """

    account: AccountId
    mark: datetime | None
    due_at: datetime
    completed_at: datetime | None
    tries: int
    cause: str
    read_count: int


class Reconciliations(Protocol):
    """Where it is kept."""

    async def claim(self, lease: timedelta) -> Claim | None:
        """Lease the account that is due the longest; None when none is. A new connection is due at once."""

    async def tell(self, claim: Claim, facts: Sequence[Envelope], lease: timedelta) -> Claim:
        """Put *facts* out and hold the account for another *lease*, in one transaction.

        Raises:
            ConflictError: The claim is over; nothing was put out.
        """

    async def advance(self, claim: Claim, mark: datetime, *, wait: timedelta | None) -> None:
        """Move the mark and give the account back: due after *wait* and complete until then, or at once when None.

        Raises:
            ConflictError: The claim is over, or the mark was set back meanwhile.
        """

    async def postpone(self, claim: Claim, reason: str, wait: timedelta, longest: timedelta | None) -> None:
        """Give the account back unchanged until later; the next windows are at most *longest*."""

    async def set_back(self, account: AccountId, since: datetime) -> bool:
        """Compare again from *since*, now; False when the account has no connection or is not so far yet."""

    async def hurry(self, account: AccountId) -> None:
        """Let *account* be due now: its connection or its pace was changed."""

    async def progress(self, account: AccountId | None = None) -> Sequence[Progress]:
        """Return how far *account*, or each account, was reconciled."""
