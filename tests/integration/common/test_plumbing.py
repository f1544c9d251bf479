"""The bus and the store on real servers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from tests.conftest import Broker
from tests.databases import Databases

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import BrokerPublisher
from trellis.common.bus.topology import WORKFLOW
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.runtime.metrics import Metrics
from trellis.common.store import outbox
from trellis.common.store.inbox import take_in
from trellis.common.store.migrate import load, migrate
from trellis.common.store.postgres import open_pool, transaction


def fact(candidate: int, *, contentkey: str | None = None) -> Envelope:
    return Envelope(
        id=uuid4(),
        source="trellis/ingest",
        accountid=AccountId("acme"),
        time=datetime.now(UTC),
        data=CandidateUpdated(candidate_id=CandidateId(candidate)),
        correlationid="c",
        contentkey=contentkey,
    )


async def holds(broker: Broker, queue: str, wanted: int) -> None:
    """A quorum queue's count follows what it stored a moment later."""
    end = asyncio.get_running_loop().time() + 5
    while (found := await count(broker, queue)) != wanted:
        assert asyncio.get_running_loop().time() < end, f"{queue} holds {found}, not {wanted}"
        await asyncio.sleep(0.05)


async def count(broker: Broker, queue: str) -> int:
    import aio_pika

    connection = await aio_pika.connect(broker.url)
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


@pytest.fixture
async def link(broker: Broker):  # type: ignore[no-untyped-def]
    link = BrokerLink(broker.url, "test")
    publisher = BrokerPublisher(link)
    task = asyncio.create_task(link.run())
    await link.connection()
    yield link, publisher
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_inbox_knows_a_message_by_id_and_by_content(databases: Databases) -> None:
    database = await databases.migrated("t", ["trellis.common.store"])
    pool = await open_pool(database, name="t", schema="t")
    first, same_content, other = fact(1, contentkey="k"), fact(1, contentkey="k"), fact(2)
    async with transaction(pool) as connection:
        assert await take_in(connection, [first, same_content, first, other]) == [first, other]
    async with transaction(pool) as connection:
        assert await take_in(connection, [first, same_content, other]) == []
    await pool.close()


async def test_the_relay_sends_each_row_and_marks_it(databases: Databases, link, broker: Broker) -> None:  # type: ignore[no-untyped-def]
    database = await databases.migrated("t", ["trellis.common.store"])
    pool = await open_pool(database, name="t", schema="t")
    async with transaction(pool) as connection:
        await outbox.put(connection, [fact(n) for n in range(5)])
    relay = outbox.Relay(outbox.PostgresOutbox(pool), link[1], Metrics("test"))
    assert await relay.relay_pending() == 5
    assert await relay.relay_pending() == 0
    await holds(broker, WORKFLOW.name, 5)
    await pool.close()


async def test_migrating_twice_changes_nothing_and_a_role_gets_data_rights_only(database: str) -> None:
    parts = urlsplit(database)
    role = f"r_{uuid4().hex[:12]}"
    role_url = parts._replace(netloc=f"{role}:pw@{parts.hostname}:{parts.port}").geturl()
    first = await migrate(database, "t", ["trellis.common.store", "trellis.common.ledger"])
    assert first == [
        f"{item.component}/{item.name}" for item in load(["trellis.common.store", "trellis.common.ledger"])
    ]
    assert await migrate(database, "t", ["trellis.common.store", "trellis.common.ledger"], role_url=role_url) == []
    connection = await asyncpg.connect(role_url)
    try:
        assert await connection.fetchval("select count(*) from schema_migration") == len(first)
        await connection.execute("insert into inbox (account_id, key) values ('a', 'k')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("drop table inbox")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from schema_migration")
    finally:
        await connection.close()
    owner = await asyncpg.connect(database)
    await owner.execute(f"drop owned by {role}")
    await owner.execute(f"drop role {role}")
    await owner.close()
