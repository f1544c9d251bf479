"""Statements for a PostgreSQL of ours; the driver lies in the environment, which we are not part of."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from tools.dev.console import Problem
from tools.dev.paths import VENV

_CLIENT = """
import asyncio, json, sys, asyncpg
async def main(url, statements):
    connection = await asyncpg.connect(url, timeout=20)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
asyncio.run(main(**json.load(sys.stdin)))
"""


def execute(url: str, statements: Sequence[str]) -> None:
    """Run *statements* one after the other, each in its own transaction.

    Raises:
        Problem: One of them failed; those before it stand.
    """
    done = subprocess.run(
        [str(VENV / "bin/python"), "-I", "-c", _CLIENT],
        # On standard input, since arguments can be read by every user of the machine.
        input=json.dumps({"url": url, "statements": list(statements)}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Problem(f"PostgreSQL: {done.stderr.strip().splitlines()[-1]}")


def create_database(url: str, *, database: str, owner: str, password: str) -> None:
    """Make *owner* and its *database* where they are missing; both names are plain lower-case words."""
    role = (
        f"do $$ begin if not exists (select from pg_roles where rolname = '{owner}') then "
        f"create role {owner} login createrole; end if; end $$"
    )
    execute(url, [role, f"alter role {owner} password '{password}'"])
    try:
        execute(url, [f"create database {database} owner {owner}"])
    except Problem as problem:  # PostgreSQL has no "if not exists" for databases
        if "already exists" not in str(problem):
            raise


def drop_database(url: str, *, database: str, roles: Sequence[str]) -> None:
    """Remove *database*, whoever is connected to it, and the *roles* that served it."""
    drops = [f"drop role if exists {role}" for role in roles]
    execute(url, [f"drop database if exists {database} with (force)", *drops])
