"""RabbitMQ in memory, as the real consumer and relay use it: routing by the topology, confirms, redelivery, limits.

A quorum queue keeps what it confirmed. A message is delivered again whenever a channel closed before its
acknowledgement arrived, marked as redelivered, before those that were not delivered yet, at most
`DELIVERY_LIMIT` times; then it is a dead letter. `tests/contract/bus` holds this and RabbitMQ to one suite.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import aio_pika
import aiormq

from simulation.process import Process
from trellis.common.bus.topology import DELIVERY_LIMIT, QUEUES, RETRY_STEPS
from trellis.common.errors import BrokerAwayError, PermanentError


@dataclass(eq=False)
class Message:
    """One stored message of one queue."""

    body: bytes
    type: str
    headers: dict[str, str | int]
    count: int = 0


@dataclass
class Queue:
    """One queue with those who consume it."""

    name: str
    is_dead: bool = False
    ready: list[Message] = field(default_factory=list)
    unacked: dict[Message, Channel] = field(default_factory=dict)
    consumers: list[Consumed] = field(default_factory=list)


class Broker:
    """All queues.

    Args:
        draw: The history's random numbers.
        faults: Whether messages get out of order now.
        told: Told of each delivery, and whether it is a repeat.

    Attributes:
        away: Nobody can connect, publish or acknowledge.
        back: Those who wait to connect wait for it.
    """

    def __init__(
        self,
        draw: random.Random,
        faults: Callable[[], bool],
        told: Callable[[str, bool], None] = lambda name, again: None,
    ) -> None:
        self._draw = draw.random
        self._faults = faults
        self._told = told
        self.away = False
        self.back = asyncio.Event()
        self.queues: dict[str, Queue] = {}
        self.routed: dict[str, list[str]] = {}
        self.delays: dict[str, tuple[str, float]] = {}
        for item in QUEUES:
            self.queues[item.name] = Queue(item.name)
            self.queues[item.dead] = Queue(item.dead, is_dead=True)
            for step, seconds in RETRY_STEPS.items():
                self.queues[item.retry(step)] = Queue(item.retry(step))
                self.delays[item.retry(step)] = (item.name, float(seconds))
            for key in item.bindings:
                self.routed.setdefault(key, []).append(item.name)

    def go(self) -> None:
        """Be away from now on."""
        self.away = True
        self.back.clear()

    def come_back(self) -> None:
        """Be there again."""
        self.away = False
        self.back.set()

    def store(self, body: bytes, routing_key: str, queue: str | None, headers: Mapping[str, str | int] | None) -> None:
        """Store a message in the queues that take it, at a place that may be out of order.

        Raises:
            PermanentError: None takes it.
        """
        names = [queue] if queue in self.queues else self.routed.get(routing_key, []) if queue is None else []
        if not names:
            raise PermanentError(f"no queue takes {queue or routing_key}; apply the topology")
        for name in names:
            self._put(str(name), Message(body, routing_key, dict(headers or {})))

    def _put(self, name: str, message: Message) -> None:
        delayed = self.delays.get(name)
        if delayed is not None:
            back, seconds = delayed
            self.queues[name].ready.append(message)
            asyncio.get_running_loop().call_later(seconds, self._give_back, name, back, message)
            return
        ready = self.queues[name].ready
        ready.insert(int(self._draw() * (len(ready) + 1)) if self._faults() else len(ready), message)
        self._deliver(name)

    def _give_back(self, name: str, back: str, message: Message) -> None:
        self.queues[name].ready.remove(message)
        self._put(back, _died(message, name, "expired"))

    def _deliver(self, name: str) -> None:
        queue = self.queues[name]
        while queue.ready:
            free = [taker for taker in queue.consumers if taker.has_room]
            if not free:
                return
            taker = free[int(self._draw() * len(free))]
            message = queue.ready.pop(0)
            message.count += 1
            self._told(message.type, message.count > 1)
            queue.unacked[message] = taker.channel
            taker.hand(message)

    def give_back(self, name: str, message: Message) -> None:
        """Put an unacknowledged message back behind those that came back before, or aside when it came too often."""
        queue = self.queues[name]
        del queue.unacked[message]
        dead = next((item.dead for item in QUEUES if item.name == name), None)
        if dead is not None and message.count > DELIVERY_LIMIT:
            self._put(dead, _died(message, name, "delivery_limit"))
            self._deliver(name)
        elif queue.is_dead and message.count > DELIVERY_LIMIT:
            self._deliver(name)  # as of RabbitMQ 4: it has no dead letters of its own, so the message is gone
        else:
            returned = takewhile(lambda item: item.count > 0, queue.ready)
            queue.ready.insert(sum(1 for _ in returned), message)
            asyncio.get_running_loop().call_soon(self._deliver, name)

    def settled(self, name: str, message: Message) -> None:
        """Forget an acknowledged message."""
        self.queues[name].unacked.pop(message, None)
        self._deliver(name)


def _died(message: Message, queue: str, reason: str) -> Message:
    first: dict[str, str | int] = {"x-first-death-queue": queue, "x-first-death-reason": reason}
    return Message(message.body, message.type, first | message.headers)


class Link:
    """The connection of one process; the twin of `BrokerLink`."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self.broker = broker
        self.process = process
        self.channels: list[Channel] = []

    @property
    def is_up(self) -> bool:
        """Whether the broker can be reached."""
        return not self.broker.away

    async def connection(self) -> Link:
        """Return the connection, waiting until there is one."""
        await self.process.step("connect to the broker")
        while self.broker.away:
            await self.broker.back.wait()
            self.process.check()
        return self

    async def channel(self, *, publisher_confirms: bool = True) -> Channel:
        """Open a channel."""
        await self.process.step("open a channel")
        if self.broker.away:
            raise OSError("the broker is away (simulated)")
        opened = Channel(self.broker, self.process)
        self.channels.append(opened)
        return opened

    def cut(self) -> None:
        """Lose the connection with all its channels."""
        for channel in self.channels:
            channel.lose()
        self.channels.clear()


