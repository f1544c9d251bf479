"""Bodies that must be kept: sealed under the account's key, read back by id, gone when they expire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import StoreAwayError
from trellis.common.runtime.sealer import ACCOUNT, Sealer
from trellis.common.store.postgres import Connection, Pool, acquired, transaction
from trellis.common.store.tenancy import serving
from trellis.ingest.endpoints import Vendor

KEPT_DAYS: Final = 365
"""How long the hash of an erased person's address is known: the vendor's invite may still be used."""
_LOCK: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBody:
    """A body to keep.

    Attributes:
        id: Fresh; what a fact refers to.
        fault: Why it could not be read (`not_json`, `wrong_shape`); None for one that a fact refers to.
        address_hash: Keyed hash of the address it names; None for one that could not be read.
    """

    id: UUID
    account: AccountId
    vendor: Vendor
    body: bytes
    received_at: datetime
    fault: str | None = None
    address_hash: str | None = None


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
        """Seal and store; when this returns it is committed. Nothing is kept that names an erased person's address.

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
            if kept.address_hash is not None and await _is_erased(connection, kept.account, kept.address_hash):
                return
            sealed = await self._sealer.seal(connection, kept.account, ACCOUNT, kept.body, _place(kept.id))
            await connection.execute(
                "insert into sealed_body (id, account_id, vendor, reason, fault, sealed, received_at, expires_at, "
                "address_hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                kept.id,
                kept.account,
                kept.vendor.value,
                "signal" if kept.fault is None else "unreadable",
                kept.fault,
                sealed,
                kept.received_at,
                kept.received_at + self._keep,
                kept.address_hash,
            )

    async def forget(self, connection: Connection, account: AccountId, address_hashes: Sequence[str]) -> int:
        """Delete what names these addresses, and keep no more of it; return how many bodies went.

        Whoever keeps a body holds the address's lock shared until it is committed.
        """
        for hashed in sorted(address_hashes):
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended($1, $2))", f"{account}:{hashed}", _LOCK
            )
        await connection.execute(
            "insert into erased_address (account_id, address_hash) select $1, unnest($2::text[]) "
            "on conflict (account_id, address_hash) do update set erased_at = excluded.erased_at",
            account,
            sorted(set(address_hashes)),
        )
        status = await connection.execute(
            "delete from sealed_body where account_id = $1 and address_hash = any($2::text[])",
            account,
            list(address_hashes),
        )
        return int(status.split()[-1])

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
            await connection.execute(
                "delete from erased_address where erased_at < clock_timestamp() - make_interval(days => $1)", KEPT_DAYS
            )
        return int(status.split()[-1])


async def _is_erased(connection: Connection, account: AccountId, address_hash: str) -> bool:
    await connection.execute(
        "select pg_advisory_xact_lock_shared(hashtextextended($1, $2))", f"{account}:{address_hash}", _LOCK
    )
    found = await connection.fetchval(
        "select true from erased_address where account_id = $1 and address_hash = $2", account, address_hash
    )
    return found is not None
