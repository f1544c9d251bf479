"""The bus under test: RabbitMQ, and the twin that the simulation runs on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from simulation.process import Process
from simulation.twins import broker as twin
from tests.conftest import Broker
from tests.fakes.proxy import Proxy

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import BrokerPublisher, Publisher


@dataclass(frozen=True)
class Stored:
    """A message found in a queue."""

    body: bytes
    headers: dict[str, Any]
    type: str | None
    redelivered: bool


@dataclass(frozen=True)
class Side:
    """One process's connection, its publisher, and what loses the connection without a good-bye."""

    link: Any
    publisher: Publisher
    cut: Callable[[], Awaitable[None]]


class Bus:
    """What both implementations offer a test: sides to connect from."""

    def __init__(self, connect: Callable[[], Any], stack: AsyncExitStack) -> None:
        self._connect = connect
        self._stack = stack

    async def side(self) -> Side:
        """Connect once more, as another process would."""
        side: Side = await self._stack.enter_async_context(self._connect())
        return side

    async def drained(self, queue: str, count: int, seconds: float = 10.0) -> list[Stored]:
        """Take *count* messages off *queue*, which then is empty."""
        side = await self.side()
        taker = await Taker.start(side, queue=queue, prefetch=count + 1)
        await taker.holds(count, seconds)
        found = [Stored(item.body, dict(item.headers), item.type, bool(item.redelivered)) for item in taker.held]
        for item in taker.held:
            await item.ack()
        await asyncio.sleep(0.1)
        assert len(taker.held) == count, f"{queue} holds more than {count}"
        await taker.channel.close()
        return found


class Taker:
    """Takes messages off a queue and holds them until a test settles them."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.channel: Any = None
        self.queue: Any = None
        self.tag = ""

    @classmethod
    async def start(cls, side: Side, *, prefetch: int, queue: str) -> Taker:
        taker = cls()
        taker.channel = await (await side.link.connection()).channel(publisher_confirms=False)
        await taker.channel.set_qos(prefetch_count=prefetch)
        taker.queue = await taker.channel.get_queue(queue, ensure=True)
        taker.tag = await taker.queue.consume(taker._take)
        return taker

    async def _take(self, message: Any) -> None:
        self.held.append(message)

    async def holds(self, count: int, seconds: float = 10.0) -> None:
        """Wait until *count* messages came, and a little longer for those that should not come."""
        await until(lambda: len(self.held) >= count, seconds)
        await asyncio.sleep(0.05)
        assert len(self.held) == count

    async def next(self) -> Any:
        """Return the one message that came since, and forget it."""
        await until(lambda: bool(self.held))
        (message,) = self.held
        self.held.clear()
        return message


async def until(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until *check* says yes."""
    end = asyncio.get_running_loop().time() + seconds
    while not check():
        assert asyncio.get_running_loop().time() < end, "waited too long"
        await asyncio.sleep(0.01)


def _in_memory() -> Callable[[], Any]:
    draw, broker = random.Random(1), twin.Broker(random.Random(2), lambda: False)

    @asynccontextmanager
    async def connect() -> AsyncIterator[Side]:
        process = Process("test", draw, lambda *_: None, lambda: False)
        link = twin.Link(broker, process)

        async def cut() -> None:
            link.cut()

        yield Side(link, twin.MemoryPublisher(broker, process, lambda part, name: False), cut)
        link.cut()

    return connect


def _on_rabbitmq(broker: Broker) -> Callable[[], Any]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Side]:
        proxy = Proxy(broker.url)
        await proxy.start()
        link = BrokerLink(proxy.url, "test")
        publisher = BrokerPublisher(link)
        task = asyncio.create_task(link.run())
        await link.connection()

        async def cut() -> None:
            await proxy.cut()
            await until(lambda: not link.is_up)
            await proxy.start()

        yield Side(link, publisher, cut)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await proxy.cut()

    return connect


@pytest.fixture(params=["memory", "rabbitmq"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    connect = _in_memory() if request.param == "memory" else _on_rabbitmq(request.getfixturevalue("broker"))
    async with AsyncExitStack() as stack:
        yield Bus(connect, stack)


@pytest.fixture(autouse=True)
def _starts_the_broker_outside_the_loop(request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params.get("bus") == "rabbitmq":
        request.getfixturevalue("broker")
