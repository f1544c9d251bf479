"""Judges what happens after databases were put back to a backup; a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from simulation.oracle_reading import seconds
from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import AccountId, ApplicationId

if TYPE_CHECKING:
    from simulation.world import World

SOON_SECONDS = 15.0
"""How long after an attempt the epoch that it rests on ends, so that a backup from before is known again."""


def restores(world: World) -> Iterator[str]:
    """A restore since which something was done is noticed, and nothing is sent until a person ends restored mode."""
    if world.put_back_at is None:
        return
    for done in world.done:
        service = "assessments" if done.kind == "invite" else "greenhouse-actions"
        ended = world.ended_at.get(service)
        what = f"{done.kind} on application {done.application} of {done.account}"
        if ended is None and world.backed_up_at + SOON_SECONDS < done.left_at < world.put_back_at:
            yield f"P1: {what} was made after the backup, and {service} did not notice the restore"
        elif ended is not None and world.put_back_at < done.left_at < ended:
            yield f"P1: {what} left at {done.left_at:.3f}, before a person ended restored mode"


def forgotten_then(world: World, account: AccountId, application: ApplicationId) -> bool:
    """Whether the last change of an application may be known to nobody: a restore from before it went unnoticed.

    Nothing was attempted since the backup, so that nothing is sent again; what waited in a queue is lost.
    """
    last = world.changes[account, application][-1][0]
    return last <= (world.put_back_at or 0.0) and "greenhouse-actions" not in world.ended_at


def under_way_then(world: World, row: Any) -> bool:
    """Whether a command may have been under way when the databases were backed up, and nobody noticed the restore.

    Nothing was attempted since, so that nothing is done twice; only what was under way between services is lost.

    Args:
        world: The history.
        row: The command's in the ledger; None when there is none.
    """
    if world.put_back_at is None or (row is not None and seconds(row["created_at"]) > world.put_back_at):
        return False
    if row is None:
        return not world.ended_at
    return ("assessments" if row["action"] is Action.INVITE else "greenhouse-actions") not in world.ended_at
