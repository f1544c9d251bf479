"""Fresh databases on the real test server: empty ones, and copies of one that was migrated once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

import asyncpg

from trellis.common.store.migrate import load, migrate


class Databases:
    """What one test made on the *server* (the owner's address); `close` drops it all.

    A database is copied by files, the cheapest way for one of few rows.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._made: list[str] = []
        self._admin: asyncpg.Connection[asyncpg.Record] | None = None

    async def empty(self) -> str:
        """Make an empty database and return the owner's address of it."""
        return await self._make("template1")

    async def migrated(self, schema: str, components: Sequence[str]) -> str:
        """Make a database with *schema* as the migrations of *components* leave it, and return the owner's address."""
        return await self._make(await self._template(schema, components))

    async def close(self) -> None:
        """Drop what was made, whoever is still connected to it."""
        if self._admin is not None:
            for name in self._made:
                await self._admin.execute(f"drop database {name} with (force)")
            await self._admin.close()

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        if self._admin is None:
            self._admin = await asyncpg.connect(self._server)
        return self._admin

    def _address(self, name: str) -> str:
        return urlsplit(self._server)._replace(path=f"/{name}").geturl()

    async def _make(self, template: str) -> str:
        admin = await self._connected()
        name = f"t_{uuid.uuid4().hex[:16]}"
        await admin.execute(f"create database {name} template {template} strategy file_copy")
        self._made.append(name)
        return self._address(name)

    async def _template(self, schema: str, components: Sequence[str]) -> str:
        """Return the name of the migrated database to copy, which the first who asks makes for all test processes."""
        steps = [schema, *(f"{step.component}/{step.name} {step.checksum}" for step in load(components))]
        name = f"m_{hashlib.sha256(repr(steps).encode()).hexdigest()[:16]}"
        admin = await self._connected()
        await admin.execute("select pg_advisory_lock(hashtext($1))", name)
        try:
            if not await admin.fetchval("select exists (select from pg_database where datname = $1)", name):
                await admin.execute(f"drop database if exists {name}_unfinished")
                await admin.execute(f"create database {name}_unfinished")
                await migrate(self._address(f"{name}_unfinished"), schema, components)
                await admin.execute(f"alter database {name}_unfinished rename to {name}")
        finally:
            await admin.execute("select pg_advisory_unlock(hashtext($1))", name)
        return name
