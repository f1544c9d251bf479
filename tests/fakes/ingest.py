"""In-memory ports of `ingest`; the contract suite holds them to what the real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from trellis.common.contracts.envelope import Envelope, decode, encode
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import BrokerAwayError, ConflictError, PermanentError, StoreAwayError
from trellis.ingest.adapters.sealed_bodies import KeptBody, UnreadableNotice
from trellis.ingest.adapters.spool_store import SpooledMessage
from trellis.ingest.endpoints import Endpoint, Vendor

EPOCH = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class FixedClock:
    """A clock that a test moves."""

    def __init__(self, at: datetime = EPOCH) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@dataclass
class ScriptedPublisher:
    """A broker that does what the test says: `up`, `down`, `slow` (no confirm in time), `unroutable`.

    `slow` stores the message all the same, as a broker under an alarm does.
    """

    state: str = "up"
    stored: list[Envelope] = field(default_factory=list)
    calls: int = 0

    async def publish(
        self,
        body: bytes,
        routing_key: str,
        *,
        queue: str | None = None,
        headers: Mapping[str, str | int] | None = None,
        wait_seconds: float = 5.0,
    ) -> None:
        self.calls += 1
        if self.state == "down":
            raise BrokerAwayError("no connection to the broker")
        if self.state == "unroutable":
            raise PermanentError(f"no queue takes {routing_key}")
        await asyncio.sleep(0)
        envelope = decode(body)
        assert envelope.routing_key == routing_key
        self.stored.append(envelope)
        if self.state == "slow":
            raise BrokerAwayError("not confirmed by the broker (TimeoutError)")


@dataclass
class _Row:
    message: SpooledMessage
    created_at: float
    lease_until: float


class MemorySpool:
    """A spool in memory; `is_away` makes every method fail."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._rows: dict[int, _Row] = {}
        self._next = 1
        self.is_away = False

    @property
    def envelopes(self) -> list[Envelope]:
        return [decode(row.message.body) for row in self._rows.values()]

    def _check(self) -> None:
        if self.is_away:
            raise StoreAwayError("the spool does not answer in time")

    async def put(self, envelopes: Sequence[Envelope]) -> None:
        self._check()
        for item in envelopes:
            message = SpooledMessage(self._next, item.routing_key, encode(item))
            self._rows[self._next] = _Row(message, self._monotonic(), float("-inf"))
            self._next += 1

    async def claim(self, count: int, lease_seconds: float) -> list[SpooledMessage]:
        self._check()
        now = self._monotonic()
        free = [row for row in self._rows.values() if row.lease_until < now][:count]
        for row in free:
            row.lease_until = now + lease_seconds
        return [row.message for row in free]

    async def remove(self, positions: Sequence[int]) -> None:
        self._check()
        for position in positions:
            self._rows.pop(position, None)

    async def release(self, positions: Sequence[int], seconds: float) -> None:
        self._check()
        for position in positions:
            if position in self._rows:
                self._rows[position].lease_until = self._monotonic() + seconds

    async def backlog(self) -> tuple[int, float]:
        self._check()
        now = self._monotonic()
        return len(self._rows), max((now - row.created_at for row in self._rows.values()), default=0.0)


class MemoryBodies:
    """Bodies kept in memory."""

    def __init__(self, keep: timedelta = timedelta(days=30), now: Callable[[], datetime] = lambda: EPOCH) -> None:
        self._keep = keep
        self._now = now
        self.kept: list[KeptBody] = []
        self.is_away = False

    def _live(self) -> list[KeptBody]:
        if self.is_away:
            raise StoreAwayError("the body could not be kept in time")
        return [one for one in self.kept if one.received_at + self._keep > self._now()]

    async def put(self, kept: KeptBody) -> None:
        self._live()
        if any(one.id == kept.id for one in self.kept):
            raise ConflictError("another writer was first (sealed_body_pkey)")
        self.kept.append(kept)

    async def open(self, account: AccountId, body: UUID) -> bytes | None:
        wanted = [one for one in self._live() if one.id == body and one.account == account and one.fault is None]
        return wanted[0].body if wanted else None

    async def unreadable(self, account: AccountId, *, most: int = 200) -> list[UnreadableNotice]:
        found = [one for one in self._live() if one.account == account and one.fault is not None]
        found.sort(key=lambda one: one.received_at, reverse=True)
        return [
            UnreadableNotice(
                id=one.id,
                vendor=one.vendor,
                received_at=one.received_at,
                expires_at=one.received_at + self._keep,
                fault=one.fault or "",
            )
            for one in found[:most]
        ]

    async def purge(self, *, most: int = 1000) -> int:
        live = self._live()
        gone = [one for one in self.kept if one not in live][:most]
        self.kept = [one for one in self.kept if one not in gone]
        return len(gone)


class MemoryEndpointStore:
    """Endpoints in memory, by vendor and SHA-256 of the token."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[Vendor, bytes], Endpoint] = {}
        self.is_away = False
        self.reads = 0

    async def find(self, vendor: Vendor, token_hash: bytes) -> Endpoint | None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreAwayError("the database is away (ConnectionRefusedError)")
        return self.endpoints.get((vendor, token_hash))
