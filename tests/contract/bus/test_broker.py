"""One suite for RabbitMQ's quorum queues and their twin: the twin redelivers, bounds and sets aside as they do.

Source: RabbitMQ documentation, "Quorum Queues", "Consumer Acknowledgements" and "Dead Lettering"; seen on 3.10.8.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aio_pika
import pytest
from aiormq.exceptions import ChannelInvalidStateError
from tests.contract.bus.conftest import Bus, Side, Taker, until

from trellis.common.bus.topology import DELIVERY_LIMIT, WORKFLOW

KEY = WORKFLOW.bindings[0]


async def store(side: Side, *bodies: bytes) -> None:
    for body in bodies:
        await side.publisher.publish(body, KEY)


async def take(side: Side, *, prefetch: int = 1) -> Taker:
    return await Taker.start(side, prefetch=prefetch, queue=WORKFLOW.name)


async def rest(side: Side, count: int) -> list[tuple[bytes, bool]]:
    """Take what is left, one after the other, in the order in which the broker gives it."""
    taker, found = await take(side), []
    for _ in range(count):
        message = await taker.next()
        found.append((message.body, bool(message.redelivered)))
        await message.ack()
    await taker.holds(0)
    await taker.channel.close()
    return found


async def leave(side: Side, taker: Taker, way: str) -> None:
    if way == "closed":
        await taker.channel.close()
    else:
        await side.cut()


async def test_messages_come_in_the_order_in_which_they_were_stored(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a", b"b", b"c")
    assert await rest(side, 3) == [(b"a", False), (b"b", False), (b"c", False)]


async def test_no_more_than_the_prefetch_is_unacknowledged(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a", b"b", b"c", b"d")
    taker = await take(side, prefetch=2)
    await taker.holds(2)
    await taker.held[1].ack()
    await taker.holds(3)
    await taker.held[0].ack()
    await taker.holds(4)
    await taker.channel.close()
    assert await rest(side, 2) == [(b"c", True), (b"d", True)]


@pytest.mark.parametrize("way", ["closed", "cut"])
async def test_what_was_in_hand_when_a_channel_went_comes_again_first_in_order_and_marked(bus: Bus, way: str) -> None:
    side, other = await bus.side(), await bus.side()
    await store(side, b"a", b"b", b"c", b"d", b"e")
    taker = await take(side, prefetch=4)
    await taker.holds(4)
    await next(item for item in taker.held if item.body == b"b").ack()
    await taker.holds(5)
    await leave(side, taker, way)
    assert await rest(other, 4) == [(b"a", True), (b"c", True), (b"d", True), (b"e", True)]


async def test_the_broker_counts_how_often_a_message_came(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a")
    counts = []
    for _ in range(3):
        taker = await take(side)
        counts.append((await taker.next()).headers.get("x-delivery-count", 0))
        await taker.channel.close()
    assert counts == [0, 1, 2]


async def test_what_is_given_back_comes_again_marked_and_before_the_others(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a", b"b", b"c")
    taker = await take(side, prefetch=2)
    await taker.holds(2)
    for item in sorted(taker.held, key=lambda one: bytes(one.body)):
        await item.nack(requeue=True)
    await taker.channel.close()
    assert await rest(side, 3) == [(b"a", True), (b"b", True), (b"c", False)]


async def test_what_comes_too_often_is_set_aside_with_the_reason_and_the_next_one_comes(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a", b"b")
    for number in range(DELIVERY_LIMIT + 1):
        taker = await take(side)
        message = await taker.next()
        assert (message.body, bool(message.redelivered)) == (b"a", number > 0)
        await taker.channel.close()
    assert await rest(side, 1) == [(b"b", False)]
    (dead,) = await bus.drained(WORKFLOW.dead, 1)
    assert (dead.body, dead.type, dead.redelivered) == (b"a", KEY, False)
    assert dead.headers["x-first-death-reason"] == "delivery_limit"
    assert dead.headers["x-first-death-queue"] == WORKFLOW.name


async def test_giving_back_counts_towards_the_limit(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a")
    taker = await take(side)
    for _ in range(DELIVERY_LIMIT + 1):
        await (await taker.next()).nack(requeue=True)
    (dead,) = await bus.drained(WORKFLOW.dead, 1)
    assert dead.body == b"a"
    await taker.holds(0)


async def test_those_in_hand_with_it_each_time_are_set_aside_with_it(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a", b"b", b"c")
    for _ in range(DELIVERY_LIMIT + 1):
        taker = await take(side, prefetch=2)
        await taker.holds(2)
        await taker.channel.close()
    assert await rest(side, 1) == [(b"c", False)]
    assert {item.body for item in await bus.drained(WORKFLOW.dead, 2)} == {b"a", b"b"}


async def test_a_delayed_message_comes_back_after_its_time_with_its_headers_and_unmarked(bus: Bus) -> None:
    side = await bus.side()
    began = time.monotonic()
    await side.publisher.publish(b"a", KEY, queue=WORKFLOW.retry("1s"), headers={"x-attempt": 3})
    message = await (await take(side)).next()
    assert time.monotonic() - began > 0.9
    assert (message.body, message.type, bool(message.redelivered)) == (b"a", KEY, False)
    assert message.headers["x-attempt"] == 3


async def settle(message: Any, way: str) -> None:
    if way == "ack":
        await message.ack()
    else:
        await message.nack(requeue=True)


@pytest.mark.parametrize("way", ["ack", "nack"])
async def test_who_settles_on_a_closed_channel_is_told_and_takes_it_from_nobody(bus: Bus, way: str) -> None:
    side, other = await bus.side(), await bus.side()
    await store(side, b"a")
    message = await (await take(side)).next()
    await message.channel.close()
    again = await (await take(other)).next()
    with pytest.raises(ChannelInvalidStateError):
        await settle(message, way)
    third = await take(side)
    await third.holds(0)
    await again.ack()
    await again.channel.close()
    await third.holds(0)


async def test_settling_twice_is_refused(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a")
    message = await (await take(side)).next()
    await message.ack()
    for way in ("ack", "nack"):
        with pytest.raises(aio_pika.exceptions.MessageProcessError):
            await settle(message, way)


async def test_a_message_goes_to_one_of_those_who_take(bus: Bus) -> None:
    sides = [await bus.side(), await bus.side()]
    takers = [await take(side, prefetch=20) for side in sides]
    bodies = [str(number).encode() for number in range(20)]
    await store(sides[0], *bodies)
    await until(lambda: sum(len(taker.held) for taker in takers) >= 20)
    await asyncio.sleep(0.05)
    assert sorted(item.body for taker in takers for item in taker.held) == sorted(bodies)


async def test_who_stopped_taking_is_handed_nothing_and_may_settle_what_is_in_hand(bus: Bus) -> None:
    side = await bus.side()
    await store(side, b"a", b"b")
    taker = await take(side, prefetch=2)
    await taker.holds(2)
    await taker.queue.cancel(taker.tag)
    await store(side, b"c")
    await taker.holds(2)
    kept, given_back = sorted(taker.held, key=lambda one: bytes(one.body))
    await kept.ack()
    await given_back.nack(requeue=True)
    await taker.holds(2)
    await taker.channel.close()
    assert await rest(side, 2) == [(b"b", True), (b"c", False)]


@pytest.mark.parametrize("way", ["closed", "cut"])
async def test_a_channel_that_goes_tells_of_it_and_takes_nothing_more(bus: Bus, way: str) -> None:
    side, other = await bus.side(), await bus.side()
    taker = await take(side)
    told = asyncio.Event()
    taker.channel.close_callbacks.add(lambda *_: told.set())
    await leave(side, taker, way)
    await asyncio.wait_for(told.wait(), 5)
    assert taker.channel.is_closed
    await store(other, b"a")
    assert await rest(other, 1) == [(b"a", False)]
    await taker.holds(0)


async def test_a_queue_that_is_not_there_is_an_error_and_closes_the_channel(bus: Bus) -> None:
    side = await bus.side()
    channel = await (await side.link.connection()).channel(publisher_confirms=False)
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await channel.get_queue("no.such.queue", ensure=True)
    assert channel.is_closed
