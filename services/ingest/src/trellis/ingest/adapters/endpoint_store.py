"""Reads endpoints with their opened secrets, and marks what was used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast
from uuid import UUID

import asyncpg
import structlog

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.resealing import SealedColumn
from trellis.common.store.postgres import Connection, Pool, acquired, transaction
from trellis.ingest.diagnosis import EndpointSeen, Refusal
from trellis.ingest.endpoints import Endpoint, LiveSecret, Vendor
from trellis.ingest.signature import KeyEncoding, key_bytes
from trellis.ingest.silence import WEEKS, Silence, silence
from trellis.ingest.translation import Rules

log = structlog.get_logger()

USED_EVERY_SECONDS: Final = 60
"""`last_used_at` of a secret is written at most this often."""


def token_place(endpoint: UUID) -> str:
    """Return what a sealed token is bound to."""
    return f"ingest.endpoint:{endpoint}:token"


def secret_place(secret: UUID) -> str:
    """Return what a sealed secret is bound to."""
    return f"ingest.endpoint_secret:{secret}"


SEALED_BY_THE_RING: Final = (
    SealedColumn(table="endpoint", column="token_sealed", keys=("id",), place=lambda row: token_place(row["id"])),
    SealedColumn(table="endpoint_secret", column="sealed", keys=("id",), place=lambda row: secret_place(row["id"])),
)
"""What of endpoints the key ring seals."""


class PostgresEndpointStore:
    """The store on PostgreSQL."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    async def find(self, vendor: Vendor, token_hash: bytes) -> Endpoint | None:
        """See `EndpointStore.find`."""
        async with acquired(self._pool) as connection:
            row = await connection.fetchrow(
                "select e.id, e.account_id, e.vendor, e.organization_id, e.key_encoding, e.require_exp, "
                "a.custom_fields, a.new_application_is_entry, a.read_timeout_seconds "
                "from endpoint e join account a using (account_id) "
                "where e.token_hash = $1 and e.vendor = $2 and e.disabled_at is null",
                token_hash,
                vendor.value,
            )
            if row is None:
                return None
            secrets = await live_secrets(connection, AccountId(row["account_id"]), row["id"])
        return self._endpoint(row, secrets)

    async def mark_used(
        self,
        endpoints: Mapping[UUID, datetime],
        secrets: Mapping[UUID, datetime],
        hours: Mapping[tuple[UUID, datetime], int],
    ) -> None:
        """Record when endpoints last received, and when secrets last signed, an authentic webhook, and how many came.

        Args:
            endpoints: When each last received one.
            secrets: When each last signed one.
            hours: How many came, by endpoint and beginning of the hour; added to what is there.

        Raises:
            StoreAwayError: The database is away; nothing but these times is lost.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(
                "insert into endpoint_hour (endpoint_id, hour, webhooks) "
                "select * from unnest($1::uuid[], $2::timestamptz[], $3::int[]) order by 1, 2 "
                "on conflict (endpoint_id, hour) do update set webhooks = endpoint_hour.webhooks + excluded.webhooks",
                [endpoint for endpoint, _ in hours],
                [hour for _, hour in hours],
                list(hours.values()),
            )
            await connection.execute(
                "update endpoint e set connected_at = coalesce(e.connected_at, u.at), "
                "last_received_at = greatest(e.last_received_at, u.at) "
                "from unnest($1::uuid[], $2::timestamptz[]) u (id, at) where e.id = u.id",
                list(endpoints),
                list(endpoints.values()),
            )
            await connection.execute(
                "update endpoint_secret s set last_used_at = u.at "
                "from unnest($1::uuid[], $2::timestamptz[]) u (id, at) where s.id = u.id "
                "and (s.last_used_at is null or s.last_used_at < u.at - make_interval(secs => $3))",
                list(secrets),
                list(secrets.values()),
                USED_EVERY_SECONDS,
            )

    async def mark_refused(self, refusals: Mapping[UUID, tuple[str, datetime]]) -> None:
        """Record why and when endpoints last refused a webhook that bore their token.

        Raises:
            StoreAwayError: The database is away.
        """
        async with acquired(self._pool) as connection:
            await connection.execute(
                "update endpoint e set refused_at = u.at, refused_reason = u.reason "
                "from unnest($1::uuid[], $2::text[], $3::timestamptz[]) u (id, reason, at) "
                "where e.id = u.id and (e.refused_at is null or e.refused_at < u.at)",
                list(refusals),
                [reason for reason, _ in refusals.values()],
                [at for _, at in refusals.values()],
            )

    async def accounts(self) -> list[AccountId]:
        """Return the accounts that were ever applied.

        Raises:
            StoreAwayError: The database is away.
        """
        async with acquired(self._pool) as connection:
            rows = await connection.fetch("select account_id from account order by 1")
        return [AccountId(row["account_id"]) for row in rows]

    async def seen(self, account: AccountId) -> list[EndpointSeen]:
        """Return what is known of the live endpoints of *account*, for the diagnosis.

        Raises:
            StoreAwayError: The database is away.
        """
        silent = {vendor: found for whose, vendor, found in await self.silences() if whose == account}
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select id, vendor, key_encoding, last_received_at, refused_at, refused_reason from endpoint "
                "where account_id = $1 and disabled_at is null order by vendor desc",
                account,
            )
            secrets = {row["id"]: await live_secrets(connection, account, row["id"]) for row in rows}
        return [
            EndpointSeen(
                vendor=Vendor(row["vendor"]),
                received_at=row["last_received_at"],
                silence=silent.get(Vendor(row["vendor"])),
                refusal=None
                if row["refused_at"] is None
                else Refusal(reason=row["refused_reason"], at=row["refused_at"]),
                opens=None
                not in [self._open(one, cast(KeyEncoding, row["key_encoding"])) for one in secrets[row["id"]]],
            )
            for row in rows
        ]

    async def silences(self) -> list[tuple[AccountId, Vendor, Silence]]:
        """Return how long each connected endpoint has been silent, and forget hours too old to tell what is usual.

        Raises:
            StoreAwayError: The database is away.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(
                "delete from endpoint_hour where hour < clock_timestamp() - make_interval(weeks => $1)", WEEKS + 2
            )
            rows = await connection.fetch(
                "select id, account_id, vendor, connected_at, coalesce(last_received_at, connected_at) as last_at, "
                "clock_timestamp() as now from endpoint where disabled_at is null and connected_at is not null "
                "order by account_id, vendor"
            )
            hours = await connection.fetch("select endpoint_id, hour, webhooks from endpoint_hour")
        counts: dict[UUID, dict[datetime, int]] = {}
        for hour in hours:
            counts.setdefault(hour["endpoint_id"], {})[hour["hour"]] = hour["webhooks"]
        return [
            (
                AccountId(row["account_id"]),
                Vendor(row["vendor"]),
                silence(counts.get(row["id"], {}), row["connected_at"], row["last_at"], row["now"]),
            )
            for row in rows
        ]

    def _endpoint(self, row: asyncpg.Record, secrets: list[asyncpg.Record]) -> Endpoint:
        encoding = cast(KeyEncoding, row["key_encoding"])
        opened = [self._open(one, encoding) for one in secrets]
        return Endpoint(
            id=row["id"],
            account=AccountId(row["account_id"]),
            vendor=Vendor(row["vendor"]),
            secrets=tuple(one for one in opened if one is not None),
            rules=Rules(
                custom_fields=frozenset(row["custom_fields"]),
                new_application_is_entry=row["new_application_is_entry"],
            ),
            organization_id=row["organization_id"],
            key_encoding=encoding,
            require_exp=row["require_exp"],
            read_timeout_seconds=row["read_timeout_seconds"],
            incomplete=None in opened,
        )

    def _open(self, row: asyncpg.Record, encoding: KeyEncoding) -> LiveSecret | None:
        """Return the opened secret; None, and an alarm, when the key ring does not open it."""
        try:
            value = key_bytes(self._keyring.open(row["sealed"], secret_place(row["id"])).decode(), encoding)
        except PermanentError as error:
            log.error("endpoint.secret_unreadable", endpoint_id=str(row["endpoint_id"]), reason=str(error))
            return None
        return LiveSecret(id=row["id"], value=value, expires_at=row["expires_at"])


async def live_secrets(connection: Connection, account: AccountId, endpoint: UUID) -> list[asyncpg.Record]:
    """Return the rows of the secrets that are not over, newest first."""
    return await connection.fetch(
        "select id, endpoint_id, origin, sealed, created_at, expires_at, revealed_at from endpoint_secret "
        "where endpoint_id = $1 and account_id = $2 and (expires_at is null or expires_at > clock_timestamp()) "
        "order by created_at desc, id desc",
        endpoint,
        account,
    )
