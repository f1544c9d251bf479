"""Persons who are erased at awkward moments: by hand, just after a merge, and while an invite is made ready."""

from __future__ import annotations

import asyncio
import random

from simulation.people import People
from simulation.process import Process
from simulation.twins.memory import Session
from simulation.world import World
from trellis.assessments.erasure_api import fact_of
from trellis.common.contracts.facts import ErasureReason
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId
from trellis.common.errors import TransientError


async def erase_people(world: World, people: People, seed: int) -> None:
    """Act now and then until nothing fails any more.

    What is done is drawn apart from the rest of the history, whose draws stay as they were.
    """
    draw = random.Random(f"{seed} erases")  # noqa: S311 - a seed is what makes a history repeatable

    def cleared(account: AccountId, application: ApplicationId) -> None:
        if world.faulty and draw.random() < 0.3:
            people.anonymize(account, application)

    world.on_cleared = cleared
    while world.faulty:
        await asyncio.sleep(5.0 + draw.random() * 20.0)
        known = [(account, ident) for account, green in world.greenhouses.items() for ident in green.truth]
        if not known:
            continue
        account, application = draw.choice(known)
        if draw.random() < 0.5:
            candidate = world.greenhouses[account].truth[application].candidate_id
            people.erase_by_hand(account, candidate)
            await _order(world, draw, account, candidate)
        else:
            people.merge(account, application)
            await asyncio.sleep(draw.random())
            people.anonymize(account, application)


async def _order(world: World, draw: random.Random, account: AccountId, candidate: CandidateId) -> None:
    """Give the order as the API of assessments does, again until it is known to have been taken."""
    session = Session(world.memories["assessments"], Process("a person", draw, world.tell, lambda: False))
    while True:
        try:
            async with session.transaction() as connection:
                at = await session.now(connection)
                await session.put_out(connection, [fact_of(account, candidate, ErasureReason.BY_HAND, at)])
        except TransientError:
            await asyncio.sleep(1.0)
            continue
        return
