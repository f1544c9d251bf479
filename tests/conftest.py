"""Fixtures that every level may use: a fresh database and a fresh virtual host on the real test servers."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import HealthCheck, settings
from tests.databases import Databases

from trellis.common.bus.topology import apply_topology

settings.register_profile("trellis", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trellis")


def needed(name: str) -> str:
    """Return the environment variable *name*; a missing server fails a test, it never skips it."""
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"{name} is not set: run the tests by `./dev test`, which starts the servers")
    return value


@pytest.fixture
async def databases() -> AsyncIterator[Databases]:
    """Makes databases on the test server, and drops them afterwards."""
    made = Databases(needed("TRELLIS_TEST_POSTGRES_URL"))
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def database(databases: Databases) -> str:
    """The owner's address of a fresh, empty database."""
    return await databases.empty()


@dataclass(frozen=True)
class Broker:
    """A virtual host of its own on the real broker."""

    url: str
    management_url: str
    vhost: str


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    """A fresh virtual host with the topology applied, deleted afterwards."""
    url, management = needed("TRELLIS_TEST_RABBITMQ_URL"), needed("TRELLIS_TEST_RABBITMQ_MANAGEMENT_URL")
    vhost = f"t{uuid.uuid4().hex[:12]}"
    parts = urlsplit(management)
    base = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    headers = {"Authorization": aiohttp.encode_basic_auth(parts.username or "", parts.password or "")}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.put(f"{base}/api/vhosts/{vhost}") as answer:
            assert answer.status < 300, await answer.text()
        async with session.put(
            f"{base}/api/permissions/{vhost}/{parts.username}", json={"configure": ".*", "write": ".*", "read": ".*"}
        ) as answer:
            assert answer.status < 300
        own = urlsplit(url)._replace(path=f"/{vhost}").geturl()
        await apply_topology(own, management)
        try:
            yield Broker(url=own, management_url=management, vhost=vhost)
        finally:
            async with session.delete(f"{base}/api/vhosts/{vhost}"):
                pass
