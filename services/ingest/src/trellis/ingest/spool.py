"""The background work of `ingest`: draining the spool, noting what was used, deleting what expired."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from trellis.common.bus.publisher import Publisher
from trellis.common.errors import BrokerAwayError, PermanentError, TransientError
from trellis.common.failpoints import failpoint
from trellis.common.runtime.metrics import Metrics
from trellis.ingest.adapters.sealed_bodies import PostgresSealedBodies
from trellis.ingest.adapters.spool_store import SpooledMessage

log = structlog.get_logger()

BATCH: Final = 50
"""Rows in flight at once: few, so that live webhooks find the broker free."""
LEASE_SECONDS: Final = 10.0
"""How long a claimed row is left to its process; publishing is given half of it."""
UNROUTABLE_SECONDS: Final = 30.0
"""How long a row is left alone that no queue takes, so that others pass it."""
_AWAY: Final = "away"
_UNROUTABLE: Final = "unroutable"


class SpoolStore(Protocol):
    """The spool as the drain sees it; each method raises `StoreAwayError` when the database is away."""

    async def claim(self, count: int, lease_seconds: float) -> list[SpooledMessage]:
        """Return up to *count* of the oldest free rows, leased to the caller."""

    async def remove(self, positions: Sequence[int]) -> None:
        """Delete rows that the broker has confirmed."""

    async def release(self, positions: Sequence[int], seconds: float) -> None:
        """Leave rows alone for *seconds*, then let them be claimed again."""

    async def backlog(self) -> tuple[int, float]:
        """Return how many rows wait, and the age of the oldest in seconds."""


class Drain:
    """Publishes what was spooled; any number of drains may run beside each other.

    A crash between confirm and delete publishes a fact again under the same id.
    """

    def __init__(self, store: SpoolStore, publisher: Publisher, metrics: Metrics, *, poll_seconds: float = 1.0) -> None:
        self._store = store
        self._publisher = publisher
        self._poll_seconds = poll_seconds
        self._rows = metrics.gauge("spool_rows", "Facts that wait in the spool")
        self._age = metrics.gauge("spool_oldest_seconds", "Age of the oldest fact in the spool")
        self._drained = metrics.counter("spool_drained", "Spooled facts that the broker has confirmed")

    async def run(self) -> None:
        """Drain until cancelled."""
        while True:
            try:
                while await self.drain_pending():
                    pass
                rows, age = await self._store.backlog()
                self._rows.set(rows)
                self._age.set(age)
            except TransientError as error:
                log.warning("spool.waiting", reason=str(error))
            await asyncio.sleep(self._poll_seconds)

    async def drain_pending(self) -> int:
        """Publish one batch and return how many facts were confirmed.

        Raises:
            StoreAwayError: The database is away.
            BrokerAwayError: Not one fact was confirmed.
        """
        messages = await self._store.claim(BATCH, LEASE_SECONDS)
        if not messages:
            return 0
        results = await asyncio.gather(*(self._publish(message) for message in messages))
        confirmed = [one.position for one, result in zip(messages, results, strict=True) if result is None]
        away = [one.position for one, result in zip(messages, results, strict=True) if result is _AWAY]
        unroutable = [one.position for one, result in zip(messages, results, strict=True) if result is _UNROUTABLE]
        if confirmed:
            failpoint("ingest.spool_drain.after_publish")
            await self._store.remove(confirmed)
            self._drained.inc(len(confirmed))
        if away:
            await self._store.release(away, 0.0)
        if unroutable:
            await self._store.release(unroutable, UNROUTABLE_SECONDS)
            log.error("spool.unroutable", count=len(unroutable), remedy="run `trellis apply-topology`")
        if away and not confirmed:
            raise BrokerAwayError(f"{len(away)} spooled facts not confirmed")
        return len(confirmed)

    async def _publish(self, message: SpooledMessage) -> str | None:
        try:
            await self._publisher.publish(message.body, message.routing_key, wait_seconds=LEASE_SECONDS / 2)
        except BrokerAwayError:
            return _AWAY
        except PermanentError:
            return _UNROUTABLE
        return None


async def purge_expired(bodies: PostgresSealedBodies, *, every_seconds: float = 600.0) -> None:
    """Delete sealed bodies whose time is over, until cancelled."""
    while True:
        try:
            while count := await bodies.purge():
                log.info("sealed_bodies.purged", count=count)
        except TransientError as error:
            log.warning("sealed_bodies.waiting", reason=str(error))
        await asyncio.sleep(every_seconds)
