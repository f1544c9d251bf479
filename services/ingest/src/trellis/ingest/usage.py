"""Notes when endpoints and secrets were used or refused, off the requests' path, and shows which have fallen silent."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from trellis.common.errors import TransientError
from trellis.common.runtime.metrics import Metrics
from trellis.ingest.adapters.endpoint_store import PostgresEndpointStore
from trellis.ingest.silence import hour_of

log = structlog.get_logger()

WATCH_SECONDS: Final = 60.0


class Usage:
    """Notes when endpoints and secrets were last used, and how often.

    A crash loses at most the last seconds of it, nothing else.
    """

    def __init__(self, store: PostgresEndpointStore, *, every_seconds: float = 1.0) -> None:
        self._store = store
        self._every_seconds = every_seconds
        self._endpoints: dict[UUID, datetime] = {}
        self._secrets: dict[UUID, datetime] = {}
        self._hours: Counter[tuple[UUID, datetime]] = Counter()
        self._refusals: dict[UUID, tuple[str, datetime]] = {}

    def note(self, endpoint: UUID, secret: UUID, at: datetime) -> None:
        """Remember that an authentic webhook came at *at*."""
        self._endpoints[endpoint] = at
        self._secrets[secret] = at
        self._hours[endpoint, hour_of(at)] += 1

    def note_refusal(self, endpoint: UUID, reason: str, at: datetime) -> None:
        """Remember that a webhook with the endpoint's token was refused at *at*."""
        self._refusals[endpoint] = (reason, at)

    async def run(self) -> None:
        """Write down what was noted, until cancelled."""
        while True:
            await asyncio.sleep(self._every_seconds)
            await self.flush()

    async def flush(self) -> None:
        """Write down what was noted; while the database is away it is kept for the next time."""
        endpoints, self._endpoints = self._endpoints, {}
        secrets, self._secrets = self._secrets, {}
        hours, self._hours = self._hours, Counter()
        refusals, self._refusals = self._refusals, {}
        try:
            if refusals:
                await self._store.mark_refused(refusals)
                refusals = {}
            if endpoints:
                await self._store.mark_used(endpoints, secrets, hours)
        except TransientError:
            self._refusals = refusals | self._refusals
            self._endpoints = endpoints | self._endpoints
            self._secrets = secrets | self._secrets
            self._hours += hours


class SilenceWatch:
    """Shows how many webhooks are missing by what is usual, for each connected endpoint.

    Args:
        store: The endpoints.
        metrics: The service's.
    """

    def __init__(self, store: PostgresEndpointStore, metrics: Metrics) -> None:
        self._store = store
        self._missing = metrics.gauge(
            "webhooks_missing",
            "Webhooks that would have come as a rule since the last one; 7 and more is worth a look",
            ("vendor", "account"),
        )

    async def run(self) -> None:
        """Look every minute, until cancelled."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.warning("silence.waiting", reason=str(error))
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Show each endpoint's silence now, and say which is unusual.

        Raises:
            TransientError: The database is away.
        """
        self._missing.clear()
        for account, vendor, found in await self._store.silences():
            self._missing.labels(vendor.value, account).set(round(found.expected, 2))
            if found.is_unusual:
                log.warning(
                    "webhooks.silent",
                    account=account,
                    vendor=vendor.value,
                    count=round(found.expected),
                    reason=f"no webhook since {found.since.isoformat(timespec='seconds')}, where about "
                    f"{found.expected:.0f} come as a rule",
                    remedy="look in the vendor's settings whether the webhook is enabled and its address is right",
                )
