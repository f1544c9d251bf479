"""The rows of a ledger as its shells use them; `table.py` keeps them in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Protocol
from uuid import UUID

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent, Resolved
from trellis.common.ledger.states import State
from trellis.common.store.postgres import Connection

NO_LIMIT: Final[Mapping[AccountId, int]] = MappingProxyType({})


class LedgerStore(Protocol):
    """The rows of one service's ledger; what each method promises stands with `table.Ledger`."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Run the block in one transaction of the database that holds the rows."""

    async def take_in(self, connection: Connection, envelope: Envelope, vendor: str, unique_key: str | None) -> bool:
        """Record the command in *envelope* as an intent; False when it is known already."""

    async def claim_due(
        self, *, lease: timedelta, per_account: int, vendor: str, room: Mapping[AccountId, int] = NO_LIMIT
    ) -> list[Intent]:
        """Lease rows that are due to be attempted, none under a brake, one of a paused connection."""

    async def claim_unsure(
        self, *, lease: timedelta, per_account: int, vendor: str, room: Mapping[AccountId, int] = NO_LIMIT
    ) -> list[Intent]:
        """Lease rows that are to be looked up: unknown ones that are due, and attempts past their deadline."""

    async def begin(
        self, intent: Intent, *, deadline_seconds: float, cap: int | None, resolved: Resolved
    ) -> int | datetime | None:
        """Commit an attempt with its deadline; its number, when the cap is free again, or None: not now."""

    async def record(self, connection: Connection, intent: Intent, attempt: int, change: Change) -> State | None:
        """Apply *change* to the row if its current attempt is *attempt*; None when it changes nothing."""

    async def postpone(self, intent: Intent, change: Change) -> None:
        """Give a claimed row back untouched but for *change*'s wait and reason."""

    async def put_off(self, account: AccountId, vendor: str, wait: timedelta, reason: str) -> int:
        """Let rows that are due and nobody's be due after *wait*, all at once; return how many."""

    async def pause(
        self, connection: Connection, account: AccountId, vendor: str, reason: str, remedy: str, retry: timedelta
    ) -> bool:
        """Pause a connection whose credential was rejected; True when it was not paused before."""

    async def probe_again(self, account: AccountId, vendor: str, wait: timedelta) -> None:
        """Test a paused connection again after *wait*, if that is sooner."""

    async def unpause(self, connection: Connection, account: AccountId, vendor: str) -> bool:
        """End a pause; all its rows become due. False when there was none."""

    async def mend(self, connection: Connection, account: AccountId, candidate: CandidateId, fact: str) -> list[UUID]:
        """Give back the parked rows of *candidate* that *fact* mends, and return their ids."""

    async def of_candidate(
        self, connection: Connection, account: AccountId, candidate: CandidateId, applications: Sequence[ApplicationId]
    ) -> list[Intent]:
        """Return the rows of *candidate* and of *applications*, locked, in the order of their ids."""

    async def held(self, connection: Connection, ident: UUID, account: AccountId) -> Intent | None:
        """Return one row of *account* as it is now, locked; None when there is none."""

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return how many rows stand in each open state: (account, state) -> count."""
