"""Numbered migrations, applied once each, in one transaction under a lock.

A file `0007_pre_add_x.sql` runs before the code that needs it and only adds; `0008_post_drop_y.sql`
runs when no older code is left. A service's schema is made of components: the packages in its
`Service.migrations`, each with a `migrations` folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import asyncpg

from trellis.common.errors import PermanentError
from trellis.common.store.postgres import translated

Phase = Literal["pre", "post"]
_NAME: Final = re.compile(r"(\d{4})_(pre|post)_([a-z0-9_]+)\.sql")
_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file: what it belongs to, its order and its text."""

    component: str
    number: int
    phase: Phase
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text; a file that was applied must never change."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load(components: Sequence[str]) -> list[Migration]:
    """Return the migrations of *components* (package names), component by component, by number.

    Raises:
        PermanentError: A file's name does not follow the scheme, or a number is there twice.
    """
    found: list[Migration] = []
    for component in components:
        own: list[Migration] = []
        for entry in files(component).joinpath("migrations").iterdir():
            if not entry.name.endswith(".sql"):
                continue
            match = _NAME.fullmatch(entry.name)
            if match is None:
                raise PermanentError(f"{component}: {entry.name} is not named NNNN_pre_name.sql or NNNN_post_name.sql")
            phase: Phase = "pre" if match[2] == "pre" else "post"
            own.append(
                Migration(
                    component=component,
                    number=int(match[1]),
                    phase=phase,
                    name=entry.name,
                    sql=entry.read_text(),
                )
            )
        own.sort(key=lambda migration: migration.number)
        numbers = [migration.number for migration in own]
        if len(set(numbers)) != len(numbers):
            raise PermanentError(f"{component}: two migrations bear the same number")
        found += own
    return found


async def applied(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> dict[tuple[str, int], str]:
    """Return what *schema* has: (component, number) -> checksum; empty when the schema is not there."""
    exists = await connection.fetchval("select to_regclass($1) is not null", f"{schema}.schema_migration")
    if not exists:
        return {}
    rows = await connection.fetch(f"select component, number, checksum from {schema}.schema_migration")
    return {(row["component"], row["number"]): row["checksum"] for row in rows}


async def pending(
    connection: asyncpg.Connection[asyncpg.Record],
    schema: str,
    components: Sequence[str],
    phase: Phase = "pre",
) -> list[str]:
    """Return the names of the migrations that *schema* still needs in *phase*."""
    done = await applied(connection, schema)
    return [
        f"{migration.component}/{migration.name}"
        for migration in load(components)
        if migration.phase == phase and (migration.component, migration.number) not in done
    ]


async def migrate(
    url: str, schema: str, components: Sequence[str], *, role_url: str | None = None, phase: Phase = "pre"
) -> list[str]:
    """Bring *schema* up to date and return the names of what was applied; repeatable.

    Args:
        url: Of the owner, who may create schemas.
        schema: The service's schema.
        components: Packages with a `migrations` folder.
        role_url: The service's own address: its login role is made if missing and granted use of the
            schema, data only. None leaves roles alone.
        phase: `pre` before the new code runs, `post` when no old code is left.

    Raises:
        PermanentError: A file that was applied has changed since.
        StoreAwayError: The database cannot be reached.
    """
    if not _IDENTIFIER.fullmatch(schema):
        raise PermanentError(f"{schema!r} is no schema name of a-z, 0-9 and _")
    async with translated():
        connection = await asyncpg.connect(url, timeout=10)
    try:
        async with translated(), connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtext('trellis.migrate'))")
            await connection.execute("set local lock_timeout = '10s'")
            await connection.execute(f"create schema if not exists {schema}")
            await connection.execute(f"set local search_path = {schema}")
            await connection.execute(
                "create table if not exists schema_migration (component text, number int, name text not null, "
                "checksum text not null, applied_at timestamptz not null default now(), primary key (component, number))"
            )
            done = await applied(connection, schema)
            names = []
            for migration in load(components):
                known = done.get((migration.component, migration.number))
                if known is not None and known != migration.checksum:
                    raise PermanentError(f"{migration.component}/{migration.name} was changed after it was applied")
                if known is not None or migration.phase != phase:
                    continue
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into schema_migration (component, number, name, checksum) values ($1, $2, $3, $4)",
                    migration.component, migration.number, migration.name, migration.checksum,
                )  # fmt: skip
                names.append(f"{migration.component}/{migration.name}")
            if role_url is not None:
                await _grant(connection, schema, role_url)
        return names
    finally:
        await connection.close()


async def _grant(connection: asyncpg.Connection[asyncpg.Record], schema: str, role_url: str) -> None:
    parts = urlsplit(role_url)
    role, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not _IDENTIFIER.fullmatch(role):
        raise PermanentError(f"{role!r} is no role name of a-z, 0-9 and _")
    own = await connection.fetchval("select current_user::text")
    if role == own:  # a single-role installation: the owner serves as well
        await _force_policies(connection, schema)
        return
    if not await connection.fetchval("select exists (select from pg_roles where rolname = $1)", role):
        await connection.execute(f"create role {role} login")
        if password:
            literal = await connection.fetchval("select quote_literal($1::text)", password)
            await connection.execute(f"alter role {role} password {literal}")
    database = await connection.fetchval("select quote_ident(current_database())")
    statements = (
        f"grant connect on database {database} to {role}",
        f"grant usage on schema {schema} to {role}",
        f"grant select, insert, update, delete on all tables in schema {schema} to {role}",
        f"grant usage, select on all sequences in schema {schema} to {role}",
        f"revoke insert, update, delete on {schema}.schema_migration from {role}",
        f"alter role {role} in database {database} set search_path = {schema}",
        f"alter role {role} in database {database} set statement_timeout = '30s'",
        f"alter role {role} in database {database} set lock_timeout = '5s'",
    )
    for statement in statements:
        await connection.execute(statement)
    if await connection.fetchval("select to_regclass($1) is not null", f"{schema}.event"):
        await connection.execute(f"revoke update, delete on {schema}.event from {role}")


async def _force_policies(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> None:
    """Bind the owner too: it passes the policies of its own tables by otherwise.

    Not done where the services have roles of their own, since it would stop the owner's backups (`pg_dump` refuses
    a table whose policies bind it, unless told `--enable-row-security`).
    """
    rows = await connection.fetch(
        "select relname from pg_class where relnamespace = $1::regnamespace and relrowsecurity", schema
    )
    for row in rows:
        await connection.execute(f"alter table {schema}.{row['relname']} force row level security")
