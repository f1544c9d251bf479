"""Messages that some release cannot handle, and the person who sees to what is parked of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from simulation.process import KilledError, Process
from simulation.twins.broker import Link, MemoryPublisher
from simulation.twins.dead_letters import TABLE, MemoryDeadLetters
from simulation.twins.memory import Row, Session
from trellis.common.bus.topology import ASSESSMENTS, GREENHOUSE_ACTIONS, INGEST, WORKFLOW, InboundQueue
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.dead_letters import orders
from trellis.common.dead_letters.letters import DeadLetter, Order
from trellis.common.dead_letters.taker import DeadLetters
from trellis.common.errors import ConflictError, PermanentError, TransientError

if TYPE_CHECKING:
    from simulation.world import World

Handle = Callable[[Sequence[Envelope]], Awaitable[None]]
CONSUMERS = {
    "workflow": WORKFLOW,
    "assessments": ASSESSMENTS,
    "greenhouse-actions": GREENHOUSE_ACTIONS,
    "ingest": INGEST,
}
"""The queue of each service."""
ACCOUNTS = (AccountId("acme"), AccountId("globex"))
_TAKERS = (WORKFLOW, ASSESSMENTS)
_NOBODY = 9_000_000
"""Candidates from here on are nobody's: what is told of them changes nothing else in a history."""
_KEY = "candidate.updated.v1"
_SETTLES_SECONDS = 900.0


@dataclass
class Poison:
    """What was sent that nobody could handle at first.

    Attributes:
        sent: The messages that a mended release handles.
        sick: What each of them does to whom, until a person mends it: `refused`, `bug` or `kills`, by queue.
        junk: Bytes that nobody will ever read, with the queue they were put on.
        dropped: What a person ordered to be dropped, or tried to.
        is_over: No more comes.
    """

    sent: list[Envelope] = field(default_factory=list)
    sick: dict[tuple[str, UUID], str] = field(default_factory=dict)
    junk: list[tuple[str, bytes]] = field(default_factory=list)
    dropped: set[UUID] = field(default_factory=set)
    is_over: bool = False


def sickened(world: World, process: Process, queue: InboundQueue, handle: Handle) -> Handle:
    """Return *handle*, made to fail on what is sick now; itself in a history without."""
    if not world.poisons:
        return handle

    async def handled(batch: Sequence[Envelope]) -> None:
        for envelope in batch:
            match world.poison.sick.get((queue.name, envelope.id)):
                case "refused":
                    raise PermanentError("this release does not know it (simulated)")
                case "bug":
                    raise KeyError("simulated")
                case "kills":
                    process.kill("a message that ends it")
                    raise KilledError
        await handle(batch)

    return handled


def taking(
    world: World, link: Link, publisher: MemoryPublisher, queue: InboundQueue, session: Session
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """Return what takes the dead letters of *queue* into *session*'s database; nothing in a history without."""
    if not world.poisons:
        return ()
    return (DeadLetters(cast(Any, link), publisher, queue, session, MemoryDeadLetters(session)).run,)


async def send_poison(world: World, seed: int) -> None:
    """Send messages that cannot be handled now and then, and one that ends its consumers, until nothing fails any more.

    What is sent is drawn apart from the rest of the history, whose draws stay as they were.
    """
    draw = random.Random(f"{seed} poison")  # noqa: S311 - a seed is what makes a history repeatable
    number, kills_at = 0, draw.choice((None, 1, 2))
    while world.faulty:
        await asyncio.sleep(draw.expovariate(1 / 5.0))
        number += 1
        if draw.random() < 0.3:
            name, body = draw.choice(list(CONSUMERS.values())).name, f"junk {number}".encode()
            world.poison.junk.append((name, body))
            world.broker.store(body, _KEY, name, None)
            world.tell("something puts {} on {}", body.decode(), name)
            continue
        envelope = Envelope(
            id=UUID(int=draw.getrandbits(128), version=4),
            source="trellis/ingest",
            accountid=draw.choice(ACCOUNTS),
            time=world.now(),
            data=CandidateUpdated(candidate_id=CandidateId(_NOBODY + number)),
            correlationid=f"poison-{number}",
        )
        world.poison.sent.append(envelope)
        for queue in _TAKERS:
            kind = "kills" if number == kills_at else draw.choice(("refused", "refused", "bug", None))
            if kind is not None and not (kind == "kills" and queue is ASSESSMENTS):
                world.poison.sick[queue.name, envelope.id] = kind
        world.broker.store(encode(envelope), _KEY, None, None)
        world.tell("{}: message {} comes, which not every release handles", envelope.accountid, envelope.id.hex[:8])
    world.poison.is_over = True


async def see_to_parked(world: World, seed: int, is_settled: Callable[[], bool]) -> None:
    """Mend, redrive and drop what is parked, until all that can be handled is; drawn apart likewise."""
    draw = random.Random(f"{seed} sees to parked")  # noqa: S311 - a seed is what makes a history repeatable
    person, ends = Process("a person", draw, world.tell, lambda: False), None
    while not (ends is not None and (world.loop.time() > ends or is_settled())):
        await asyncio.sleep(2.0 + draw.random() * 10.0)
        if world.poison.is_over and ends is None:
            ends = world.loop.time() + _SETTLES_SECONDS
        for service in CONSUMERS:
            session = Session(world.memories[service], person)
            letters = MemoryDeadLetters(session)
            for account in (*ACCOUNTS, None):
                for letter in await letters.waiting(account):
                    if world.faulty and draw.random() < 0.4:
                        continue
                    for order in _orders_of(world, draw, letter):
                        await _give(world, session, letters, letter, order)


def _orders_of(world: World, draw: random.Random, letter: DeadLetter) -> tuple[Order, ...]:
    death = letter.death
    if (death.queue, death.body) in world.poison.junk:
        if death.redriven_count < 2:
            return (Order.REDRIVE,) * draw.choice((1, 1, 2))
        return (Order.DROP,) if draw.random() < 0.5 else ()
    if not world.faulty or draw.random() < 0.7:
        for envelope in world.poison.sent:
            if encode(envelope) == death.body:
                world.poison.sick.pop((death.queue, envelope.id), None)
    if draw.random() < 0.1:
        return (Order.DROP, Order.REDRIVE)
    return (Order.REDRIVE,) * draw.choice((1, 1, 2))


async def _give(world: World, session: Session, letters: MemoryDeadLetters, letter: DeadLetter, order: Order) -> None:
    """Give one order, as the API does; it may have been carried out although the answer is lost."""
    death = letter.death
    if order is Order.DROP:
        world.poison.dropped.add(death.id)
    world.tell("a person orders of {} on {}: {}", death.type, death.queue, order.value)
    try:
        await orders.give(session, letters, death.account, death.id, order, by="a person")
    except (TransientError, ConflictError):
        return


def parked_rows(world: World) -> Iterator[Row]:
    """Yield all that was ever parked."""
    for service in CONSUMERS:
        yield from world.memories[service].table(TABLE).values()
