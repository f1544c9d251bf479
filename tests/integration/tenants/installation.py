"""All services of an installation in this process, each under its own login role, so that the policies are real."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import asyncpg
import pytest

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import BrokerPublisher
from trellis.common.runtime.clock import SystemClock
from trellis.common.runtime.health import Health
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.lifecycle import Build, Kit, Parts
from trellis.common.runtime.metrics import Metrics
from trellis.common.runtime.service import Service
from trellis.common.runtime.settings import Settings
from trellis.common.store.postgres import Pool


@dataclass
class Running:
    """One service, assembled by its own composition root; nothing of it runs but what a test calls."""

    service: Service
    pool: Pool
    parts: Parts


@dataclass
class Installation:
    """Every service that is installed, and the eyes of a superuser, whom no policy binds."""

    services: dict[str, Running]
    keyring: Keyring
    eyes: asyncpg.Connection[asyncpg.Record]

    async def tables(self, schema: str) -> dict[str, dict[str, str]]:
        """Return the tables of *schema* with their columns and types."""
        rows = await self.eyes.fetch(
            "select table_name, column_name, udt_name from information_schema.columns c "
            "join information_schema.tables using (table_schema, table_name) "
            "where table_schema = $1 and table_type = 'BASE TABLE' order by 1, c.ordinal_position",
            schema,
        )
        found: dict[str, dict[str, str]] = {}
        for row in rows:
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["udt_name"]
        return found

    async def drop_policies(self) -> None:
        """Let every table show all its rows to everyone who may read it."""
        schemas = [running.service.schema for running in self.services.values()]
        for statement in await self.eyes.fetch(
            "select format('alter table %I.%I disable row level security', schemaname, tablename) from pg_tables "
            "where rowsecurity and schemaname = any($1)",
            schemas,
        ):
            await self.eyes.execute(statement[0])


def all_services() -> list[Service]:
    """Return the services that are installed, as `trellis` finds them."""
    return sorted((entry.load() for entry in entry_points(group="trellis.services")), key=lambda item: item.name)


async def assembled(service: Service, url: str, pool: Pool, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Let *service* build its parts as it does when it runs, on our pool and a broker that is away."""
    link, assembled = BrokerLink("amqp://nobody@127.0.0.1:1/none", "test"), []

    async def instead_of_running(_service: Service, _settings: Settings, build: Build) -> None:
        kit = Kit(
            pool=pool,
            keyring=keyring,
            metrics=Metrics(service.name),
            health=Health(),
            clock=SystemClock(),
            publishing=link,
            consuming=link,
            publisher=BrokerPublisher(link),
        )
        assembled.append(await build(kit))

    monkeypatch.setattr(sys.modules[service.run.__module__], "serve", instead_of_running)
    environ: dict[str, Any] = {
        "TRELLIS_DATABASE_URL": url,
        "TRELLIS_BROKER_URL": "amqp://nobody@127.0.0.1:1/none",
        "TRELLIS_KEYRING_FILE": "unused",
    }
    for other in all_services():
        environ[f"TRELLIS_{other.name.upper().replace('-', '_')}_URL"] = "http://127.0.0.1:1"
    await service.run(environ)
    (parts,) = assembled
    return parts
