from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.databases import Databases
from tests.fakes.effects import ScriptedEffect
from tests.integration.common.bench import Bench

from trellis.common.ledger.table import Ledger
from trellis.common.store.postgres import open_pool


@pytest.fixture
async def bench(databases: Databases) -> AsyncIterator[Bench]:
    database = await databases.migrated("t", ["trellis.common.store", "trellis.common.ledger"])
    pool = await open_pool(database, name="t", schema="t", size=8)
    yield Bench(pool, Ledger(pool, "trellis/test"), ScriptedEffect())
    await pool.close()
