"""The service as a process, with its broker: from a command on the queue to its outcome on the exchange."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import pytest
from tests.conftest import Broker
from tests.contract.sandbox.harness import Sandbox
from tests.databases import Databases
from tests.integration.greenhouse_actions.bench import ACME, a_move, a_note, an_observation

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import BrokerPublisher
from trellis.common.contracts.commands import Command
from trellis.common.contracts.envelope import Envelope, decode, encode
from trellis.common.contracts.facts import ApplicationObserved
from trellis.common.contracts.outcomes import CommandSettled, OutcomeState
from trellis.common.runtime.clock import SystemClock
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.internal import InternalClient
from trellis.common.runtime.keyring import Keyring
from trellis.greenhouse_actions.app import SERVICE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """The running service."""

    def __init__(self, folder: Path, database: str, broker: Broker) -> None:
        self.keyring = Keyring.generate()
        ring = folder / "keyring.json"
        ring.write_text(self.keyring.to_json())
        self.port, self.admin_port = free_port(), free_port()
        self.environ = {
            **os.environ,
            "TRELLIS_DATABASE_URL": database,
            "TRELLIS_BROKER_URL": broker.url,
            "TRELLIS_KEYRING_FILE": str(ring),
            "TRELLIS_GREENHOUSE_ACTIONS_LISTEN": f"127.0.0.1:{self.port}",
            "TRELLIS_GREENHOUSE_ACTIONS_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
        }
        self.log = folder / "service.log"
        self.child: asyncio.subprocess.Process | None = None

    async def start(self, session: aiohttp.ClientSession) -> None:
        with self.log.open("ab") as out:
            self.child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "trellis.greenhouse_actions", env=self.environ, stdout=out, stderr=out
            )
        async with asyncio.timeout(20):
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self.admin_port}/health/ready") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)

    async def stop(self) -> int:
        assert self.child is not None
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.child.wait()


@pytest.fixture
async def process(tmp_path: Path, databases: Databases, broker: Broker) -> AsyncIterator[Process]:
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    made = Process(tmp_path, database, broker)
    yield made
    if made.child is not None and made.child.returncode is None:
        made.child.kill()
        await made.child.wait()


async def test_commands_on_the_queue_become_effects_and_outcomes(
    process: Process, broker: Broker, sandbox: Sandbox
) -> None:
    greenhouse = sandbox.account["greenhouse"]
    await process.start(sandbox.session)
    client = InternalClient(
        sandbox.session,
        f"http://127.0.0.1:{process.port}",
        audience="greenhouse-actions",
        caller="test",
        keyring=process.keyring,
    )
    body: dict[str, Any] = {
        name: greenhouse[name] for name in ("base_url", "token_url", "client_id", "client_secret", "service_user_id")
    }
    body |= {"api_version": "v3", "settings": {"verify.second_read_s": 0.2}}
    await client.call("PUT", f"/internal/v1/accounts/{ACME}/connection", body)
    person = await sandbox.act("apply", email="canary.person@mail.example", stage="Coding Assessment")
    note, move, question = a_note(person), a_move(person), an_observation(person["application_id"])

    link = BrokerLink(broker.url, "test")
    linking = asyncio.ensure_future(link.run())
    publisher = BrokerPublisher(link)
    await link.connection()
    for command in (note, move, question):
        await publisher.publish(encode(_enveloped(command)), f"{_enveloped(command).type}.v1")
    said = await _messages(broker, 3)
    linking.cancel()

    outcomes = {item.command_id: item.state for item in said if isinstance(item, CommandSettled)}
    assert outcomes == {note.command_id: OutcomeState.DONE, move.command_id: OutcomeState.DONE}
    assert [item.asked_by for item in said if isinstance(item, ApplicationObserved)] == [question.command_id]
    effects = await sandbox.effects()
    assert (len(effects["notes"]), len(effects["moves"])) == (1, 1)
    async with sandbox.session.get(f"http://127.0.0.1:{process.admin_port}/metrics") as answer:
        assert 'harvest_calls_total{account="acme",outcome="204",route="move"} 1.0' in await answer.text()
    assert await process.stop() == 0
    log = process.log.read_text()
    assert "effect.recorded" in log
    for secret in ("canary", greenhouse["client_secret"], greenhouse["client_id"], "Passed: 82"):
        assert secret not in log


def _enveloped(command: Command) -> Envelope:
    return Envelope(
        id=uuid7(),
        source="trellis/workflow",
        accountid=ACME,
        time=SystemClock().now(),
        data=command,
        correlationid="c1",
    )


async def _messages(broker: Broker, count: int) -> list[object]:
    found: list[object] = []
    connection = await aio_pika.connect(broker.url)
    async with connection, asyncio.timeout(30):
        channel = await connection.channel()
        queue = await channel.get_queue("workflow.inbound")
        async with queue.iterator() as messages:
            async for message in messages:
                found.append(decode(message.body).data)
                await message.ack()
                if len(found) == count:
                    break
    return found
