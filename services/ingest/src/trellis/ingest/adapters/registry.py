"""What accounts want of their webhooks: applied, shown, rotated. Each in one transaction per account."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import InputError
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.keyring import Keyring
from trellis.common.store.postgres import Connection, Pool, acquired, transaction
from trellis.ingest.adapters.endpoint_store import live_secrets, secret_place, token_place
from trellis.ingest.endpoints import Vendor
from trellis.ingest.signature import KeyEncoding

OVERLAP_SECONDS: Final = 57_600
"""16 hours: deliveries made before a rotation are retried for so long, perhaps with the old signature."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WantedGreenhouse:
    """A Greenhouse endpoint; *webhook_secret* None has one generated."""

    webhook_secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WantedCoderbyte:
    """A Coderbyte endpoint: exactly these keys are accepted."""

    organization_id: str
    accepted_webhook_keys: tuple[str, ...]
    key_encoding: KeyEncoding = "utf8"
    require_exp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAccount:
    """All that an account's file says about its webhooks; a vendor that is None has no live endpoint."""

    account: AccountId
    custom_fields: tuple[str, ...]
    new_application_is_entry: bool
    read_timeout_seconds: float | None
    greenhouse: WantedGreenhouse | None
    coderbyte: WantedCoderbyte | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingSecret:
    """An old secret that is still accepted: until when, and when it last signed a webhook, to the minute."""

    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ShownEndpoint:
    """An endpoint as the administrator sees it; *secret* is there once, after it was made."""

    account: AccountId
    vendor: Vendor
    token: str
    secret: str | None
    connected_at: datetime | None
    last_received_at: datetime | None
    ending: tuple[EndingSecret, ...] = ()


