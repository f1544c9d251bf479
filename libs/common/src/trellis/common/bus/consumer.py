"""Consuming in batches: the only code that acknowledges, delays or dead-letters.

A batch forms by size or after a few milliseconds, whichever comes first; a message alone is handled at
once. If a batch's handler fails, it is split until the culprit stands alone; that one is delayed or set
aside, its neighbours are handled. While the database is away the messages in hand are held and nothing
new is taken.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from trellis.common.backoff import full_jitter
from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import Publisher
from trellis.common.bus.topology import RETRY_STEPS, InboundQueue
from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.errors import (
    BrokerAwayError,
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
HOLD_SECONDS = 900.0
"""How long messages are held while the database is away; RabbitMQ's consumer timeout is 1,800 s."""


@dataclass(slots=True)
class Delivery:
    """One message in hand: decoded, with its number of attempts."""

    message: AbstractIncomingMessage
    envelope: Envelope
    attempt: int


class Consumer:
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
        self._link = link
        self._publisher = publisher
        self._queue = queue
        self._handle = handle
        self._batch_size = batch_size
        self._batch_wait = batch_wait_seconds
        self._stopping = asyncio.Event()
        self._messages_total = metrics.counter(
            "consumed_messages", "Messages handled, by what became of them", ("outcome",)
        )
        self._batch_seconds = metrics.histogram("batch_seconds", "Time to handle one batch")

    def stop(self) -> None:
        """Take nothing new; `run` returns when the batch in hand is settled."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume until `stop`; connect again whenever the connection is lost."""
        while not self._stopping.is_set():
            waiting = asyncio.ensure_future(self._link.connection())
            stopping = asyncio.ensure_future(self._stopping.wait())
            done, pending = await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            if waiting not in done:
                return
            try:
                await self._consume(waiting.result())
            except StoreAwayError:
                await self._pause(5.0)  # what was in hand went back to the broker
            except (
                aio_pika.exceptions.AMQPError,
                aiormq.exceptions.ChannelInvalidStateError,
                OSError,
                RuntimeError,
            ) as error:
                log.warning("consumer.interrupted", queue=self._queue.name, error=type(error).__name__)
                await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spreads reconnects

    async def _consume(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        inbox: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        try:
            await channel.set_qos(prefetch_count=self._batch_size * 2)
            queue = await channel.get_queue(self._queue.name, ensure=True)
            channel.close_callbacks.add(lambda *_: inbox.put_nowait(None))
            tag = await queue.consume(inbox.put)
            stopping = asyncio.ensure_future(self._stopping.wait())
            stopping.add_done_callback(lambda _: inbox.put_nowait(None))
            try:
                while not self._stopping.is_set() and not channel.is_closed:
                    batch = await self._gather(inbox)
                    if batch:
                        await self._settle(batch)
            finally:
                stopping.cancel()
            if not channel.is_closed:
                await queue.cancel(tag)
                while not inbox.empty():
                    left = inbox.get_nowait()
                    if left is not None:
                        await left.nack(requeue=True)  # not our turn: drained, not failed
        finally:
            if not channel.is_closed:
                await channel.close()

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until `stop`."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _gather(self, inbox: asyncio.Queue[AbstractIncomingMessage | None]) -> list[AbstractIncomingMessage]:
        first = await inbox.get()
        if first is None:
            return []
        batch = [first]
        await asyncio.sleep(0)  # whatever came with it is there after this
        if inbox.empty():
            return batch  # alone, so it is not made to wait; what comes meanwhile is the next batch
        deadline = time.monotonic() + self._batch_wait
        while len(batch) < self._batch_size:
            if inbox.empty():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                try:
                    async with asyncio.timeout(left):
                        following = await inbox.get()
                except TimeoutError:
                    break
            else:
                following = inbox.get_nowait()
            if following is None:
                break
            batch.append(following)
        return batch

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
        for suspect in suspects:  # alone: one of them may be what killed the last process
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
        await self._forward(delivery.message, self._queue.retry(step), {"x-attempt": delivery.attempt + 1})
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
        await self._forward(message, self._queue.dead, headers)
        self._messages_total.labels("dead").inc()
        log.error(
            "message.dead",
            **(_context(envelope) if envelope else {}),
            queue=self._queue.name,
            reason=reason,
            exc_info=error if not isinstance(error, TrellisError) else None,
        )

    async def _forward(self, message: AbstractIncomingMessage, queue: str, headers: dict[str, str | int]) -> None:
        """Publish a copy to *queue*, then acknowledge: a crash between doubles it, never loses it."""
        while True:
            try:
                await self._publisher.publish(message.body, message.type or "unknown", queue=queue, headers=headers)
                break
            except BrokerAwayError:
                if message.channel.is_closed:
                    raise OSError("the channel of the message is closed") from None
                await asyncio.sleep(0.5)
        await message.ack()


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
