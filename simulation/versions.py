"""An account that is connected through Harvest v1, and moves to v3 while answers are lost."""

from __future__ import annotations

import asyncio
import random

from simulation.people import People
from simulation.plan import CODING, Act, Plan
from simulation.world import World
from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.greenhouse_actions.domain.requests import Route


async def live_with_versions(world: World, people: People, plan: Plan) -> None:
    """Lose answers; move the account to v3 at its time or at the next one that is lost; take unanswered moves back.

    What is done is drawn apart from the rest of the history, whose draws stay as they were.
    """
    draw = random.Random(f"{plan.seed} versions")  # noqa: S311 - a seed is what makes a history repeatable
    account, moves_at = AccountId(plan.through_v1 or ""), plan.to_v3_at
    waits_for_loss = draw.random() < 0.6

    def unanswered(of: AccountId, application: ApplicationId, route: Route) -> None:
        if of != account or not world.faulty:
            return
        if route is Route.MOVE and draw.random() < 0.8:
            people.do(account, application, Act(after=0.0, kind="move", stage=CODING))
        if moves_at is not None and waits_for_loss and draw.random() < 0.5:
            world.move_to_v3(account)

    world.on_unanswered = unanswered
    world.also_lost = lambda of: of == account and world.faulty and draw.random() < 0.7
    if moves_at is not None:
        await asyncio.sleep(plan.faulty_seconds if waits_for_loss else moves_at)
        world.move_to_v3(account)
