"""The spool table: facts that were accepted while the broker did not confirm."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.errors import StoreAwayError
from trellis.common.store.postgres import Pool, acquired


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """A row that this process has claimed."""

    position: int
    routing_key: str
    body: bytes


class PostgresSpool:
    """The spool on PostgreSQL.

    Args:
        pool: Connections.
        wait_seconds: How long a webhook may wait for its row.
    """

    def __init__(self, pool: Pool, *, wait_seconds: float) -> None:
        self._pool = pool
        self._wait_seconds = wait_seconds

    async def put(self, envelopes: Sequence[Envelope]) -> None:
        """Write *envelopes*, all or none; when this returns they are committed.

        Raises:
            StoreAwayError: Not committed in time, as far as is known; a row that is there nevertheless
                is published under the same id as the redelivery.
        """
        try:
            async with asyncio.timeout(self._wait_seconds), acquired(self._pool) as connection:
                await connection.execute(
                    "insert into spool (id, account_id, routing_key, body) "
                    "select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])",
                    [item.id for item in envelopes],
                    [item.accountid for item in envelopes],
                    [item.routing_key for item in envelopes],
                    [encode(item) for item in envelopes],
                )
        except TimeoutError:
            raise StoreAwayError("the spool does not answer in time") from None

    async def claim(self, count: int, lease_seconds: float) -> list[SpooledMessage]:
        """Return up to *count* of the oldest free rows, leased to the caller.

        Raises:
            StoreAwayError: The database is away.
        """
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "with due as materialized (select position from spool "
                "where lease_until is null or lease_until < clock_timestamp() "
                "order by position limit $1 for update skip locked) "
                "update spool s set lease_until = clock_timestamp() + make_interval(secs => $2) "
                "from due where s.position = due.position returning s.position, s.routing_key, s.body",
                count,
                lease_seconds,
            )
        return [SpooledMessage(row["position"], row["routing_key"], row["body"]) for row in rows]

    async def remove(self, positions: Sequence[int]) -> None:
        """Delete rows that the broker has confirmed.

        Raises:
            StoreAwayError: The database is away; they are published again when their lease is over.
        """
        async with acquired(self._pool) as connection:
            await connection.execute("delete from spool where position = any($1::bigint[])", list(positions))

    async def release(self, positions: Sequence[int], seconds: float) -> None:
        """Leave rows alone for *seconds*, then let them be claimed again.

        Raises:
            StoreAwayError: The database is away; their lease ends by itself.
        """
        async with acquired(self._pool) as connection:
            await connection.execute(
                "update spool set lease_until = clock_timestamp() + make_interval(secs => $2) "
                "where position = any($1::bigint[])",
                list(positions),
                seconds,
            )

    async def backlog(self) -> tuple[int, float]:
        """Return how many rows wait, and the age of the oldest in seconds.

        Raises:
            StoreAwayError: The database is away.
        """
        async with acquired(self._pool) as connection:
            row = await connection.fetchrow(
                "select count(*)::bigint as rows, "
                "coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as age from spool"
            )
        return (row["rows"], row["age"]) if row is not None else (0, 0.0)
