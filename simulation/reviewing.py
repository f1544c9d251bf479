"""A reviewer who changes the score in the very moment in which a report was read, and whose webhook overtakes the answer."""

from __future__ import annotations

import random

from simulation.people import People
from simulation.world import World
from trellis.common.contracts.identifiers import AccountId


def review_while_read(world: World, people: People, seed: int) -> None:
    """Have the reviewer act until nothing fails any more, by draws apart from the rest of the history."""
    draw = random.Random(f"{seed} reviewer")  # noqa: S311 - a seed is what makes a history repeatable

    def reported(account: AccountId, address: str) -> float:
        attempt = next((item for item in world.coderbytes[account].attempts if item["email"] == address), None)
        if not world.faulty or attempt is None or attempt["status"] != "Submitted" or draw.random() >= 0.4:
            return 0.0
        people.review(account, address, attempt, at_once=True)
        return 1.0 + draw.random() * 4.0

    world.on_reported = reported
