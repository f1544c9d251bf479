"""What all ports of ingest do while their database is away, the simulation's and the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from simulation.twins import ingest as twins
from simulation.twins.memory import Session
from tests.contract.ingest.messages import ACME, fact, kept
from tests.databases import Databases
from tests.fakes.proxy import Proxy

from trellis.common.contracts.envelope import decode
from trellis.common.errors import StoreAwayError
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.postgres import open_pool
from trellis.ingest.adapters.endpoint_store import PostgresEndpointStore
from trellis.ingest.adapters.sealed_bodies import PostgresSealedBodies
from trellis.ingest.adapters.spool_store import PostgresSpool
from trellis.ingest.app import SERVICE
from trellis.ingest.endpoints import EndpointStore, Vendor


@dataclass
class Cut:
    """All three ports on one database that a test takes away."""

    spool: Any
    bodies: Any
    endpoints: EndpointStore
    away: Callable[[bool], Awaitable[None]]


@pytest.fixture(params=["simulation", "postgres"])
async def cut(request: pytest.FixtureRequest, databases: Databases, session: Session) -> AsyncIterator[Cut]:
    keep = timedelta(days=30)
    if request.param == "simulation":

        async def forget(away: bool) -> None:
            session.memory.away = away

        yield Cut(
            twins.MemorySpool(session, wait_seconds=5), twins.MemoryBodies(session, keep=keep, wait_seconds=5),
            twins.MemoryEndpoints(session), forget,
        )  # fmt: skip
        return
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    proxy, keyring = Proxy(database), Keyring.generate()
    await proxy.start()
    pool = await open_pool(proxy.url, name="test", schema=SERVICE.schema)

    async def break_off(away: bool) -> None:
        await (proxy.cut() if away else proxy.start())

    yield Cut(
        PostgresSpool(pool, wait_seconds=5), PostgresSealedBodies(pool, Sealer(keyring), keep=keep, wait_seconds=5),
        PostgresEndpointStore(pool, keyring), break_off,
    )  # fmt: skip
    await pool.close()
    await proxy.cut()


async def test_while_the_database_is_away_each_port_says_so_and_afterwards_nothing_is_missing(cut: Cut) -> None:
    envelope, body = fact(), kept()
    await cut.spool.put([envelope])
    await cut.bodies.put(body)
    await cut.away(True)
    for asked in (
        cut.spool.put([fact()]), cut.spool.claim(1, 30.0), cut.spool.remove([1]), cut.spool.release([1], 1.0),
        cut.spool.backlog(), cut.bodies.put(kept()), cut.bodies.open(ACME, body.id), cut.bodies.unreadable(ACME),
        cut.bodies.purge(), cut.endpoints.find(Vendor.GREENHOUSE, b"t" * 32),
    ):  # fmt: skip
        with pytest.raises(StoreAwayError):
            await asked
    await cut.away(False)
    assert [decode(one.body) for one in await cut.spool.claim(10, 30.0)] == [envelope]
    assert await cut.bodies.open(ACME, body.id) == body.body
    assert await cut.endpoints.find(Vendor.GREENHOUSE, b"t" * 32) is None
