"""The publisher's in-memory twin: routes by the same topology table, and can be away, slow or forgetful."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from trellis.common.bus.topology import QUEUES, RETRY_STEPS
from trellis.common.errors import BrokerAwayError, PermanentError


class NoPublisher:
    """Where no relay runs: nothing may be published, and what would be is in the outbox."""

    async def publish(self, *_: object, **__: object) -> None:
        raise AssertionError("nothing is relayed in these tests")


@dataclass(frozen=True)
class Published:
    """One stored message."""

    queue: str
    body: bytes
    routing_key: str
    headers: Mapping[str, str | int]


@dataclass
class MemoryPublisher:
    """Stores what is published.

    Attributes:
        away: Nothing is stored and nobody confirms.
        confirms_lost: So many messages are stored without a confirm: the sender must take them for unknown.
        hanging: No confirm ever comes, so the sender's time runs out.
    """

    away: bool = False
    confirms_lost: int = 0
    hanging: bool = False
    stored: list[Published] = field(default_factory=list)

    async def publish(
        self,
        body: bytes,
        routing_key: str,
        *,
        queue: str | None = None,
        headers: Mapping[str, str | int] | None = None,
        wait_seconds: float = 5.0,
    ) -> None:
        if self.away:
            raise BrokerAwayError("no connection to the broker")
        if self.hanging:
            await asyncio.sleep(wait_seconds)
            raise BrokerAwayError("not confirmed by the broker (TimeoutError)")
        queues = [queue] if queue in _names() else []
        if queue is None:
            queues = [item.name for item in QUEUES if routing_key in item.bindings]
        if not queues:
            raise PermanentError(f"no queue takes {queue or routing_key}; apply the topology")
        self.stored += [Published(name, body, routing_key, dict(headers or {})) for name in queues if name]
        if self.confirms_lost:
            self.confirms_lost -= 1
            raise BrokerAwayError("not confirmed by the broker (TimeoutError)")


def _names() -> set[str | None]:
    names: set[str | None] = set()
    for item in QUEUES:
        names |= {item.name, item.dead, *(item.retry(step) for step in RETRY_STEPS)}
    return names
