"""Row-level security stands behind every query: one account served, and nothing of another's is there (P7)."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest
from tests.integration.tenants.filling import insert, value, without_other_constraints
from tests.integration.tenants.installation import Installation, Running, all_services

from trellis.common.contracts.identifiers import AccountId
from trellis.common.store.migrate import migrate
from trellis.common.store.postgres import acquired, open_pool, transaction
from trellis.common.store.tenancy import serving

ACME, OTHER = AccountId("acme"), AccountId("other")
WITHOUT_ACCOUNT = {"schema_migration", "epoch", "restoration", "erasure_replay"}
"""Tables that hold nothing of an account; `endpoint_hour` has no account column and is bound by its endpoint."""


async def test_every_table_is_bound_by_a_policy(installation: Installation) -> None:
    unbound = await installation.eyes.fetch(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind in ('r', 'p') and n.nspname = any($1::text[]) and (not c.relrowsecurity or not exists "
        "(select from pg_policies p where p.schemaname = n.nspname and p.tablename = c.relname and p.cmd = 'ALL'))",
        [running.service.schema for running in installation.services.values()],
    )
    assert {row["relname"] for row in unbound} == WITHOUT_ACCOUNT


async def test_the_services_roles_cannot_pass_the_policies_by(installation: Installation) -> None:
    for running in installation.services.values():
        async with acquired(running.pool) as connection:
            role = await connection.fetchrow("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
            owned = await connection.fetchval("select count(*) from pg_tables where tableowner = current_user")
        assert role is not None
        assert (role["rolsuper"], role["rolbypassrls"], owned) == (False, False, 0)


async def test_a_query_that_forgot_its_account_meets_only_the_served_accounts_rows(installation: Installation) -> None:
    for running in installation.services.values():
        schema = running.service.schema
        tables = await installation.tables(schema)
        await without_other_constraints(installation, schema)
        for table, columns in tables.items():
            if "account_id" not in columns:
                continue
            for account in (ACME, OTHER):
                await insert(installation, schema, table, columns, {"account_id": account})
            await _meets_only_its_own(running, table)


async def _meets_only_its_own(running: Running, table: str) -> None:
    everyone = f"select account_id from {table} order by 1"
    with serving(ACME):
        for opened in (transaction, acquired):
            async with opened(running.pool) as connection:
                assert [row[0] for row in await connection.fetch(everyone)] == [ACME], table
        if table != "event":  # which nobody may change at all
            async with transaction(running.pool) as connection:
                assert await connection.execute(f"delete from {table}") == "DELETE 1", table
    async with acquired(running.pool) as connection:
        left = [row[0] for row in await connection.fetch(everyone)]
    assert left == ([ACME, OTHER] if table == "event" else [OTHER]), f"{table}: and without an account all is seen"
    with serving(ACME), pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with transaction(running.pool) as connection:
            columns = await connection.fetch(
                "select column_name, udt_name from information_schema.columns where table_schema = $1 "
                "and table_name = $2 and is_nullable = 'NO' and column_default is null and is_identity = 'NO'",
                running.service.schema,
                table,
            )
            names = [row[0] for row in columns]
            values = [OTHER if row[0] == "account_id" else value(row[1]) for row in columns]
            marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
            await connection.execute(f"insert into {table} ({', '.join(names)}) values ({marks})", *values)


async def test_hours_of_webhooks_are_bound_by_their_endpoint(installation: Installation) -> None:
    running = installation.services["ingest"]
    tables = await installation.tables("ingest")
    await without_other_constraints(installation, "ingest")
    for account in (ACME, OTHER):
        await insert(installation, "ingest", "endpoint", tables["endpoint"], {"account_id": account})
        await installation.eyes.execute(
            "insert into ingest.endpoint_hour (endpoint_id, hour, webhooks) "
            "select id, now(), 1 from ingest.endpoint where account_id = $1",
            account,
        )
    with serving(ACME):
        async with acquired(running.pool) as connection:
            assert await connection.fetchval("select count(*) from endpoint_hour") == 1
    async with acquired(running.pool) as connection:
        assert await connection.fetchval("select count(*) from endpoint_hour") == 2


async def test_a_pooled_connection_forgets_whom_it_served(installation: Installation) -> None:
    pool = installation.services["workflow"].pool

    async def said() -> tuple[int, str]:
        async with acquired(pool) as connection:
            return await connection.fetchrow(
                "select pg_backend_pid(), coalesce(current_setting('trellis.account', true), '')"
            )

    with serving(ACME):
        bound = await said()
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with transaction(pool) as connection:
                await connection.execute("select 1/0")
    free = await said()
    assert (bound[1], free[1]) == ("acme", "")
    assert bound[0] == free[0], "the same connection"


async def test_an_installation_with_one_role_is_bound_as_well(database: str) -> None:
    """An owner passes its own tables' policies by unless they are forced upon it."""
    service = all_services()[0]
    admin = await asyncpg.connect(database)
    role = f"t_{uuid4().hex[:12]}"
    name = await admin.fetchval("select current_database()")
    await admin.execute(f"create role {role} login password 'pass'")
    await admin.execute(f"alter database {name} owner to {role}")
    host = database.split("@")[1]
    url = f"postgresql://{role}:pass@{host}"
    try:
        await migrate(url, service.schema, service.migrations, role_url=url)
        pool = await open_pool(url, name="test", schema=service.schema)
        async with acquired(pool) as connection:
            for account in (ACME, OTHER):
                await connection.execute("insert into inbox (account_id, key) values ($1, 'k')", account)
        with serving(ACME):
            async with acquired(pool) as connection:
                assert await connection.fetchval("select count(*) from inbox") == 1
        await pool.close()
    finally:
        await admin.execute(f"alter database {name} owner to current_user")
        await admin.execute(f"drop owned by {role} cascade")
        await admin.execute(f"drop role {role}")
        await admin.close()
