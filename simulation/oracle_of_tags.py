"""Judges whether a recruiter's tag keeps Trellis off, and nothing else does; a part of the oracle, and bound by its rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from simulation.oracle_reading import seconds
from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.ledger.states import State

if TYPE_CHECKING:
    from simulation.world import World

READING_SECONDS = 10.0
KEPT_OFF = "tag keeps Trellis off"
"""In the reason of what was given up for a tag."""


def tags(world: World) -> Iterator[str]:
    """Return every broken promise about tags: P4, and no more than it asks."""
    for done in world.done:
        if not _was_free(world, done.account, done.application, done.left_at - READING_SECONDS - 0.01, done.left_at):
            yield (
                f"P4: {done.kind} on application {done.application} of {done.account} left at {done.left_at:.3f}, "
                "and a tag had kept Trellis off for more than ten seconds"
            )
    for name in ("assessments", "greenhouse-actions"):
        for row in world.memories[name].table("intent").values():
            if row["state"] is not State.SUPERSEDED or KEPT_OFF not in (row["cause"] or ""):
                continue
            changes = world.tagged.get((row["account"], row["application_id"]), ())
            if not any(is_on for _, is_on in _during(changes, seconds(row["created_at"]) - READING_SECONDS)):
                yield f"P5: {row['action'].value} {row['id']} of {row['account']} was kept off, and there was no tag"


def _was_free(world: World, account: AccountId, application: ApplicationId, begins: float, ends: float) -> bool:
    changes = [item for item in world.tagged.get((account, application), ()) if item[0] <= ends]
    return not changes or any(not is_on for _, is_on in _during(changes, begins))


def _during(changes: Sequence[tuple[float, bool]], begins: float) -> list[tuple[float, bool]]:
    """Return how it stood at *begins*, and each change after."""
    known = [(0.0, False), *changes]
    first = max(number for number, (at, _) in enumerate(known) if at <= begins or number == 0)
    return known[first:]
