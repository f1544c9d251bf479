from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from simulation.process import Process
from simulation.twins import assessments as twins
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Memory, Session
from simulation.twins.people import MemoryPeople
from tests.contract.stores.assessments.kept import ACME, ORGANIZATION, Kept
from tests.databases import Databases

from trellis.assessments.adapters.connection_store import ConnectionStore, Wanted
from trellis.assessments.adapters.invite_store import InviteStore
from trellis.assessments.adapters.people_store import PeopleStore
from trellis.assessments.adapters.result_store import ResultStore
from trellis.assessments.adapters.signal_store import SignalStore
from trellis.assessments.app import SERVICE
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.database import PostgresDatabase
from trellis.common.store.postgres import open_pool, transaction


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Kept]:
    if request.param == "memory":
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        session = Session(Memory(lambda: datetime.now(UTC)), process)
        yield Kept(
            session, MemoryLedger(session, "trellis/test"), twins.MemoryOrganizations(session, {ACME: ORGANIZATION}),
            twins.MemoryInvites(), twins.MemoryResults(session), twins.MemorySignals(), MemoryPeople(),
        )  # fmt: skip
        return
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema, size=6)
    keyring = Keyring.generate()
    sealer, organizations = Sealer(keyring), ConnectionStore(pool, keyring)
    async with transaction(pool) as connection:
        wanted = Wanted(base_url="https://c.example", organization_id="acme", api_key="key", settings={})
        await organizations.put(connection, ACME, wanted, dry_run=False)
    yield Kept(
        PostgresDatabase(pool), Ledger(pool, "trellis/test"), organizations, InviteStore(sealer),
        ResultStore(pool, sealer), SignalStore(), PeopleStore(sealer),
    )  # fmt: skip
    await pool.close()
