"""Puts the simulated clock and the seed in the place of the machine's, while a history runs.

The shells ask `time`, `datetime` and `random` directly; these are the only places that are replaced, and
only for as long as `installed` lasts. What is replaced besides are the waits of polling loops: a twin
wakes its loops when something is due, so that a poll that would find nothing costs nothing.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import structlog
from tests.fakes import harvest

from simulation.process import CURRENT
from trellis.common.ledger import epoch, runner
from trellis.common.runtime import clock
from trellis.common.store import outbox
from trellis.greenhouse_actions import polling

if TYPE_CHECKING:
    from simulation.world import World

EPOCH = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NEVER_POLL = 1e7
"""Seconds; the twins' own alarm replaces the poll."""
_POLLS: tuple[Any, ...] = (runner, outbox, polling)


class _Datetimes(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class _Datetime(datetime, metaclass=_Datetimes):
    """A `datetime` whose present is the history's."""

    truth: Callable[[], datetime]

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain datetime, not Self
        """Return the simulated time."""
        return _Datetime.truth()


class _SkewedDatetime(_Datetime):
    """A `datetime` whose present is what the clock of the running process shows."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain datetime, not Self
        """Return the simulated time as the process has it."""
        process, truth = CURRENT.get(), _Datetime.truth()
        return truth if process is None else truth + timedelta(seconds=process.skew_seconds)


class _InOrder(dict[Any, None]):
    """A set that keeps the order of its members, whatever their addresses are."""

    def add(self, member: Any) -> None:
        """Add a member."""
        self[member] = None

    def discard(self, member: Any) -> None:
        """Remove a member, if it is one."""
        self.pop(member, None)


class _TaskGroup(asyncio.TaskGroup):
    """A group that cancels its tasks in the order in which they were made."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks = _InOrder()  # type: ignore[assignment]  # asyncio has a set here


@cache
def _having(name: str) -> tuple[ModuleType, ...]:
    """Return the modules that call something by its *name*."""
    modules = [module for path, module in sorted(sys.modules.items()) if path.startswith("trellis.")]
    return tuple(module for module in modules if hasattr(module, name))


@contextmanager
def installed(world: World, draw: random.Random) -> Iterator[None]:
    """Replace clock and chance, and drop all log lines, until the block ends: a history tells its own story.

    Args:
        world: Has the time, and is told of each failpoint that is passed.
        draw: Where random numbers come from.
    """
    seconds = world.loop.time

    def failpoint(name: str) -> None:
        process = CURRENT.get()
        try:
            if process is not None:
                process.passes(name)
        finally:
            world.coverage.thing(name)

    undo: list[tuple[Any, str, Any]] = []

    def replace(target: Any, name: str, value: Any) -> None:
        undo.append((target, name, getattr(target, name)))
        setattr(target, name, value)

    _Datetime.truth = world.now
    replace(time, "monotonic", lambda: seconds() + 1000.0)
    replace(random, "random", draw.random)
    replace(random, "uniform", draw.uniform)
    replace(asyncio, "TaskGroup", _TaskGroup)
    for module in _having("failpoint"):
        replace(module, "failpoint", failpoint)
    for module in _having("log"):
        replace(module, "log", _NOBODY)
    replace(epoch, "uuid4", world.uuid)
    for module in _having("uuid7"):
        replace(module, "uuid7", world.uuid)
    replace(clock, "datetime", _SkewedDatetime)
    replace(harvest, "datetime", _Datetime)
    for module in _POLLS:
        replace(module, "POLL_SECONDS", NEVER_POLL)
    try:
        yield
    finally:
        for target, name, value in reversed(undo):
            setattr(target, name, value)


class _Silent(structlog.BoundLoggerBase):
    def _nothing(self, *_: object, **__: object) -> None:
        """Say nothing."""

    debug = info = warning = error = critical = exception = _nothing


_NOBODY = _Silent(None, [], {})
