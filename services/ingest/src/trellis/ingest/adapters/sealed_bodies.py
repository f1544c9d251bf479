"""Bodies that must be kept: sealed under the account's key, read back by id, gone when they expire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import StoreAwayError
from trellis.common.runtime.sealer import ACCOUNT, Sealer
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.common.store.tenancy import serving
from trellis.ingest.endpoints import Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBody:
    """A body to keep.

    Attributes:
        id: Fresh; what a fact refers to.
        fault: Why it could not be read (`not_json`, `wrong_shape`); None for one that a fact refers to.
    """

    id: UUID
    account: AccountId
    vendor: Vendor
    body: bytes
    received_at: datetime
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableNotice:
    """That a body could not be read; not what was in it."""

    id: UUID
    vendor: Vendor
    received_at: datetime
    expires_at: datetime
    fault: str


def _place(body: UUID) -> str:
    return f"ingest.sealed_body:{body}"


class PostgresSealedBodies:
    """Sealed bodies on PostgreSQL; every query is bound to the account.

    Args:
        pool: Connections.
        sealer: Holds the accounts' keys.
        keep: How long a body is kept.
        wait_seconds: How long a webhook may wait for its row.
    """

    def __init__(self, pool: Pool, sealer: Sealer, *, keep: timedelta, wait_seconds: float) -> None:
        self._pool = pool
        self._sealer = sealer
        self._keep = keep
        self._wait_seconds = wait_seconds

    async def put(self, kept: KeptBody) -> None:
        """Seal and store; when this returns it is committed.

        Raises:
            StoreAwayError: It could not be kept in time.
        """
        try:
            with serving(kept.account):
                await self._insert(kept)
        except TimeoutError:
            raise StoreAwayError("the body could not be kept in time") from None

    async def _insert(self, kept: KeptBody) -> None:
        async with asyncio.timeout(self._wait_seconds), transaction(self._pool) as connection:
            sealed = await self._sealer.seal(connection, kept.account, ACCOUNT, kept.body, _place(kept.id))
            await connection.execute(
                "insert into sealed_body (id, account_id, vendor, reason, fault, sealed, received_at, expires_at) "
                "values ($1, $2, $3, $4, $5, $6, $7, $8)",
                kept.id,
                kept.account,
                kept.vendor.value,
                "signal" if kept.fault is None else "unreadable",
                kept.fault,
                sealed,
                kept.received_at,
                kept.received_at + self._keep,
            )

    async def open(self, account: AccountId, body: UUID) -> bytes | None:
        """Return a body that a fact refers to, or None when there is none of that id in the account.

        Raises:
            UnreadableError: The account's key was dropped.
            StoreAwayError: The database is away.
        """
        async with acquired(self._pool) as connection:
            sealed = await connection.fetchval(
                "select sealed from sealed_body where id = $1 and account_id = $2 and reason = 'signal' "
                "and expires_at > clock_timestamp()",
                body,
                account,
            )
            if sealed is None:
                return None
            return await self._sealer.open(connection, account, ACCOUNT, sealed, _place(body))

    async def unreadable(self, account: AccountId, *, most: int = 200) -> list[UnreadableNotice]:
        """Return the latest bodies of the account that could not be read.

        Raises:
            StoreAwayError: The database is away.
        """
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select id, vendor, received_at, expires_at, fault from sealed_body "
                "where account_id = $1 and reason = 'unreadable' and expires_at > clock_timestamp() "
                "order by received_at desc limit $2",
                account,
                most,
            )
        return [
            UnreadableNotice(
                id=row["id"],
                vendor=Vendor(row["vendor"]),
                received_at=row["received_at"],
                expires_at=row["expires_at"],
                fault=row["fault"],
            )
            for row in rows
        ]

    async def purge(self, *, most: int = 1000) -> int:
        """Delete up to *most* bodies whose time is over and return how many went.

        Raises:
            StoreAwayError: The database is away.
        """
        async with acquired(self._pool) as connection:
            status = await connection.execute(
                "delete from sealed_body where ctid = any(array(select ctid from sealed_body "
                "where expires_at <= clock_timestamp() limit $1))",
                most,
            )
        return int(status.split()[-1])
