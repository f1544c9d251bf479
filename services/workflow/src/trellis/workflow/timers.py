"""Fires due timers: time that passed is told to its streams as a message."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from trellis.common.errors import TransientError
from trellis.common.runtime.clock import Clock
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.postgres import Pool, acquired
from trellis.workflow.adapters import timer_store
from trellis.workflow.handler import Handler

log = structlog.get_logger()

POLL_SECONDS = 0.25


class Timers:
    """Looks for due timers; several may run beside each other, a timer fires once."""

    def __init__(self, pool: Pool, handler: Handler, clock: Clock, metrics: Metrics) -> None:
        self._pool = pool
        self._handler = handler
        self._clock = clock
        self._late_seconds = metrics.gauge("timers_late_seconds", "How overdue the oldest due timer is")

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            try:
                while await self._handler.fire_timers():
                    pass
                async with acquired(self._pool) as connection:
                    due_at = await timer_store.next_due(connection)
                late = self._clock.now() - due_at if due_at else timedelta()
                self._late_seconds.set(max(0.0, late.total_seconds()))
            except TransientError as error:
                log.warning("timers.waiting", reason=str(error))
                await asyncio.sleep(1.0)
            await asyncio.sleep(POLL_SECONDS)
