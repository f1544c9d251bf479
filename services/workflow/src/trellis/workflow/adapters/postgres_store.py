"""The store in PostgreSQL: hands over to the modules that hold the SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.store.database import PostgresDatabase
from trellis.common.store.postgres import Connection, Pool
from trellis.workflow.adapters import event_store, timer_store
from trellis.workflow.adapters.definition_store import Definitions, Key
from trellis.workflow.adapters.event_store import Appended, Recorded
from trellis.workflow.adapters.timer_store import Timer
from trellis.workflow.domain.application import Application
from trellis.workflow.domain.diagnosis import Missed
from trellis.workflow.domain.rules import Workflows


class PostgresStore(PostgresDatabase):
    """See `store.Store` for what each method promises."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._definitions = Definitions()

    async def load(self, connection: Connection, streams: Sequence[UUID]) -> Mapping[UUID, Sequence[Recorded]]:
        """See `Store.load`."""
        return await event_store.load(connection, streams)

    async def append(self, connection: Connection, batch: Sequence[Appended]) -> None:
        """See `Store.append`."""
        await event_store.append(connection, batch)

    async def project(self, connection: Connection, states: Sequence[tuple[Application, int]]) -> None:
        """See `Store.project`."""
        await event_store.project(connection, states)

    async def applications_of(
        self, connection: Connection, pairs: Sequence[tuple[AccountId, int]]
    ) -> Mapping[tuple[AccountId, int], Sequence[ApplicationId]]:
        """See `Store.applications_of`."""
        return await event_store.applications_of(connection, pairs)

    async def workflows(
        self, connection: Connection, accounts: Iterable[AccountId], pinned: Iterable[Key]
    ) -> Mapping[AccountId, Workflows]:
        """See `Store.workflows`."""
        return await self._definitions.workflows(connection, accounts, pinned)

    async def schedule(self, connection: Connection, timers: Sequence[Timer]) -> None:
        """See `Store.schedule`."""
        await timer_store.schedule(connection, timers)

    async def due(self, connection: Connection, now: datetime) -> list[Timer]:
        """See `Store.due`."""
        return await timer_store.due(connection, now)

    async def remove(self, connection: Connection, timers: Sequence[Timer]) -> None:
        """See `Store.remove`."""
        await timer_store.remove(connection, timers)

    async def put_off(self, connection: Connection, timer: Timer, wait: timedelta) -> None:
        """See `Store.put_off`."""
        await timer_store.put_off(connection, timer, wait)

    async def accounts(self, connection: Connection) -> Sequence[AccountId]:
        """See `Store.accounts`."""
        return await event_store.accounts(connection)

    async def missed(self, connection: Connection, account: AccountId, since: datetime) -> Missed:
        """See `Store.missed`."""
        return await event_store.missed(connection, account, since)

    async def next_due(self, connection: Connection) -> datetime | None:
        """See `Store.next_due`."""
        return await timer_store.next_due(connection)
