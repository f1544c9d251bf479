"""The real process on real servers, killed at each of its failpoints: one mail, one result, nothing in silence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.conftest import Broker
from tests.databases import Databases
from tests.integration.assessments.bench import WHO, Bench

from trellis.assessments.app import SERVICE
from trellis.common.bus.topology import EXCHANGE
from trellis.common.contracts.envelope import Envelope, decode, encode
from trellis.common.contracts.facts import SignalKind
from trellis.common.contracts.outcomes import AssessmentCompleted, CommandSettled
from trellis.common.runtime import tokens
from trellis.common.runtime.keyring import Keyring
from trellis.common.store.postgres import open_pool
from trellis.sandbox.app import create_app

FAILPOINTS = (
    "consumer.before_handle",
    "ledger.after_intake",
    "ledger.after_claim",
    "ledger.after_prepare",
    "ledger.after_attempting",
    "ledger.after_request",
    "ledger.after_outcome",
    "relay.after_claim",
    "relay.after_publish",
    "reports.after_claim",
    "reports.after_read",
    "reports.after_outcome",
)


@dataclass
class World:
    """The service's surroundings: servers, a sandbox Coderbyte, a greenhouse-actions that knows one address."""

    database: str
    broker: Broker
    keyring: Keyring
    folder: Path
    sandbox: str
    greenhouse: str
    admin_port: int = 0
    told: list[Envelope] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None

    async def start(self, failpoint: str = "") -> None:
        self.admin_port = await _free_port()
        environ = dict(os.environ) | {
            "TRELLIS_ASSESSMENTS_DATABASE_URL": self.database,
            "TRELLIS_BROKER_URL": self.broker.url,
            "TRELLIS_KEYRING_FILE": str(self.folder / "keyring.json"),
            "TRELLIS_GREENHOUSE_ACTIONS_URL": self.greenhouse,
            "TRELLIS_ASSESSMENTS_LISTEN": f"127.0.0.1:{await _free_port()}",
            "TRELLIS_ASSESSMENTS_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "TRELLIS_ASSESSMENTS_LEASE_SECONDS": "45",
            "TRELLIS_FAILPOINT": failpoint,
        }
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "trellis.assessments", env=environ, stdout=log, stderr=log
            )

    async def ready(self) -> None:
        async with aiohttp.ClientSession() as session:
            await self.until(lambda: self._is_ready(session))

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://127.0.0.1:{self.admin_port}/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def stop(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 30)

    async def until(self, check: Callable[[], Awaitable[Any]], seconds: float = 40) -> Any:
        end = time.monotonic() + seconds
        while not (found := await check()):
            assert time.monotonic() < end, (self.folder / "log").read_text()[-4000:]
            await asyncio.sleep(0.05)
        return found

    async def publish(self, envelope: Envelope) -> None:
        connection = await aio_pika.connect(self.broker.url)
        async with connection:
            exchange = await (await connection.channel()).get_exchange(EXCHANGE)
            await exchange.publish(aio_pika.Message(encode(envelope)), envelope.routing_key)

    async def outcomes(self) -> list[Envelope]:
        """Return all that was told so far, in the queue the workflow would read."""
        connection = await aio_pika.connect(self.broker.url)
        async with connection:
            queue = await (await connection.channel()).get_queue("workflow.inbound")
            while (message := await queue.get(fail=False)) is not None:
                self.told.append(decode(message.body))
                await message.ack()
        return self.told

    async def execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.database)
        await connection.execute(f"set search_path = {SERVICE.schema}")
        await connection.execute(statement)
        await connection.close()

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.sandbox}/control{path}", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def mails(self) -> int:
        effects = await self.control("GET", "/accounts/acme/effects")
        return sum(effects["invite_counts"].values())


@pytest.fixture
async def world(databases: Databases, broker: Broker, tmp_path: Path) -> AsyncIterator[World]:
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    keyring = Keyring.generate()
    (tmp_path / "keyring.json").write_text(keyring.to_json())
    sandbox = TestServer(create_app())
    await sandbox.start_server()
    greenhouse = TestServer(_greenhouse(keyring))
    await greenhouse.start_server()
    made = World(
        database,
        broker,
        keyring,
        tmp_path,
        str(sandbox.make_url("")).rstrip("/"),
        str(greenhouse.make_url("")).rstrip("/"),
    )
    try:
        yield made
    finally:
        if made.process is not None and made.process.returncode is None:
            made.process.kill()
            await made.process.wait()
        await greenhouse.close()
        await sandbox.close()


