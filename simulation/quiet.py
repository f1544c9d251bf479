"""Whether a history is over: nothing is under way, and no row waits for anything but a date far away."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from simulation.patching import EPOCH
from simulation.plan import BEHIND_SECONDS
from simulation.twins.memory import has_unsent
from trellis.common.ledger.states import State

if TYPE_CHECKING:
    from simulation.world import World

_OPEN = (State.WAITING, State.ATTEMPTING, State.UNKNOWN)
_HIDDEN = 5
"""Tries after which what is to be shown of an application waits for one that is not there."""
MADE_UP_FOR = timedelta(seconds=1400)
"""How long after a candidate's act a lost webhook is made up for, at the latest: two polls of an open invite."""


def is_quiet(world: World) -> bool:
    """Whether all that happened was dealt with."""
    memories = world.memories.values()
    return (
        not any(has_unsent(memory) for memory in memories)
        and not any(
            memory.table("timer") or memory.table("observation") or memory.table("spool") for memory in memories
        )
        and not any(
            row["ordinal"] > row["shown_ordinal"] and row["tries"] < _HIDDEN
            for memory in memories
            for row in memory.table("standing").values()
        )
        and not any(row["state"] in _OPEN for memory in memories for row in memory.table("intent").values())
        and not any(
            (queue.ready or queue.unacked) and (world.poisons or not queue.is_dead)
            for queue in world.broker.queues.values()
        )
        and not _is_result_awaited(world)
        and not (world.reconciles and _is_compared_late(world))
    )


def _is_compared_late(world: World) -> bool:
    """Whether something in Greenhouse changed that was not compared with the log since its lists show it."""
    marks = world.memories["greenhouse-actions"].table("reconciliation")
    for (account, _), changes in world.changes.items():
        row = marks.get(account)
        if (
            row is None
            or row["mark"] is None
            or row["mark"] <= EPOCH + timedelta(seconds=changes[-1][0] + BEHIND_SECONDS)
        ):
            return True
    return False


def _is_result_awaited(world: World) -> bool:
    """Whether a report is still to be read, by a signal or by the slow poll of an open invite."""
    for row in world.memories["assessments"].table("invite").values():
        is_known = row["address"] is not None or row["attached_body_id"] is not None
        if row["poll_at"] is None or not is_known:
            continue
        if row["poll_step"] is not None:
            return True
        if row["address"] is None:
            continue
        acted = world.acted_at.get((row["account"], row["address"].decode()))
        if acted is not None and world.now() < acted + MADE_UP_FOR:
            return True
    return False
