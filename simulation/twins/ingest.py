"""What ingest keeps, in memory: twins of its `adapters/`; nothing is sealed here."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from simulation.twins.memory import Session, Transaction, is_free, tx
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError, StoreAwayError
from trellis.common.store.postgres import Connection
from trellis.ingest.adapters.sealed_bodies import KeptBody, UnreadableNotice
from trellis.ingest.adapters.spool_store import SpooledMessage
from trellis.ingest.endpoints import Endpoint, LiveSecret, Vendor


class MemorySpool:
    """See `Spool` and `SpoolStore`; the twin of `PostgresSpool`."""

    def __init__(self, session: Session, *, wait_seconds: float) -> None:
        self._session = session
        self._wait_seconds = wait_seconds

    async def put(self, envelopes: Sequence[Envelope]) -> None:
        """See `Spool.put`."""
        async with _in_time(self._session, self._wait_seconds, "the spool does not answer in time") as opened:
            await opened.statement("spool")
            for item in envelopes:
                row = {"key": item.routing_key, "body": encode(item), "at": opened.now, "lease_until": None}
                opened.put("spool", opened.memory.number(), row)

    async def claim(self, count: int, lease_seconds: float) -> list[SpooledMessage]:
        """See `SpoolStore.claim`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("claim spooled")
            lease_until = opened.now + timedelta(seconds=lease_seconds)
            found: list[SpooledMessage] = []
            for position, row in sorted(opened.rows("spool"), key=lambda item: int(item[0])):
                if len(found) == count:
                    break
                if is_free(row["lease_until"], opened.now) and opened.free("spool", position):
                    opened.grab("spool", position)
                    opened.put("spool", position, row | {"lease_until": lease_until})
                    found.append(SpooledMessage(position, row["key"], row["body"]))
            return found

    async def remove(self, positions: Sequence[int]) -> None:
        """See `SpoolStore.remove`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("remove spooled")
            for position in positions:
                if await opened.lock("spool", position) is not None:
                    opened.put("spool", position, None)

    async def release(self, positions: Sequence[int], seconds: float) -> None:
        """See `SpoolStore.release`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("release spooled")
            for position in positions:
                await opened.update("spool", position, lease_until=opened.now + timedelta(seconds=seconds))

    async def backlog(self) -> tuple[int, float]:
        """See `SpoolStore.backlog`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("backlog")
            ages = [(opened.now - row["at"]).total_seconds() for _, row in opened.rows("spool")]
            return len(ages), max(ages, default=0.0)


class MemoryBodies:
    """See `Bodies`; the twin of `PostgresSealedBodies`."""

    def __init__(self, session: Session, *, keep: timedelta, wait_seconds: float) -> None:
        self._session = session
        self._keep = keep
        self._wait_seconds = wait_seconds

    async def put(self, kept: KeptBody) -> None:
        """See `Bodies.put`."""
        async with _in_time(self._session, self._wait_seconds, "the body could not be kept in time") as opened:
            await opened.statement("keep body")
            if kept.address_hash is not None:
                await opened.hold(("address", kept.account, kept.address_hash), shared=True)
                if opened.get("erased_address", (kept.account, kept.address_hash)) is not None:
                    return
            row = {"kept": kept, "expires_at": kept.received_at + self._keep}
            if not await opened.insert("body", kept.id, row):
                raise ConflictError("another writer was first (sealed_body_pkey)")

    async def forget(self, connection: Connection, account: AccountId, address_hashes: Sequence[str]) -> int:
        """See `PostgresSealedBodies.forget`."""
        opened = tx(connection)
        await opened.statement("forget bodies")
        for hashed in sorted(set(address_hashes)):
            await opened.hold(("address", account, hashed))
            opened.put("erased_address", (account, hashed), {"at": opened.now})
        named = [
            ident
            for ident, row in opened.rows("body")
            if row["kept"].account == account and row["kept"].address_hash in address_hashes
        ]
        for ident in named:
            await opened.hold(("body", ident))
            opened.put("body", ident, None)
        return len(named)

    async def open(self, account: AccountId, body: UUID) -> bytes | None:
        """See `PostgresSealedBodies.open`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("open body")
            row = opened.get("body", body)
            if row is None or row["expires_at"] <= opened.now:
                return None
            kept: KeptBody = row["kept"]
            return kept.body if kept.account == account and kept.fault is None else None

    async def unreadable(self, account: AccountId, *, most: int = 200) -> list[UnreadableNotice]:
        """See `PostgresSealedBodies.unreadable`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("unreadable bodies")
            notices: list[UnreadableNotice] = []
            for _, row in opened.rows("body"):
                kept: KeptBody = row["kept"]
                if kept.account == account and kept.fault is not None and row["expires_at"] > opened.now:
                    notices.append(
                        UnreadableNotice(
                            id=kept.id,
                            vendor=kept.vendor,
                            received_at=kept.received_at,
                            expires_at=row["expires_at"],
                            fault=kept.fault,
                        )
                    )
        return sorted(notices, key=lambda notice: notice.received_at, reverse=True)[:most]

    async def purge(self, *, most: int = 1000) -> int:
        """See `PostgresSealedBodies.purge`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("purge bodies")
            over = [ident for ident, row in opened.rows("body") if row["expires_at"] <= opened.now][:most]
            for ident in over:
                await opened.hold(("body", ident))
                opened.put("body", ident, None)
            return len(over)


