"""Puts the simulated clock and the seed in the place of the machine's, while a history runs.

The shells ask `time`, `datetime` and `random` directly; these are the only places that are replaced, and
only for as long as `installed` lasts. What is replaced besides are the waits of polling loops: a twin
wakes its loops when something is due, so that a poll that would find nothing costs nothing.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import structlog

from simulation.process import CURRENT
from trellis.common.bus import consumer
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


class _Dated(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


@contextmanager
def installed(seconds: Callable[[], float], draw: random.Random, met: Counter[str]) -> Iterator[None]:
    """Replace clock and chance until the block ends.

    Args:
        seconds: The simulated time.
        draw: Where random numbers come from.
        met: Counts the failpoints that are passed.
    """

    class Dated(datetime, metaclass=_Dated):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return EPOCH + timedelta(seconds=seconds())

    def failpoint(name: str) -> None:
        met[f"failpoint {name}"] += 1
        process = CURRENT.get()
        if process is not None:
            process.passes(name)

    undo: list[tuple[Any, str, Any]] = []

    def replace(target: Any, name: str, value: Any) -> None:
        undo.append((target, name, getattr(target, name)))
        setattr(target, name, value)

    replace(time, "monotonic", lambda: seconds() + 1000.0)
    replace(random, "random", draw.random)
    replace(random, "uniform", draw.uniform)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("trellis.") and hasattr(module, "failpoint"):
            replace(module, "failpoint", failpoint)
    for name in _DATED:
        replace(sys.modules[name], "datetime", Dated)
    for module in _POLLS:
        replace(module, "POLL_SECONDS", NEVER_POLL)
    try:
        yield
    finally:
        for target, name, value in reversed(undo):
            setattr(target, name, value)


def silence() -> None:
    """Drop all log lines: a history tells its own story."""
    structlog.configure(wrapper_class=_Silent, cache_logger_on_first_use=False)
    for module in (consumer, runner, outbox, observer):
        module.log = _Silent(None, [], {})  # type: ignore[attr-defined]


class _Silent(structlog.BoundLoggerBase):
    def _nothing(self, *_: object, **__: object) -> None:
        """Say nothing."""

    debug = info = warning = error = critical = exception = _nothing
