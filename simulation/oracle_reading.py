"""What oracles read: a stream of the log, and times as the history has them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from simulation.patching import EPOCH
from trellis.workflow.adapters.event_store import Recorded

if TYPE_CHECKING:
    from simulation.world import World


def log_of(world: World, stream: UUID) -> list[Recorded]:
    """Return what a stream recorded, in order."""
    events, log = world.memories["workflow"].table("event"), list[Recorded]()
    while (row := events.get((stream, len(log) + 1))) is not None:
        log.append(row["recorded"])
    return log


def seconds(at: datetime) -> float:
    """Return how many seconds after the history began *at* is."""
    return (at - EPOCH).total_seconds()
