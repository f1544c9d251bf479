"""A full disk as `faults` emulates it where nothing can be mounted: the real spool says what it cannot keep."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

import pytest
from faults.disk import EmulatedDisk
from tests.databases import Databases
from tests.fakes.histories import entered
from tools.dev.postgres import PostgresServer

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import StoreAwayError
from trellis.common.store.postgres import open_pool
from trellis.ingest.adapters.spool_store import PostgresSpool


class Server:
    """Stands for the server whose databases these are."""

    def __init__(self, url: str) -> None:
        self._url = url

    def database_url(self, _: str) -> str:
        return self._url


def fact() -> Envelope:
    return Envelope(
        id=uuid4(), source="test", accountid=AccountId("a"), time=datetime.now(UTC), data=entered(),
        correlationid="c", subject="application/1",
    )  # fmt: skip


async def test_while_the_disk_is_full_the_spool_refuses_and_afterwards_it_takes_again(databases: Databases) -> None:
    database = await databases.migrated("ingest", ["trellis.ingest.adapters"])
    disk = EmulatedDisk("for the test")
    await disk.prepare(cast(PostgresServer, Server(database)), "any")
    pool = await open_pool(database, name="t", schema="ingest")
    try:
        spool = PostgresSpool(pool, wait_seconds=5)
        await spool.put([fact()])
        await disk.fill()
        with pytest.raises(StoreAwayError, match="DiskFull"):
            await spool.put([fact()])
        await disk.clear()
        await spool.put([fact()])
        assert len(await spool.claim(10, 5.0)) == 2
    finally:
        await pool.close()
