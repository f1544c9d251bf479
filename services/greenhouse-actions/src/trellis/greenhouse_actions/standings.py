"""What is to be shown of applications in Greenhouse, and what is shown: the port to where it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from trellis.common.contracts.commands import ShowStanding
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.store.postgres import Connection as Database
from trellis.greenhouse_actions.domain.standing import NotAllowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One application of which something else is to be shown.

    Attributes:
        shown: What is shown now; in notes, the problem that was told and is not solved.
        is_unsure: Whether a write may have changed that since it was recorded.
        tries: Writes that failed since one that did not.
    """

    account: AccountId
    command: ShowStanding
    correlationid: str
    shown: str
    is_unsure: bool
    tries: int


class Standings(Protocol):
    """How applications stand, one row each: a later command replaces an earlier one, in whatever order they come."""

    async def want(self, database: Database, account: AccountId, command: ShowStanding, correlationid: str) -> None:
        """Have *command* carried out after the account's `standing.delay`, in the handler's transaction.

        Nothing happens if one with as high an ordinal is known.
        """

    async def claim(self, *, per_account: int, lease: timedelta) -> list[Wanted]:
        """Lease rows that are due and mark what they show as unsure, the longest due first; at most *per_account* of each account.

        None of an account that is braked, whose connection is paused or braked, or that was refused a short while
        ago under the same revision of its connection; none at all while the database is held as restored.
        """

    async def settle(self, wanted: Wanted, shown: str, note: Envelope | None) -> None:
        """Record what is *shown* by *wanted*; *note*, an `AddNote`, becomes an intent in the same transaction."""

    async def postpone(self, wanted: Sequence[Wanted], reason: str, wait: timedelta) -> None:
        """Give rows of one account back until later."""

    async def refuse(self, account: AccountId, revision: int, refused: NotAllowed, wait: timedelta) -> None:
        """Show nothing of *account* for a while, unless its connection's *revision* changes."""

    async def refusal(self, account: AccountId, revision: int) -> NotAllowed | None:
        """Return why nothing is shown of *account* at present; None when nobody refused."""
