"""Takes in whose addresses are to be forgotten: what was kept of them is deleted, and what comes later is not kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.contracts.outcomes import AddressErased
from trellis.common.errors import PermanentError
from trellis.common.store.database import Database
from trellis.common.store.postgres import Connection

log = structlog.get_logger()


class Forgetful(Protocol):
    """Keeps bodies by the keyed hash of the address they name; see `PostgresSealedBodies`."""

    async def forget(self, connection: Connection, account: AccountId, address_hashes: Sequence[str]) -> int:
        """Delete what names these addresses, and keep no more of it; return how many bodies went."""


class Erasures:
    """Handles the queue `ingest.inbound`."""

    def __init__(self, database: Database, bodies: Forgetful) -> None:
        self._database = database
        self._bodies = bodies

    async def handle_batch(self, batch: Sequence[Envelope]) -> None:
        """Forget what *batch* tells, in one transaction; repeats change nothing."""
        async with self._database.transaction() as connection:
            for envelope in await self._database.take_in(connection, batch):
                match envelope.data:
                    case AddressErased(address_hashes=hashes):
                        count = await self._bodies.forget(connection, envelope.accountid, hashes)
                        log.info(
                            "bodies.erased",
                            account=envelope.accountid,
                            correlation_id=envelope.correlationid,
                            message_id=str(envelope.id),
                            count=count,
                        )
                    case _:
                        raise PermanentError(f"{envelope.type} is nothing this service handles")
