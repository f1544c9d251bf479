"""Publishing: a message counts as sent only when the broker confirmed that it stored and routed it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Protocol, cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp.commands import Basic

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.topology import EXCHANGE
from trellis.common.contracts.envelope import CONTENT_TYPE
from trellis.common.errors import BrokerAwayError, PermanentError


class Publisher(Protocol):
    """Where confirmed messages go."""

    async def publish(
        self,
        body: bytes,
        routing_key: str,
        *,
        queue: str | None = None,
        headers: Mapping[str, str | int] | None = None,
        wait_seconds: float = 5.0,
    ) -> None:
        """Publish *body* persistently and return when the broker confirmed it.

        Args:
            body: An encoded envelope.
            routing_key: Type and version of the message.
            queue: Straight to this queue instead of the exchange, for retries and dead letters.
            headers: Our own headers.
            wait_seconds: How long to wait for the confirm.

        Raises:
            BrokerAwayError: Not confirmed in time, or no connection: it may or may not have been stored.
            PermanentError: The broker says that no queue takes this routing key.
        """


class BrokerPublisher:
    """The publisher on a real broker, one channel with confirms.

    Nothing is ever checked or declared on this channel, since an error there would close it and leave
    all publishes in flight unknown.
    """

    def __init__(self, link: BrokerLink) -> None:
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._link = link
        link.on_connect(self._open)

    async def _open(self, connection: AbstractConnection) -> None:
        self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)

    async def _usable(self, deadline: float) -> aiormq.Channel:
        if not self._link.is_up:
            raise BrokerAwayError("no connection to the broker")
        if self._channel is None or self._channel.is_closed:
            async with asyncio.timeout_at(deadline), self._lock:
                if self._channel is None or self._channel.is_closed:
                    await self._open(await self._link.connection())
        if self._channel is None:
            raise BrokerAwayError("no channel to the broker")
        # The abstract type does not know `wait`; aio-pika's channels are always of this class.
        return cast(aiormq.Channel, await self._channel.get_underlay_channel())

    async def publish(
        self,
        body: bytes,
        routing_key: str,
        *,
        queue: str | None = None,
        headers: Mapping[str, str | int] | None = None,
        wait_seconds: float = 5.0,
    ) -> None:
        """See `Publisher.publish`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        properties = aiormq.spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT.value,
            # A number of its own for each attempt: two publishes in flight with one id on a channel are
            # confused when one is returned. The message's own id is in the envelope.
            message_id=str(next(self._numbers)),
            message_type=routing_key,
            headers=dict(headers) if headers else None,
        )
        try:
            channel = await self._usable(deadline)
            # Not waiting for the socket lets others write meanwhile; callers bound what is in flight.
            confirm = await channel.basic_publish(
                body,
                exchange="" if queue else EXCHANGE,
                routing_key=queue or routing_key,
                properties=properties,
                mandatory=True,
                wait=False,
                timeout=deadline - loop.time(),
            )
        except aio_pika.exceptions.PublishError as error:
            raise PermanentError(f"no queue takes {queue or routing_key}; apply the topology") from error
        except (
            TimeoutError,
            OSError,
            RuntimeError,
            aio_pika.exceptions.AMQPError,
            aiormq.exceptions.ChannelInvalidStateError,
        ) as error:
            raise BrokerAwayError(f"not confirmed by the broker ({type(error).__name__})") from error
        if not isinstance(confirm, Basic.Ack):
            raise BrokerAwayError("the broker refused the message for now")
