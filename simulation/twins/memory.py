"""A database in memory: READ COMMITTED transactions that roll back, row locks that wait, deadlocks that are found.

A statement sees what is committed and what its own transaction wrote. Who writes a row holds its lock
until the end; a second writer waits and then sees the first one's row, as in PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from simulation.process import Process
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.errors import ConflictError, StoreAwayError
from trellis.common.ledger.states import Occurrence, State
from trellis.common.store.inbox import keys_of
from trellis.common.store.outbox import Outbox, Returned, Unsent
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
        on_change: Told the tables that a commit changed.
        on_transition: Told each row of the ledger's table that a statement followed.
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
        self.on_change: Callable[[Iterable[str]], None] = lambda tables: None
        self.on_transition: Callable[[State, Occurrence], None] = lambda state, occurrence: None
        self.locks: dict[Any, _Lock] = {}
        self._numbers = 0

    def table(self, name: str) -> dict[Any, Row]:
        """Return the committed rows of one table by key."""
        found = self.tables.get(name)
        if found is None:
            found = self.tables[name] = {}
        return found

    def number(self) -> int:
        """Return the next identity; like a sequence it is not rolled back."""
        self._numbers += 1
        return self._numbers

    def is_free(self, key: Any, owner: Transaction) -> bool:
        """Whether nobody but *owner* holds the lock of *key*."""
        lock = self.locks.get(key)
        return lock is None or all(holder is owner for holder in lock.holders)

    def unlock(self, key: Any, owner: Transaction) -> None:
        """Take *owner* off the lock of *key* and wake those who wait."""
        lock = self.locks[key]
        lock.holders.pop(owner, None)
        if lock.waiters:
            for waiter in lock.waiters:
                if not waiter.done():
                    waiter.set_result(None)
            lock.waiters.clear()
        if not lock.holders:
            del self.locks[key]


class _Lock:
    """A lock with its first holder; the values say whether each shares it."""

    __slots__ = ("holders", "waiters")

    def __init__(self, first: Transaction, *, shared: bool = False) -> None:
        self.holders: dict[Transaction, bool] = {first: shared}
        self.waiters: list[asyncio.Future[None]] = []


class Transaction:
    """One open transaction.

    Attributes:
        failed: A statement in it failed, so that nothing more is done in it and its end commits nothing.
    """

    def __init__(self, memory: Memory, process: Process) -> None:
        self.memory = memory
        self.process = process
        self.writes: dict[str, dict[Any, Row | None]] = {}
        self._held: dict[Any, bool] = {}
        self._waits: _Lock | None = None
        self.failed = False
        process.at_death[self] = self.roll_back

    @property
    def now(self) -> datetime:
        """The database's clock."""
        return self.memory.now()

    async def statement(self, label: str) -> None:
        """Begin one statement: the connection may be cut, the process may die."""
        wait = self.process.wait_at(label)
        if wait is not None:
            await wait
        if self.memory.away:
            raise StoreAwayError("the database is away (simulated)")
        if self.failed:
            raise RuntimeError("the transaction is aborted: nothing more is done in it")
        if self.memory.deadlock():
            raise self._lost("40P01, simulated")

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
        if not self._seizes((table, key)):
            await self.hold((table, key))
        return self.get(table, key)

    def free(self, table: str, key: Any) -> bool:
        """Whether nobody else holds the row: what SKIP LOCKED asks."""
        return self.memory.is_free((table, key), self)

    def grab(self, table: str, key: Any) -> None:
        """Take the lock of a row that is free."""
        self._seizes((table, key))

    async def update(self, table: str, key: Any, **fields: Any) -> bool:
        """Change a row under its lock; False when it is not there."""
        if not self._seizes((table, key)):
            await self.hold((table, key))
        row = self.get(table, key)
        if row is None:
            return False
        self.put(table, key, row | fields)
        return True

    async def insert(self, table: str, key: Any, row: Row) -> bool:
        """Insert a row; False when the key is taken, by an open transaction too once that is committed."""
        if not self._seizes((table, key)):
            await self.hold((table, key))
        if self.get(table, key) is not None:
            return False
        self.put(table, key, row)
        return True

    def put(self, table: str, key: Any, row: Row | None) -> None:
        """Write a row whose lock is held; None deletes it."""
        own = self.writes.get(table)
        if own is None:
            own = self.writes[table] = {}
        own[key] = row

    # -- locks

    async def hold(self, key: Any, *, shared: bool = False) -> None:
        """Take a lock until the end, waiting for those who hold it.

        Raises:
            ConflictError: The wait would never end, or lasted longer than the lock time-out.
        """
        if not shared and self._seizes(key):
            return
        deadline = asyncio.get_running_loop().time() + LOCK_SECONDS
        while True:
            lock = self.memory.locks.get(key)
            if lock is None:
                self.memory.locks[key] = _Lock(self, shared=shared)
                self._held[key] = shared
                return
            others = [mode for holder, mode in lock.holders.items() if holder is not self]
            if not others or (shared and all(others)):
                self._held[key] = lock.holders[self] = shared and lock.holders.get(self, True)
                return
            self._waits = lock
            if self._is_deadlocked():
                self._waits = None
                raise self._lost("40P01")
            waiter = asyncio.get_running_loop().create_future()
            lock.waiters.append(waiter)
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                raise self._lost("55P03") from None
            finally:
                self._waits = None
            self.process.check()

    def _seizes(self, key: Any) -> bool:
        """Whether the lock of *key* is had without waiting; it is, when nobody holds it."""
        if key in self._held:
            return not self._held[key]
        if key in self.memory.locks:
            return False
        self.memory.locks[key] = _Lock(self)
        self._held[key] = False
        return True

    def _lost(self, state: str) -> ConflictError:
        """Return the error of a statement that failed, with which all of the transaction did."""
        self.failed = True
        return ConflictError(f"another writer was first ({state})")

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
        changed = self.writes
        for table, rows in changed.items():
            committed = self.memory.table(table)
            for key, row in rows.items():
                if row is None:
                    committed.pop(key, None)
                else:
                    committed[key] = row
        self.roll_back()
        if changed:
            self.memory.on_change(changed)

    def roll_back(self) -> None:
        """Forget all that was not committed and give the locks back."""
        self.writes = {}
        held, self._held = self._held, {}
        for key in held:
            self.memory.unlock(key, self)
        self.process.at_death.pop(self, None)


