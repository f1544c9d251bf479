"""Notices that the database was restored, or is a copy: then the world may be ahead of the ledger.

The database carries an epoch, and the broker the mark of the newest one. A new epoch begins just before effects are
performed and every few seconds while they are, so that a database from before them has one whose mark is gone. Then
*restored* mode begins: no attempt is made, what could have happened meanwhile is looked up, and a person ends it
(`trellis restored end`). docs/adr/0013 says why the mark is a queue, and what is not noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID, uuid4

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel

from trellis.common.bus.connection import AWAY, BrokerLink
from trellis.common.errors import BrokerAwayError, TransientError
from trellis.common.runtime.metrics import Metrics
from trellis.common.store import outbox
from trellis.common.store.postgres import Connection, Pool, acquired, transaction

log = structlog.get_logger()

EVERY_SECONDS: Final = 15.0
"""How often it is looked, and so the longest stretch of effects that one epoch covers."""
LOOK_BACK: Final = 5
"""The newest epochs of which one must be marked: more than one where a process died between two steps."""
KEPT: Final = 1000
_MARK_SECONDS: Final = 5.0
DOUBTED: Final = "the database was restored: looked up before anything else"
REASON: Final = "the database was restored or copied; nothing is sent until a person ends this (`trellis restored end`)"


class Marks(Protocol):
    """Where the newest epoch is marked, outside the database."""

    async def holds(self, nonce: UUID) -> bool:
        """Return whether the epoch is marked; raises `BrokerAwayError` when nobody can say."""

    async def put(self, nonce: UUID) -> None:
        """Mark it; raises `BrokerAwayError` when it may not be."""

    async def drop(self, nonce: UUID) -> None:
        """Take the mark away, if it is there; raises `BrokerAwayError`."""


class BrokerMarks:
    """Marks are the names of empty durable queues: the broker's one store that is read without being changed.

    Args:
        link: A connection that may declare queues named `<service>.epoch.<id>`.
        service: Whose epochs they are.
    """

    def __init__(self, link: BrokerLink, service: str) -> None:
        self._link = link
        self._service = service

    async def holds(self, nonce: UUID) -> bool:
        """See `Marks.holds`."""
        async with self._channel() as channel:
            try:
                await self._declare(channel, nonce, passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return False
        return True

    async def put(self, nonce: UUID) -> None:
        """See `Marks.put`."""
        async with self._channel() as channel:
            await self._declare(channel, nonce, passive=False)

    async def drop(self, nonce: UUID) -> None:
        """See `Marks.drop`."""
        async with self._channel() as channel:
            await channel.queue_delete(self._name(nonce))

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[AbstractChannel]:
        """Give a channel for one question, since an answer of 404 closes it."""
        if not self._link.is_up:
            raise BrokerAwayError("no connection to the broker")
        try:
            async with asyncio.timeout(_MARK_SECONDS), (await self._link.connection()).channel() as channel:
                yield channel
        except AWAY as error:
            raise BrokerAwayError(f"the broker does not say which epoch is marked ({type(error).__name__})") from error

    async def _declare(self, channel: AbstractChannel, nonce: UUID, *, passive: bool) -> None:
        await channel.declare_queue(
            self._name(nonce), durable=True, passive=passive, arguments={"x-queue-type": "quorum"}
        )

    def _name(self, nonce: UUID) -> str:
        return f"{self._service}.epoch.{nonce}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """A restored mode, from when it was noticed until a person ended it."""

    as_of: datetime
    found_at: datetime
    ended_at: datetime | None
    by: str


class PresentEpoch(Protocol):
    """What the ledger asks of the watch over the epoch."""

    async def renew(self) -> None:
        """Let the attempts that follow rest on an epoch that began a short while ago."""

    def of_attempt(self) -> UUID | None:
        """Return the epoch that an attempt rests on, which its database must know; None when there is no young one."""


class EpochStore(Protocol):
    """The epochs and restorations in the database."""

    async def newest(self) -> list[UUID]:
        """Return the newest epochs, the present one first."""

    async def begin_first(self, nonce: UUID) -> None:
        """Make *nonce* the first epoch, unless there is one."""

    async def advance(self, after: UUID) -> None:
        """Begin a new epoch if *after* is still the present one."""

    async def restored(self) -> Restoration | None:
        """Return the latest restoration, ended or not."""

    async def enter(self, seen: UUID) -> bool:
        """Begin restored mode, if *seen* is still the present epoch: no attempt begins from now on, and what may have happened is looked up.

        False when it has begun already, or another epoch has begun, or a person has ended it, while it was looked. A move is left waiting: its check before an attempt is its look-up. Messages
        sent in the hour before are sent again.
        """

    async def end(self, by: str) -> bool:
        """End restored mode with a fresh epoch; what was proven absent is looked up once more. False: there is none."""


class Epochs:
    """See `EpochStore`; in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def newest(self) -> list[UUID]:
        """See `EpochStore.newest`."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch("select nonce from epoch order by number desc limit $1", LOOK_BACK)
        return [row["nonce"] for row in rows]

    async def begin_first(self, nonce: UUID) -> None:
        """See `EpochStore.begin_first`."""
        async with transaction(self._pool) as connection:
            await connection.execute("lock table epoch in exclusive mode")
            await connection.execute("insert into epoch (nonce) select $1 where not exists (select from epoch)", nonce)

    async def advance(self, after: UUID) -> None:
        """See `EpochStore.advance`."""
        async with transaction(self._pool) as connection:
            await connection.execute("lock table epoch in exclusive mode")
            newest = await connection.fetchrow("select number, nonce from epoch order by number desc limit 1")
            if newest is not None and newest["nonce"] == after:
                await connection.execute("insert into epoch (nonce) values ($1)", uuid4())
                await connection.execute("delete from epoch where number <= $1", newest["number"] - KEPT)

    async def restored(self) -> Restoration | None:
        """See `EpochStore.restored`."""
        async with acquired(self._pool) as connection:
            row = await connection.fetchrow(
                "select as_of, found_at, ended_at, by_whom from restoration order by number desc limit 1"
            )
        if row is None:
            return None
        return Restoration(as_of=row["as_of"], found_at=row["found_at"], ended_at=row["ended_at"], by=row["by_whom"])

    async def enter(self, seen: UUID) -> bool:
        """See `EpochStore.enter`."""
        async with transaction(self._pool) as connection:
            await connection.execute("lock table epoch in exclusive mode")
            as_of: datetime | None = await connection.fetchval(
                "insert into restoration (as_of) select since from (select nonce, since from epoch "
                "order by number desc limit 1) present where nonce = $1 on conflict do nothing returning as_of",
                seen,
            )
            if as_of is not None:
                await outbox.send_again(connection, as_of - outbox.SENT_AGAIN)
                await _doubt(connection, "state in ('waiting', 'parked') and action <> 'move'")
            return as_of is not None

    async def end(self, by: str) -> bool:
        """See `EpochStore.end`."""
        async with transaction(self._pool) as connection:
            ended = await connection.fetchval(
                "update restoration set ended_at = clock_timestamp(), by_whom = $1 where ended_at is null returning true",
                by,
            )
            if ended:
                await connection.execute("delete from epoch")
                # What a person ordered again was never proven absent: the order stands.
                never = "attempted_at is null"  # taken in just while the mode began
                await _doubt(connection, f"state = 'waiting' and (action = 'note' or retries > 0 or {never})")
            return bool(ended)

    async def doubts(self) -> dict[str, int]:
        """Return how many open rows stand in each state."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select state, count(*) as n from intent where state not in ('done', 'refused', 'superseded') group by 1"
            )
        return {row["state"]: row["n"] for row in rows}


