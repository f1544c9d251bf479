"""Taking messages off one queue in batches, and connecting again whenever the connection is lost.

A batch forms by size or after a few milliseconds, whichever comes first; a message alone is taken at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import Publisher
from trellis.common.contracts.envelope import REDRIVEN
from trellis.common.errors import BrokerAwayError, StoreAwayError

log = structlog.get_logger()

HOLD_SECONDS = 900.0
"""How long messages are held while the database is away; RabbitMQ's consumer timeout is 1,800 s."""


class Taker(ABC):
    """Takes messages off the queue called *queue_name*; what becomes of a batch is the subclass's."""

    def __init__(self, link: BrokerLink, queue_name: str, *, batch_size: int, batch_wait_seconds: float) -> None:
        self._link = link
        self._queue_name = queue_name
        self._batch_size = batch_size
        self._batch_wait = batch_wait_seconds
        self._stopping = asyncio.Event()

    @abstractmethod
    async def _settle(self, messages: list[AbstractIncomingMessage]) -> None:
        """Deal with a batch: each message is acknowledged when this returns.

        Raises:
            StoreAwayError: The database stayed away; the messages go back to the broker.
        """

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
                log.warning("consumer.interrupted", queue=self._queue_name, error=type(error).__name__)
                await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spreads reconnects

    async def _consume(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        inbox: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        try:
            await channel.set_qos(prefetch_count=self._batch_size * 2)
            queue = await channel.get_queue(self._queue_name, ensure=True)
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


async def forward(
    publisher: Publisher, message: AbstractIncomingMessage, queue: str, headers: Mapping[str, str | int]
) -> None:
    """Publish a copy of *message* to *queue*, then acknowledge it: a crash between doubles it, never loses it.

    Raises:
        OSError: The broker is away and took the message back.
    """
    redriven = (message.headers or {}).get(REDRIVEN)
    carried = {REDRIVEN: redriven} if isinstance(redriven, int) else {}
    while True:
        try:
            await publisher.publish(
                message.body, message.type or "unknown", queue=queue, headers={**headers, **carried}
            )
            break
        except BrokerAwayError:
            if message.channel.is_closed:
                raise OSError("the channel of the message is closed") from None
            await asyncio.sleep(0.5)
    await message.ack()


def returns_of(message: AbstractIncomingMessage) -> int:
    """Return how often *message* came back to the broker unsettled since it was published."""
    count = (message.headers or {}).get("x-delivery-count", 0)
    return count if message.redelivered and isinstance(count, int) else 0
