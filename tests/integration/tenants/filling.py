"""Rows for any table, made from nothing but its columns' types: what is looked at is whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.integration.tenants.installation import Installation


async def without_other_constraints(installation: Installation, schema: str) -> None:
    """Let any value stand in any column of *schema*."""
    rows = await installation.eyes.fetch(
        "select conrelid::regclass::text as name, conname from pg_constraint "
        "where connamespace = $1::regnamespace and contype in ('c', 'f')",
        schema,
    )
    for row in rows:
        await installation.eyes.execute(f"alter table {row['name']} drop constraint {row['conname']}")


async def insert(
    installation: Installation,
    schema: str,
    table: str,
    columns: Mapping[str, str],
    said: Mapping[str, Any],
    *,
    text: str | None = None,
) -> None:
    """Insert a row with what is *said* of its columns and made-up values in the others that need one."""
    rows = await installation.eyes.fetch(
        "select column_name from information_schema.columns where table_schema = $1 and table_name = $2 "
        "and is_nullable = 'NO' and is_identity = 'NO' and udt_name <> 'xid8'",
        schema,
        table,
    )
    needed = {row["column_name"] for row in rows} | (said.keys() & columns.keys())
    values = {name: said.get(name, value(columns[name], text)) for name in needed}
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await installation.eyes.execute(
        f"insert into {schema}.{table} ({', '.join(values)}) values ({marks})", *values.values()
    )


def value(kind: str, text: str | None = None) -> Any:
    """Return a value of PostgreSQL's type *kind*; texts are *text*, or all different."""
    made: dict[str, Any] = {
        "uuid": uuid4(),
        "text": text or uuid4().hex,
        "_text": [],
        "_int8": [],
        "bytea": uuid4().bytes,
        "bool": False,
        "timestamptz": datetime.now(UTC),
        "int2": 1,
        "int4": 1,
        "int8": 1,
        "float8": 1.0,
    }
    return made[kind]
