"""The HTTP edge on a real socket, with in-memory ports behind it: exact answers, whatever fails behind."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from tests.fakes.ingest import FixedClock, MemoryBodies, MemoryEndpointStore, MemorySpool, ScriptedPublisher

from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.metrics import Metrics
from trellis.ingest.delivery import Outlet
from trellis.ingest.endpoints import Endpoint, Endpoints, LiveSecret, Vendor
from trellis.ingest.listener import Bounds, Listener, watched
from trellis.ingest.receiver import Limits, Receiver
from trellis.ingest.record import Recorder
from trellis.ingest.translation import Rules

SECRET = "northwind-webhook-secret-0001"
API_KEY = "sim-api-key-0001"
TOKEN = "t" * 43


@dataclass
class Edge:
    port: int
    publisher: ScriptedPublisher
    spool: MemorySpool
    bodies: MemoryBodies
    store: MemoryEndpointStore
    clock: FixedClock
    keyring: Keyring
    metrics: Metrics
    listener: Listener
    endpoints: Endpoints
    used: list[tuple[UUID, UUID, datetime]] = field(default_factory=list)

    @property
    def greenhouse(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/greenhouse/{TOKEN}"

    @property
    def coderbyte(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/coderbyte/{TOKEN}"

    @property
    def facts(self) -> list[Any]:
        return self.publisher.stored + self.spool.envelopes

    def count(self, outcome: str, vendor: str = "greenhouse", account: str = "acme") -> float:
        labels = {"outcome": outcome, "vendor": vendor, "account": account}
        return self.metrics.registry.get_sample_value("trellis_ingest_webhooks_total", labels) or 0.0

    def change(self, vendor: Vendor, **changed: Any) -> None:
        """Change the endpoint in the store; nothing remembered survives."""
        key = (vendor, hashlib.sha256(TOKEN.encode()).digest())
        self.store.endpoints[key] = replace(self.store.endpoints[key], **changed)
        self.endpoints.forget()

    async def raw(self, *chunks: bytes | float, seconds: float = 5.0) -> tuple[bytes, float]:
        """Send *chunks* (a number is a pause), and return all that came back and when the server closed."""
        started = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with contextlib.suppress(ConnectionError):
                for chunk in chunks:
                    if isinstance(chunk, bytes):
                        writer.write(chunk)
                        await writer.drain()
                    else:
                        await asyncio.sleep(chunk)
            received = bytearray()
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(seconds):
                    while chunk := await reader.read(65536):
                        received += chunk
            return bytes(received), time.monotonic() - started
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def edge(
    *,
    body_bytes: int = 100_000,
    read_seconds: float = 10.0,
    head_bytes: int = 16 * 1024,
    connections: int = 1000,
    in_flight: int = 200,
) -> AsyncIterator[Edge]:
    """Serve the two webhook routes for one account `acme`."""
    keyring, metrics, clock = Keyring.generate(), Metrics("ingest"), FixedClock()
    publisher, store, bodies = ScriptedPublisher(), MemoryEndpointStore(), MemoryBodies()
    spool = MemorySpool(time.monotonic)
    digest = hashlib.sha256(TOKEN.encode()).digest()
    for vendor, secret in ((Vendor.GREENHOUSE, SECRET), (Vendor.CODERBYTE, API_KEY)):
        store.endpoints[vendor, digest] = Endpoint(
            id=uuid4(),
            account=AccountId("acme"),
            vendor=vendor,
            secrets=(LiveSecret(uuid4(), secret.encode(), None),),
            rules=Rules(),
            organization_id="northwindhiring" if vendor is Vendor.CODERBYTE else None,
        )
    used: list[tuple[UUID, UUID, datetime]] = []
    endpoints = Endpoints(store, cache_seconds=30.0, wait_seconds=1.0, monotonic=time.monotonic)
    receiver = Receiver(
        endpoints=endpoints,
        outlet=Outlet(
            publisher,
            spool,
            confirm_seconds=0.5,
            bypass_after_count=3,
            bypass_seconds=5.0,
            monotonic=time.monotonic,
            metrics=metrics,
        ),
        bodies=bodies,
        keyring=keyring,
        clock=clock,
        limits=Limits(body_bytes=body_bytes, read_seconds=read_seconds, in_flight=in_flight),
        recorder=Recorder(metrics, max_accounts=10),
        note_use=lambda *use: used.append(use),
        note_refusal=lambda *_: None,
    )
    app = web.Application(middlewares=[watched])
    receiver.add_routes(app)
    bounds = Bounds(head_seconds=read_seconds, head_bytes=head_bytes, connections=connections)
    listener = Listener(app, "127.0.0.1:0", bounds, drain_seconds=1.0)
    await listener.start()
    try:
        yield Edge(
            port=listener.port,
            publisher=publisher,
            spool=spool,
            bodies=bodies,
            store=store,
            clock=clock,
            keyring=keyring,
            metrics=metrics,
            listener=listener,
            endpoints=endpoints,
            used=used,
        )
    finally:
        await listener.close()