class PostgresRegistry:
    """Accounts and their endpoints on PostgreSQL."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    async def apply(self, wanted: WantedAccount, *, dry_run: bool) -> list[str]:
        """Make the account as *wanted* and return what changed, in words and without secrets.

        Applying the same again changes nothing. With *dry_run* everything is rolled back.

        Raises:
            StoreAwayError: The database is away.
        """
        async with self._locked(wanted.account, keep=not dry_run) as connection:
            changes = await self._apply_account(connection, wanted)
            greenhouse = await self._apply_endpoint(connection, wanted, Vendor.GREENHOUSE, changes)
            if greenhouse is not None and wanted.greenhouse is not None:
                await self._apply_greenhouse(connection, wanted.account, greenhouse, wanted.greenhouse, changes)
            coderbyte = await self._apply_endpoint(connection, wanted, Vendor.CODERBYTE, changes)
            if coderbyte is not None and wanted.coderbyte is not None:
                await self._apply_keys(connection, wanted.account, coderbyte, wanted.coderbyte, changes)
        return changes

    async def rotate(self, account: AccountId, *, overlap_seconds: float) -> list[str]:
        """Make a new Greenhouse secret beside the live ones, which end after *overlap_seconds*.

        Raises:
            InputError: The account has no live Greenhouse endpoint.
            StoreAwayError: The database is away.
        """
        async with self._locked(account) as connection:
            endpoint = await connection.fetchval(
                "select id from endpoint where account_id = $1 and vendor = 'greenhouse' and disabled_at is null",
                account,
            )
            if endpoint is None:
                raise InputError("account", "an account with a Greenhouse connection", "apply the account's file first")
            await self._expire(connection, account, endpoint, overlap_seconds)
            await self._add_secret(connection, account, endpoint, "generated", secrets.token_urlsafe(32))
        return [f"greenhouse: new webhook secret made; the old one is accepted for {overlap_seconds:g} s more"]

    async def shown(self, account: AccountId | None) -> list[ShownEndpoint]:
        """Return the live endpoints of *account*, or of all accounts; a fresh secret is shown this once.

        Raises:
            StoreAwayError: The database is away.
        """
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                "select id, account_id, vendor, token_sealed, connected_at, last_received_at from endpoint "
                "where disabled_at is null and ($1::text is null or account_id = $1) order by account_id, vendor desc",
                account,
            )
            return [
                ShownEndpoint(
                    account=AccountId(row["account_id"]),
                    vendor=Vendor(row["vendor"]),
                    token=self._keyring.open(row["token_sealed"], token_place(row["id"])).decode(),
                    secret=await self._reveal(connection, row),
                    connected_at=row["connected_at"],
                    last_received_at=row["last_received_at"],
                    ending=await self._ending(connection, row),
                )
                for row in rows
            ]

    @asynccontextmanager
    async def _locked(self, account: AccountId, *, keep: bool = True) -> AsyncIterator[Connection]:
        """Give a transaction in which nobody else changes the account; rolled back unless *keep*."""
        async with acquired(self._pool) as connection:
            work = connection.transaction()
            await work.start()
            try:
                await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"ingest:{account}")
                yield connection
            except BaseException:
                await work.rollback()
                raise
            await (work.commit() if keep else work.rollback())

    async def _apply_account(self, connection: Connection, wanted: WantedAccount) -> list[str]:
        values = {
            "custom_fields": sorted(set(wanted.custom_fields)),
            "new_application_is_entry": wanted.new_application_is_entry,
            "read_timeout_seconds": wanted.read_timeout_seconds,
        }
        row = await connection.fetchrow(
            "select custom_fields, new_application_is_entry, read_timeout_seconds from account where account_id = $1",
            wanted.account,
        )
        changed = [name for name, value in values.items() if row is None or row[name] != value]
        if not changed:
            return []
        await connection.execute(
            "insert into account (account_id, custom_fields, new_application_is_entry, read_timeout_seconds) "
            "values ($1, $2, $3, $4) on conflict (account_id) do update set custom_fields = $2, "
            "new_application_is_entry = $3, read_timeout_seconds = $4, updated_at = clock_timestamp()",
            wanted.account,
            *values.values(),
        )
        if row is None:
            return ["account added to ingest"]
        return [f"{_SETTING_NAMES[name]}: {row[name]} becomes {values[name]}" for name in changed]

    async def _apply_endpoint(
        self, connection: Connection, wanted: WantedAccount, vendor: Vendor, changes: list[str]
    ) -> UUID | None:
        """Make the vendor's endpoint live or not, and return it if it is."""
        is_wanted = (wanted.greenhouse if vendor is Vendor.GREENHOUSE else wanted.coderbyte) is not None
        row = await connection.fetchrow(
            "select id, disabled_at from endpoint where account_id = $1 and vendor = $2", wanted.account, vendor.value
        )
        if row is None:
            return await self._add_endpoint(connection, wanted, vendor, changes) if is_wanted else None
        endpoint: UUID = row["id"]
        if is_wanted == (row["disabled_at"] is None):
            return endpoint if is_wanted else None
        await connection.execute(
            "update endpoint set disabled_at = case when $3 then null else clock_timestamp() end "
            "where id = $1 and account_id = $2",
            endpoint,
            wanted.account,
            is_wanted,
        )
        changes.append(f"{vendor}: endpoint {'enabled again, under its old URL' if is_wanted else 'disabled'}")
        return endpoint if is_wanted else None

    async def _add_endpoint(
        self, connection: Connection, wanted: WantedAccount, vendor: Vendor, changes: list[str]
    ) -> UUID:
        endpoint, token = uuid7(), secrets.token_urlsafe(32)
        coderbyte = wanted.coderbyte if vendor is Vendor.CODERBYTE else None
        await connection.execute(
            "insert into endpoint (id, account_id, vendor, token_hash, token_sealed, organization_id, key_encoding, "
            "require_exp) values ($1, $2, $3, $4, $5, $6, $7, $8)",
            endpoint,
            wanted.account,
            vendor.value,
            hashlib.sha256(token.encode()).digest(),
            self._keyring.seal(token.encode(), token_place(endpoint)),
            coderbyte.organization_id if coderbyte else None,
            coderbyte.key_encoding if coderbyte else "utf8",
            coderbyte.require_exp if coderbyte else False,
        )
        changes.append(f"{vendor}: endpoint added")
        return endpoint

    async def _apply_greenhouse(
        self, connection: Connection, account: AccountId, endpoint: UUID, wanted: WantedGreenhouse, changes: list[str]
    ) -> None:
        """Make sure of a secret: the given one if it is new, a generated one if there is none."""
        live = await live_secrets(connection, account, endpoint)
        if wanted.webhook_secret is None:
            if not live:
                await self._add_secret(connection, account, endpoint, "generated", secrets.token_urlsafe(32))
                changes.append("greenhouse: webhook secret generated; `trellis endpoints` shows it once")
            return
        last_given = await connection.fetchrow(
            "select id, sealed from endpoint_secret where endpoint_id = $1 and account_id = $2 and origin = 'given' "
            "order by created_at desc, id desc limit 1",
            endpoint,
            account,
        )
        # Compared with the last one given, not with the live ones: a secret that was rotated away since
        # must not come back because the file still names it.
        if last_given is not None and live and self._is_secret(last_given, wanted.webhook_secret):
            return
        if live:
            await self._expire(connection, account, endpoint, OVERLAP_SECONDS)
            changes.append(f"greenhouse: webhook secret replaced; the old one is accepted for {OVERLAP_SECONDS} s more")
        else:
            changes.append("greenhouse: webhook secret set")
        await self._add_secret(connection, account, endpoint, "given", wanted.webhook_secret)

    async def _apply_keys(
        self, connection: Connection, account: AccountId, endpoint: UUID, wanted: WantedCoderbyte, changes: list[str]
    ) -> None:
        """Accept exactly the wanted keys, and set what else is checked."""
        values = (wanted.organization_id, wanted.key_encoding, wanted.require_exp)
        row = await connection.fetchrow(
            "select organization_id, key_encoding, require_exp from endpoint where id = $1 and account_id = $2",
            endpoint,
            account,
        )
        if row is None or tuple(row) != values:
            await connection.execute(
                "update endpoint set organization_id = $3, key_encoding = $4, require_exp = $5 "
                "where id = $1 and account_id = $2",
                endpoint,
                account,
                *values,
            )
            changes.append("coderbyte: organization or settings of the token changed")
        live = await live_secrets(connection, account, endpoint)
        gone = [one["id"] for one in live if not any(self._is_secret(one, key) for key in wanted.accepted_webhook_keys)]
        new = [key for key in wanted.accepted_webhook_keys if not any(self._is_secret(one, key) for one in live)]
        await connection.execute(
            "delete from endpoint_secret where id = any($1::uuid[]) and account_id = $2", gone, account
        )
        for key in dict.fromkeys(new):
            await self._add_secret(connection, account, endpoint, "given", key)
        if new or gone:
            changes.append(f"coderbyte: {len(new)} accepted keys added, {len(gone)} removed")

    async def _add_secret(
        self, connection: Connection, account: AccountId, endpoint: UUID, origin: str, text: str
    ) -> None:
        secret = uuid7()
        await connection.execute(
            "insert into endpoint_secret (id, endpoint_id, account_id, origin, sealed) values ($1, $2, $3, $4, $5)",
            secret,
            endpoint,
            account,
            origin,
            self._keyring.seal(text.encode(), secret_place(secret)),
        )

    async def _expire(self, connection: Connection, account: AccountId, endpoint: UUID, seconds: float) -> None:
        await connection.execute(
            "update endpoint_secret set expires_at = least(coalesce(expires_at, 'infinity'), "
            "clock_timestamp() + make_interval(secs => $3)) where endpoint_id = $1 and account_id = $2",
            endpoint,
            account,
            seconds,
        )

    def _is_secret(self, row: asyncpg.Record, text: str) -> bool:
        known = self._keyring.open(row["sealed"], secret_place(row["id"]))
        return hmac.compare_digest(known, text.encode())

    async def _ending(self, connection: Connection, row: asyncpg.Record) -> tuple[EndingSecret, ...]:
        found = await connection.fetch(
            "select expires_at, last_used_at from endpoint_secret where endpoint_id = $1 and account_id = $2 "
            "and expires_at > clock_timestamp() order by expires_at",
            row["id"],
            row["account_id"],
        )
        return tuple(EndingSecret(expires_at=one["expires_at"], last_used_at=one["last_used_at"]) for one in found)

    async def _reveal(self, connection: Connection, row: asyncpg.Record) -> str | None:
        """Return the newest generated secret if it was never shown; who updates the row has it."""
        fresh = await connection.fetchrow(
            "update endpoint_secret set revealed_at = clock_timestamp() where revealed_at is null and id = ("
            "select id from endpoint_secret where endpoint_id = $1 and account_id = $2 and origin = 'generated' "
            "and (expires_at is null or expires_at > clock_timestamp()) order by created_at desc, id desc limit 1) "
            "returning id, sealed",
            row["id"],
            row["account_id"],
        )
        return None if fresh is None else self._keyring.open(fresh["sealed"], secret_place(fresh["id"])).decode()


_SETTING_NAMES: Final = {
    "custom_fields": "custom_fields",
    "new_application_is_entry": "hook.new_application_is_entry",
    "read_timeout_seconds": "hook.read_timeout_s",
}
