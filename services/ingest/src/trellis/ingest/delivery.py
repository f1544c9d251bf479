"""Hands facts on: the broker confirms them, or the spool has them on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import structlog
from prometheus_client import Counter, Histogram

from trellis.common.bus.publisher import Publisher
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.errors import BrokerAwayError, PermanentError, StoreAwayError
from trellis.common.failpoints import failpoint
from trellis.common.runtime.metrics import Metrics

log = structlog.get_logger()


class Delivered(StrEnum):
    """Where a fact is safe."""

    PUBLISHED = "published"
    SPOOLED = "spooled"


class Spool(Protocol):
    """Where facts wait for the broker."""

    async def put(self, envelopes: Sequence[Envelope]) -> None:
        """Write *envelopes* to disk, all or none.

        Raises:
            StoreAwayError: They are not on disk, as far as is known.
        """


class Outlet:
    """Publishes facts with confirms, else spools them.

    After some unconfirmed messages in a row the broker is passed by for a while, so that one that
    is blocked does not make each webhook wait. Any copy that arrives besides has the same id.

    Args:
        publisher: The broker.
        spool: The disk.
        confirm_seconds: How long to wait for a confirm.
        bypass_after_count: Unconfirmed messages in a row after which the broker is passed by.
        bypass_seconds: For how long.
        monotonic: The clock that counts the seconds.
        metrics: Where waits and failures are counted.
    """

    def __init__(
        self,
        publisher: Publisher,
        spool: Spool,
        *,
        confirm_seconds: float,
        bypass_after_count: int,
        bypass_seconds: float,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._publisher = publisher
        self._spool = spool
        self._confirm_seconds = confirm_seconds
        self._bypass_after_count = bypass_after_count
        self._bypass_seconds = bypass_seconds
        self._monotonic = monotonic
        self._unconfirmed_count = 0
        self._bypass_until = float("-inf")
        self._seconds: Histogram = metrics.histogram("publish_seconds", "Time until the broker confirmed or did not")
        self._failures: Counter = metrics.counter("publish_failures", "Facts that the broker did not confirm in time")

    async def deliver(self, envelopes: Sequence[Envelope]) -> Delivered:
        """Return where all of *envelopes* are safe.

        Raises:
            StoreAwayError: Neither broker nor spool took them, as far as is known.
        """
        if self._monotonic() < self._bypass_until:
            try:
                return await self._put(envelopes)
            except StoreAwayError:
                pass  # the broker may be back: better asked than answered 503
        unconfirmed = [envelope for envelope in envelopes if not await self._publish(envelope)]
        return await self._put(unconfirmed) if unconfirmed else Delivered.PUBLISHED

    async def _put(self, envelopes: Sequence[Envelope]) -> Delivered:
        await self._spool.put(envelopes)
        failpoint("ingest.after_spool")
        return Delivered.SPOOLED

    async def _publish(self, envelope: Envelope) -> bool:
        """Return whether the broker confirmed."""
        failpoint("ingest.before_publish")
        started = self._monotonic()
        try:
            await self._publisher.publish(encode(envelope), envelope.routing_key, wait_seconds=self._confirm_seconds)
        except BrokerAwayError:
            self._failed(started)
            return False
        except PermanentError as error:  # no queue is bound: the spool keeps it until the topology is applied
            log.error("webhook.unroutable", message_type=envelope.type, reason=str(error))
            self._failures.inc()
            return False
        failpoint("ingest.after_publish")
        self._seconds.observe(self._monotonic() - started)
        self._unconfirmed_count = 0
        return True

    def _failed(self, started: float) -> None:
        self._seconds.observe(self._monotonic() - started)
        self._failures.inc()
        self._unconfirmed_count += 1
        if self._unconfirmed_count >= self._bypass_after_count:
            self._bypass_until = self._monotonic() + self._bypass_seconds
            self._unconfirmed_count = 0
