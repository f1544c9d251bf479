"""Asks ingest for the sealed body of a webhook that matched nothing, once a person said whose it is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError
from trellis.common.runtime.internal import InternalClient


class IngestBodies:
    """See `Bodies`; over internal HTTP, waiting at most *seconds*."""

    def __init__(self, client: InternalClient, *, seconds: float = 8.0) -> None:
        self._client = client
        self._seconds = seconds

    async def address(self, account: AccountId, body: UUID) -> str | None:
        """See `Bodies.address`; raises `TransientError` while ingest is away."""
        path = f"/internal/v1/accounts/{account}/sealed-bodies/{body}"
        try:
            said: Any = await self._client.call("GET", path, seconds=self._seconds)
        except PermanentError:
            return None
        found = said.get("body") if isinstance(said, dict) else None
        address = found.get("email") if isinstance(found, dict) else None
        return address if isinstance(address, str) and address else None
