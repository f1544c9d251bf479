"""An event loop whose time is a number and whose order of callbacks is drawn from a seed."""

from __future__ import annotations

import asyncio
import heapq
import random
from typing import Any


class DeadlockError(Exception):
    """Nothing is ready and nothing is scheduled: everybody waits for somebody."""


class SeededLoop(asyncio.base_events.BaseEventLoop):
    """Runs one callback at a time, drawn from those that are ready; time leaps when none is."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self._now = 0.0
        self._pick = draw.random
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Return the simulated seconds since the history began."""
        return self._now

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)._scheduled = False
            if not scheduled:
                raise DeadlockError
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                ready.append(handle)
        if ready:
            if len(ready) > 1:
                ready.rotate(-int(self._pick() * len(ready)))
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _process_events(self, event_list: Any) -> None:
        """There are no files."""

    def _write_to_self(self) -> None:
        """There is nobody else to wake."""
