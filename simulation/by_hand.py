"""A person who acts on single applications by hand, and candidates who take the test uninvited."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

from simulation.people import People
from simulation.plan import CODING
from simulation.process import Process
from simulation.twins.memory import Session
from simulation.world import OTHER_TEST, TEST, World
from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import AssessmentSignalled, Order, SignalKind
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, command_id
from trellis.common.errors import TransientError
from trellis.workflow.internal_api import ordered

_ORDERS = (
    *((Order.SEND,), (Order.WITHDRAW,), (Order.SWAP,), (Order.EXCUSE,)),
    *((Order.SEND, Order.WITHDRAW), (Order.SEND, Order.WITHDRAW), (Order.SEND, Order.SWAP)),
)
"""What a person orders at one time; who sends by mistake takes it back at once."""


async def act_by_hand(world: World, people: People, seed: int) -> None:
    """Act now and then until nothing fails any more.

    What is done is drawn apart from the rest of the history, whose draws stay as they were.
    """
    draw = random.Random(f"{seed} acts by hand")  # noqa: S311 - a seed is what makes a history repeatable
    while world.faulty:
        await asyncio.sleep(3.0 + draw.random() * 20.0)
        known = [(account, ident) for account, green in world.greenhouses.items() for ident in green.truth]
        if known and draw.random() < 0.5:
            account, application = draw.choice(known)
            people.take_uninvited(account, application, draw.choice((20, 55, 71, 90)))
        if known and draw.random() < 0.6:
            account, application = draw.choice(known)
            for word in draw.choice(_ORDERS):
                test = OTHER_TEST if word is Order.SWAP or draw.random() < 0.2 else TEST
                await order(world, draw, account, application, word, AssessmentId(test))
        await _attach(world, draw)


async def _attach(world: World, draw: random.Random) -> None:
    """Say of some unmatched results whose they are, as somebody knows who looks the name up."""
    for ident, row in list(world.memories["assessments"].table("unmatched").items()):
        signal: AssessmentSignalled = row["signal"]
        owner = world.uninvited.get((row["account"], signal.address_hash))
        if owner is None or signal.kind is not SignalKind.COMPLETED or draw.random() < 0.3:
            continue
        if row["attached_to"] is None or draw.random() < 0.2:
            await order(world, draw, row["account"], owner, Order.ATTACH, AssessmentId(TEST), signal=ident)


async def order(
    world: World,
    draw: random.Random,
    account: AccountId,
    application: ApplicationId,
    word: Order,
    assessment: AssessmentId,
    *,
    signal: UUID | None = None,
) -> None:
    """Give one order, as the workflow's API does; it may have been given although the answer is lost."""
    row = world.memories["workflow"].table("application").get((account, application))
    if row is None or row["state"].visit is None:
        return
    visit = row["state"].visit
    session = Session(world.memories["workflow"], Process("a person", draw, world.tell, lambda: False))
    envelope = ordered(account, application, visit.name, word, assessment, signal)
    coding = world.greenhouses[account].stage(CODING)
    if word in (Order.SEND, Order.SWAP) and visit.stage_id != coding:
        return  # elsewhere nobody has a test to take, and the oracle would not know of it
    if word is not Order.ATTACH:
        for about in (TEST, OTHER_TEST):
            world.given_up.add(command_id(account, application, visit.name, Action.INVITE.value, about))
    world.tell("{}: a person orders of {}: {}", account, application, word.value)
    try:
        async with session.transaction() as connection:
            await session.put_out(connection, [envelope])
    except TransientError:
        return
