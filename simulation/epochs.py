"""The watch over epochs in a process of a service that has effects, in histories whose databases are put back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from simulation.metrics import METRICS
from simulation.twins.epochs import MemoryEpochs, MemoryMarks
from simulation.twins.memory import Session
from trellis.common.ledger.epoch import Epoch
from trellis.common.runtime.lifecycle import after

if TYPE_CHECKING:
    from simulation.world import World

Work = Callable[[], Coroutine[Any, Any, Any]]


def watch(world: World, service: str, session: Session) -> Epoch | None:
    """Return the watch of one process; None where no database is ever put back, which spares its looks."""
    if not world.restores:
        return None
    marks = MemoryMarks(world.marks[service], session.process, lambda: world.broker.away)
    return Epoch(MemoryEpochs(session, world.uuid), marks, METRICS)


def once_looked(epoch: Epoch | None, work: Callable[[], Awaitable[None]]) -> Work:
    """Return *work* as it begins: once it is known what this database is."""

    async def begin() -> None:
        if epoch is None:
            await work()
        else:
            await after(epoch.first_look, work)

    return begin


def works_of(epoch: Epoch | None) -> list[Work]:
    """Return what keeps watch."""
    return [] if epoch is None else [epoch.run]
