"""RabbitMQ and PostgreSQL die and come back under load: nothing accepted is lost, nothing is doubled (P1, P2)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.e2e.conftest import IMPATIENT, Tenant
from tools.dev.postgres import PostgresServer
from tools.dev.process import Lease
from tools.dev.rabbitmq import RabbitServer
from tools.dev.system import System

PEOPLE = 24


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system on servers of its own, which these tests may kill."""
    folder = tmp_path_factory.mktemp("outage")
    with Lease(folder) as lease:
        postgres = PostgresServer(folder / "postgres", lease=lease)
        rabbitmq = RabbitServer(folder / "rabbitmq", lease=lease)
        rabbitmq.start()
        postgres.start()
        system = System(folder / "system", postgres, rabbitmq, lease=lease, settings=IMPATIENT)
        system.start_all()
        yield system
        system.kill_all()
        rabbitmq.kill()
        postgres.kill()


@pytest.fixture
async def victim(own: System, session: aiohttp.ClientSession) -> AsyncIterator[Tenant]:
    tenant = Tenant(session, own, f"o{os.urandom(4).hex()}")
    await tenant.open()
    await tenant.call("PUT", "/time", {"time_scale": 60})  # redelivery after 1, 15, 60 s
    yield tenant


async def enter_all(tenant: Tenant, people: list[int]) -> None:
    for application in people:
        await tenant.call(
            "POST",
            f"/accounts/{tenant.account}/people/move?wait=0",
            {"application_id": application, "stage": "Coding Assessment"},
        )
        await asyncio.sleep(0.1)


async def invited_once_each(tenant: Tenant, people: list[int], seconds: float = 120.0) -> None:
    async def all_invited() -> bool:
        found = {ident for item in (await tenant.effects())["invites"] for ident in item["application_ids"]}
        return set(people) <= found

    await tenant.until(all_invited, "everybody invited", seconds=seconds, application=people[0])
    await asyncio.sleep(2.0)
    counts = (await tenant.effects())["invite_counts"]
    assert set(counts.values()) == {1}
    assert len(counts) == len(people)


@pytest.mark.timeout(300)
async def test_the_broker_is_killed_under_load(own: System, victim: Tenant) -> None:
    people = [await victim.applies(f"P{number}") for number in range(PEOPLE)]
    entering = asyncio.create_task(enter_all(victim, people))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(own.rabbitmq.kill)
    await entering
    await asyncio.to_thread(own.rabbitmq.start)
    await invited_once_each(victim, people)
    accepted = [item for item in await deliveries(victim) if item["attempts"][0]["status"] == 200]
    assert accepted, "while the broker is away the spool takes webhooks in, so none of them is refused"


@pytest.mark.timeout(300)
async def test_the_database_is_killed_under_load(own: System, victim: Tenant) -> None:
    people = [await victim.applies(f"Q{number}") for number in range(PEOPLE)]
    entering = asyncio.create_task(enter_all(victim, people))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(own.postgres.kill)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(own.postgres.start)
    await entering
    await invited_once_each(victim, people)


@pytest.mark.timeout(300)
async def test_both_are_killed_and_greenhouse_redelivers_what_got_503(own: System, victim: Tenant) -> None:
    people = [await victim.applies(f"R{number}") for number in range(6)]
    await asyncio.to_thread(own.rabbitmq.kill)
    await asyncio.to_thread(own.postgres.kill)
    await enter_all(victim, people)
    await asyncio.to_thread(own.postgres.start)
    await asyncio.to_thread(own.rabbitmq.start)
    await invited_once_each(victim, people)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["ingest.after_spool", "ingest.spool_drain.after_publish"])
async def test_ingest_dies_around_the_spool(own: System, victim: Tenant, tmp_path: Path, name: str) -> None:
    people = [await victim.applies(f"S{number}") for number in range(3)]
    died = tmp_path / "died"
    await asyncio.to_thread(own.stop, "ingest")
    await asyncio.to_thread(own.start, "ingest", {"TRELLIS_FAILPOINT": f"{name}@{died}"})
    await asyncio.to_thread(own.rabbitmq.kill)
    await enter_all(victim, people)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(own.rabbitmq.start)
    for _ in range(100):
        if died.exists() and own.pid("ingest") is None:
            break
        await asyncio.sleep(0.2)
    assert died.exists()
    await asyncio.to_thread(own.start, "ingest")
    await invited_once_each(victim, people)


@pytest.mark.timeout(300)
async def test_each_service_is_stopped_in_its_own_way_under_load(own: System, victim: Tenant) -> None:
    people = [await victim.applies(f"T{number}") for number in range(PEOPLE)]
    entering = asyncio.create_task(enter_all(victim, people))
    for name in ("workflow", "assessments", "greenhouse-actions", "ingest"):
        await asyncio.to_thread(own.stop, name)
        await asyncio.to_thread(own.start, name)
    await entering
    await invited_once_each(victim, people)


async def deliveries(tenant: Tenant) -> list[dict]:  # type: ignore[type-arg]
    answer = await tenant.own("GET", "/deliveries")
    found = answer["deliveries"] if isinstance(answer, dict) else answer
    return [item for item in found if item["attempts"]]
