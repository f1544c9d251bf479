"""Cuts a history that breaks a promise to a short one that still does.

A cut moves everything that is drawn afterwards, so each is tried under some seeds; it stays if the same
promise is broken under one of them.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from simulation.history import Outcome, play_plan
from simulation.plan import ACCOUNTS, CUTTABLE, Life, Outage, Plan, Replica

SEEDS = 12
"""Seeds under which each cut is tried."""
SHORTEST_SECONDS = 10.0


_Part = TypeVar("_Part", Life, Replica)
_Other = TypeVar("_Other", Life, Replica)


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """The shortest history that was found, and how many were played for it."""

    outcome: Outcome
    played: int


def promise_of(outcome: Outcome) -> str:
    """Return what is broken first, whichever application and account it is of; empty if nothing is."""
    if not outcome.violations:
        return ""
    promise, _, broken = outcome.violations[0].partition(": ")
    return f"{promise}: " + re.sub(rf"\S*\d\S*|\b({'|'.join(ACCOUNTS)})\b", "*", broken)


def shrink(outcome: Outcome, *, seconds: float = 60.0) -> Shrunk:
    """Return a history as short as can be found within *seconds* that breaks the promise that *outcome* breaks."""
    ends, best, played = time.process_time() + seconds, outcome, 0
    promise = promise_of(outcome)
    is_cut = True
    while is_cut:
        is_cut = False
        for cut in list(_cuts(best.plan)):
            if time.process_time() > ends:
                return Shrunk(outcome=best, played=played)
            plan = cut(best.plan)
            if plan == best.plan:
                continue
            found, tried = _still_broken(plan, promise)
            played += tried
            if found is not None:
                best, is_cut = found, True
    for seed in _seeds(best.plan.seed, 4 * SEEDS):
        if time.process_time() > ends:
            break
        other = play_plan(replace(best.plan, seed=seed))
        played += 1
        if promise_of(other) == promise and len(other.told) < len(best.told):
            best = other
    return Shrunk(outcome=best, played=played)


def _seeds(seed: int, count: int) -> list[int]:
    draw = random.Random(seed)  # noqa: S311 - the same each time
    return [seed, *(draw.randrange(10**9) for _ in range(count - 1))]


def _still_broken(plan: Plan, promise: str) -> tuple[Outcome | None, int]:
    for tried, seed in enumerate(_seeds(plan.seed, SEEDS), start=1):
        outcome = play_plan(replace(plan, seed=seed))
        if promise_of(outcome) == promise:
            return outcome, tried
    return None, SEEDS


Cut = Callable[[Plan], Plan]


def _cuts(plan: Plan) -> Iterator[Cut]:
    """Yield what may be left out, the largest parts first; what is not there any more leaves a plan as it is."""
    yield lambda plan: replace(plan, least_messages=0)
    yield lambda plan: replace(plan, without=frozenset(CUTTABLE))
    yield lambda plan: replace(plan, outages=())
    for account in sorted({life.account for life in plan.lives}):
        yield _without_account(account)
    yield from map(_without, plan.lives)
    yield from map(_without, plan.outages)
    for replica in plan.replicas:
        if sum(other.service == replica.service for other in plan.replicas) > 1:
            yield _without(replica)
        yield _instead(replica, replace(replica, deaths=()))
    for kind in CUTTABLE:
        yield _without_kind(kind)
    for life in plan.lives:
        for act in life.acts:
            yield _instead(life, replace(life, acts=tuple(other for other in life.acts if other is not act)))
    yield lambda plan: replace(plan, by_hand=False, erases=False, tags=False, poisons=False, reuse_seconds=None)
    yield lambda plan: replace(plan, through_v1=None, to_v3_at=None)
    yield lambda plan: replace(plan, backup_at=None)
    yield lambda plan: replace(plan, settle_seconds=0)
    yield lambda plan: replace(plan, sluggish=False)
    yield lambda plan: replace(plan, faulty_seconds=max(plan.faulty_seconds / 2, SHORTEST_SECONDS))


def _without_account(account: str) -> Cut:
    return lambda plan: replace(
        plan,
        lives=tuple(life for life in plan.lives if life.account != account),
        outages=tuple(outage for outage in plan.outages if outage.target != account),
    )


def _without_kind(kind: str) -> Cut:
    return lambda plan: replace(plan, without=plan.without | {kind})


def _without(part: Life | Outage | Replica) -> Cut:
    return lambda plan: replace(
        plan,
        replicas=tuple(other for other in plan.replicas if other != part),
        lives=tuple(other for other in plan.lives if other != part),
        outages=tuple(other for other in plan.outages if other != part),
    )


def _instead(part: _Part, new: _Part) -> Cut:
    return lambda plan: replace(
        plan, replicas=_swapped(plan.replicas, part, new), lives=_swapped(plan.lives, part, new)
    )


def _swapped(parts: tuple[_Other, ...], part: object, new: object) -> tuple[_Other, ...]:
    return tuple(new if other == part and isinstance(new, type(other)) else other for other in parts)
