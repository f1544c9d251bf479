"""Connections in the database: credential sealed under the account's key, everything else in the clear."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from trellis.common.contracts.identifiers import AccountId, UserId
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.sealer import ACCOUNT, Sealer
from trellis.common.store.postgres import Connection as Database
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.greenhouse_actions.adapters import tokens
from trellis.greenhouse_actions.connection import VENDOR, Connection, ConnectionSettings
from trellis.greenhouse_actions.domain.requests import FromSpace

REMEMBERED_SECONDS: Final = 1.0
"""How long a process works with a connection before it reads it again."""
_OTHER_LIMIT: Final = ("api_version", "base_url", "settings.rate.", "settings.v1.base_url", "settings.v3.base_url")
"""Changes after which nothing is known of Greenhouse's rate limit any more."""
_PLACE: Final = "harvest_connection:sealed_credential"
_COLUMNS: Final = (
    "account_id, api_version, base_url, token_url, sealed_credential, service_user_id, settings, from_space, revision"
)


_SECRETS: Final = ("client_id", "client_secret", "api_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A connection as an administrator states it."""

    account: AccountId
    api_version: str
    base_url: str
    token_url: str = ""
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    service_user_id: UserId | None
    settings: ConnectionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of a connection."""

    reason: str
    remedy: str
    since: datetime
    retry_at: datetime


class ConnectionStore:
    """Keeps connections.

    Args:
        pool: The service's database.
        sealer: Opens and seals credentials.
        ledger: Whose rows wait while a connection is paused.
    """

    def __init__(self, pool: Pool, sealer: Sealer, ledger: Ledger) -> None:
        self._pool = pool
        self._sealer = sealer
        self._ledger = ledger
        self._known: dict[AccountId, tuple[Connection, float]] = {}

    async def get(self, account: AccountId) -> Connection | None:
        """Return *account*'s connection, at most a second old; None when it has none."""
        known = self._known.get(account)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        async with acquired(self._pool) as database:
            found = await self._load(database, account)
        if found is not None:
            self._known[account] = (found, time.monotonic() + REMEMBERED_SECONDS)
        return found

    async def put(self, wanted: Wanted, *, dry_run: bool) -> list[str]:
        """Make the connection what is *wanted* and return what changed, in words without secrets.

        Nothing to change writes nothing. Any change deletes the tokens and ends a pause, in the same transaction.
        """
        async with transaction(self._pool) as database:
            await database.execute("select pg_advisory_xact_lock(hashtextextended($1, 11))", wanted.account)
            before = await self._load(database, wanted.account)
            changes = _changes(before, wanted)
            if changes and not dry_run:
                await self._save(database, wanted)
                await tokens.forget(database, wanted.account)
                await self._ledger.unpause(database, wanted.account, VENDOR)
                if any(change.startswith(_OTHER_LIMIT) for change in changes):
                    await database.execute(
                        "delete from budget where account_id = $1 and vendor = $2", wanted.account, VENDOR
                    )
        self._known.pop(wanted.account, None)
        return changes

    async def remember_space(self, account: AccountId, space: FromSpace) -> None:
        """Keep which id a move was seen to take."""
        async with acquired(self._pool) as database:
            await database.execute(
                "update harvest_connection set from_space = $2 where account_id = $1 and from_space is distinct from $2",
                account,
                space.value,
            )
        self._known.pop(account, None)

    async def pause_of(self, account: AccountId) -> Pause | None:
        """Return the pause of *account*'s connection; None when it is not paused."""
        async with acquired(self._pool) as database:
            row = await database.fetchrow(
                "select reason, remedy, since, retry_at from pause where account_id = $1 and vendor = $2",
                account,
                VENDOR,
            )
        return None if row is None else Pause(**dict(row))

    async def changed_at(self, account: AccountId) -> datetime | None:
        """Return when *account*'s connection was last changed; None when it has none."""
        async with acquired(self._pool) as database:
            at: datetime | None = await database.fetchval(
                "select updated_at from harvest_connection where account_id = $1", account
            )
        return at

    async def paused(self) -> dict[str, bool]:
        """Return of each account with a connection whether it is paused."""
        async with acquired(self._pool) as database:
            rows = await database.fetch(
                "select c.account_id, p.account_id is not null as paused from harvest_connection c "
                "left join pause p on p.account_id = c.account_id and p.vendor = $1",
                VENDOR,
            )
        return {row["account_id"]: row["paused"] for row in rows}

    async def _load(self, database: Database, account: AccountId) -> Connection | None:
        row = await database.fetchrow(f"select {_COLUMNS} from harvest_connection where account_id = $1", account)
        return None if row is None else await self._opened(database, row)

    async def _opened(self, database: Database, row: asyncpg.Record) -> Connection:
        account = AccountId(row["account_id"])
        try:
            plain = await self._sealer.open(database, account, ACCOUNT, row["sealed_credential"], _PLACE)
            credential = json.loads(plain)
        except UnreadableError:  # the account's key is gone: Greenhouse will reject the empty credential, visibly
            credential = {}
        user, space = row["service_user_id"], row["from_space"]
        return Connection(
            account=account,
            api_version=row["api_version"],
            base_url=row["base_url"],
            token_url=row["token_url"] or "",
            client_id=credential.get("client_id", ""),
            client_secret=credential.get("client_secret", ""),
            api_key=credential.get("api_key", ""),
            service_user_id=None if user is None else UserId(user),
            settings=ConnectionSettings.parse(json.loads(row["settings"])),
            from_space=None if space is None else FromSpace(space),
            revision=row["revision"],
        )

    async def _save(self, database: Database, wanted: Wanted) -> None:
        stated = {name: getattr(wanted, name) for name in _SECRETS if getattr(wanted, name)}
        credential = json.dumps(stated).encode()
        await database.execute(
            "insert into harvest_connection (account_id, api_version, base_url, token_url, sealed_credential, "
            "service_user_id, settings) values ($1, $2, $3, $4, $5, $6, $7) "
            "on conflict (account_id) do update set api_version = excluded.api_version, base_url = excluded.base_url, "
            "token_url = excluded.token_url, sealed_credential = excluded.sealed_credential, "
            "service_user_id = excluded.service_user_id, settings = excluded.settings, "
            "from_space = case when harvest_connection.base_url = excluded.base_url "
            "and harvest_connection.api_version = excluded.api_version then harvest_connection.from_space end, "
            "revision = harvest_connection.revision + 1, updated_at = clock_timestamp()",
            wanted.account,
            wanted.api_version,
            wanted.base_url,
            wanted.token_url or None,
            await self._sealer.seal(database, wanted.account, ACCOUNT, credential, _PLACE),
            wanted.service_user_id,
            json.dumps(wanted.settings.stated()),
        )


def _changes(before: Connection | None, wanted: Wanted) -> list[str]:
    if before is None:
        return [f"connect Greenhouse {wanted.api_version} at {wanted.base_url}"]
    changes = [
        f"{name}: {getattr(before, name) or 'none'} -> {getattr(wanted, name) or 'none'}"
        for name in ("api_version", "base_url", "token_url", "service_user_id")
        if getattr(before, name) != getattr(wanted, name)
    ]
    changes += [f"{name}: changed" for name in _SECRETS if getattr(before, name) != getattr(wanted, name)]
    old, new = (
        before.settings.model_dump(mode="json", by_alias=True),
        wanted.settings.model_dump(mode="json", by_alias=True),
    )
    changes += [f"settings.{name}: {old[name]} -> {new[name]}" for name in sorted(new) if old[name] != new[name]]
    return changes
