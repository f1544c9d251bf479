"""A database in memory: READ COMMITTED transactions that roll back, row locks that wait, deadlocks that are found.

A statement sees what is committed and what its own transaction wrote. Who writes a row holds its lock
until the end; a second writer waits and then sees the first one's row, as in PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from simulation.process import Process
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.errors import ConflictError, StoreAwayError
from trellis.common.store.inbox import keys_of
from trellis.common.store.outbox import Outbox, Unsent
from trellis.common.store.postgres import Connection

Row = dict[str, Any]
LOCK_SECONDS = 5.0
NEVER = datetime.max.replace(tzinfo=UTC)


class Memory:
    """What one service's database holds; it outlives processes.

    Attributes:
        away: Statements and commits fail while it is set.
        deadlock: Draws whether a statement is the victim of a deadlock.
        cut: Draws whether a commit that happened is answered by a cut connection.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        cut: Callable[[], bool] = lambda: False,
        deadlock: Callable[[], bool] = lambda: False,
    ) -> None:
        self.now = now
        self.deadlock = deadlock
        self.cut = cut
        self.away = False
        self.tables: dict[str, dict[Any, Row]] = {}
        self.changed = asyncio.Event()
        self._locks: dict[Any, _Lock] = {}
        self._numbers = 0

    def table(self, name: str) -> dict[Any, Row]:
        """Return the committed rows of one table by key."""
        return self.tables.setdefault(name, {})

    def number(self) -> int:
        """Return the next identity; like a sequence it is not rolled back."""
        self._numbers += 1
        return self._numbers

    def lock_of(self, key: Any) -> _Lock:
        """Return the lock of *key*."""
        return self._locks.setdefault(key, _Lock())

    def is_free(self, key: Any, owner: Transaction) -> bool:
        """Whether nobody but *owner* holds the lock of *key*."""
        lock = self._locks.get(key)
        return lock is None or all(holder is owner for holder in lock.holders)

    def unlock(self, key: Any, owner: Transaction) -> None:
        """Take *owner* off the lock of *key* and wake those who wait."""
        lock = self._locks[key]
        lock.holders.pop(owner, None)
        for waiter in lock.waiters:
            if not waiter.done():
                waiter.set_result(None)
        lock.waiters.clear()
        if not lock.holders:
            self._locks.pop(key, None)


class _Lock:
    def __init__(self) -> None:
        self.holders: dict[Transaction, bool] = {}
        self.waiters: list[asyncio.Future[None]] = []


class Transaction:
    """One open transaction."""

    def __init__(self, memory: Memory, process: Process) -> None:
        self.memory = memory
        self.process = process
        self.writes: dict[str, dict[Any, Row | None]] = {}
        self._held: set[Any] = set()
        self._waits: _Lock | None = None
        process.at_death[self.roll_back] = None

    @property
    def now(self) -> datetime:
        """The database's clock."""
        return self.memory.now()

    async def statement(self, label: str) -> None:
        """Begin one statement: the connection may be cut, the process may die."""
        await self.process.step(label)
        if self.memory.away:
            raise StoreAwayError("the database is away (simulated)")
        if self.memory.deadlock():
            raise ConflictError("another writer was first (40P01, simulated)")

    # -- rows

    def get(self, table: str, key: Any) -> Row | None:
        """Return a row as this transaction sees it; it must not be changed in place."""
        own = self.writes.get(table)
        if own is not None and key in own:
            return own[key]
        return self.memory.table(table).get(key)

    def rows(self, table: str) -> Iterator[tuple[Any, Row]]:
        """Yield the rows of a table, the oldest first."""
        own = self.writes.get(table)
        if not own:
            yield from list(self.memory.table(table).items())
            return
        for key, row in list(self.memory.table(table).items()):
            if key not in own:
                yield key, row
            elif (mine := own[key]) is not None:
                yield key, mine
        for key, fresh in list(own.items()):
            if fresh is not None and key not in self.memory.table(table):
                yield key, fresh

    async def lock(self, table: str, key: Any) -> Row | None:
        """Lock a row until the end and return it as it is then."""
        await self.hold((table, key))
        return self.get(table, key)

    def free(self, table: str, key: Any) -> bool:
        """Whether nobody else holds the row: what SKIP LOCKED asks."""
        return self.memory.is_free((table, key), self)

    def grab(self, table: str, key: Any) -> None:
        """Take the lock of a row that is free."""
        self.memory.lock_of((table, key)).holders[self] = False
        self._held.add((table, key))

    async def update(self, table: str, key: Any, **fields: Any) -> bool:
        """Change a row under its lock; False when it is not there."""
        row = await self.lock(table, key)
        if row is None:
            return False
        self.put(table, key, row | fields)
        return True

    async def insert(self, table: str, key: Any, row: Row) -> bool:
        """Insert a row; False when the key is taken, by an open transaction too once that is committed."""
        await self.hold((table, key))
        if self.get(table, key) is not None:
            return False
        self.put(table, key, row)
        return True

    def put(self, table: str, key: Any, row: Row | None) -> None:
        """Write a row whose lock is held; None deletes it."""
        self.writes.setdefault(table, {})[key] = row

    # -- locks

    async def hold(self, key: Any, *, shared: bool = False) -> None:
        """Take a lock until the end, waiting for those who hold it.

        Raises:
            ConflictError: The wait would never end, or lasted longer than the lock time-out.
        """
        deadline = asyncio.get_running_loop().time() + LOCK_SECONDS
        while True:
            lock = self.memory.lock_of(key)
            others = [mode for holder, mode in lock.holders.items() if holder is not self]
            if not others or (shared and all(others)):
                lock.holders[self] = shared and lock.holders.get(self, True)
                self._held.add(key)
                return
            self._waits = lock
            if self._is_deadlocked():
                self._waits = None
                raise ConflictError("another writer was first (40P01)")
            waiter = asyncio.get_running_loop().create_future()
            lock.waiters.append(waiter)
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                raise ConflictError("another writer was first (55P03)") from None
            finally:
                self._waits = None
            self.process.check()

    def _is_deadlocked(self) -> bool:
        seen, left = set(), [self]
        while left:
            waits = left.pop()._waits
            for holder in waits.holders if waits else ():
                if holder is self and waits is not self._waits:
                    return True
                if holder is not self and holder not in seen:
                    seen.add(holder)
                    left.append(holder)
        return False

    # -- the end

    def commit(self) -> None:
        """Make all that was written visible."""
        for table, rows in self.writes.items():
            committed = self.memory.table(table)
            for key, row in rows.items():
                if row is None:
                    committed.pop(key, None)
                else:
                    committed[key] = row
        if self.writes:
            self.memory.changed.set()
        self.roll_back()

    def roll_back(self) -> None:
        """Forget all that was not committed and give the locks back."""
        self.writes = {}
        for key in self._held:
            self.memory.unlock(key, self)
        self._held.clear()
        self.process.at_death.pop(self.roll_back, None)