class MemoryEndpoints:
    """See `EndpointStore`; the twin of `PostgresEndpointStore`, with what `PostgresRegistry` does to its rows."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, vendor: Vendor, token_hash: bytes) -> Endpoint | None:
        """See `EndpointStore.find`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("find endpoint")
            row = opened.get("endpoint", token_hash)
            if row is None or row["disabled"] or row["endpoint"].vendor is not vendor:
                return None
            endpoint: Endpoint = row["endpoint"]
            return replace(endpoint, secrets=tuple(endpoint.live(opened.now)))

    async def mark_used(
        self,
        endpoints: Mapping[UUID, datetime],
        secrets: Mapping[UUID, datetime],
        hours: Mapping[tuple[UUID, datetime], int],
    ) -> None:
        """See `PostgresEndpointStore.mark_used`; nobody reads the times here."""
        async with self._session.transaction() as connection:
            await tx(connection).statement("mark used")

    async def add(self, endpoint: Endpoint, token: str) -> None:
        """Make *endpoint* live under *token*.

        Raises:
            ConflictError: Another endpoint has the token.
        """
        async with self._session.transaction() as connection:
            key = hashlib.sha256(token.encode()).digest()
            if not await tx(connection).insert("endpoint", key, {"endpoint": endpoint, "disabled": False}):
                raise ConflictError("another writer was first (endpoint_token_hash_key)")

    async def rotate(self, account: AccountId, fresh: LiveSecret, overlap_seconds: float) -> None:
        """Put *fresh* before the secrets of the account's Greenhouse endpoint, which end after *overlap_seconds*."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            end = opened.now + timedelta(seconds=overlap_seconds)
            for key, row in list(opened.rows("endpoint")):
                endpoint: Endpoint = row["endpoint"]
                if (endpoint.account, endpoint.vendor) == (account, Vendor.GREENHOUSE):
                    old = (replace(one, expires_at=min(one.expires_at or end, end)) for one in endpoint.secrets)
                    await opened.update("endpoint", key, endpoint=replace(endpoint, secrets=(fresh, *old)))

    async def disable(self, account: AccountId, vendor: Vendor, *, disabled: bool = True) -> None:
        """Take the account's endpoint of *vendor* out of use, or back into it under its old token."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            for key, row in list(opened.rows("endpoint")):
                if (row["endpoint"].account, row["endpoint"].vendor) == (account, vendor):
                    await opened.update("endpoint", key, disabled=disabled)


@asynccontextmanager
async def _in_time(session: Session, seconds: float, reason: str) -> AsyncIterator[Transaction]:
    """Run the block in one transaction, committed within *seconds* as far as is known."""
    try:
        async with asyncio.timeout(seconds), session.transaction() as connection:
            yield tx(connection)
    except TimeoutError:
        raise StoreAwayError(reason) from None
