"""The bare hops of one invite, each done with the least that can do it, on the same servers and the same sandbox.

What a hop stands for is told beside it; docs/benchmarks.md has the table.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import asyncpg

from bench.bodies import stage_changes
from bench.ingest import declare_like, inbound_arguments

QUEUE = "bench.hop"

_TABLES = """
create table inbox (account_id text, key text, received_at timestamptz not null default clock_timestamp(),
  primary key (account_id, key));
create table row (id uuid primary key default gen_random_uuid(), number int not null default 0, body bytea not null);
create table further (position bigint generated always as identity primary key, body bytea not null);
"""
_BODY = b"x" * 600
_ROUTES = {"candidates": "report"}


@dataclass(slots=True)
class Hops:
    """Everything the hops need, connected; each call of `once` does all of them once and keeps the times."""

    connection: asyncpg.Connection[asyncpg.Record]
    session: aiohttp.ClientSession
    exchange: aio_pika.abc.AbstractExchange
    arrived: asyncio.Queue[None]
    receiver_url: str
    reads: list[str]
    """Addresses of the vendors' reads that the real way makes, as the sandbox saw them."""
    harvest_token: str
    api_key: str
    invite: tuple[str, dict[str, Any]]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    _bodies: Any = None

    async def once(self) -> float:
        """Do each hop once and return the sum of their times in seconds."""
        row = uuid.uuid4()
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("webhook: POST, confirm, consume", self._webhook),
            ("decide: one transaction, 8 rows", lambda: self._transaction(2, 6, None)),
            ("command: publish, consume", self._publish),
            ("intent: one transaction, 3 rows", lambda: self._transaction(1, 1, row)),
            ("claim: one transaction, 1 row", lambda: self._update(row, 0)),
            ("question: POST between services", self._question),
            *((f"read: {_route(url)}", lambda url=url: self._read(url)) for url in self.reads),
            ("address: one transaction, 1 row", lambda: self._transaction(0, 1, None)),
            ("begin: one transaction, 2 rows", lambda: self._update(row, 1)),
            ("invite: POST", self._invite),
        ]
        whole = 0.0
        for name, step in steps:
            started = time.perf_counter()
            await step()
            seconds = time.perf_counter() - started
            self.seconds.setdefault(name, []).append(seconds)
            whole += seconds
        return whole

    async def _webhook(self) -> None:
        if self._bodies is None:
            self._bodies = stage_changes(10_000)
        async with self.session.post(self.receiver_url, data=next(self._bodies)) as answer:
            await answer.read()
        await self.arrived.get()

    async def _publish(self) -> None:
        message = aio_pika.Message(_BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.exchange.publish(message, QUEUE, mandatory=True)
        await self.arrived.get()

    async def _transaction(self, keys: int, rows: int, row: uuid.UUID | None) -> None:
        async with self.connection.transaction():
            if keys:
                await self.connection.execute(
                    "insert into inbox (account_id, key) select 'bench', * from unnest($1::text[])",
                    [uuid.uuid4().hex for _ in range(keys)],
                )
            if row is not None:
                await self.connection.execute("insert into row (id, body) values ($1, $2)", row, _BODY)
            await self.connection.execute(
                "insert into further (body) select * from unnest($1::bytea[])", [_BODY] * rows
            )

    async def _update(self, row: uuid.UUID, rows: int) -> None:
        async with self.connection.transaction():
            await self.connection.execute("update row set number = number + 1 where id = $1", row)
            if rows:
                await self.connection.execute("insert into further (body) values ($1)", _BODY)

    async def _question(self) -> None:
        url = urlsplit(self.receiver_url)._replace(path="/nothing").geturl()
        async with self.session.post(url, json={"applications": [{"application_id": 1}]}) as answer:
            await answer.read()

    async def _read(self, url: str) -> None:
        token = self.api_key if "/coderbyte/" in url else self.harvest_token
        async with self.session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            await answer.read()
            if answer.status not in (200, 404):  # Coderbyte's answer for somebody it does not know
                raise RuntimeError(f"{_route(url)} answered {answer.status}")

    async def _invite(self) -> None:
        url, body = self.invite
        candidate = f"bare-{uuid.uuid4().hex[:12]}@bare.example"
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with self.session.post(url, json={**body, "candidates": [candidate]}, headers=headers) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the bare invite was answered {answer.status}")


@contextlib.asynccontextmanager
async def connected(database: str, broker_url: str, receiver_url: str, **vendors: Any) -> AsyncIterator[Hops]:
    """Give the hops, all connections open; *vendors* are the fields of `Hops` about them."""
    await declare_like(broker_url, QUEUE, inbound_arguments)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(_TABLES)
        async with await aio_pika.connect(broker_url) as publishing, await aio_pika.connect(broker_url) as consuming:
            exchange = (await publishing.channel(publisher_confirms=True, on_return_raises=True)).default_exchange
            channel = await consuming.channel()
            await channel.set_qos(prefetch_count=10)
            arrived: asyncio.Queue[None] = asyncio.Queue()

            async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                arrived.put_nowait(None)
                await message.ack()

            await (await channel.declare_queue(QUEUE, passive=True)).consume(take)
            async with aiohttp.ClientSession() as session:
                yield Hops(connection, session, exchange, arrived, receiver_url, **vendors)
    finally:
        await connection.close()


def _route(url: str) -> str:
    """Return what a read asks, without whom."""
    words = [word for word in urlsplit(url).path.split("/") if word]
    if "coderbyte" not in words:
        return f"Greenhouse {words[-1]}"
    return "Coderbyte candidate" if words[-2] == "candidates" else f"Coderbyte {_ROUTES.get(words[-3], words[-1])}"
