"""Pauses of a connection: put when Greenhouse says no, ended by whatever proves that it says yes again.

The ledger ends a pause when a write succeeds. Readings know less: one proves the credential and the
permissions of the lists it read, not those of a write. So each reading names the reasons it disproves.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, Protocol

from trellis.common.contracts.identifiers import AccountId
from trellis.common.ledger.effects import Unauthorized
from trellis.common.ledger.table import Ledger
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.greenhouse_actions.adapters.harvest_v1 import ALL_MENDED
from trellis.greenhouse_actions.adapters.mint import REJECTED
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.outcomes import missing_permission, missing_scope
from trellis.greenhouse_actions.domain.requests import Permission, Route
from trellis.greenhouse_actions.reading import BLIND

_PERMISSIONS: Final = {
    Route.APPLICATIONS: (Permission.RETRIEVE_APPLICATION,),
    Route.CANDIDATES: (Permission.LIST_CANDIDATES,),
    Route.NOTES: (Permission.RETRIEVE_ACTIVITY_FEED,),
    Route.STAGES: (Permission.LIST_STAGES,),
}
"""What a reading of each route through Harvest v1 proves to be ticked."""


def disproved_by(*routes: Route | Permission) -> frozenset[str]:
    """Return the reasons of a pause that a complete reading of *routes* shows to be mended, in either version.

    A permission among them is one that is needed through Harvest v1 only.
    """
    found = {REJECTED.reason, BLIND.reason} | ALL_MENDED
    for route in routes:
        if isinstance(route, Permission):
            found.add(missing_permission(route).reason)
        else:
            found.add(missing_scope(route).reason)
            found |= {missing_permission(one).reason for one in _PERMISSIONS.get(route, ())}
    return frozenset(found)


class Pauses(Protocol):
    """Pauses, as the parts that read see them."""

    async def put(self, account: AccountId, said: Unauthorized, retry: timedelta) -> None:
        """Pause *account*'s connection because of *said*."""

    async def mended(self, account: AccountId, reasons: Iterable[str]) -> None:
        """End a pause whose reason is among *reasons*; all rows that waited for it become due."""


class LedgerPauses:
    """Pauses in the ledger's table."""

    def __init__(self, pool: Pool, ledger: Ledger) -> None:
        self._pool = pool
        self._ledger = ledger

    async def put(self, account: AccountId, said: Unauthorized, retry: timedelta) -> None:
        """See `Pauses.put`."""
        async with transaction(self._pool) as database:
            await self._ledger.pause(database, account, VENDOR, said.reason, said.remedy, retry)

    async def mended(self, account: AccountId, reasons: Iterable[str]) -> None:
        """See `Pauses.mended`."""
        async with acquired(self._pool) as database:
            reason = await database.fetchval(
                "select reason from pause where account_id = $1 and vendor = $2", account, VENDOR
            )
        if reason is not None and reason in frozenset(reasons):
            async with transaction(self._pool) as database:
                await self._ledger.unpause(database, account, VENDOR)