class Channel:
    """The twin of an aio-pika channel, as far as the consumer uses it."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self.broker = broker
        self.process = process
        self.is_closed = False
        self.close_callbacks: set[Callable[..., object]] = set()
        self.prefetch = 0
        self._taking: list[Consumed] = []

    async def set_qos(self, *, prefetch_count: int) -> None:
        """Bound what is unacknowledged."""
        self.prefetch = prefetch_count

    async def get_queue(self, name: str, *, ensure: bool) -> Consumed:
        """Return a queue to consume."""
        await self.process.step("declare passively")
        if name not in self.broker.queues:
            self.lose()
            raise aiormq.exceptions.ChannelNotFoundEntity(f"no queue {name}")
        return Consumed(self, name)

    async def close(self) -> None:
        """Close it; what is unacknowledged goes back."""
        self.lose()

    def lose(self) -> None:
        """Close it, by whichever side."""
        if self.is_closed:
            return
        self.is_closed = True
        for taken in self._taking:
            queue = self.broker.queues[taken.name]
            if taken in queue.consumers:
                queue.consumers.remove(taken)
            for message, channel in list(queue.unacked.items()):
                if channel is self:
                    self.broker.give_back(taken.name, message)
        if self.process.alive:
            for callback in list(self.close_callbacks):
                callback(self)

    def took(self, taken: Consumed) -> None:
        """Note that *taken* is consumed on this channel."""
        self._taking.append(taken)


class Consumed:
    """One queue consumed on one channel."""

    def __init__(self, channel: Channel, name: str) -> None:
        self.channel = channel
        self.name = name
        self._hand: Callable[[Any], Awaitable[None]] | None = None

    @property
    def has_room(self) -> bool:
        """Whether the prefetch leaves room."""
        held = sum(1 for owner in self.channel.broker.queues[self.name].unacked.values() if owner is self.channel)
        return held < self.channel.prefetch

    async def consume(self, callback: Callable[[Any], Awaitable[None]]) -> str:
        """Have messages handed to *callback*."""
        await self.channel.process.step("consume")
        if self.channel.is_closed:
            raise aiormq.exceptions.ChannelInvalidStateError
        self._hand = callback
        self.channel.took(self)
        self.channel.broker.queues[self.name].consumers.append(self)
        self.channel.broker._deliver(self.name)
        return "tag"

    async def cancel(self, tag: str) -> None:
        """Have nothing more handed over."""
        self.channel.broker.queues[self.name].consumers.remove(self)

    def hand(self, message: Message) -> None:
        """Hand *message* to the process."""
        if self._hand is not None:
            self.channel.process.start(self._arrive(Incoming(self, message)))

    async def _arrive(self, incoming: Incoming) -> None:
        await self.channel.process.step("delivery")
        if self._hand is not None and not self.channel.is_closed:
            await self._hand(incoming)


class Incoming:
    """One delivery; the twin of aio-pika's incoming message."""

    def __init__(self, taken: Consumed, message: Message) -> None:
        self._taken = taken
        self._message = message
        self.channel = taken.channel
        self.body = message.body
        self.headers = dict(message.headers)
        if message.count > 1:
            self.headers["x-delivery-count"] = message.count - 1
        self.type = message.type
        self.redelivered = message.count > 1
        self._is_settled = False

    async def ack(self) -> None:
        """Acknowledge it.

        Raises:
            MessageProcessError: It is settled already.
            ChannelInvalidStateError: The channel is closed; the message comes again.
        """
        await self._settle("ack")
        self.channel.broker.settled(self._taken.name, self._message)

    async def nack(self, *, requeue: bool) -> None:
        """Give it back; raises what `ack` does."""
        await self._settle("nack")
        self.channel.broker.give_back(self._taken.name, self._message)

    async def _settle(self, way: str) -> None:
        await self.channel.process.step(way)
        if self._is_settled:
            raise aio_pika.exceptions.MessageProcessError("settled already")
        if self.channel.is_closed:
            raise aiormq.exceptions.ChannelInvalidStateError
        self._is_settled = True


class MemoryPublisher:
    """Publishes for one process; see `Publisher`.

    Args:
        broker: Where messages are stored.
        process: Whose publisher it is.
        chance: Draws whether a fault of this part and name happens now.
    """

    def __init__(self, broker: Broker, process: Process, chance: Callable[[float, str], bool]) -> None:
        self._broker = broker
        self._process = process
        self._chance = chance

    async def publish(
        self,
        body: bytes,
        routing_key: str,
        *,
        queue: str | None = None,
        headers: Mapping[str, str | int] | None = None,
        wait_seconds: float = 5.0,
    ) -> None:
        """See `Publisher.publish`: a confirm may be lost after the message was stored."""
        await self._process.step("publish")
        if self._broker.away or self._chance(0.03, "publish lost"):
            raise BrokerAwayError("not confirmed by the broker (lost before it)")
        self._broker.store(body, routing_key, queue, headers)
        if self._chance(0.05, "confirm lost"):
            raise BrokerAwayError("not confirmed by the broker (the confirm was lost)")
        await self._process.step("confirm")
