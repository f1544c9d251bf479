"""The ports of `ingest`: what the in-memory ones do in other tests is what the real ones do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.fakes.ingest import MemoryBodies, MemorySpool

from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.migrate import migrate
from trellis.common.store.postgres import Pool, open_pool
from trellis.ingest.adapters.sealed_bodies import KeptBody, PostgresSealedBodies
from trellis.ingest.adapters.spool_store import PostgresSpool
from trellis.ingest.app import SERVICE
from trellis.ingest.endpoints import Vendor

ACME, OTHER = AccountId("acme"), AccountId("other")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await migrate(database, SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema)
    yield pool
    await pool.close()


@pytest.fixture(params=["memory", "postgres"])
def spool(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemorySpool(time.monotonic)
    return PostgresSpool(request.getfixturevalue("pool"), wait_seconds=5)


@pytest.fixture(params=["memory", "postgres"])
def bodies(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryBodies(now=lambda: datetime.now(UTC))
    pool = request.getfixturevalue("pool")
    return PostgresSealedBodies(pool, Sealer(Keyring.generate()), keep=timedelta(days=30), wait_seconds=5)


def fact() -> Envelope:
    return Envelope(
        id=uuid4(),
        source="trellis/ingest",
        accountid=ACME,
        time=datetime(2026, 11, 24, tzinfo=UTC),
        data=CandidateUpdated(candidate_id=CandidateId(1)),
        correlationid="c",
    )


class TestSpool:
    async def test_what_is_put_is_claimed_once_in_order_and_gone_when_removed(self, spool: Any) -> None:
        envelopes = [fact() for _ in range(5)]
        await spool.put(envelopes[:2])
        await spool.put(envelopes[2:])
        first = await spool.claim(3, 30.0)
        assert [decode(one.body) for one in sorted(first, key=lambda one: one.position)] == envelopes[:3]
        assert {one.routing_key for one in first} == {"candidate.updated.v1"}
        second = await spool.claim(10, 30.0)
        assert len(second) == 2
        assert await spool.claim(10, 30.0) == []
        await spool.remove([one.position for one in first + second])
        assert await spool.backlog() == (0, 0.0)

    async def test_the_same_id_twice_is_two_rows(self, spool: Any) -> None:
        one = fact()
        await spool.put([one])
        await spool.put([one])
        assert len(await spool.claim(10, 30.0)) == 2

    async def test_a_lease_that_ended_is_claimed_again(self, spool: Any) -> None:
        await spool.put([fact()])
        [claimed] = await spool.claim(10, 0.1)
        assert await spool.claim(10, 0.1) == []
        await asyncio.sleep(0.15)
        assert [one.position for one in await spool.claim(10, 30.0)] == [claimed.position]

    async def test_a_released_row_is_left_alone_for_its_time(self, spool: Any) -> None:
        await spool.put([fact(), fact()])
        now, later = await spool.claim(10, 30.0)
        await spool.release([now.position], 0.0)
        await spool.release([later.position], 30.0)
        await asyncio.sleep(0.01)
        assert [one.position for one in await spool.claim(10, 30.0)] == [now.position]
        await spool.remove([999_999])

    async def test_the_backlog_tells_rows_and_age(self, spool: Any) -> None:
        await spool.put([fact(), fact()])
        await asyncio.sleep(0.2)
        await spool.put([fact()])
        rows, age = await spool.backlog()
        assert rows == 3
        assert 0.2 <= age < 5


def kept(account: AccountId = ACME, *, fault: str | None = None, days_ago: float = 0, body: bytes = b"{}") -> KeptBody:
    received_at = datetime.now(UTC) - timedelta(days=days_ago)
    return KeptBody(
        id=uuid7(), account=account, vendor=Vendor.CODERBYTE, body=body, received_at=received_at, fault=fault
    )


class TestBodies:
    async def test_a_body_is_read_back_by_its_account_only(self, bodies: Any) -> None:
        one = kept(body=b'{"email":"a@b.example"}')
        await bodies.put(one)
        assert await bodies.open(ACME, one.id) == one.body
        assert await bodies.open(OTHER, one.id) is None
        assert await bodies.open(ACME, uuid4()) is None

    async def test_an_unreadable_body_is_listed_and_not_handed_out(self, bodies: Any) -> None:
        older, newer = kept(fault="not_json", days_ago=2), kept(fault="wrong_shape", days_ago=1)
        await bodies.put(older)
        await bodies.put(newer)
        await bodies.put(kept())
        listed = await bodies.unreadable(ACME)
        assert [(one.id, one.fault) for one in listed] == [(newer.id, "wrong_shape"), (older.id, "not_json")]
        assert await bodies.open(ACME, newer.id) is None
        assert await bodies.unreadable(OTHER) == []

    async def test_after_thirty_days_a_body_is_gone(self, bodies: Any) -> None:
        old, young, odd = kept(days_ago=30.1), kept(days_ago=29.9), kept(days_ago=31, fault="not_json")
        for one in (old, young, odd):
            await bodies.put(one)
        assert await bodies.open(ACME, old.id) is None
        assert await bodies.unreadable(ACME) == []
        assert await bodies.purge() == 2
        assert await bodies.purge() == 0
        assert await bodies.open(ACME, young.id) == young.body
