from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.contract.sandbox.harness import Receiver, Sandbox, start
from tests.databases import Databases
from tests.integration.greenhouse_actions.bench import Bench

from trellis.common.store.postgres import open_pool
from trellis.greenhouse_actions.app import SERVICE
from trellis.sandbox.world import World


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox with one account."""
    world, receiver = World(), Receiver()
    receiving, serving, base = await start(world, receiver)
    async with aiohttp.ClientSession() as session:
        made = Sandbox(session, base, receiver, world)
        await made.open()
        yield made
    await serving.close()
    await receiving.close()


@pytest.fixture
async def bare(databases: Databases, sandbox: Sandbox) -> AsyncIterator[Bench]:
    """The service on a fresh schema, not connected yet."""
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema)
    bench = Bench(pool, sandbox)
    await bench.open()
    yield bench
    await bench.close()
    await pool.close()


@pytest.fixture
async def bench(bare: Bench) -> Bench:
    """The service, connected to the sandbox's account."""
    await bare.connect()
    return bare
