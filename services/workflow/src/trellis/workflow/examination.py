"""Looks at this service's part of set-ups: its queue, its outbox, its timers, and what only reconciliation found."""

from __future__ import annotations

from collections.abc import Sequence

from trellis.common.contracts.findings import INSTALLATION, Finding
from trellis.common.contracts.identifiers import AccountId
from trellis.common.setup.part import Part
from trellis.workflow.domain.diagnosis import LOOKED_BACK, of_missed, of_timers
from trellis.workflow.store import Store


class Examination:
    """See `Examiner`.

    Args:
        store: Has the timers.
        part: The service's way to the broker.
    """

    def __init__(self, store: Store, part: Part) -> None:
        self._store = store
        self._part = part

    async def accounts(self) -> Sequence[AccountId]:
        """See `Examiner.accounts`."""
        async with self._store.acquired() as connection:
            return [INSTALLATION, *await self._store.accounts(connection)]

    async def examine(self, account: AccountId) -> Sequence[Finding]:
        """See `Examiner.examine`."""
        if account != INSTALLATION:
            async with self._store.acquired() as connection:
                since = await self._store.now(connection) - LOOKED_BACK
                return of_missed(await self._store.missed(connection, account, since))
        async with self._store.acquired() as connection:
            due_at, now = await self._store.next_due(connection), await self._store.now(connection)
        found = await self._part.findings()
        return found if due_at is None else found + of_timers(now - due_at)
