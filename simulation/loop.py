"""An event loop whose time is a number and whose order of callbacks is drawn from a seed.

It has no files, no signals and no threads, and its queues are plain, because a history is mostly loop.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

_T = TypeVar("_T")


class DeadlockError(Exception):
    """Nothing is ready and nothing is scheduled: everybody waits for somebody."""


class _Call:
    """One callback to come; the twin of `asyncio.Handle`."""

    __slots__ = ("arguments", "callback", "context", "is_cancelled", "moment")

    def __init__(
        self, callback: Callable[..., Any], arguments: tuple[Any, ...], context: Context | None, moment: float
    ) -> None:
        self.callback = callback
        self.arguments = arguments
        self.context = copy_context() if context is None else context
        self.moment = moment
        self.is_cancelled = False

    def cancel(self) -> None:
        """Do not call it."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self.is_cancelled

    def when(self) -> float:
        """Return when it will be called, in the loop's time."""
        return self.moment


class SeededLoop(asyncio.BaseEventLoop):
    """Runs one callback at a time, drawn from those that are ready; time leaps when none is."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self._now = 0.0
        self._pick = draw.random
        self._ready: list[_Call | tuple[Callable[..., Any], tuple[Any, ...], Context]] = []
        self._later: list[tuple[float, int, _Call]] = []
        self._number = 0
        self._tasks: list[asyncio.Task[Any]] = []

    # -- what asyncio asks of a loop

    def time(self) -> float:
        """Return the simulated seconds since the history began."""
        return self._now

    def call_soon(  # type: ignore[override]  # returns a call of our own, not a handle
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Have *callback* called at this moment, after the caller.

        Tasks and futures, which name a context, never take a callback back: it is kept as it is.
        """
        if context is not None:
            self._ready.append((callback, args, context))
            return None
        call = _Call(callback, args, context, self._now)
        self._ready.append(call)
        return call

    def call_at(  # type: ignore[override]  # returns a call of our own, not a handle
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Have *callback* called at the moment *when*."""
        call = _Call(callback, args, context, when)
        self._number += 1
        heapq.heappush(self._later, (when, self._number, call))
        return call

    def call_later(  # type: ignore[override]  # returns a call of our own, not a handle
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Have *callback* called in *delay* seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """Return a fresh future."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        """Run *coro* as a task; its name would be a number of this process, so it has none."""
        task: asyncio.Task[Any] = asyncio.Task(
            coro, loop=self, name="task" if name is None else str(name), context=context
        )
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing: what was killed leaves tasks behind."""

    # -- running

    def play(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run *work* to its end and return what it returns.

        Raises:
            DeadlockError: It waits for what will never happen.
        """
        task = self.create_task(work)
        events._set_running_loop(self)
        try:
            self._turn(task)
        finally:
            events._set_running_loop(None)
        found: _T = task.result()
        return found

    def end_all(self) -> None:
        """Cancel whatever still runs and let it end, so that nothing is left for another loop to meet."""
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()

        async def wait() -> None:
            if left:
                await asyncio.wait(left, timeout=100.0)

        self.play(wait())

    def _turn(self, task: asyncio.Task[Any]) -> None:
        ready, later, pick, pop = self._ready, self._later, self._pick, heapq.heappop
        is_done = task.done
        while not is_done():
            if not ready:
                while later and later[0][2].is_cancelled:
                    pop(later)
                if not later:
                    raise DeadlockError
                if later[0][0] > self._now:
                    self._now = later[0][0]
            while later and later[0][0] <= self._now:
                due = pop(later)[2]
                if not due.is_cancelled:
                    ready.append(due)
            if len(ready) > 1:
                place = int(pick() * len(ready))
                call = ready[place]
                last = ready.pop()
                if last is not call:
                    ready[place] = last
            else:
                call = ready.pop()
            if isinstance(call, tuple):
                callback, arguments, context = call
                context.run(callback, *arguments)
            elif not call.is_cancelled:
                call.context.run(call.callback, *call.arguments)
