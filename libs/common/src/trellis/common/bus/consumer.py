"""Handling in batches: the only code that delays or dead-letters.

If a batch's handler fails, it is split until the culprit stands alone; that one is delayed or set
aside, its neighbours are handled. While the database is away the messages in hand are held and nothing
new is taken.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from aio_pika.abc import AbstractIncomingMessage

from trellis.common.backoff import full_jitter
from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import Publisher
from trellis.common.bus.taking import HOLD_SECONDS, Taker, forward, returns_of
from trellis.common.bus.topology import RETRY_STEPS, InboundQueue
from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.errors import (
    PermanentError,
    StoreAwayError,
    TransientError,
    TrellisError,
)
from trellis.common.failpoints import failpoint
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.tenancy import only_account, serving

log = structlog.get_logger()

Handle = Callable[[Sequence[Envelope]], Awaitable[None]]

MOST_ATTEMPTS = 12
"""Delayed retries of a message that fails for now; with the steps below that is more than an hour."""
MOST_BUG_ATTEMPTS = 4
"""Retries of a message on which our own code raises what it should not."""


@dataclass(slots=True)
class Delivery:
    """One message in hand: decoded, with its number of attempts."""

    message: AbstractIncomingMessage
    envelope: Envelope
    attempt: int


class Consumer(Taker):
    """Takes messages off one queue and hands them to *handle* in batches.

    *handle* returns only when what it did is committed; raising tells the consumer what to do with the
    batch (`errors.py`).
    """

    def __init__(
        self,
        link: BrokerLink,
        publisher: Publisher,
        queue: InboundQueue,
        handle: Handle,
        metrics: Metrics,
        *,
        batch_size: int = 200,
        batch_wait_seconds: float = 0.005,
    ) -> None:
        super().__init__(link, queue.name, batch_size=batch_size, batch_wait_seconds=batch_wait_seconds)
        self._publisher = publisher
        self._queue = queue
        self._handle = handle
        self._messages_total = metrics.counter(
            "consumed_messages", "Messages handled, by what became of them", ("outcome",)
        )
        self._batch_seconds = metrics.histogram("batch_seconds", "Time to handle one batch")

    async def _settle(self, messages: list[AbstractIncomingMessage]) -> None:
        started = time.monotonic()
        fresh: list[Delivery] = []
        suspects: list[Delivery] = []
        for message in messages:
            attempt = _attempt_of(message)
            try:
                delivery = Delivery(message, decode(message.body), attempt)
            except PermanentError as error:
                await self._set_aside(message, error)
                continue
            (suspects if message.redelivered or attempt > 1 else fresh).append(delivery)
        failpoint("consumer.before_handle")
        if fresh:
            await self._try(fresh)
        for suspect in _in_turn(suspects):  # alone: one of them may be what killed the last process
            await self._try([suspect])
        failpoint("consumer.after_handle")
        self._batch_seconds.observe(time.monotonic() - started)

    async def _try(self, batch: list[Delivery]) -> None:
        try:
            await self._handle_held([delivery.envelope for delivery in batch])
        except StoreAwayError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in a handler must not stop the consumer
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._try(batch[:middle])
                await self._try(batch[middle:])
                return
            await self._refuse(batch[0], error)
            return
        for delivery in batch:
            await delivery.message.ack()
            self._messages_total.labels("handled").inc()

    async def _handle_held(self, batch: Sequence[Envelope]) -> None:
        """Handle *batch*, bound to its account if it has only one, and hold it while the database is away.

        Raises:
            StoreAwayError: It stayed away so long that the broker would soon take the messages back.
        """
        deadline = time.monotonic() + HOLD_SECONDS
        attempt = 0
        while True:
            try:
                with serving(only_account(batch)):
                    return await self._handle(batch)
            except StoreAwayError as error:
                attempt += 1
                if attempt == 1:
                    log.warning("consumer.holding", queue=self._queue.name, count=len(batch), reason=str(error))
                if time.monotonic() > deadline or self._stopping.is_set():
                    raise
                delay = full_jitter(attempt, random.random())  # noqa: S311 - jitter
                await self._pause(min(delay.total_seconds(), 5.0))

    async def _refuse(self, delivery: Delivery, error: Exception) -> None:
        bound = MOST_ATTEMPTS if isinstance(error, TransientError) else MOST_BUG_ATTEMPTS
        if isinstance(error, PermanentError) or delivery.attempt >= bound:
            await self._set_aside(delivery.message, error, delivery.envelope)
            return
        steps = list(RETRY_STEPS)
        step = steps[min((delivery.attempt - 1) // 2, len(steps) - 1)]
        if isinstance(error, TransientError) and error.retry_after is not None:
            wanted = error.retry_after.total_seconds()
            step = next((name for name, seconds in RETRY_STEPS.items() if seconds >= wanted), steps[-1])
        await forward(self._publisher, delivery.message, self._queue.retry(step), {"x-attempt": delivery.attempt + 1})
        self._messages_total.labels("delayed").inc()
        log.warning(
            "message.delayed",
            **_context(delivery.envelope),
            step=step,
            attempt=delivery.attempt,
            reason=_words(error),
            exc_info=not isinstance(error, TrellisError),
        )

    async def _set_aside(
        self, message: AbstractIncomingMessage, error: Exception, envelope: Envelope | None = None
    ) -> None:
        reason = _words(error)
        headers: dict[str, str | int] = {"x-reason": reason[:500], "x-attempt": _attempt_of(message)}
        await forward(self._publisher, message, self._queue.dead, headers)
        self._messages_total.labels("dead").inc()
        log.error(
            "message.dead",
            **(_context(envelope) if envelope else {}),
            queue=self._queue.name,
            reason=reason,
            exc_info=error if not isinstance(error, TrellisError) else None,
        )


def _in_turn(suspects: list[Delivery]) -> list[Delivery]:
    """Return *suspects* forwards and backwards in turn, from death to death.

    What stands behind one that ends every process would come back as often as that one, and the broker would set it
    aside with it; in the other direction it is handled first.
    """
    deaths = max((returns_of(suspect.message) for suspect in suspects), default=0)
    return suspects[::-1] if deaths % 2 else suspects


def _attempt_of(message: AbstractIncomingMessage) -> int:
    value = (message.headers or {}).get("x-attempt", 1)
    return value if isinstance(value, int) else 1


def _context(envelope: Envelope) -> dict[str, str]:
    return {
        "account": envelope.accountid,
        "correlation_id": envelope.correlationid,
        "message_id": str(envelope.id),
        "message_type": envelope.type,
        "subject": envelope.subject or "",
    }


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, TrellisError) else f"a bug: {type(error).__name__}"
