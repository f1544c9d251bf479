"""The loop of those who look for due work in a table: at once while there is some, else when woken or after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from trellis.common.errors import ConflictError, StoreAwayError

log = structlog.get_logger()

POLL_SECONDS: Final = 0.5


async def drive(name: str, step: Callable[[], Awaitable[int | bool]], wake: asyncio.Event) -> None:
    """Call *step* until cancelled; while it finds nothing, or the database is away, wait.

    Args:
        name: Of the loop, for the log.
        step: Does what is due; falsy when nothing was. `StoreAwayError` and `ConflictError` end the step only.
        wake: Set when something may be due.
    """
    while True:
        busy: int | bool = False
        try:
            busy = await step()
        except* (StoreAwayError, ConflictError) as errors:  # a step may do several things beside each other
            log.warning(f"{name}.waiting", reason=str(errors.exceptions[0]))
            await asyncio.sleep(1.0)
        if busy:
            continue
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await wake.wait()
        except TimeoutError:
            pass
        wake.clear()
