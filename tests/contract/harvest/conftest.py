from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.harvest.worlds import TwinWorld, V3World, World, run_sandbox


@pytest.fixture
async def v3() -> AsyncIterator[V3World]:
    """The v3 adapter against a sandbox of its own."""
    running = await run_sandbox()
    yield V3World(running.sandbox, running.http)
    await running.close()


@pytest.fixture(params=["twin", "v3"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each implementation of the port."""
    if request.param == "twin":
        yield TwinWorld()
        return
    running = await run_sandbox()
    yield V3World(running.sandbox, running.http)
    await running.close()
