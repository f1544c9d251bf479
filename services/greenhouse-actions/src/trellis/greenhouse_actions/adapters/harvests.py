"""From an account to its Greenhouse, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from trellis.common.contracts.identifiers import AccountId
from trellis.common.ledger.budget import Budget, Use
from trellis.common.ledger.effects import Unauthorized
from trellis.common.store.postgres import Pool
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore
from trellis.greenhouse_actions.adapters.harvest import Connected, CredentialRejectedError
from trellis.greenhouse_actions.adapters.harvest_v1 import HarvestV1
from trellis.greenhouse_actions.adapters.harvest_v3 import HarvestV3
from trellis.greenhouse_actions.adapters.http_harvest import Shared
from trellis.greenhouse_actions.connection import VENDOR, Connection
from trellis.greenhouse_actions.domain.requests import FromSpace

WINDOW: Final = timedelta(seconds=30)
"""Rate window of Harvest v3. Source: greenhouse fact sheet, section 5.3, "Rate"."""
WINDOW_V1: Final = timedelta(seconds=10)
"""That of Harvest v1. Source: greenhouse fact sheet, section 4."""
NOT_CONNECTED: Final = Unauthorized(
    reason="this account has no Greenhouse connection",
    remedy="state the connection in the account's file and apply it (`trellis apply -f trellis.yaml`)",
)


class LiveHarvests:
    """See `Harvests`."""

    def __init__(self, pool: Pool, store: ConnectionStore, shared: Shared) -> None:
        self._pool = pool
        self._store = store
        self._shared = shared

    async def of(self, account: AccountId, use: Use = Use.PEOPLE) -> Connected:
        """See `Harvests.of`."""
        connection = await self._store.get(account)
        if connection is None:
            raise CredentialRejectedError(NOT_CONNECTED)
        version = HarvestV1 if connection.is_v1 else HarvestV3
        harvest = version(connection, self.budget(connection), self._shared, use)
        return Connected(connection=connection, harvest=harvest)

    def budget(self, connection: Connection) -> Budget:
        """Return the rate budget of *connection*, which all replicas share."""
        settings, window = connection.settings, WINDOW_V1 if connection.is_v1 else WINDOW
        return Budget(self._pool, VENDOR, limit=settings.rate_start_limit, window=window, share=settings.rate_share)

    async def remember_space(self, connection: Connection, space: FromSpace) -> None:
        """See `Harvests.remember_space`; Harvest v1 has only one kind of stage id, which says nothing of v3."""
        if not connection.is_v1 and connection.from_space is not space:
            await self._store.remember_space(connection.account, space)
