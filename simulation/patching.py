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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from types import ModuleType
from typing import Any

import structlog

from simulation.process import CURRENT
from trellis.common.ledger import runner
from trellis.common.store import outbox
from trellis.greenhouse_actions import observer

EPOCH = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NEVER_POLL = 1e7
"""Seconds; the twins' own alarm replaces the poll."""
_POLLS: tuple[Any, ...] = (runner, outbox, observer)
_DATED = (
    "trellis.common.runtime.clock",
    "tests.fakes.harvest",
)


class _Datetimes(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class _Datetime(datetime, metaclass=_Datetimes):
    """A `datetime` whose present is the history's."""

    seconds: Callable[[], float]

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Return the simulated time."""
        return EPOCH + timedelta(seconds=cls.seconds())


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
        self._tasks = _InOrder()  # type: ignore[assignment]


@cache
def _having(name: str) -> tuple[ModuleType, ...]:
    """Return the modules that call something by its *name*."""
    modules = [module for path, module in sorted(sys.modules.items()) if path.startswith("trellis.")]
    return tuple(module for module in modules if hasattr(module, name))


@contextmanager
def installed(seconds: Callable[[], float], draw: random.Random, met: Counter[str]) -> Iterator[None]:
    """Replace clock and chance, and drop all log lines, until the block ends: a history tells its own story.

    Args:
        seconds: The simulated time.
        draw: Where random numbers come from.
        met: Counts the failpoints that are passed.
    """

    def failpoint(name: str) -> None:
        met[name] += 1
        process = CURRENT.get()
        if process is not None:
            process.passes(name)

    undo: list[tuple[Any, str, Any]] = []

    def replace(target: Any, name: str, value: Any) -> None:
        undo.append((target, name, getattr(target, name)))
        setattr(target, name, value)

    _Datetime.seconds = seconds
    replace(time, "monotonic", lambda: seconds() + 1000.0)
    replace(random, "random", draw.random)
    replace(random, "uniform", draw.uniform)
    replace(asyncio, "TaskGroup", _TaskGroup)
    for module in _having("failpoint"):
        replace(module, "failpoint", failpoint)
    for module in _having("log"):
        replace(module, "log", _NOBODY)
    for name in _DATED:
        replace(sys.modules[name], "datetime", _Datetime)
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
