"""A simulated process: it may be slowed, frozen or killed at any step it takes towards the outside."""

from __future__ import annotations

import asyncio
import random
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any

CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process whose code runs now; None for the world outside."""


GOES_ON, LETS_OTHERS = 0.65, 0.93
"""Up to these draws a step does not wait, and waits for one turn; above them it takes time."""


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let others run first."""
    yield


class KilledError(BaseException):
    """The process is dead: no line of it runs any more."""


class Process:
    """One run of one service, from its start to its end.

    What is in `at_death` is done when it is killed: its connections are lost.

    Args:
        name: For the story.
        draw: The history's random numbers.
        tell: Adds a line to the story: a format and what goes into it.
        faults: Whether delays and freezes happen now.
        dies_at: After so many steps it is killed; None never.
        fault: Told of what happens to it, for coverage.

    Attributes:
        freezes: Whether it may be frozen.
        skew_seconds: By how much its clock of the day is ahead.
    """

    def __init__(
        self,
        name: str,
        draw: random.Random,
        tell: Callable[..., None],
        faults: Callable[[], bool],
        dies_at: int | None = None,
        fault: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.name = name
        self.alive = True
        self.steps = 0
        self._draw = draw.random
        self._tell = tell
        self._faults = faults
        self._dies_at = dies_at
        self._fault = fault
        self.freezes = True
        self.skew_seconds = 0.0
        self.at_death: dict[object, Callable[[], None]] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self.ended = asyncio.Event()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run *work* as part of the process."""
        token = CURRENT.set(self)
        try:
            self._tasks.append(asyncio.get_running_loop().create_task(work))
        finally:
            CURRENT.reset(token)

    async def step(self, label: str, *, may_freeze: bool = True) -> None:
        """Pass one point at which other processes may run, and this one may be frozen or die."""
        wait = self.wait_at(label, may_freeze=may_freeze)
        if wait is not None:
            await wait

    def wait_at(self, label: str, *, may_freeze: bool = True) -> Awaitable[None] | None:
        """Pass such a point; what is returned must be awaited, None means that nobody comes between.

        Raises:
            KilledError: It dies here, or is dead.
        """
        if not self.alive:
            raise KilledError
        self.steps += 1
        if self._dies_at is not None and self.steps >= self._dies_at and self._faults():
            self.kill(label)
            raise KilledError
        draw = self._draw()
        if draw < GOES_ON:
            return None
        if draw < LETS_OTHERS or not self._faults():
            return self._wait(None)
        if draw < 0.997 or not may_freeze or not self.freezes:
            return self._wait(self._draw() * 0.2)
        seconds = self._draw() ** 2 * 60.0
        self._fault("frozen")
        self._tell("{}: frozen for {:.1f} s at {}", self.name, seconds, label)
        return self._wait(seconds)

    async def _wait(self, seconds: float | None) -> None:
        if seconds is None:
            await _turn()
        else:
            await asyncio.sleep(seconds)
        if not self.alive:
            raise KilledError

    def check(self) -> None:
        """Raise if the process is dead."""
        if not self.alive:
            raise KilledError

    def passes(self, failpoint: str) -> None:
        """Pass a named failpoint: one of its steps."""
        self.check()
        self.steps += 1
        if self._dies_at is not None and self.steps >= self._dies_at and self._faults():
            self.kill(failpoint)
            raise KilledError

    def kill(self, where: str) -> None:
        """End it at once: nothing of it has any effect from here on."""
        if self.alive:
            self.alive = False
            self._fault("crash")
            self._tell("{}: killed at {}", self.name, where)
            for action in list(self.at_death.values()):
                action()
            for task in self._tasks:
                task.cancel()
            self._tasks.clear()
            self.ended.set()
