"""What takes dead letters, on RabbitMQ and on the twin: none is lost, none is told twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from simulation.process import Process
from simulation.twins.dead_letters import MemoryDeadLetters
from simulation.twins.memory import Memory, Session
from tests.contract.bus.conftest import Bus, Side, Taker, until
from tests.contract.bus.test_consumer import KEY, Handled, body, consuming, refuse

from trellis.common.bus.topology import DELIVERY_LIMIT, WORKFLOW
from trellis.common.contracts.identifiers import AccountId
from trellis.common.dead_letters.letters import DeadLetter, Order
from trellis.common.dead_letters.orders import give
from trellis.common.dead_letters.taker import DeadLetters
from trellis.common.errors import PermanentError
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.outbox import Relay

ACME = AccountId("acme")


class Service:
    """The database of a service, which outlives its processes, and what takes its dead letters."""

    def __init__(self) -> None:
        self.memory = Memory(lambda: datetime.now(UTC))
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        self.session = Session(self.memory, process)
        self.letters = MemoryDeadLetters(self.session)

    def taker(self, side: Side) -> DeadLetters:
        return DeadLetters(side.link, side.publisher, WORKFLOW, self.session, self.letters)

    @asynccontextmanager
    async def taking(self, side: Side) -> Any:
        """Take until the block ends."""
        taker = self.taker(side)
        task = asyncio.create_task(taker.run())
        try:
            yield taker
        finally:
            taker.stop()
            await asyncio.wait([task], timeout=4.5)
            assert task.done()

    @property
    def rows(self) -> int:
        return len(self.memory.table("dead_letter"))

    async def waiting(self, account: AccountId | None = ACME) -> list[DeadLetter]:
        return await self.letters.waiting(account)


async def set_aside(side: Side, content: bytes, **headers: str | int) -> None:
    await side.publisher.publish(content, KEY, queue=WORKFLOW.dead, headers=headers)


async def test_what_was_set_aside_becomes_a_row_and_leaves_the_queue(bus: Bus) -> None:
    side, service = await bus.side(), Service()
    content = body(7)
    await set_aside(side, content, **{"x-reason": "thirteen is not liked", "x-attempt": 4})
    await set_aside(side, b"not json", **{"x-reason": "not JSON"})
    async with service.taking(side):
        await until(lambda: service.rows == 2)
    (letter,) = await service.waiting()
    death = letter.death
    assert (death.body, death.queue, death.type) == (content, WORKFLOW.name, "candidate.updated")
    assert (death.reason, death.attempts, death.correlation_id) == ("thirteen is not liked", 4, "c")
    (stray,) = await service.waiting(None)
    assert (stray.death.body, stray.death.reason) == (b"not json", "not JSON")
    await bus.drained(WORKFLOW.dead, 0)


async def test_a_dead_letter_told_twice_is_one_row(bus: Bus) -> None:
    """The connection is lost between commit and acknowledgement."""
    side, service = await bus.side(), Service()
    await set_aside(side, body(7), **{"x-reason": "no"})
    record, calls = service.letters.record, []

    async def cutting(*arguments: Any) -> None:
        await record(*arguments)
        calls.append(arguments)
        if len(calls) == 1:
            await side.cut()

    service.letters.record = cutting  # type: ignore[method-assign]
    async with service.taking(side):
        await until(lambda: len(calls) == 2)
    assert service.rows == 1
    await bus.drained(WORKFLOW.dead, 0)


async def test_a_message_that_ended_its_consumer_is_told_in_words(bus: Bus) -> None:
    side, service = await bus.side(), Service()
    await side.publisher.publish(body(7), KEY, queue=WORKFLOW.name)
    await returned(side, WORKFLOW.name, DELIVERY_LIMIT + 1)
    async with service.taking(side):
        await until(lambda: service.rows == 1)
    (letter,) = await service.waiting()
    assert "came back unacknowledged more than 20 times" in letter.death.reason
    assert letter.death.attempts == DELIVERY_LIMIT + 1


async def test_no_dead_letter_is_lost_however_often_its_taker_ends(bus: Bus) -> None:
    service = Service()
    side = await bus.side()
    await set_aside(side, body(7), **{"x-reason": "no", "x-attempt": 3})
    service.memory.away = True
    begin, begun = service.session.transaction, asyncio.Event()

    def transaction() -> Any:
        begun.set()
        return begin()

    service.session.transaction = transaction  # type: ignore[method-assign]
    for _ in range(DELIVERY_LIMIT + 5):
        begun.clear()
        task = asyncio.create_task(service.taker(side).run())
        await asyncio.wait_for(begun.wait(), 10)
        task.cancel()
        await asyncio.wait([task])
    service.memory.away = False
    async with service.taking(side):
        await until(lambda: service.rows == 1)
    (letter,) = await service.waiting()
    assert (letter.death.reason, letter.death.attempts) == ("no", 3)


async def test_a_redriven_message_is_handled_and_one_that_dies_again_waits_again(bus: Bus) -> None:
    side, service = await bus.side(), Service()
    handled = Handled(refuse(13, PermanentError("thirteen is not liked")))
    relay = Relay(service.session.outbox, side.publisher, Metrics("test"))
    async with consuming(side, handled), service.taking(side):
        for candidate in (13, 14):
            await set_aside(side, body(candidate), **{"x-reason": "an older release"})
        await until(lambda: service.rows == 2)
        letters = await service.waiting()
        for letter in letters:
            assert await give(service.session, service.letters, ACME, letter.death.id, Order.REDRIVE, by="x")
            assert await give(service.session, service.letters, ACME, letter.death.id, Order.REDRIVE, by="x")
        assert await relay.relay_pending() == 2
        await until(lambda: handled.done == [14])
        await waits(lambda: service.waiting(), 1)
    (again,) = await service.waiting()
    assert (again.death.reason, again.death.attempts, again.death.redriven_count) == ("thirteen is not liked", 1, 1)


async def returned(side: Side, queue: str, times: int) -> None:
    """Take the one message of *queue* so often and give it back."""
    taker = await Taker.start(side, prefetch=1, queue=queue)
    for _ in range(times):
        await (await taker.next()).nack(requeue=True)
    await taker.channel.close()


async def waits(ask: Callable[[], Awaitable[list[DeadLetter]]], count: int) -> None:
    end = asyncio.get_running_loop().time() + 10
    while len(await ask()) != count:
        assert asyncio.get_running_loop().time() < end, "waited too long"
        await asyncio.sleep(0.02)
