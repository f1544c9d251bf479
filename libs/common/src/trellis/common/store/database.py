"""A service's own database as its shells use it: transactions, and the inbox and outbox within them.

What a transaction yields is handed on to the stores of the same database and means nothing to anybody
else, so that the shells run unchanged on stores that are kept in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from trellis.common.contracts.envelope import Envelope
from trellis.common.store import inbox, outbox
from trellis.common.store.outbox import Outbox, PostgresOutbox, Returned
from trellis.common.store.postgres import Connection, Pool, acquired, transaction


class Database(Protocol):
    """Opens transactions, and takes messages in and puts messages out within them."""

    @property
    def outbox(self) -> Outbox:
        """What a relay reads."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Run the block in one transaction: all of it is committed at its end, or none.

        Raises:
            ConflictError: Another writer was first.
            StoreAwayError: The database is away; a commit that was cut may have happened.
        """

    def acquired(self) -> AbstractAsyncContextManager[Connection]:
        """Run the block on one connection, each statement its own transaction; raises likewise."""

    async def now(self, connection: Connection) -> datetime:
        """Return the present by the one clock that all replicas share."""

    async def take_in(self, connection: Connection, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """Record *envelopes* and return those that were not known, by either key, in their order."""

    async def put_out(self, connection: Connection, envelopes: Sequence[Envelope]) -> None:
        """Write *envelopes* into the outbox, in the caller's transaction."""

    async def put_back(self, connection: Connection, returned: Returned) -> None:
        """Write a message for the one queue it came from into the outbox, in the caller's transaction."""


class PostgresDatabase:
    """The service's schema in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @property
    def outbox(self) -> Outbox:
        """See `Database.outbox`."""
        return PostgresOutbox(self.pool)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """See `Database.transaction`."""
        return transaction(self.pool)

    def acquired(self) -> AbstractAsyncContextManager[Connection]:
        """See `Database.acquired`."""
        return acquired(self.pool)

    async def now(self, connection: Connection) -> datetime:
        """See `Database.now`."""
        value: datetime = await connection.fetchval("select clock_timestamp()")
        return value

    async def take_in(self, connection: Connection, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """See `Database.take_in`."""
        return await inbox.take_in(connection, envelopes)

    async def put_out(self, connection: Connection, envelopes: Sequence[Envelope]) -> None:
        """See `Database.put_out`."""
        await outbox.put(connection, envelopes)

    async def put_back(self, connection: Connection, returned: Returned) -> None:
        """See `Database.put_back`."""
        await outbox.put_back(connection, returned)