async def _doubt(connection: Connection, which: str) -> None:
    """Make the rows of *which*, a condition of ours, such that they are looked up: `Occurrence.RESTORED`.

    What was never attempted may have been since the backup, so that is when the look-up begins to read.
    """
    statement = (  # *which* is ours
        f"with doubted as (update intent set state = 'unknown', revision = revision + 1, absent_count = 0, "
        f"lease_until = null, lease_token = null, due_at = clock_timestamp(), updated_at = clock_timestamp(), "
        f"cause = $1, attempted_at = coalesce(attempted_at, (select as_of from restoration order by number desc limit 1)) "
        f"where {which} returning id, account_id, attempt) "
        f"insert into journal (intent_id, account_id, kind, attempt, state, text) "
        f"select id, account_id, 'evidence', attempt, 'unknown', $1 from doubted"
    )
    await connection.execute(statement, DOUBTED)


class Epoch:
    """Keeps watch over the epoch, and tells the ledger which one its database must know.

    Args:
        epochs: The database's.
        marks: Outside it.
        metrics: The service's.
    """

    def __init__(self, epochs: EpochStore, marks: Marks, metrics: Metrics) -> None:
        self._epochs = epochs
        self._marks = marks
        self._known: UUID | None = None
        self._is_used = True  # attempts of a process that died before it looked again rest on the present one
        self._began_at: float | None = None
        self._looking = asyncio.Lock()
        self._gauge = metrics.gauge("restored", "1 while the database counts as restored and nothing is sent")
        self._looked = asyncio.Event()

    def of_attempt(self) -> UUID | None:
        """See `PresentEpoch.of_attempt`; the days of that epoch are numbered by this."""
        self._is_used = True
        return None if self._began_at is None else self._known

    async def renew(self) -> None:
        """Begin a new epoch unless one began a short while ago, so that a backup from before has a mark that is gone.

        While broker or database is away none begins, and no attempt either.
        """
        self._is_used = True
        is_young = self._began_at is not None and asyncio.get_running_loop().time() - self._began_at < EVERY_SECONDS
        if self._known is None or is_young:
            return
        try:
            await self.look()
            self._is_used = True  # by what was claimed and is still being prepared
        except TransientError as error:
            self._began_at = None
            log.warning("epoch.waiting", reason=str(error))

    async def first_look(self) -> None:
        """Wait until it was looked once: before that nobody knows what this database is."""
        await self._looked.wait()

    async def run(self) -> None:
        """Look every few seconds until cancelled; while the broker or the database is away nothing changes."""
        while True:
            try:
                await self.look()
                self._looked.set()
            except TransientError as error:
                log.warning("epoch.waiting", reason=str(error))
            await asyncio.sleep(EVERY_SECONDS if self._looked.is_set() else 1.0)

    async def look(self) -> None:
        """Compare the database with the mark; begin restored mode, or the next epoch when one is due.

        Raises:
            TransientError: Broker or database is away.
        """
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        began_at, newest = asyncio.get_running_loop().time(), await self._epochs.newest()
        if not newest:
            first = uuid4()
            await self._marks.put(first)  # before it is written: a first epoch without its mark would be a restored one
            await self._epochs.begin_first(first)
            self._is_used = False
            newest = await self._epochs.newest()
        if await self._marked(newest):
            if self._is_used:
                self._is_used = False  # before, for attempts meanwhile
                try:
                    await self._epochs.advance(newest[0])
                    await self._move_on(await self._epochs.newest())
                except BaseException:
                    self._is_used = True
                    raise
                self._began_at = began_at
            else:
                self._began_at = None  # nobody needs it now, so that it may grow old
                await self._move_on(await self._epochs.newest())
        elif await self._epochs.enter(newest[0]):
            log.error("database.restored", reason=REASON, remedy="see docs/operations.md, 'Restored mode'")
        restored = await self._epochs.restored()
        self._gauge.set(1 if restored is not None and restored.ended_at is None else 0)

    async def _marked(self, newest: Sequence[UUID]) -> bool:
        for nonce in newest:
            if await self._marks.holds(nonce):
                return True
        return False

    async def _move_on(self, newest: Sequence[UUID]) -> None:
        """Mark the newest epoch and take the marks of those before it away."""
        if self._known != newest[0]:
            await self._marks.put(newest[0])
            for older in newest[1:]:
                await self._marks.drop(older)
        self._known = newest[0]
