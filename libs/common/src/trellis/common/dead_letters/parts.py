"""What every service that consumes a queue has for its dead letters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from trellis.common.bus.topology import InboundQueue
from trellis.common.dead_letters.api import DeadLettersApi
from trellis.common.dead_letters.store import DeadLetterStore, PostgresDeadLetters
from trellis.common.dead_letters.taker import DeadLetters
from trellis.common.errors import TransientError
from trellis.common.runtime.lifecycle import Kit
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.database import Database

log = structlog.get_logger()

WATCH_SECONDS: Final = 15.0
_FORGET_EVERY: Final = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterParts:
    """Taker, routes, watch and rows of one service's dead letters."""

    taker: DeadLetters
    api: DeadLettersApi
    watch: Watch
    letters: DeadLetterStore


class Watch:
    """Shows how many wait, and forgets those settled long ago."""

    def __init__(self, letters: DeadLetterStore, queue: InboundQueue, metrics: Metrics) -> None:
        self._letters = letters
        self._queue = queue
        self._waiting = metrics.gauge(
            "dead_letters_waiting",
            "Messages that could not be handled and wait for a person; `trellis parked list` tells them",
            ("queue",),
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        passes = 0
        while True:
            try:
                await self.show()
                if passes % _FORGET_EVERY == 0:
                    await self._letters.forget_old()
            except TransientError as error:
                log.warning("dead_letters.waiting", reason=str(error))
            passes += 1
            await asyncio.sleep(WATCH_SECONDS)

    async def show(self) -> None:
        """Set the metric."""
        waiting = Counter({self._queue.name: 0})
        for (queue, _), count in (await self._letters.counts()).items():
            waiting[queue] += count
        for queue, count in waiting.items():
            self._waiting.labels(queue).set(count)


def dead_letter_parts(kit: Kit, queue: InboundQueue, database: Database, wake: Callable[[], None]) -> DeadLetterParts:
    """Return them; *wake* is called when something is to be published."""
    letters = PostgresDeadLetters(kit.pool)
    return DeadLetterParts(
        taker=DeadLetters(kit.consuming, kit.publisher, queue, database, letters),
        api=DeadLettersApi(database, letters, wake),
        watch=Watch(letters, queue, kit.metrics),
        letters=letters,
    )
