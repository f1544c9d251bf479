from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.harvest.worlds import TwinWorld, V1World, V3World, World, run_sandbox

from trellis.greenhouse_actions.adapters.harvest import V1


@pytest.fixture
async def v3() -> AsyncIterator[V3World]:
    """The v3 adapter against a sandbox of its own."""
    running = await run_sandbox()
    yield V3World(running.sandbox, running.http)
    await running.close()


@pytest.fixture
async def v1() -> AsyncIterator[V1World]:
    """The v1 adapter against a sandbox of its own."""
    running = await run_sandbox()
    yield V1World(running.sandbox, running.http)
    await running.close()


@pytest.fixture(params=["twin", "twin of v1", "v3", "v1"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each implementation of the port."""
    if request.param.startswith("twin"):
        yield TwinWorld(V1) if request.param.endswith("v1") else TwinWorld()
        return
    running = await run_sandbox()
    await running.sandbox.switch("rate.v1_limit", 1000)  # the budget that keeps below it is not part of the port
    yield (V1World if request.param == "v1" else V3World)(running.sandbox, running.http)
    await running.close()


@pytest.fixture(params=["twin", "v3"])
async def read_as_user(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each implementation whose readings are a user's; the key of Harvest v1 is nobody's."""
    if request.param == "twin":
        yield TwinWorld()
        return
    running = await run_sandbox()
    yield V3World(running.sandbox, running.http)
    await running.close()
