"""Where connections to Coderbyte are kept: one per account, its key sealed under the key ring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from trellis.assessments.adapters.coderbyte import Organization
from trellis.assessments.domain import options
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import InputError
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.resealing import SealedColumn
from trellis.common.store.postgres import Connection, Pool, acquired

_COLUMNS = "account_id, base_url, organization_id, api_key, settings, revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A connection as an account's file gives it.

    Attributes:
        api_key: None keeps the one that is stored.
        settings: Exact name -> value.
    """

    base_url: str
    organization_id: str
    api_key: str | None = field(repr=False)
    settings: Mapping[str, object]


API_KEYS = SealedColumn(
    table="connection",
    column="api_key",
    keys=("account_id",),
    place=lambda row: _place(AccountId(row["account_id"])),
)
"""What of connections the key ring seals."""


class ConnectionStore:
    """Reads and writes connections."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    async def load(self, account: AccountId) -> Organization | None:
        """Return the connection of *account*; None when it has none."""
        async with acquired(self._pool) as connection:
            row = await connection.fetchrow(f"select {_COLUMNS} from connection where account_id = $1", account)
        if row is None:
            return None
        return Organization(
            account=account,
            base_url=row["base_url"],
            organization_id=row["organization_id"],
            api_key=self._keyring.open(row["api_key"], _place(account)).decode(),
            options=options.parse(json.loads(row["settings"])),
            revision=row["revision"],
        )

    async def accounts(self) -> list[AccountId]:
        """Return the accounts that have a connection."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch("select account_id from connection order by 1")
        return [AccountId(row["account_id"]) for row in rows]

    async def settings(self, account: AccountId) -> dict[str, object]:
        """Return the settings that *account* names, as it gave them."""
        async with acquired(self._pool) as connection:
            text = await connection.fetchval("select settings from connection where account_id = $1", account)
        named: dict[str, object] = {} if text is None else json.loads(text)
        return named

    async def pause(self, account: AccountId) -> dict[str, str] | None:
        """Return why the connection is paused and what mends it; None when it is not."""
        async with acquired(self._pool) as connection:
            row = await connection.fetchrow(
                "select reason, remedy, since, retry_at from pause where account_id = $1 and vendor = 'coderbyte'",
                account,
            )
        if row is None:
            return None
        return {
            "reason": row["reason"],
            "remedy": row["remedy"],
            "since": row["since"].isoformat(),
            "retry_at": row["retry_at"].isoformat(),
        }

    async def put(self, connection: Connection, account: AccountId, wanted: Wanted, *, dry_run: bool) -> list[str]:
        """Make the connection of *account* what is *wanted*, and return what changed, without secrets.

        Args:
            connection: The caller's transaction.
            account: The tenant.
            wanted: All of it; a setting that is not named gets its default.
            dry_run: Only tell.

        Raises:
            InputError: A first connection bears no key, or a setting is wrong.
        """
        options.parse(wanted.settings)
        row = await connection.fetchrow(f"select {_COLUMNS} from connection where account_id = $1 for update", account)
        if row is None and wanted.api_key is None:
            raise InputError("api_key", "the organization's API key", "give it by reference in the account's file")
        present = None if row is None else self._keyring.open(row["api_key"], _place(account)).decode()
        before = {} if row is None else json.loads(row["settings"])
        changes = ["connection: made"] if row is None else []
        if row is not None:
            changes += [
                f"{name}: {row[name]} -> {getattr(wanted, name)}"
                for name in ("base_url", "organization_id")
                if row[name] != getattr(wanted, name)
            ]
        key = wanted.api_key if wanted.api_key is not None else present
        if row is not None and key != present:
            changes.append("api_key: replaced")
        changes += _setting_changes(before, wanted.settings)
        if changes and not dry_run and key is not None:
            await self._write(connection, account, wanted, key)
            # The next call makes the budget's row anew, at the rate that now holds.
            await connection.execute("delete from budget where account_id = $1 and vendor = 'coderbyte'", account)
        return changes

    async def _write(self, connection: Connection, account: AccountId, wanted: Wanted, key: str) -> None:
        await connection.execute(
            "insert into connection (account_id, base_url, organization_id, api_key, settings) values ($1,$2,$3,$4,$5) "
            "on conflict (account_id) do update set base_url = excluded.base_url, "
            "organization_id = excluded.organization_id, api_key = excluded.api_key, settings = excluded.settings, "
            "revision = connection.revision + 1, updated_at = clock_timestamp()",
            account,
            wanted.base_url,
            wanted.organization_id,
            self._keyring.seal(key.encode(), _place(account)),
            json.dumps(dict(wanted.settings), sort_keys=True),
        )


def _place(account: AccountId) -> str:
    return f"connection.api_key:{account}"


def _setting_changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [
        f"settings.{name}: {json.dumps(before.get(name, 'default'))} -> {json.dumps(after.get(name, 'default'))}"
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or before[name] != after[name]
    ]
