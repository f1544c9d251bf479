"""The real consumer on RabbitMQ and on the twin: what it does with its messages comes out the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.contract.bus.conftest import Bus, Side, until

from trellis.common.bus.consumer import MOST_ATTEMPTS, MOST_BUG_ATTEMPTS, Consumer
from trellis.common.bus.topology import DELIVERY_LIMIT, WORKFLOW
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.errors import ConflictError, PermanentError, StoreAwayError, TransientError
from trellis.common.runtime.metrics import Metrics

KEY = "candidate.updated.v1"


def body(candidate: int) -> bytes:
    return encode(
        Envelope(
            id=uuid4(),
            source="trellis/ingest",
            accountid=AccountId("acme"),
            time=datetime(2026, 11, 24, tzinfo=UTC),
            data=CandidateUpdated(candidate_id=CandidateId(candidate)),
            correlationid="c",
        )
    )


async def store(side: Side, *candidates: int, attempt: int = 1) -> None:
    for candidate in candidates:
        headers = {"x-attempt": attempt} if attempt > 1 else None
        await side.publisher.publish(body(candidate), KEY, queue=WORKFLOW.name, headers=headers)


class Handled:
    """Keeps what the handler was given, batch by batch, and does what a test says with each."""

    def __init__(self, act: Callable[[list[int]], Awaitable[None]] | None = None) -> None:
        self.given: list[list[int]] = []
        self.done: list[int] = []
        self._act = act

    async def __call__(self, batch: Sequence[Envelope]) -> None:
        ids = [item.data.candidate_id for item in batch if isinstance(item.data, CandidateUpdated)]
        self.given.append(sorted(ids))
        if self._act is not None:
            await self._act(ids)
        self.done += ids


@asynccontextmanager
async def consuming(side: Side, handled: Handled, **options: Any) -> Any:
    """Consume until the block ends, then stop as a process that is told to."""
    settings = {"batch_size": 10, "batch_wait_seconds": 0.1} | options
    consumer = Consumer(side.link, side.publisher, WORKFLOW, handled, Metrics("test"), **settings)
    task = asyncio.create_task(consumer.run())
    try:
        yield task
    finally:
        consumer.stop()
        await asyncio.wait([task], timeout=4.5)  # whatever it was waiting for
        assert task.done()


def refuse(unliked: int, error: Exception) -> Callable[[list[int]], Awaitable[None]]:
    async def act(ids: list[int]) -> None:
        if unliked in ids:
            raise error

    return act


async def is_empty(bus: Bus, queue: str = WORKFLOW.name) -> None:
    assert await bus.drained(queue, 0) == []


async def test_one_bad_message_and_one_that_nobody_can_read_are_set_aside_alone(bus: Bus) -> None:
    side = await bus.side()
    await store(side, *range(20))
    await side.publisher.publish(b"not json", KEY, queue=WORKFLOW.name)
    handled = Handled(refuse(13, PermanentError("thirteen is not liked")))
    async with consuming(side, handled):
        await until(lambda: len(handled.done) == 19)
        dead = await bus.drained(WORKFLOW.dead, 2)
    assert sorted(handled.done) == [number for number in range(20) if number != 13]
    assert "thirteen is not liked" in {item.headers["x-reason"] for item in dead}
    assert b"not json" in {item.body for item in dead}
    await is_empty(bus)


async def test_what_fails_for_now_comes_again_alone_and_is_then_handled(bus: Bus) -> None:
    failing = [ConflictError("not yet")]

    async def once(ids: list[int]) -> None:
        if failing and ids == [2]:
            raise failing.pop()
        if failing and 2 in ids:
            raise ConflictError("not yet")

    side, handled = await bus.side(), Handled(once)
    await store(side, 1, 2, 3)
    async with consuming(side, handled):
        await until(lambda: len(handled.done) == 3)
    assert sorted(handled.done) == [1, 2, 3]
    assert handled.given[-1] == [2]
    await is_empty(bus)


async def test_a_wish_to_wait_longer_chooses_the_queue_that_waits_so_long(bus: Bus) -> None:
    side = await bus.side()
    handled = Handled(refuse(1, TransientError("later", retry_after=timedelta(seconds=5))))
    await store(side, 1, attempt=4)
    async with consuming(side, handled):
        await until(lambda: len(handled.given) == 1)
        (later,) = await bus.drained(WORKFLOW.retry("10s"), 1)
    assert later.headers["x-attempt"] == 5
    await is_empty(bus)


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        (TransientError("still not"), MOST_ATTEMPTS, "still not"),
        (ZeroDivisionError("in our code"), MOST_BUG_ATTEMPTS, "a bug: ZeroDivisionError"),
    ],
)
async def test_after_its_last_attempt_a_message_is_set_aside(
    bus: Bus, error: Exception, attempts: int, reason: str
) -> None:
    side, handled = await bus.side(), Handled(refuse(1, error))
    await store(side, 1, attempt=attempts)
    async with consuming(side, handled):
        (dead,) = await bus.drained(WORKFLOW.dead, 1)
    assert (dead.headers["x-reason"], dead.headers["x-attempt"]) == (reason, attempts)
    assert handled.given == [[1]]


async def test_stopping_finishes_the_batch_in_hand_and_gives_back_the_rest(bus: Bus) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slowly(ids: list[int]) -> None:
        entered.set()
        await leave.wait()

    side, handled = await bus.side(), Handled(slowly)
    await store(side, *range(30))
    async with consuming(side, handled, batch_size=5) as task:
        await entered.wait()
        asyncio.get_running_loop().call_later(0.2, leave.set)
    assert task.done()
    assert 1 <= len(handled.done) <= 5
    await bus.drained(WORKFLOW.name, 30 - len(handled.done))


async def test_what_was_handled_when_the_connection_was_lost_comes_again_each_alone(bus: Bus) -> None:
    side = await bus.side()

    async def cut_once(ids: list[int]) -> None:
        if len(handled.given) == 1:
            await side.cut()

    handled = Handled(cut_once)
    await store(side, 1, 2, 3)
    async with consuming(side, handled):
        await until(lambda: len(handled.done) >= 6)
    first, *others = handled.given
    assert first in ([1], [2], [3], [1, 2], [1, 3], [2, 3], [1, 2, 3])
    assert sorted(others[-3:]) == [[1], [2], [3]]
    await is_empty(bus)


async def test_while_the_database_is_away_messages_are_held_and_nothing_more_is_taken(bus: Bus) -> None:
    away = [StoreAwayError("away"), StoreAwayError("away")]

    async def when_back(ids: list[int]) -> None:
        if away:
            raise away.pop()

    side, handled = await bus.side(), Handled(when_back)
    await store(side, 1, 2)
    async with consuming(side, handled, batch_size=2):
        await until(lambda: len(handled.done) == 2)
        held = [batch for batch in handled.given if batch == handled.given[0]]
    assert len(held) == 3
    await is_empty(bus)
    await is_empty(bus, WORKFLOW.dead)


async def test_who_stops_while_the_database_is_away_gives_back_what_is_held(bus: Bus) -> None:
    async def away(ids: list[int]) -> None:
        raise StoreAwayError("away")

    side, handled = await bus.side(), Handled(away)
    await store(side, 1, 2)
    async with consuming(side, handled, batch_size=2):
        await until(lambda: len(handled.given) >= 2)
    found = await bus.drained(WORKFLOW.name, 2)
    assert [item.redelivered for item in found] == [True, True]


async def test_a_message_that_ends_every_process_is_set_aside_and_those_beside_it_are_handled(bus: Bus) -> None:
    met = asyncio.Event()

    async def die(ids: list[int]) -> None:
        if 2 in ids:
            met.set()
            await asyncio.Event().wait()

    side, handled = await bus.side(), Handled(die)
    await store(side, 1, 2, 3)
    for _ in range(DELIVERY_LIMIT + 1):
        met.clear()
        consumer = Consumer(side.link, side.publisher, WORKFLOW, handled, Metrics("test"))
        task = asyncio.create_task(consumer.run())
        await asyncio.wait_for(met.wait(), 10)
        task.cancel()
        await asyncio.wait([task])
    await store(side, 4)
    async with consuming(side, handled):
        await until(lambda: 4 in handled.done)
    assert sorted(handled.done) == [1, 3, 4]
    (dead,) = await bus.drained(WORKFLOW.dead, 1)
    assert dead.headers["x-first-death-reason"] == "delivery_limit"


async def test_two_consumers_share_a_queue_and_each_message_is_handled_once(bus: Bus) -> None:
    sides = [await bus.side(), await bus.side()]
    first, second = Handled(), Handled()
    async with consuming(sides[0], first), consuming(sides[1], second):
        await store(sides[0], *range(40))
        await until(lambda: len(first.done) + len(second.done) >= 40)
    assert sorted(first.done + second.done) == list(range(40))
    await is_empty(bus)
