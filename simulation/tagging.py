"""Recruiters who keep Trellis off single people by a tag, and let it on again."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from simulation.world import KEEP_OFF, World
from trellis.common.contracts.identifiers import AccountId, CandidateId

_OTHER = "no trellis please"
"""A tag that keeps nobody off."""


async def tag_people(world: World, seed: int) -> None:
    """Put the tag on and take it away now and then until nothing fails any more.

    What is done is drawn apart from the rest of the history, whose draws stay as they were.
    """
    draw = random.Random(f"{seed} tags people")  # noqa: S311 - a seed is what makes a history repeatable
    while world.faulty:
        await asyncio.sleep(1.0 + draw.random() * 12.0)
        people = [
            (account, ident) for account, greenhouse in world.greenhouses.items() for ident in sorted(greenhouse.people)
        ]
        if people:
            account, candidate = draw.choice(people)
            _tag(world, account, candidate, on=draw.random() < 0.6)


def _tag(world: World, account: AccountId, candidate: CandidateId, *, on: bool) -> None:
    greenhouse = world.greenhouses[account]
    person = greenhouse.people[candidate]
    if (KEEP_OFF.casefold() in person.tags) is on:
        return
    tags = (_OTHER, KEEP_OFF.casefold()) if on else (_OTHER,)
    greenhouse.people[candidate] = replace(person, tags=tags)
    for ident, view in greenhouse.truth.items():
        if view.candidate_id == candidate:
            world.tagged.setdefault((account, ident), []).append((world.loop.time(), on))
    world.tell("{}: a recruiter {} candidate {}", account, "tags" if on else "takes the tag off", candidate)
