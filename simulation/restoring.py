"""Databases that are backed up at one moment and put back later, and the person who ends restored mode."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

from simulation.patching import EPOCH
from simulation.people import People
from simulation.plan import BEHIND_SECONDS, CODING, REVIEW, SERVICES, Life, Plan, draw_act
from simulation.process import Process
from simulation.twins.epochs import MemoryEpochs, send_again
from simulation.twins.memory import Row, Session, tx
from simulation.world import World
from trellis.assessments.erasure_api import fact_of
from trellis.common.errors import TransientError

AT_LEAST_SECONDS = 40.0
"""How long nothing was written to the vendors before a restore: sooner, one to a moment between two attempts that rest on
one epoch goes unnoticed (docs/correctness.md, P1)."""
NOTICED_SECONDS = 100.0
"""How long after the last fault every process has looked whether its database was put back: longer than one is frozen."""
_LONGEST_SECONDS = 600.0
_Erased = list[tuple[Any, Row]]


async def restore_databases(world: World, people: People, plan: Plan) -> None:
    """Back the databases up while things fail, put them back when all is quiet, and let things fail again.

    What is done is drawn apart from the rest of the history, whose draws stay as they were.
    """
    draw = random.Random(f"{plan.seed} restores")  # noqa: S311 - a seed is what makes a history repeatable
    await asyncio.sleep(plan.backup_at or 0.0)
    if not all(world.memories[name].table("epoch") for name in ("assessments", "greenhouse-actions")):
        return  # a backup from before the first epoch is not known again (docs/adr/0013)
    world.back_up()
    await asyncio.sleep(plan.faulty_seconds - world.loop.time() + 1.0)
    begun = world.loop.time()
    while world.loop.time() < max(world.wrote_at.values(), default=begun) + AT_LEAST_SECONDS:
        if world.loop.time() > begun + _LONGEST_SECONDS:
            return
        await asyncio.sleep(5.0)
    erased = list(world.memories["assessments"].table("erasure").items())
    world.put_back()
    world.faulty = True
    people.start(_end_it(world, plan.seed, erased))
    for account, known in world.greenhouses.items():
        people.start(people.live(_life(draw, account)))
        for ident in sorted(known.truth):
            if draw.random() < 0.4:
                people.start(_act(people, world, draw, account, ident))
    until = world.loop.time() + 20.0 + draw.random() * 40.0
    while world.loop.time() < until:
        await asyncio.sleep(draw.random() * 20.0)
        world.kill(draw.choice(SERVICES))
    world.calm()


def _life(draw: random.Random, account: str) -> Life:
    return Life(account=account, at=draw.random() * 20.0, stage=draw.choice((CODING, CODING, REVIEW)), acts=())


async def _act(people: People, world: World, draw: random.Random, account: str, ident: int) -> None:
    await asyncio.sleep(draw.random() * 30.0)
    if world.faulty:
        people.do(account, ident, draw_act(draw, 0.0))  # type: ignore[arg-type]  # both are what the world knows


async def _end_it(world: World, seed: int, erased: _Erased) -> None:
    """Do what docs/operations.md says: replay erasures, wait until Greenhouse was compared, and end the mode."""
    draw = random.Random(f"{seed} ends it")  # noqa: S311 - a seed is what makes a history repeatable
    put_back, person = world.loop.time(), Process("a person", draw, world.tell, lambda: False)
    sessions = {name: Session(world.memories[name], person) for name in ("assessments", "greenhouse-actions")}
    await _replay(sessions["assessments"], erased)
    compared = EPOCH + timedelta(seconds=put_back + BEHIND_SECONDS)
    left, calm_until = set(sessions), 0.0
    while left and world.loop.time() < put_back + 1500.0:
        await asyncio.sleep(3.0 + draw.random() * 10.0)
        if world.faulty or any(_is_restored(world, name) for name in left):
            calm_until = world.loop.time() + NOTICED_SECONDS
        marks = world.memories["greenhouse-actions"].table("reconciliation").values()
        if len(marks) < len(world.greenhouses) or any(row["mark"] is None or row["mark"] <= compared for row in marks):
            continue
        for name in sorted(left):
            try:
                await _send_again(Session(world.memories["workflow"], person))
                found = await MemoryEpochs(sessions[name], world.uuid).restored()
                if found is not None and found.ended_at is None:
                    world.ended_at.setdefault(name, world.loop.time())
                    await MemoryEpochs(sessions[name], world.uuid).end("a person")
                    world.tell("a person ends restored mode of {}", name)
            except TransientError:
                continue
            if found is not None and found.ended_at is not None:
                left.discard(name)
        if world.loop.time() > calm_until:
            return  # it was never noticed, for nothing was attempted since the backup


def _is_restored(world: World, service: str) -> bool:
    rows = list(world.memories[service].table("restoration").values())
    return bool(rows) and max(rows, key=lambda row: row["number"])["ended_at"] is None


async def _send_again(workflow: Session) -> None:
    async with workflow.transaction() as connection:
        await send_again(tx(connection), EPOCH)


async def _replay(session: Session, erased: _Erased) -> None:
    for (account, candidate), row in erased:
        while True:
            try:
                async with session.transaction() as connection:
                    fact = fact_of(account, candidate, row["why"], row["erased_at"])
                    await session.put_out(connection, [fact])
            except TransientError:
                await asyncio.sleep(1.0)
                continue
            break
