"""The installation, and the two accounts in it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.integration.tenants.installation import Installation, Running, all_services, assembled
from tests.integration.tenants.walking import Walk, app_of

from trellis.common.runtime.keyring import Keyring
from trellis.common.store.migrate import migrate
from trellis.common.store.postgres import open_pool


@pytest.fixture
async def installation(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Installation]:
    """All services on one fresh database, without a broker."""
    keyring, parts = Keyring.generate(), urlsplit(database)
    tag, running, roles = uuid.uuid4().hex[:12], {}, []
    async with contextlib.AsyncExitStack() as stack:
        eyes = await asyncpg.connect(database)
        stack.push_async_callback(eyes.close)
        for service in all_services():
            role = f"t_{tag}_{service.schema}"
            url = parts._replace(netloc=f"{role}:pass@{parts.hostname}:{parts.port}").geturl()
            await migrate(database, service.schema, service.migrations, role_url=url)
            roles.append(role)
            pool = await open_pool(url, name="test", size=4, schema=service.schema)
            stack.push_async_callback(pool.close)
            built = await assembled(service, url, pool, keyring, monkeypatch)
            for close in built.closing:
                stack.push_async_callback(close)
            running[service.name] = Running(service, pool, built)
        yield Installation(running, keyring, eyes)
    admin = await asyncpg.connect(database)
    for role in roles:
        await admin.execute(f"drop owned by {role}")
        await admin.execute(f"drop role {role}")
    await admin.close()


@pytest.fixture
async def walk(installation: Installation) -> AsyncIterator[Walk]:
    async with AsyncExitStack() as stack:
        clients = {}
        for name, running in installation.services.items():
            clients[name] = await stack.enter_async_context(TestClient(TestServer(app_of(running))))
        made = Walk(installation, clients)
        await made.seed()
        yield made
