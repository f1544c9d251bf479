"""People who apply again, or come back into the stage of the test, while or after they took it."""

from __future__ import annotations

import asyncio
import random

from simulation.people import People
from simulation.plan import CODING, Act
from simulation.world import World


async def apply_again(world: World, people: People, seed: int) -> None:
    """Act now and then until nothing fails any more, and once in each account some time after.

    What is done is drawn apart from the rest of the history, whose draws stay as they were.
    """
    draw = random.Random(f"{seed} applies again")  # noqa: S311 - a seed is what makes a history repeatable
    while world.faulty:
        await asyncio.sleep(15.0 + draw.random() * 25.0)
        known = [(account, ident) for account, green in world.greenhouses.items() for ident in green.truth]
        if not known:
            continue
        account, application = draw.choice(known)
        if draw.random() < 0.5:
            people.apply_again(account, application)
        else:
            for stage in ("Recruiter Call", CODING):
                people.do(account, application, Act(after=0.0, kind="move", stage=stage))
                await asyncio.sleep(2.0 + draw.random() * 10.0)
    await asyncio.sleep(20.0 + draw.random() * 180.0)
    for account, greenhouse in world.greenhouses.items():
        if greenhouse.truth:
            people.apply_again(account, draw.choice(list(greenhouse.truth)))
