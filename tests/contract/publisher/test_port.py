"""One suite for the publisher and its in-memory twins: the tests' own, and the one that the simulation runs on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aio_pika
import pytest
from simulation.process import Process
from simulation.twins.broker import Broker as SimulatedBroker
from simulation.twins.broker import MemoryPublisher as SimulatedPublisher
from tests.conftest import Broker
from tests.fakes.publisher import MemoryPublisher

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import BrokerPublisher, Publisher
from trellis.common.bus.topology import ASSESSMENTS, GREENHOUSE_ACTIONS, WORKFLOW
from trellis.common.errors import BrokerAwayError, PermanentError


@dataclass
class Case:
    publisher: Publisher
    bodies: Callable[[str], Awaitable[list[bytes]]]
    cut: Callable[[], Awaitable[None]]


@pytest.fixture(params=["memory", "simulation", "broker"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "memory":
        twin = MemoryPublisher()

        async def stored(queue: str) -> list[bytes]:
            return [item.body for item in twin.stored if item.queue == queue]

        async def cut() -> None:
            twin.away = True

        yield Case(twin, stored, cut)
        return
    if request.param == "simulation":
        simulated = SimulatedBroker(random.Random(1), lambda: False)
        process = Process("test", random.Random(2), lambda *_: None, lambda: False)

        async def ready(queue: str) -> list[bytes]:
            return [item.body for item in simulated.queues[queue].ready]

        async def leave() -> None:
            simulated.away = True

        yield Case(SimulatedPublisher(simulated, process, lambda part, name: False), ready, leave)
        return
    broker: Broker = request.getfixturevalue("broker")
    link = BrokerLink(broker.url, "test")
    publisher = BrokerPublisher(link)
    task = asyncio.create_task(link.run())
    await link.connection()

    async def drained(queue: str) -> list[bytes]:
        connection = await aio_pika.connect(broker.url)
        async with connection:
            channel = await connection.channel()
            source = await channel.get_queue(queue)
            found = []
            while (message := await source.get(fail=False)) is not None:
                assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
                found.append(message.body)
                await message.ack()
            return found

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    yield Case(publisher, drained, stop)
    await stop()


@pytest.fixture(autouse=True)
def _loads_the_broker_outside_the_loop(request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params.get("case") == "broker":
        request.getfixturevalue("broker")


async def test_a_message_reaches_every_queue_bound_to_its_key_and_no_other(case: Case) -> None:
    await case.publisher.publish(b"1", "candidate.anonymized.v1")
    for queue in (WORKFLOW, GREENHOUSE_ACTIONS, ASSESSMENTS):
        assert await case.bodies(queue.name) == [b"1"]
    await case.publisher.publish(b"2", "invite.send.v1")
    assert await case.bodies(WORKFLOW.name) in ([], [b"1"])
    assert b"2" in await case.bodies(ASSESSMENTS.name)


async def test_straight_to_a_queue(case: Case) -> None:
    await case.publisher.publish(b"x", "whatever", queue=WORKFLOW.dead, headers={"x-reason": "because"})
    assert await case.bodies(WORKFLOW.dead) == [b"x"]


@pytest.mark.parametrize("target", [("nobody.listens.v1", None), ("invite.send.v1", "no.such.queue")])
async def test_what_no_queue_takes_is_a_permanent_fault(case: Case, target: tuple[str, str | None]) -> None:
    with pytest.raises(PermanentError):
        await case.publisher.publish(b"x", target[0], queue=target[1])


async def test_without_a_broker_it_is_told_at_once(case: Case) -> None:
    await case.cut()
    with pytest.raises(BrokerAwayError):
        async with asyncio.timeout(1):
            await case.publisher.publish(b"x", "invite.send.v1", wait_seconds=5)


async def test_one_unroutable_message_among_many_fails_alone(case: Case) -> None:
    results = await asyncio.gather(
        *(
            case.publisher.publish(str(number).encode(), "nobody.listens.v1" if number == 7 else "invite.send.v1")
            for number in range(20)
        ),
        return_exceptions=True,
    )
    assert [number for number, result in enumerate(results) if result is not None] == [7]
    assert len(await case.bodies(ASSESSMENTS.name)) == 19
