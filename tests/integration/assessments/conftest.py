from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.databases import Databases
from tests.integration.assessments.bench import Bench

from trellis.assessments.app import SERVICE
from trellis.common.runtime.keyring import Keyring
from trellis.common.store.postgres import open_pool


@pytest.fixture
async def bench(databases: Databases) -> AsyncIterator[Bench]:
    """The service's parts on a fresh database, connected to Coderbyte's twin."""
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema, size=10)
    made = Bench(pool=pool, keyring=Keyring.generate())
    await made.connect()
    yield made
    await pool.close()
