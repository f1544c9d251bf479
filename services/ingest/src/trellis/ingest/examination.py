"""Looks at ingest's part of set-ups: endpoints and the spool."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from trellis.common.contracts.findings import INSTALLATION, Finding
from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.clock import Clock
from trellis.common.setup.part import Part
from trellis.common.setup.plumbing import HOLDING
from trellis.ingest import diagnosis
from trellis.ingest.adapters.endpoint_store import PostgresEndpointStore
from trellis.ingest.spool import SpoolStore


class Examination:
    """See `Examiner`.

    Args:
        store: The endpoints.
        spool: The spool.
        part: Ingest's way to the broker.
        clock: Tells how long ago something was.
    """

    def __init__(self, store: PostgresEndpointStore, spool: SpoolStore, part: Part, clock: Clock) -> None:
        self._store = store
        self._spool = spool
        self._part = part
        self._clock = clock

    async def accounts(self) -> Sequence[AccountId]:
        """See `Examiner.accounts`."""
        return [INSTALLATION, *await self._store.accounts()]

    async def examine(self, account: AccountId) -> Sequence[Finding]:
        """See `Examiner.examine`; a spool that waits for a broker with a fault is not told besides."""
        if account != INSTALLATION:
            return diagnosis.of_account(await self._store.seen(account), self._clock.now())
        found = await self._part.findings()
        if any(finding.check in HOLDING for finding in found):
            return found
        rows, age = await self._spool.backlog()
        return found + diagnosis.of_spool(rows, timedelta(seconds=age))
