"""Broker and database away, blocked, back; the process killed at each named place."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from tests.conftest import Broker
from tests.fakes.proxy import Proxy
from tests.integration.ingest.conftest import Ingest, running, signed, until, wire

from trellis.common.bus.topology import apply_topology
from trellis.common.runtime.keyring import Keyring

BODY = wire("greenhouse", "candidate_stage_change")


@pytest.fixture
async def proxy(broker: Broker) -> AsyncIterator[Proxy]:
    proxy = Proxy(broker.url)
    await proxy.start()
    yield proxy
    await proxy.cut()


async def spooled(ingest: Ingest) -> int:
    [row] = await ingest.rows("select count(*) from spool")
    return int(row["count"])


async def deliver(ingest: Ingest, url: str, secret: str, event_id: str) -> int:
    return await ingest.post(url, BODY, signed(BODY, secret) | {"Greenhouse-Event-ID": event_id})


async def test_while_the_broker_is_cut_the_spool_takes_and_drains_by_itself(
    database: str, broker: Broker, proxy: Proxy
) -> None:
    async with running(database, broker, broker_url=proxy.url) as ingest:
        url, secret = await ingest.connect_greenhouse()
        await until(lambda: ingest.publishing.is_up)
        await proxy.cut()
        await until(lambda: not ingest.publishing.is_up)
        for number in range(120):
            assert await deliver(ingest, url, secret, str(number)) == 200
        assert await spooled(ingest) == 120
        assert await ingest.health.checks["database"]() is None
        await proxy.start()
        taken = await ingest.message_count(120)
        assert len({envelope.id for envelope, _ in taken}) == 120
        await until(lambda: _is_empty(ingest))


async def _is_empty(ingest: Ingest) -> bool:
    return await spooled(ingest) == 0


async def test_a_blocked_broker_costs_half_a_second_thrice_and_then_nothing(
    database: str, broker: Broker, proxy: Proxy
) -> None:
    async with running(database, broker, broker_url=proxy.url) as ingest:
        url, secret = await ingest.connect_greenhouse()
        await until(lambda: ingest.publishing.is_up)
        assert await deliver(ingest, url, secret, "before") == 200
        proxy.is_swallowing = True
        loop = asyncio.get_running_loop()
        seconds = []
        for number in range(6):
            started = loop.time()
            assert await deliver(ingest, url, secret, str(number)) == 200
            seconds.append(loop.time() - started)
        assert all(0.45 < one < 1.5 for one in seconds[:3])
        assert all(one < 0.4 for one in seconds[3:])
        proxy.is_swallowing = False
        ids: set[Any] = set()

        async def all_there() -> bool:
            ids.update(envelope.id for envelope, _ in await ingest.messages())
            return len(ids) == 7 and await spooled(ingest) == 0

        await until(all_there, seconds=40)


async def test_an_unroutable_fact_is_kept_until_the_topology_is_there(database: str, broker: Broker) -> None:
    import aio_pika

    connection = await aio_pika.connect(broker.url)
    async with connection, running(database, broker) as ingest:
        channel = await connection.channel()
        queue = await channel.get_queue("workflow.inbound")
        await queue.unbind("trellis", "application.stage_changed.v1")
        url, secret = await ingest.connect_greenhouse()
        await until(lambda: ingest.publishing.is_up)
        assert await deliver(ingest, url, secret, "1") == 200
        assert await spooled(ingest) == 1
        await apply_topology(broker.url, broker.management_url)
        await ingest.rows("update spool set lease_until = null")
        await ingest.message_count(1)


async def test_without_the_database_the_broker_serves_and_with_neither_it_is_503(
    database: str, broker: Broker, proxy: Proxy
) -> None:
    store = Proxy(database)
    await store.start()
    async with running(database, broker, broker_url=proxy.url, database_url=store.url, spool_seconds=1.0) as ingest:
        url, secret = await ingest.connect_greenhouse()
        await until(lambda: ingest.publishing.is_up)
        assert await deliver(ingest, url, secret, "1") == 200
        await store.cut()
        assert await deliver(ingest, url, secret, "2") == 200
        assert await ingest.health.checks["database"]() is None
        assert await ingest.post(url, b"{", signed(b"{", secret)) == 503, "a body that cannot be kept is not taken"
        await proxy.cut()
        await until(lambda: not ingest.publishing.is_up)
        assert await ingest.health.checks["database"]() == "neither broker nor spool"
        async with ingest.client.post(url, data=BODY, headers=signed(BODY, secret)) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "60"
        unknown = url[:-43] + "A" * 43
        assert await ingest.post(unknown, BODY, signed(BODY, secret)) == 503, "never 401 out of ignorance"
        await store.start()
        assert await deliver(ingest, url, secret, "3") == 200
        assert await ingest.post(unknown, BODY, signed(BODY, secret)) == 401
        await proxy.start()
        await ingest.message_count(3)
    await store.cut()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """The service as a process of its own, as `trellis run ingest` runs it."""

    def __init__(self, folder: Path, database: str, broker_url: str) -> None:
        keyring = folder / "keyring.json"
        self.keyring = Keyring.generate()
        keyring.write_text(self.keyring.to_json())
        self.port, self.admin_port = free_port(), free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "TRELLIS_DATABASE_URL": database,
            "TRELLIS_BROKER_URL": broker_url,
            "TRELLIS_KEYRING_FILE": str(keyring),
            "TRELLIS_INGEST_LISTEN": f"127.0.0.1:{self.port}",
            "TRELLIS_INGEST_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "TRELLIS_INGEST_DRAIN_SECONDS": "3",
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, failpoint: str = "") -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trellis.ingest", env=self.environment | {"TRELLIS_FAILPOINT": failpoint},
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await until(self._is_ready, seconds=30)

    async def _is_ready(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"http://127.0.0.1:{self.admin_port}/health/ready") as answer,
            ):
                if answer.status != 200:
                    return False
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def stop(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)


@pytest.mark.parametrize(
    ("failpoint", "is_broker_up"),
    [
        ("ingest.before_publish", True),
        ("ingest.after_publish", True),
        ("ingest.after_spool", False),
        ("ingest.spool_drain.after_publish", True),
    ],
)
async def test_killed_at_a_named_place_the_redelivery_makes_no_second_fact(
    database: str, broker: Broker, proxy: Proxy, tmp_path: Path, failpoint: str, is_broker_up: bool
) -> None:
    async with running(database, broker) as ingest:  # applies the account, and looks
        process = Process(tmp_path, database, proxy.url)
        object.__setattr__(ingest.keyring, "keys", process.keyring.keys)
        url, secret = await ingest.connect_greenhouse()
        url = url.replace(str(ingest.port), str(process.port))
    if not is_broker_up or "drain" in failpoint:
        await proxy.cut()
    await process.start("" if "drain" in failpoint else failpoint)
    headers = signed(BODY, secret) | {"Greenhouse-Event-ID": "4711"}

    async def deliver_once() -> int:
        try:
            async with aiohttp.ClientSession() as client, client.post(url, data=BODY, headers=headers) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    if "drain" in failpoint:
        assert await deliver_once() == 200
        assert await process.stop() == 0
        await process.start(failpoint)
        await proxy.start()
    else:
        assert await deliver_once() == 0
    assert process.process is not None
    assert await asyncio.wait_for(process.process.wait(), 20) == 137
    if not is_broker_up:
        await proxy.start()
    await process.start()
    assert await deliver_once() == 200
    ids: list[Any] = []
    connection = await asyncpg.connect(database)

    async def drained() -> bool:
        import aio_pika

        link = await aio_pika.connect(broker.url)
        async with link:
            channel = await link.channel()
            queue = await channel.declare_queue("workflow.inbound", passive=True)
            while (message := await queue.get(no_ack=True, fail=False)) is not None:
                from trellis.common.contracts.envelope import decode

                ids.append(decode(message.body).id)
        return bool(ids) and await connection.fetchval("select count(*) from ingest.spool") == 0

    await until(drained, seconds=60)
    assert len(set(ids)) == 1
    await connection.close()
    assert await process.stop() == 0