def _greenhouse(keyring: Keyring) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        asked = (await request.json())["applications"]
        said = {
            str(item["application_id"]): {"verdict": "ok", "address": WHO, "candidate_id": 100, "address_count": 1}
            for item in asked
        }
        return web.json_response({"read_age_ms": 5, "applications": said})

    app = web.Application(middlewares=[tokens.guard(keyring, "greenhouse-actions")])
    app.router.add_post("/internal/v1/accounts/acme/candidates-for-invite", answer)
    return app


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    return port


async def connected(world: World) -> Bench:
    """Connect the account to the sandbox, as `trellis apply` would."""
    made = await world.control(
        "POST",
        "/accounts",
        {"name": "acme", "coderbyte": {"assessments": [{"display_name": "B", "test_id": "backend-1"}]}},
    )
    pool = await open_pool(world.database, name="test", schema=SERVICE.schema)
    bench = Bench(pool=pool, keyring=world.keyring)
    await bench.connect(api_key=made["coderbyte"]["api_key"])
    await bench.execute("update connection set base_url = $1", made["coderbyte"]["base_url"])
    return bench


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_killed_anywhere_there_is_one_mail_one_result_and_a_whole_story(world: World, failpoint: str) -> None:
    bench = await connected(world)
    await world.start(f"{failpoint}@{world.folder / 'died'}")
    await world.ready()
    command = bench.invite()
    await world.publish(command)

    async def mailed() -> bool:
        return await _revive(world) and await world.mails() == 1

    # A worker that died between committing its attempt and the request leaves no mail, only a doubt.
    async def mailed_or_in_doubt() -> bool:
        return await mailed() or await bench.state(command) == "in_doubt"

    await world.until(mailed_or_in_doubt)
    if await world.mails() == 0:
        assert failpoint == "ledger.after_attempting"
        assert await bench.state(command) == "in_doubt"
        await bench.pool.close()
        await world.stop()
        return
    await world.control("POST", "/accounts/acme/people/submit", {"email": WHO, "assessment": "backend-1"})
    await world.publish(bench.signal(SignalKind.COMPLETED))

    async def told() -> bool:
        await _revive(world)
        found = await world.outcomes()
        return any(isinstance(item.data, AssessmentCompleted) for item in found)

    await world.until(told)
    await world.until(lambda: _settled(bench, command))
    assert (world.folder / "died").exists(), "the failpoint was never passed"
    results = {item.id for item in await world.outcomes() if isinstance(item.data, AssessmentCompleted)}
    assert (await world.mails(), len(results)) == (1, 1)
    await bench.pool.close()
    assert await world.stop() == 0


async def _settled(bench: Bench, command: Envelope) -> bool:
    return await bench.state(command) == "done"


async def _revive(world: World) -> bool:
    """Start the process again when it died, and let what it held lapse."""
    assert world.process is not None
    if world.process.returncode is not None:
        assert world.process.returncode == 137
        await world.execute(
            "update intent set lease_until = clock_timestamp() - interval '1 s', deadline_at = "
            "case when deadline_at is null then null else clock_timestamp() - interval '1 s' end; "
            "update invite set lease_until = clock_timestamp() - interval '1 s'; "
            "update outbox set lease_until = clock_timestamp() - interval '1 s'"
        )
        await world.start("")
        await world.ready()
    return True


async def test_the_process_says_what_it_does_and_stops_when_told(world: World) -> None:
    bench = await connected(world)
    await world.start()
    await world.ready()
    command = bench.invite()
    await world.publish(command)
    await world.until(lambda: _settled(bench, command))

    async def told() -> bool:
        return any(isinstance(item.data, CommandSettled) for item in await world.outcomes())

    await world.until(told)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{world.admin_port}/metrics") as answer,
    ):
        metrics = await answer.text()
    assert 'trellis_assessments_coderbyte_calls_total{account="acme",outcome="2xx",route="invite"} 1.0' in metrics
    await bench.pool.close()
    assert await world.stop() == 0
    lines = [json.loads(line) for line in (world.folder / "log").read_text().splitlines()]
    assert {"service.started", "effect.recorded", "service.stopping"} <= {line["event"] for line in lines}
    text = (world.folder / "log").read_text() + metrics
    assert "planted" not in text
    assert "dropped" not in text
