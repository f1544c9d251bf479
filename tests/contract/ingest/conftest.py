from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from simulation.process import Process
from simulation.twins.memory import Memory, Session
from tests.databases import Databases

from trellis.common.store.postgres import Pool, open_pool
from trellis.ingest.app import SERVICE


@pytest.fixture
async def pool(databases: Databases) -> AsyncIterator[Pool]:
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema)
    yield pool
    await pool.close()


@pytest.fixture
def session() -> Session:
    process = Process("test", random.Random(1), lambda *_: None, lambda: False)
    return Session(Memory(lambda: datetime.now(UTC)), process)