class _Opening(AbstractAsyncContextManager[Connection]):
    """One transaction from its beginning to its end."""

    def __init__(self, memory: Memory, process: Process) -> None:
        self._memory = memory
        self._process = process
        self._opened: Transaction | None = None

    async def __aenter__(self) -> Connection:
        wait = self._process.wait_at("begin")
        if wait is not None:
            await wait
        if self._memory.away:
            raise StoreAwayError("the database is away (simulated)")
        self._opened = Transaction(self._memory, self._process)
        return cast(Connection, self._opened)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        opened = tx(cast(Connection, self._opened))
        wrote = False
        try:
            if kind is None and not opened.failed:
                await opened.statement("commit")
                wrote = bool(opened.writes)
                opened.commit()
        except BaseException:
            opened.roll_back()
            raise
        if kind is not None or opened.failed:
            opened.roll_back()
        if wrote:
            wait = self._process.wait_at("after the commit")
            if wait is not None:
                await wait
            if self._memory.cut():
                raise StoreAwayError("the database is away (cut after the commit)")


class _Acquired(_Opening):
    """A connection without a transaction: nobody comes between its statements for its own sake."""

    async def __aenter__(self) -> Connection:
        self._process.check()
        self._opened = Transaction(self._memory, self._process)
        return cast(Connection, self._opened)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        tx(cast(Connection, self._opened)).commit()


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

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """See `Database.transaction`."""
        return _Opening(self.memory, self.process)

    def acquired(self) -> AbstractAsyncContextManager[Connection]:
        """See `Database.acquired`; the shells only read in it."""
        return _Acquired(self.memory, self.process)

    async def now(self, connection: Connection) -> datetime:
        """See `Database.now`."""
        return tx(connection).now

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

    async def put_back(self, connection: Connection, returned: Returned) -> None:
        """See `Database.put_back`."""
        opened = tx(connection)
        await opened.statement("outbox")
        row = {
            "body": returned.body, "key": returned.routing_key, "at": opened.now, "lease": None, "sent": None,
            "queue": returned.queue, "redriven": returned.redriven_count,
        }  # fmt: skip
        opened.put("outbox", self.memory.number(), row)


class MemoryOutbox:
    """The twin of `PostgresOutbox`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, *, most: int, lease_seconds: float) -> list[Unsent]:
        """See `Outbox.claim`."""
        if not has_unsent(self._session.memory):
            return []
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("outbox claim")
            claimed = []
            for number, row in opened.rows("outbox"):
                if row["sent"] is None and is_free(row["lease"], opened.now) and opened.free("outbox", number):
                    opened.grab("outbox", number)
                    opened.put("outbox", number, row | {"lease": opened.now + timedelta(seconds=lease_seconds)})
                    claimed.append(_unsent(number, row))
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


def _unsent(number: int, row: Row) -> Unsent:
    return Unsent(number, row["key"], row["body"], row.get("queue"), row.get("redriven", 0))


def has_unsent(memory: Memory) -> bool:
    """Whether a message waits to be sent."""
    return any(row["sent"] is None for row in memory.table("outbox").values())


def is_free(lease: datetime | None, now: datetime) -> bool:
    """Whether a lease is over."""
    return lease is None or lease < now
