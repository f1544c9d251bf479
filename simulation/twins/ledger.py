"""The ledger's rows in memory: the twin of `ledger/table.py`, statement by statement."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from simulation.twins.epochs import is_restored, knows_epoch, latest_restoration
from simulation.twins.memory import Memory, Row, Session, Transaction, is_free, tx
from trellis.common.contracts.commands import AddNote, MoveApplication, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, CommandId, Visit, stable_id
from trellis.common.ledger import recording
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent, Resolved
from trellis.common.ledger.epoch import PresentEpoch
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import NO_LIMIT
from trellis.common.ledger.table import ACTIONS
from trellis.common.store.postgres import Connection

NOBODY = UUID(int=0)


class MemoryLedger:
    """See `LedgerStore`; the memory's `on_transition` is told every transition, for coverage."""

    def __init__(self, session: Session, source: str, epoch: PresentEpoch | None = None) -> None:
        self._session = session
        self._source = source
        self._epoch = epoch

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """See `LedgerStore.transaction`."""
        return self._session.transaction()

    async def take_in(self, connection: Connection, envelope: Envelope, vendor: str, unique_key: str | None) -> bool:
        """See `LedgerStore.take_in`."""
        opened, command = tx(connection), envelope.data
        if not isinstance(command, SendInvite | AddNote | MoveApplication):
            raise TypeError(type(command).__name__)
        await opened.statement("intent insert")
        account, ident = envelope.accountid, command.command_id
        known = await opened.lock("intent", ident)
        taken = None
        if known is None and unique_key is not None:
            taken = await opened.lock("intent_key", (account, unique_key))
        if known is None and taken is None:
            opened.put("intent", ident, _fresh(opened, envelope, command, vendor) | _first_state(opened, command))
            if unique_key is not None:
                opened.put("intent_key", (account, unique_key), {"id": ident})
            return True
        if known is None and unique_key is not None:
            message = recording.told_repeat(self._source, envelope, command, ACTIONS[type(command)])
            await self._session.put_out(connection, [message])
        return False

    # -- claiming

    async def claim_due(
        self, *, lease: timedelta, per_account: int, vendor: str, room: Mapping[AccountId, int] = NO_LIMIT
    ) -> list[Intent]:
        """See `LedgerStore.claim_due`."""
        claimed = time.monotonic()
        if not self._is_due(vendor, State.WAITING):
            return []
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("claim due")
            now = opened.now
            due = [
                row
                for _, row in opened.rows("intent")
                if row["state"] is State.WAITING
                and row["vendor"] == vendor
                and row["due_at"] <= now
                and is_free(row["lease_until"], now)
                and not brakes(opened, row)
            ]
            found, counts = [], dict[str, int]()
            for row in sorted(due, key=lambda item: (item["due_at"], item["created_at"])):
                account = row["account"]
                paused, most = opened.get("pause", (account, vendor)), min(per_account, room.get(account, per_account))
                if paused is not None:
                    most = min(most, 1)
                if paused is not None and counts.get(account) is None and paused["retry_at"] > now:
                    continue
                if counts.get(account, 0) >= most or not opened.free("intent", row["id"]):
                    continue
                if paused is not None:
                    await opened.update("pause", (account, vendor), retry_at=now + lease)
                counts[account] = counts.get(account, 0) + 1
                found.append(row)
            leased = self._lease(opened, found, lease, claimed)
        if leased and self._epoch is not None:
            await self._epoch.renew()
        return leased

    async def claim_unsure(
        self, *, lease: timedelta, per_account: int, vendor: str, room: Mapping[AccountId, int] = NO_LIMIT
    ) -> list[Intent]:
        """See `LedgerStore.claim_unsure`."""
        if not self._is_due(vendor, State.ATTEMPTING, State.UNKNOWN):
            return []
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("expire")
            for ident, row in list(opened.rows("intent")):
                if row["state"] is State.ATTEMPTING and row["vendor"] == vendor and row["deadline_at"] < opened.now:
                    if not opened.free("intent", ident):
                        continue
                    opened.grab("intent", ident)
                    expired = {
                        "state": State.UNKNOWN, "revision": row["revision"] + 1, "ended_at": row["deadline_at"],
                        "absent_count": 0, "lease_until": None, "lease_token": None, "due_at": opened.now,
                        "cause": "the worker stopped before an answer was recorded",
                    }  # fmt: skip
                    opened.put("intent", ident, row | expired)
                    opened.memory.on_transition(State.ATTEMPTING, Occurrence.EXPIRED)
        claimed = time.monotonic()
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("claim unsure")
            now, counts, found = opened.now, dict[str, int](), []
            for ident, row in sorted(
                opened.rows("intent"), key=lambda item: (item[1]["due_at"], item[1]["created_at"])
            ):
                if row["state"] is not State.UNKNOWN or row["vendor"] != vendor:
                    continue
                if row["due_at"] > now or not is_free(row["lease_until"], now):
                    continue
                most = min(per_account, room.get(row["account"], per_account))
                if counts.get(row["account"], 0) < most and opened.free("intent", ident):
                    counts[row["account"]] = counts.get(row["account"], 0) + 1
                    found.append(row)
            return self._lease(opened, found, lease, claimed)

    def _is_due(self, vendor: str, *states: State) -> bool:
        """Whether a statement would find anything, so that a look at nothing costs nothing."""
        now = self._session.memory.now()
        for row in self._session.memory.table("intent").values():
            if row["state"] in states and row["vendor"] == vendor:
                if row["state"] is State.ATTEMPTING:
                    is_due = row["deadline_at"] <= now
                else:
                    is_due = row["due_at"] <= now and is_free(row["lease_until"], now)
                if is_due:
                    return True
        return False

    def _lease(self, opened: Transaction, rows: list[Row], lease: timedelta, claimed: float) -> list[Intent]:
        token = stable_id("lease", opened.memory.number())
        intents = []
        for row in rows:
            opened.grab("intent", row["id"])
            leased = row | {"lease_until": opened.now + lease, "lease_token": token}
            opened.put("intent", row["id"], leased)
            intents.append(intent_of(leased, claimed, token))
        return intents

    # -- changing

    async def begin(
        self, intent: Intent, *, deadline_seconds: float, cap: int | None, resolved: Resolved
    ) -> int | datetime | None:
        """See `LedgerStore.begin`."""
        epoch = None if self._epoch is None else self._epoch.of_attempt()
        if self._epoch is not None and epoch is None:
            return None
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("begin attempt")
            await opened.hold(("brakes", intent.account), shared=cap is None)
            await opened.statement("begin attempt, update")
            row = await opened.lock("intent", intent.id)
            now = opened.now
            if row is None or row["lease_token"] != intent.lease_token or row["state"] is not State.WAITING:
                return None
            if row["lease_until"] <= now or brakes(opened, row):
                return None
            if epoch is not None and not knows_epoch(opened, epoch):
                return None
            begun = {
                "state": State.ATTEMPTING, "attempt": row["attempt"] + 1, "revision": row["revision"] + 1,
                "absent_count": 0, "deadline_at": now + timedelta(seconds=deadline_seconds), "attempted_at": now,
                "ended_at": None, "resolved": intent.resolved | resolved,
            }  # fmt: skip
            opened.put("intent", intent.id, row | begun)
            opened.memory.on_transition(State.WAITING, Occurrence.BEGUN)
            attempt: int = begun["attempt"]
            return attempt

    async def record(self, connection: Connection, intent: Intent, attempt: int, change: Change) -> State | None:
        """See `LedgerStore.record`."""
        opened = tx(connection)
        await opened.statement("record")
        row = await opened.lock("intent", intent.id)
        if row is None:
            return None
        before = recording.Row(**{name: row[name] for name in _DECIDING})
        after = recording.changed(before, attempt, change)
        if after is None:
            return None
        await opened.statement("record, update")
        opened.memory.on_transition(row["state"], change.occurrence)
        ended = row["ended_at"] or opened.now if after.ends_attempt else row["ended_at"]
        written = {
            "state": after.state, "revision": row["revision"] + 1, "cause": change.reason, "remedy": change.remedy,
            "mended_by": change.mended_by, "resolved": after.resolved, "due_at": opened.now + change.wait,
            "absent_count": after.absent_count, "retries": after.retries, "lease_until": None, "lease_token": None,
            "ended_at": ended,
        }  # fmt: skip
        opened.put("intent", intent.id, row | written)
        if after.tells:
            message = recording.told(self._source, intent, attempt, row["revision"] + 1, after, change, opened.now)
            await self._session.put_out(connection, [message])
        return after.state

    async def postpone(self, intent: Intent, change: Change) -> None:
        """See `LedgerStore.postpone`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("postpone")
            row = await opened.lock("intent", intent.id)
            if row is None or row["lease_token"] != intent.lease_token:
                return
            if row["state"] in (State.WAITING, State.UNKNOWN):
                given_back = {"lease_until": None, "lease_token": None, "cause": change.reason}
                opened.put("intent", intent.id, row | given_back | {"due_at": opened.now + change.wait})
                opened.memory.on_transition(row["state"], Occurrence.POSTPONED)

    async def put_off(self, account: AccountId, vendor: str, wait: timedelta, reason: str) -> int:
        """See `LedgerStore.put_off`."""
        if not self._is_due(vendor, State.WAITING, State.UNKNOWN):
            return 0
        async with self._session.transaction() as connection:
            opened, count = tx(connection), 0
            await opened.statement("put off")
            at = datetime.fromtimestamp(math.ceil((opened.now + wait).timestamp()), UTC)
            for ident, row in list(opened.rows("intent")):
                is_its = (row["account"], row["vendor"]) == (account, vendor)
                if not is_its or row["state"] not in (State.WAITING, State.UNKNOWN) or row["due_at"] > opened.now:
                    continue
                if is_free(row["lease_until"], opened.now) and opened.free("intent", ident):
                    opened.grab("intent", ident)
                    opened.put("intent", ident, row | {"due_at": at, "cause": reason})
                    count += 1
            return count

    async def pause(
        self, connection: Connection, account: AccountId, vendor: str, reason: str, remedy: str, retry: timedelta
    ) -> bool:
        """See `LedgerStore.pause`."""
        opened = tx(connection)
        await opened.statement("pause")
        known = await opened.lock("pause", (account, vendor))
        row = {
            "account": account, "vendor": vendor, "reason": reason, "remedy": remedy, "retry_at": opened.now + retry,
            "since": opened.now if known is None else known["since"],
        }  # fmt: skip
        opened.put("pause", (account, vendor), row)
        return known is None

    async def probe_again(self, account: AccountId, vendor: str, wait: timedelta) -> None:
        """See `LedgerStore.probe_again`."""
        if (account, vendor) not in self._session.memory.table("pause"):
            return
        async with self._session.transaction() as connection:
            opened = tx(connection)
            row = await opened.lock("pause", (account, vendor))
            if row is not None and row["retry_at"] > opened.now + wait:
                opened.put("pause", (account, vendor), row | {"retry_at": opened.now + wait})

    async def unpause(self, connection: Connection, account: AccountId, vendor: str) -> bool:
        """See `LedgerStore.unpause`."""
        opened = tx(connection)
        await opened.statement("unpause")
        if await opened.lock("pause", (account, vendor)) is None:
            return False
        opened.put("pause", (account, vendor), None)
        for ident, row in list(opened.rows("intent")):
            if (row["account"], row["vendor"], row["state"]) == (account, vendor, State.WAITING):
                fresh = await opened.lock("intent", ident)
                if fresh is not None and fresh["state"] is State.WAITING and fresh["due_at"] > opened.now:
                    opened.put("intent", ident, fresh | {"due_at": opened.now})
        return True

    async def mend(self, connection: Connection, account: AccountId, candidate: CandidateId, fact: str) -> list[UUID]:
        """See `LedgerStore.mend`."""
        opened, mended = tx(connection), []
        await opened.statement("mend")
        for ident, row in list(opened.rows("intent")):
            if (row["account"], row["candidate_id"], row["mended_by"]) != (account, candidate, fact):
                continue
            fresh = await opened.lock("intent", ident)
            if fresh is not None and fresh["state"] is State.PARKED:
                change = Change(occurrence=Occurrence.MENDED, reason=f"mended by {fact}")
                await self.record(connection, intent_of(fresh, 0.0, NOBODY), fresh["attempt"], change)
                mended.append(ident)
        return mended

    async def of_candidate(
        self, connection: Connection, account: AccountId, candidate: CandidateId, applications: Sequence[ApplicationId]
    ) -> list[Intent]:
        """See `LedgerStore.of_candidate`."""
        opened, found = tx(connection), []
        await opened.statement("of candidate")
        for ident, row in sorted(opened.rows("intent")):
            if row["account"] != account:
                continue
            if row["candidate_id"] == candidate or row["application_id"] in applications:
                fresh = await opened.lock("intent", ident)
                if fresh is not None:
                    found.append(intent_of(fresh, time.monotonic(), NOBODY))
        return found

    async def held(self, connection: Connection, ident: UUID, account: AccountId) -> Intent | None:
        """See `LedgerStore.held`."""
        opened = tx(connection)
        await opened.statement("held")
        row = await opened.lock("intent", ident)
        return None if row is None or row["account"] != account else intent_of(row, time.monotonic(), NOBODY)

    async def counts(self) -> dict[tuple[str, str], int]:
        """See `LedgerStore.counts`; nobody reads the gauges here."""
        return {}


_DECIDING = ("state", "attempt", "absent_count", "retries", "resolved")


def brakes(opened: Transaction, row: Row) -> bool:
    """Whether a brake holds the row, or the database counts as restored."""
    if is_restored(opened):
        return True
    names = {("account", ""), ("connection", row["vendor"]), ("workflow", row["command"].origin.workflow)}
    return any(opened.get("brake", (row["account"], *name)) is not None for name in names)


async def put_brake(session: Session, account: AccountId) -> None:
    """Put an account's brake on, as `Brakes.put` does."""
    async with session.transaction() as connection:
        opened = tx(connection)
        await opened.hold(("brakes", account))
        await opened.insert("brake", (account, "account", ""), {})


