from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.contract.sandbox.harness import Receiver, Sandbox, start

from trellis.sandbox.world import World


@pytest.fixture
async def bare() -> AsyncIterator[Sandbox]:
    """A sandbox without accounts."""
    world, receiver = World(), Receiver()
    receiving, serving, base = await start(world, receiver)
    async with aiohttp.ClientSession() as session:
        yield Sandbox(session, base, receiver, world)
    await serving.close()
    await receiving.close()


@pytest.fixture
async def sandbox(bare: Sandbox) -> Sandbox:
    """A sandbox with one account and a token for it."""
    await bare.open()
    await bare.sign_in()
    return bare
