"""Epochs and their marks in memory: the twins of `Epochs` and `BrokerMarks` in `ledger/epoch.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from simulation.process import Process
from simulation.twins.memory import Row, Session, Transaction, tx
from trellis.common.contracts.commands import Action
from trellis.common.errors import BrokerAwayError
from trellis.common.ledger.epoch import DOUBTED, KEPT, LOOK_BACK, Restoration
from trellis.common.ledger.states import Occurrence, State
from trellis.common.store.outbox import SENT_AGAIN

_EPOCHS = "epoch"


class MemoryEpochs:
    """See `EpochStore`.

    Args:
        fresh: Makes ids.
    """

    def __init__(self, session: Session, fresh: Callable[[], UUID]) -> None:
        self._session = session
        self._fresh = fresh

    async def newest(self) -> list[UUID]:
        """See `EpochStore.newest`."""
        async with self._session.acquired() as connection:
            opened = tx(connection)
            await opened.statement("newest epochs")
            return [row["nonce"] for row in _newest(opened)[:LOOK_BACK]]

    async def begin_first(self, nonce: UUID) -> None:
        """See `EpochStore.begin_first`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.hold(_EPOCHS)
            await opened.statement("first epoch")
            if not _newest(opened):
                self._begin(opened, nonce)

    async def advance(self, after: UUID) -> None:
        """See `EpochStore.advance`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.hold(_EPOCHS)
            await opened.statement("next epoch")
            rows = _newest(opened)
            if rows and rows[0]["nonce"] == after:
                self._begin(opened, self._fresh())
                for row in rows[KEPT:]:
                    opened.put("epoch", row["number"], None)

    def _begin(self, opened: Transaction, nonce: UUID) -> None:
        number = opened.memory.number()
        opened.put("epoch", number, {"number": number, "nonce": nonce, "since": opened.now})

    async def restored(self) -> Restoration | None:
        """See `EpochStore.restored`."""
        async with self._session.acquired() as connection:
            opened = tx(connection)
            await opened.statement("restored")
            row = latest_restoration(opened)
        if row is None:
            return None
        return Restoration(as_of=row["as_of"], found_at=row["found_at"], ended_at=row["ended_at"], by=row["by"])

    async def enter(self, seen: UUID) -> bool:
        """See `EpochStore.enter`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.hold(_EPOCHS)
            await opened.hold("restoration")
            await opened.statement("enter restored mode")
            known = latest_restoration(opened)
            if known is not None and known["ended_at"] is None:
                return False
            epochs = _newest(opened)
            if not epochs or epochs[0]["nonce"] != seen:
                return False
            number, as_of = opened.memory.number(), epochs[0]["since"]
            fresh = {"number": number, "as_of": as_of, "found_at": opened.now, "ended_at": None, "by": ""}
            opened.put("restoration", number, fresh)
            await send_again(opened, as_of - SENT_AGAIN)
            await _doubt(opened, lambda row: row["state"] in _HELD and row["action"] is not Action.MOVE)
            return True

    async def end(self, by: str) -> bool:
        """See `EpochStore.end`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.hold(_EPOCHS)
            await opened.hold("restoration")
            await opened.statement("end restored mode")
            known = latest_restoration(opened)
            if known is None or known["ended_at"] is not None:
                return False
            opened.put("restoration", known["number"], known | {"ended_at": opened.now, "by": by})
            for row in _newest(opened):
                opened.put("epoch", row["number"], None)
            await _doubt(opened, _is_doubtful_still)
            return True


class MemoryMarks:
    """See `Marks`; all processes of a service share *kept*.

    Args:
        is_away: Whether the broker does not answer now.
    """

    def __init__(self, kept: set[UUID], process: Process, is_away: Callable[[], bool]) -> None:
        self._kept = kept
        self._process = process
        self._is_away = is_away

    async def holds(self, nonce: UUID) -> bool:
        """See `Marks.holds`."""
        await self._ask()
        return nonce in self._kept

    async def put(self, nonce: UUID) -> None:
        """See `Marks.put`."""
        await self._ask()
        self._kept.add(nonce)

    async def drop(self, nonce: UUID) -> None:
        """See `Marks.drop`."""
        await self._ask()
        self._kept.discard(nonce)

    async def _ask(self) -> None:
        await self._process.step("a question about a mark")
        if self._is_away():
            raise BrokerAwayError("no connection to the broker (simulated)")


_HELD = (State.WAITING, State.PARKED)


def _is_doubtful_still(row: Row) -> bool:
    is_new = row["attempted_at"] is None
    return row["state"] is State.WAITING and (row["action"] is Action.NOTE or row["retries"] > 0 or is_new)


def _newest(opened: Transaction) -> list[Row]:
    return sorted((row for _, row in opened.rows("epoch")), key=lambda row: -row["number"])


async def send_again(opened: Transaction, since: datetime) -> None:
    """See `outbox.send_again`."""
    await opened.statement("send again")
    for number, row in list(opened.rows("outbox")):
        if row["sent"] is not None and row["sent"] > since and not row.get("queue"):
            await opened.update("outbox", number, sent=None, lease=None)


def latest_restoration(opened: Transaction) -> Row | None:
    """Return the latest restoration, ended or not."""
    return max((row for _, row in opened.rows("restoration")), key=lambda row: row["number"], default=None)


def is_restored(opened: Transaction) -> bool:
    """Whether restored mode has begun and nobody ended it."""
    known = latest_restoration(opened)
    return known is not None and known["ended_at"] is None


def knows_epoch(opened: Transaction, nonce: UUID) -> bool:
    """Whether the database knows the epoch."""
    return any(row["nonce"] == nonce for _, row in opened.rows("epoch"))


async def _doubt(opened: Transaction, which: Callable[[Row], bool]) -> None:
    as_of: Any = (latest_restoration(opened) or {})["as_of"]
    for ident, row in sorted(opened.rows("intent")):
        if not which(row):
            continue
        fresh = await opened.lock("intent", ident)
        if fresh is None or not which(fresh):
            continue
        doubted = {
            "state": State.UNKNOWN, "revision": fresh["revision"] + 1, "absent_count": 0, "lease_until": None,
            "lease_token": None, "due_at": opened.now, "cause": DOUBTED, "attempted_at": fresh["attempted_at"] or as_of,
        }  # fmt: skip
        opened.put("intent", ident, fresh | doubted)
        opened.memory.on_transition(fresh["state"], Occurrence.RESTORED)
