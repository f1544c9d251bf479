"""The outbox and its relay: what a transaction decided to say is said at least once.

The relay claims a batch under a lease, commits, publishes with confirms, then marks each row that was
confirmed. A crash between repeats messages under the same ids. Order is not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from trellis.common.bus.publisher import Publisher
from trellis.common.contracts.envelope import REDRIVEN, Envelope, encode
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import BrokerAwayError, PermanentError, TransientError
from trellis.common.failpoints import failpoint
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.postgres import Connection, Pool, acquired, transaction

log = structlog.get_logger()

BATCH = 200
LEASE_SECONDS = 30
POLL_SECONDS = 1.0
SENT_AGAIN: Final = timedelta(hours=1)
"""How long before a backup a message may have been sent and still be under way then."""


async def put(connection: Connection, envelopes: Sequence[Envelope]) -> None:
    """Write *envelopes* into the outbox, in the caller's transaction."""
    if not envelopes:
        return
    await connection.execute(
        "insert into outbox (id, account_id, routing_key, body) "
        "select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])",
        [item.id for item in envelopes],
        [item.accountid for item in envelopes],
        [item.routing_key for item in envelopes],
        [encode(item) for item in envelopes],
    )


async def send_again(connection: Connection, since: datetime) -> int:
    """Have what was sent after *since* sent once more, in the caller's transaction; return how many messages.

    After a restore: what was under way to another service when the database was backed up is known to neither.
    Whoever knows a message drops it.
    """
    rows = await connection.fetch(
        "update outbox set sent_at = null, lease_until = null where sent_at > $1 and queue is null returning position",
        since,
    )
    return len(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A message that a person puts back on the one queue it came from, byte for byte.

    Attributes:
        id: The outbox row's; an undecodable message has none of its own.
        account: Whose it is; None when it does not say.
        redriven_count: How often it was put back, this time included.
    """

    id: UUID
    account: AccountId | None
    routing_key: str
    queue: str
    redriven_count: int
    body: bytes


async def put_back(connection: Connection, returned: Returned) -> None:
    """Write a message for one queue alone into the outbox, in the caller's transaction."""
    await connection.execute(
        "insert into outbox (id, account_id, routing_key, body, queue, redriven_count) values ($1, $2, $3, $4, $5, $6)",
        returned.id,
        returned.account or "",
        returned.routing_key,
        returned.body,
        returned.queue,
        returned.redriven_count,
    )


@dataclass(frozen=True, slots=True)
class Unsent:
    """One outbox row, claimed by a relay; with a *queue* it goes straight there."""

    position: int
    routing_key: str
    body: bytes
    queue: str | None = None
    redriven_count: int = 0


class Outbox(Protocol):
    """The rows as a relay uses them."""

    async def claim(self, *, most: int, lease_seconds: float) -> list[Unsent]:
        """Lease up to *most* rows that are not sent and not leased, the oldest first; committed on return."""

    async def settle(self, sent: Sequence[int], unsent: Sequence[int]) -> None:
        """Mark the rows *sent*, and give back *unsent* ones before their lease lapses."""

    async def oldest_seconds(self) -> float:
        """Return the age of the oldest row that is not sent, 0 without one; forgets rows sent days ago."""


class PostgresOutbox:
    """The rows in the service's schema."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, *, most: int, lease_seconds: float) -> list[Unsent]:
        """See `Outbox.claim`."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "with due as materialized (select position from outbox where sent_at is null "
                "and (lease_until is null or lease_until < clock_timestamp()) "
                "order by position limit $1 for update skip locked) "
                "update outbox o set lease_until = clock_timestamp() + make_interval(secs => $2) "
                "from due where o.position = due.position returning o.position, o.routing_key, o.body, "
                "o.queue, o.redriven_count",
                most,
                lease_seconds,
            )
        return [
            Unsent(row["position"], row["routing_key"], row["body"], row["queue"], row["redriven_count"])
            for row in rows
        ]

    async def settle(self, sent: Sequence[int], unsent: Sequence[int]) -> None:
        """See `Outbox.settle`."""
        async with transaction(self._pool) as connection:
            await connection.execute(
                "update outbox set sent_at = clock_timestamp() where position = any($1::bigint[])", list(sent)
            )
            await connection.execute(
                "update outbox set lease_until = null where position = any($1::bigint[])", list(unsent)
            )

    async def oldest_seconds(self) -> float:
        """See `Outbox.oldest_seconds`."""
        async with acquired(self._pool) as connection:
            age: float = await connection.fetchval(
                "select coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 "
                "from outbox where sent_at is null"
            )
            await connection.execute(
                "delete from outbox where ctid = any(array(select ctid from outbox "
                "where sent_at < clock_timestamp() - interval '3 days' limit 2000))"
            )
        return age


class Relay:
    """Publishes outbox rows; any number of relays may run beside each other."""

    def __init__(self, outbox: Outbox, publisher: Publisher, metrics: Metrics) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._wake = asyncio.Event()
        self._sent_total = metrics.counter("outbox_sent", "Outbox messages confirmed by the broker")
        self._age_seconds = metrics.gauge("outbox_oldest_seconds", "Age of the oldest message not yet confirmed")

    def wake(self) -> None:
        """Look now instead of at the next poll; called after a commit that wrote to the outbox."""
        self._wake.set()

    async def run(self) -> None:
        """Relay until cancelled; the poll each second is the truth, waking only makes it quick."""
        while True:
            try:
                while await self.relay_pending():
                    pass
                self._age_seconds.set(await self._outbox.oldest_seconds())
            except TransientError as error:
                log.warning("relay.waiting", reason=str(error))
                await asyncio.sleep(1.0)
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def relay_pending(self) -> int:
        """Publish one batch and return how many messages were confirmed.

        Raises:
            StoreAwayError: The database is away.
            BrokerAwayError: Not one message was confirmed.
        """
        rows = await self._outbox.claim(most=BATCH, lease_seconds=LEASE_SECONDS)
        if not rows:
            return 0
        failpoint("relay.after_claim")
        results = await asyncio.gather(
            *(
                self._publisher.publish(
                    row.body,
                    row.routing_key,
                    queue=row.queue,
                    headers={REDRIVEN: row.redriven_count} if row.redriven_count else None,
                    wait_seconds=LEASE_SECONDS / 2,
                )
                for row in rows
            ),
            return_exceptions=True,
        )
        failpoint("relay.after_publish")
        sent = [row.position for row, result in zip(rows, results, strict=True) if result is None]
        unsent = [row.position for row, result in zip(rows, results, strict=True) if result is not None]
        await self._outbox.settle(sent, unsent)
        self._sent_total.inc(len(sent))
        for result in results:
            if isinstance(result, PermanentError):
                log.error("relay.unroutable", reason=str(result))
            elif isinstance(result, BaseException) and not isinstance(result, BrokerAwayError):
                raise result
        if unsent and not sent:
            raise BrokerAwayError(f"{len(unsent)} messages not confirmed")
        return len(sent)
