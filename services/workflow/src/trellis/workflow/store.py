"""What the workflow service keeps, as its shells use it; `adapters/` keeps it in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.store.database import Database
from trellis.common.store.postgres import Connection
from trellis.workflow.adapters.definition_store import Key
from trellis.workflow.adapters.event_store import Appended, Recorded
from trellis.workflow.adapters.timer_store import Timer
from trellis.workflow.domain.application import Application
from trellis.workflow.domain.diagnosis import Missed
from trellis.workflow.domain.rules import Workflows


class Store(Database, Protocol):
    """The log, the read model, timers and definitions, all within the caller's transaction."""

    async def load(self, connection: Connection, streams: Sequence[UUID]) -> Mapping[UUID, Sequence[Recorded]]:
        """Return the events of *streams*, in order; an unknown stream is empty."""

    async def append(self, connection: Connection, batch: Sequence[Appended]) -> None:
        """Append *batch*.

        Raises:
            ConflictError: Another writer appended to one of the streams since it was loaded.
        """

    async def project(self, connection: Connection, states: Sequence[tuple[Application, int]]) -> None:
        """Bring the read model to *states*, each with its stream's version."""

    async def applications_of(
        self, connection: Connection, pairs: Sequence[tuple[AccountId, int]]
    ) -> Mapping[tuple[AccountId, int], Sequence[ApplicationId]]:
        """Return the applications of candidates: (account, candidate) -> ids, in order."""

    async def workflows(
        self, connection: Connection, accounts: Iterable[AccountId], pinned: Iterable[Key]
    ) -> Mapping[AccountId, Workflows]:
        """Return what decisions for *accounts* may look at: the live versions and the *pinned* ones."""

    async def schedule(self, connection: Connection, timers: Sequence[Timer]) -> None:
        """Set *timers*; one of the same stream is set anew, under a new generation."""

    async def due(self, connection: Connection, now: datetime) -> list[Timer]:
        """Return the timers that are due at *now*, the oldest first; they stay until `remove`."""

    async def remove(self, connection: Connection, timers: Sequence[Timer]) -> None:
        """Remove *timers* unless they were set anew meanwhile."""

    async def put_off(self, connection: Connection, timer: Timer, wait: timedelta) -> None:
        """Have *timer* wait longer, unless it was set anew meanwhile."""

    async def accounts(self, connection: Connection) -> Sequence[AccountId]:
        """Return the accounts with applications, in order."""

    async def missed(self, connection: Connection, account: AccountId, since: datetime) -> Missed:
        """Return what only reconciliation found of the present stage visits begun after *since*."""

    async def next_due(self, connection: Connection) -> datetime | None:
        """Return when the next timer is due; None without one."""