def release_brake(memory: Memory, account: AccountId) -> None:
    """Take it off."""
    memory.table("brake").pop((account, "account", ""), None)
    memory.on_change(("brake",))


def _first_state(opened: Transaction, command: SendInvite | AddNote | MoveApplication) -> Row:
    known = latest_restoration(opened)
    if known is None or isinstance(command, MoveApplication):
        return {}
    ended_at, began_at = known["ended_at"], command.began_at
    is_past = ended_at is not None and (
        ended_at <= opened.now - timedelta(days=30) or (began_at is not None and began_at >= ended_at)
    )
    return {} if is_past else {"state": State.UNKNOWN, "attempted_at": known["as_of"]}


def _fresh(opened: Transaction, envelope: Envelope, command: Any, vendor: str) -> Row:
    return {
        "id": command.command_id, "account": envelope.accountid, "application_id": command.application_id,
        "candidate_id": command.candidate_id, "visit": command.visit, "action": ACTIONS[type(command)],
        "vendor": vendor, "command": command, "state": State.WAITING, "attempt": 0, "absent_count": 0, "retries": 0,
        "revision": 0, "due_at": opened.now, "lease_until": None, "lease_token": None, "attempted_at": None,
        "deadline_at": None, "ended_at": None, "cause": "", "remedy": "", "mended_by": None, "resolved": {},
        "correlationid": envelope.correlationid, "created_at": opened.now,
    }  # fmt: skip


def intent_of(row: Row, claimed: float, token: UUID) -> Intent:
    """Return the row as a worker holds it."""
    return Intent(
        id=CommandId(row["id"]),
        account=row["account"],
        application_id=row["application_id"],
        candidate_id=row["candidate_id"],
        visit=Visit(row["visit"]),
        action=row["action"],
        command=row["command"],
        state=row["state"],
        attempt=row["attempt"],
        absent_count=row["absent_count"],
        retries=row["retries"],
        cause=row["cause"],
        created_at=row["created_at"],
        correlationid=row["correlationid"],
        claimed=claimed,
        lease_token=token,
        attempted_at=row["attempted_at"],
        ended_at=row["ended_at"],
        resolved=dict(row["resolved"]),
    )
