"""Fires due timers: time that passed is told to its streams as a message."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from trellis.common.errors import TransientError
from trellis.common.runtime.metrics import Metrics
from trellis.workflow.adapters.timer_store import Timer
from trellis.workflow.handler import Handler
from trellis.workflow.store import Store

log = structlog.get_logger()

POLL_SECONDS = 0.25
PUT_OFF = timedelta(minutes=10)
"""How long a timer waits whose stream could not be decided."""


class Timers:
    """Looks for due timers; several may run beside each other, a timer fires once."""

    def __init__(self, store: Store, handler: Handler, metrics: Metrics) -> None:
        self._store = store
        self._handler = handler
        self._late_seconds = metrics.gauge("timers_late_seconds", "How overdue the oldest due timer is")

    async def fire(self) -> None:
        """Fire all that are due; one whose stream cannot be decided is put off, the others fire."""
        try:
            while await self._handler.fire_due():
                pass
        except TransientError:
            raise
        except Exception:  # noqa: BLE001 - a bug in one stream must not stop everybody's timers
            for timer in await self._handler.due_timers():
                await self._fire_alone(timer)

    async def _fire_alone(self, timer: Timer) -> None:
        try:
            await self._handler.fire([timer])
        except TransientError:
            raise
        except Exception as error:
            log.error("timer.failed", account=timer.account, application_id=timer.application_id, exc_info=error)
            async with self._store.acquired() as connection:
                await self._store.put_off(connection, timer, PUT_OFF)

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            try:
                await self.fire()
                async with self._store.acquired() as connection:
                    due_at, now = await self._store.next_due(connection), await self._store.now(connection)
                late = now - due_at if due_at else timedelta()
                self._late_seconds.set(max(0.0, late.total_seconds()))
            except TransientError as error:
                log.warning("timers.waiting", reason=str(error))
                await asyncio.sleep(1.0)
            await asyncio.sleep(POLL_SECONDS)
