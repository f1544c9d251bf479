"""A simulated process: it may be slowed, frozen or killed at any step it takes towards the outside."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process whose code runs now; None for the world outside."""


class KilledError(BaseException):
    """The process is dead: no line of it runs any more."""


class Process:
    """One run of one service, from its start to its end.

    What is in `at_death` is done when it is killed: its connections are lost.

    Args:
        name: For the story.
        draw: The history's random numbers.
        tell: Adds a line to the story.
        faults: Whether delays and freezes happen now.
        dies_at: After so many steps it is killed; None never.
    """

    def __init__(
        self,
        name: str,
        draw: random.Random,
        tell: Callable[[str], None],
        faults: Callable[[], bool],
        dies_at: int | None = None,
    ) -> None:
        self.name = name
        self.alive = True
        self.steps = 0
        self._draw = draw.random
        self._tell = tell
        self._faults = faults
        self._dies_at = dies_at
        self.at_death: dict[Callable[[], None], None] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.ended = asyncio.Event()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run *work* as part of the process."""
        token = CURRENT.set(self)
        try:
            task = asyncio.get_running_loop().create_task(work)
        finally:
            CURRENT.reset(token)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def step(self, label: str, *, may_freeze: bool = True) -> None:
        """Pass one point at which other processes may run, and this one may be frozen or die."""
        self.check()
        self.steps += 1
        if self._dies_at is not None and self.steps >= self._dies_at and self._faults():
            self.kill(f"at {label}")
            raise KilledError
        draw = self._draw()
        if draw < 0.45:
            return
        if draw < 0.9 or not self._faults():
            await asyncio.sleep(0)
        elif draw < 0.997 or not may_freeze:
            await asyncio.sleep(self._draw() * 0.2)
        else:
            seconds = self._draw() ** 2 * 60.0
            self._tell(f"{self.name}: frozen for {seconds:.1f} s at {label}")
            await asyncio.sleep(seconds)
        self.check()

    def check(self) -> None:
        """Raise if the process is dead."""
        if not self.alive:
            raise KilledError

    def passes(self, failpoint: str) -> None:
        """Pass a named failpoint: one of its steps."""
        self.check()
        self.steps += 1
        if self._dies_at is not None and self.steps >= self._dies_at and self._faults():
            self.kill(f"at failpoint {failpoint}")
            raise KilledError

    def kill(self, where: str) -> None:
        """End it at once: nothing of it has any effect from here on."""
        if self.alive:
            self.alive = False
            self._tell(f"{self.name}: killed {where}")
            for action in list(self.at_death):
                action()
            for task in list(self._tasks):
                task.cancel()
            self.ended.set()
