"""One AMQP connection that is made again when it is lost.

aio-pika's robust connection declares queues again from memory after a reconnect; here nothing is
declared, only consumed and published, so a plain connection in a loop is enough and says when it is
away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection

log = structlog.get_logger()

AWAY: Final = (OSError, aio_pika.exceptions.AMQPError, TimeoutError, RuntimeError, StopAsyncIteration)
"""What a lost or refused connection raises; the last when it is closed before the broker's first frame, as a
proxy before a broker that is away does (aiormq 7.2.4, `FrameReceiver.get_frame`)."""


class BrokerLink:
    """Keeps one connection to the broker; separate links are used to publish and to consume.

    Args:
        url: The AMQP address, with credentials.
        name: Shown in the broker's list of connections.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._on_connect: list[Callable[[AbstractConnection], Awaitable[None]]] = []

    @property
    def is_up(self) -> bool:
        """Whether the connection is there now."""
        return self._up.is_set()

    def on_connect(self, action: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        """Have *action* run after each connect, before anybody is told that the link is up."""
        self._on_connect.append(action)

    async def connection(self) -> AbstractConnection:
        """Return the connection, waiting until there is one."""
        while True:
            await self._up.wait()
            if self._connection is not None:
                return self._connection

    async def run(self) -> None:
        """Connect, wait until the connection is lost, connect again; until cancelled."""
        while True:
            closed = asyncio.Event()
            try:
                connection = await aio_pika.connect(
                    self._url, timeout=5, client_properties={"connection_name": self._name}, heartbeat=15
                )
                try:
                    connection.close_callbacks.add(lambda *_, done=closed: done.set())
                    for action in self._on_connect:
                        await action(connection)
                    self._connection = connection
                    self._up.set()
                    log.info("broker.connected", connection=self._name)
                    await closed.wait()
                finally:
                    self._up.clear()
                    self._connection = None
                    await connection.close()
            except AWAY as error:
                log.warning("broker.away", connection=self._name, error=type(error).__name__)
            await asyncio.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - spreads reconnects, no secret
