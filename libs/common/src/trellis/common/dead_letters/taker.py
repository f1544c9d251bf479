"""Takes the dead letters of one queue into the service's database, where people see them.

A message leaves the broker only when its row is committed. Looking at the queue without taking from it would
use up the broker's delivery limit, after which RabbitMQ 4 forgets a message of a queue that has no dead letters of its own.
"""

from __future__ import annotations

import random
import time
from typing import Final

import structlog
from aio_pika.abc import AbstractIncomingMessage

from trellis.common.backoff import full_jitter
from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import Publisher
from trellis.common.bus.taking import HOLD_SECONDS, Taker, forward, returns_of
from trellis.common.bus.topology import DELIVERY_LIMIT, InboundQueue
from trellis.common.dead_letters.letters import Death, death_of
from trellis.common.dead_letters.store import DeadLetterStore
from trellis.common.errors import ConflictError, StoreAwayError
from trellis.common.store.database import Database

log = structlog.get_logger()

BATCH: Final = 50
MOST_RETURNS: Final = DELIVERY_LIMIT // 2
"""Redeliveries after which a message is published anew, lest the broker counts it out."""


class DeadLetters(Taker):
    """Takes them.

    Args:
        link: The connection to consume on.
        publisher: Publishes anew what came back too often.
        queue: Whose dead letters are taken.
        database: The service's.
        letters: The rows in it.
    """

    def __init__(
        self, link: BrokerLink, publisher: Publisher, queue: InboundQueue, database: Database, letters: DeadLetterStore
    ) -> None:
        super().__init__(link, queue.dead, batch_size=BATCH, batch_wait_seconds=0.005)
        self._publisher = publisher
        self._queue = queue
        self._database = database
        self._letters = letters

    async def _settle(self, messages: list[AbstractIncomingMessage]) -> None:
        kept = []
        for message in messages:
            if returns_of(message) >= MOST_RETURNS:
                await forward(self._publisher, message, self._queue.dead, _words_of(message, self._death(message)))
            else:
                kept.append(message)
        deaths = [self._death(message) for message in kept]
        await self._record_held(deaths)
        for message, death in zip(kept, deaths, strict=True):
            await message.ack()
            log.warning(
                "message.parked",
                account=death.account or "",
                correlation_id=death.correlation_id or "",
                message_type=death.type,
                subject=death.subject or "",
                queue=self._queue.name,
                reason=death.reason,
            )

    def _death(self, message: AbstractIncomingMessage) -> Death:
        return death_of(self._queue.name, message.body, message.type, dict(message.headers or {}), limit=DELIVERY_LIMIT)

    async def _record_held(self, deaths: list[Death]) -> None:
        """Commit *deaths*, holding them while the database is away.

        Raises:
            StoreAwayError: It stayed away so long that the broker would soon take the messages back, or a bug
                keeps them from being recorded: they stay with the broker, and the service goes on.
        """
        deadline, attempt = time.monotonic() + HOLD_SECONDS, 0
        while deaths:
            try:
                async with self._database.transaction() as connection:
                    await self._letters.record(connection, deaths)
                return
            except (StoreAwayError, ConflictError) as error:
                attempt += 1
                if attempt == 1:
                    log.warning("dead_letters.holding", queue=self._queue.name, count=len(deaths), reason=str(error))
                if time.monotonic() > deadline or self._stopping.is_set():
                    raise StoreAwayError(str(error)) from error
                delay = full_jitter(attempt, random.random())  # noqa: S311 - jitter
                await self._pause(min(delay.total_seconds(), 5.0))
            except Exception as error:
                log.error("dead_letters.unrecorded", queue=self._queue.name, exc_info=error)
                raise StoreAwayError("the dead letters could not be recorded") from error


def _words_of(message: AbstractIncomingMessage, death: Death) -> dict[str, str | int]:
    """Return the headers of a new copy: what the broker itself added to the old one does not come along."""
    return {"x-reason": death.reason, "x-attempt": death.attempts}
