"""The real service in this process, on the real servers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import asyncpg
import pytest
from tests.conftest import Broker
from tests.databases import Databases

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import BrokerPublisher
from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.runtime.clock import SystemClock
from trellis.common.runtime.health import Health
from trellis.common.runtime.internal import InternalClient
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.lifecycle import Kit
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.postgres import open_pool
from trellis.ingest.app import SERVICE, build
from trellis.ingest.settings import IngestSettings

DATA = Path(__file__).resolve().parents[2] / "data"


def wire(vendor: str, name: str) -> bytes:
    """Return a sample body as it is on the wire: compact, and escaped as Greenhouse does."""
    text = json.dumps(json.loads((DATA / vendor / f"{name}.json").read_text()), separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()


def signed(body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a webhook of Greenhouse's."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Signature": f"sha256 {digest}", "Content-Type": "application/json"}


async def until(check: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """Poll *check*, which may be a coroutine function, until it returns something true; return that."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        found = check()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < end, "waited too long"
        await asyncio.sleep(0.05)


@dataclass
class Ingest:
    """A running service with what a test looks at."""

    url: str
    port: int
    database: str
    broker: Broker
    keyring: Keyring
    metrics: Metrics
    health: Health
    client: aiohttp.ClientSession
    settings: IngestSettings
    publishing: BrokerLink

    async def call(self, method: str, path: str, body: object = None, *, caller: str = "cli", audience: str = "ingest"):
        client = InternalClient(self.client, self.url, audience=audience, caller=caller, keyring=self.keyring)
        return await client.call(method, path, body)

    async def apply(self, account: str = "acme", **body: Any) -> list[str]:
        answer = await self.call("PUT", f"/internal/v1/accounts/{account}", body)
        return answer["changes"]

    async def connect_greenhouse(self, account: str = "acme", **more: Any) -> tuple[str, str]:
        """Apply an account with a Greenhouse connection; return URL and secret."""
        await self.apply(account, greenhouse={"webhook_secret": None}, **more)
        [shown] = [
            one
            for one in await self.call("GET", f"/internal/v1/endpoints?account={account}")
            if one["vendor"] == "greenhouse"
        ]
        return self.here(shown["url"]), shown["secret"]

    def here(self, url: str) -> str:
        return self.url + "/" + url.split("/", 3)[3]

    async def post(self, url: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        async with self.client.post(url, data=body, headers=headers or {}) as answer:
            await answer.read()
            return answer.status

    async def rows(self, query: str, *args: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database, server_settings={"search_path": "ingest"})
        try:
            return await connection.fetch(query, *args)
        finally:
            await connection.close()

    async def messages(self, queue: str = "workflow.inbound") -> list[tuple[Envelope, bytes]]:
        """Take everything out of *queue*."""
        connection = await aio_pika.connect(self.broker.url)
        async with connection:
            channel = await connection.channel()
            found = await channel.declare_queue(queue, passive=True)
            taken = []
            while (message := await found.get(no_ack=True, fail=False)) is not None:
                taken.append((decode(message.body), message.body))
            return taken

    async def message_count(self, count: int, queue: str = "workflow.inbound") -> list[tuple[Envelope, bytes]]:
        """Take messages until *count* came, then a moment longer, so that one too many is seen."""
        taken: list[tuple[Envelope, bytes]] = []

        async def enough() -> bool:
            taken.extend(await self.messages(queue))
            return len(taken) >= count

        await until(enough)
        await asyncio.sleep(0.3)
        taken.extend(await self.messages(queue))
        assert len(taken) == count
        return taken


Start = Callable[..., Any]


@pytest.fixture
async def database(databases: Databases) -> str:
    """The address of a fresh database with the service's tables."""
    return await databases.migrated(SERVICE.schema, SERVICE.migrations)


@contextlib.asynccontextmanager
async def running(database: str, broker: Broker, **changed: Any) -> AsyncIterator[Ingest]:
    """Run the service on the migrated *database*, with settings *changed*."""
    keyring = Keyring.generate()
    settings = IngestSettings.model_validate(
        {"database_url": database, "broker_url": broker.url, "keyring_file": "unused", "listen": "127.0.0.1:0"}
        | changed
    )
    pool = await open_pool(settings.database_url.get_secret_value(), name="test", schema="ingest")
    publishing = BrokerLink(settings.broker_url.get_secret_value(), f"test-{uuid.uuid4().hex[:8]}")
    kit = Kit(
        pool=pool,
        keyring=keyring,
        metrics=Metrics("ingest"),
        health=Health(),
        clock=SystemClock(),
        publishing=publishing,
        consuming=publishing,
        publisher=BrokerPublisher(publishing),
    )
    parts = build(kit, settings)
    listener = parts.tasks[0].__self__  # type: ignore[attr-defined]
    tasks = [asyncio.ensure_future(task()) for task in (publishing.run, *parts.tasks)]
    await until(lambda: listener.port != 0)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        yield Ingest(
            url=f"http://127.0.0.1:{listener.port}",
            port=listener.port,
            database=database,
            broker=broker,
            keyring=keyring,
            metrics=kit.metrics,
            health=kit.health,
            client=client,
            settings=settings,
            publishing=publishing,
        )
    for close in reversed(parts.closing):
        await close()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await pool.close()
    assert all(isinstance(result, asyncio.CancelledError) for result in results), results


@pytest.fixture
async def ingest(database: str, broker: Broker) -> AsyncIterator[Ingest]:
    """The running service."""
    async with running(database, broker) as service:
        await until(lambda: service.publishing.is_up)
        yield service