def tx(connection: Connection) -> Transaction:
    """Return what a twin's transaction yields as what it is."""
    return cast(Transaction, connection)


class Session:
    """The database as one process uses it: the twin of `PostgresDatabase`."""

    def __init__(self, memory: Memory, process: Process) -> None:
        self.memory = memory
        self.process = process

    @property
    def outbox(self) -> Outbox:
        """See `Database.outbox`."""
        return MemoryOutbox(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """See `Database.transaction`."""
        await self.process.step("begin")
        if self.memory.away:
            raise StoreAwayError("the database is away (simulated)")
        opened = Transaction(self.memory, self.process)
        try:
            yield cast(Connection, opened)
            await opened.statement("commit")
            wrote = bool(opened.writes)
            opened.commit()
        finally:
            opened.roll_back()
        if wrote:
            await self.process.step("after the commit")
            if self.memory.cut():
                raise StoreAwayError("the database is away (cut after the commit)")

    def acquired(self) -> Any:
        """See `Database.acquired`; the shells make one statement each in it."""
        return self.transaction()

    async def take_in(self, connection: Connection, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """See `Database.take_in`."""
        opened = tx(connection)
        await opened.statement("inbox")
        wanted = sorted({(item.accountid, key) for item in envelopes for key in keys_of(item)})
        new = {key for key in wanted if await opened.insert("inbox", key, {"at": opened.now})}
        fresh = []
        for item in envelopes:
            keys = {(item.accountid, key) for key in keys_of(item)}
            if keys <= new:
                fresh.append(item)
                new -= keys
        return fresh

    async def put_out(self, connection: Connection, envelopes: Sequence[Envelope]) -> None:
        """See `Database.put_out`."""
        opened = tx(connection)
        if envelopes:
            await opened.statement("outbox")
        for item in envelopes:
            number = self.memory.number()
            row = {"body": encode(item), "key": item.routing_key, "at": opened.now, "lease": None, "sent": None}
            opened.put("outbox", number, row)


class MemoryOutbox:
    """The twin of `PostgresOutbox`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, *, most: int, lease_seconds: float) -> list[Unsent]:
        """See `Outbox.claim`."""
        if not any(row["sent"] is None for row in self._session.memory.table("outbox").values()):
            return []
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("outbox claim")
            claimed = []
            for number, row in opened.rows("outbox"):
                if row["sent"] is None and is_free(row["lease"], opened.now) and opened.free("outbox", number):
                    opened.grab("outbox", number)
                    opened.put("outbox", number, row | {"lease": opened.now + timedelta(seconds=lease_seconds)})
                    claimed.append(Unsent(number, row["key"], row["body"]))
                    if len(claimed) == most:
                        break
        return claimed

    async def settle(self, sent: Sequence[int], unsent: Sequence[int]) -> None:
        """See `Outbox.settle`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("outbox settle")
            for number in sent:
                await opened.update("outbox", number, sent=opened.now)
            for number in unsent:
                await opened.update("outbox", number, lease=None)

    async def oldest_seconds(self) -> float:
        """See `Outbox.oldest_seconds`."""
        return 0.0


def is_free(lease: datetime | None, now: datetime) -> bool:
    """Whether a lease is over."""
    return lease is None or lease < now
