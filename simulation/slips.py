"""A slip of a recruiter: somebody is rejected and it is taken back at once, told late and by half."""

from __future__ import annotations

import asyncio
import random

from simulation.people import People
from simulation.world import World
from trellis.common.contracts.facts import ApplicationStatus

CHANCE = 0.7


async def slip_now_and_then(world: World, people: People, seed: int) -> None:
    """Slip until nothing fails any more, by draws apart from the rest of the history.

    Greenhouse delivers the webhook of the rejection at a later try, long after the reconciler looked, and never the
    one of its end.
    """
    draw = random.Random(f"{seed} slips")  # noqa: S311 - a seed is what makes a history repeatable
    while world.faulty:
        await asyncio.sleep(5.0 + draw.random() * 20.0)
        running = [
            (account, ident)
            for account, greenhouse in world.greenhouses.items()
            for ident, view in greenhouse.truth.items()
            if view.status is ApplicationStatus.ACTIVE
        ]
        if running and draw.random() < CHANCE:
            account, application = draw.choice(running)
            late = 25.0 + draw.random() * 30.0
            await people.slip(account, application, seconds=1.5 + draw.random() * 2.0, late=late)
