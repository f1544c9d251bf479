"""Sealed bodies: one suite for those of the tests, those of the simulation and the real ones."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from simulation.twins import ingest as twins
from tests.contract.ingest.messages import ACME, OTHER, kept
from tests.fakes.ingest import MemoryBodies

from trellis.common.errors import ConflictError
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.database import Database, PostgresDatabase
from trellis.ingest.adapters.sealed_bodies import PostgresSealedBodies


@pytest.fixture(params=["memory", "simulation", "postgres"])
def bodies(request: pytest.FixtureRequest) -> Any:
    keep = timedelta(days=30)
    if request.param == "memory":
        return MemoryBodies(keep, now=lambda: datetime.now(UTC))
    if request.param == "simulation":
        return twins.MemoryBodies(request.getfixturevalue("session"), keep=keep, wait_seconds=5)
    pool = request.getfixturevalue("pool")
    return PostgresSealedBodies(pool, Sealer(Keyring.generate()), keep=keep, wait_seconds=5)


@pytest.fixture(params=["simulation", "postgres"])
def forgetful(request: pytest.FixtureRequest) -> tuple[Database, Any]:
    keep = timedelta(days=30)
    if request.param == "simulation":
        session = request.getfixturevalue("session")
        return session, twins.MemoryBodies(session, keep=keep, wait_seconds=5)
    pool = request.getfixturevalue("pool")
    return PostgresDatabase(pool), PostgresSealedBodies(pool, Sealer(Keyring.generate()), keep=keep, wait_seconds=5)


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

    async def test_an_id_is_taken_once(self, bodies: Any) -> None:
        one = kept(body=b"first")
        await bodies.put(one)
        with pytest.raises(ConflictError):
            await bodies.put(kept(OTHER, body=b"second", ident=one.id))
        assert await bodies.open(ACME, one.id) == b"first"
        assert await bodies.open(OTHER, one.id) is None

    async def test_the_latest_unreadable_bodies_are_listed_and_old_ones_go_in_portions(self, bodies: Any) -> None:
        for days in range(28, 34):
            await bodies.put(kept(fault="not_json", days_ago=days))
        (newest,) = await bodies.unreadable(ACME, most=1)
        assert newest.expires_at - newest.received_at == timedelta(days=30)
        assert newest.received_at > datetime.now(UTC) - timedelta(days=28.5)
        assert [await bodies.purge(most=3) for _ in range(3)] == [3, 1, 0]
        assert len(await bodies.unreadable(ACME)) == 2

    async def test_what_names_an_erased_address_goes_and_nothing_more_of_it_is_kept(
        self, forgetful: tuple[Database, Any]
    ) -> None:
        database, bodies = forgetful
        jane, john, other = kept(address_hash="jane"), kept(address_hash="john"), kept(OTHER, address_hash="jane")
        for one in (jane, john, other):
            await bodies.put(one)
        for count in (1, 0):
            async with database.transaction() as connection:
                assert await bodies.forget(connection, ACME, ["jane", "nobody"]) == count
        late = kept(address_hash="jane")
        await bodies.put(late)
        for gone in (jane, late):
            assert await bodies.open(ACME, gone.id) is None
        assert await bodies.open(ACME, john.id) == john.body
        assert await bodies.open(OTHER, other.id) == other.body

    async def test_a_body_that_is_being_kept_while_its_person_is_erased_goes_as_well(
        self, forgetful: tuple[Database, Any]
    ) -> None:
        database, bodies = forgetful
        async with database.transaction() as connection:
            await bodies.forget(connection, ACME, ["jane"])
            late = kept(address_hash="jane")
            keeping = asyncio.create_task(bodies.put(late))
            await asyncio.sleep(0.1)
            assert not keeping.done()
        await keeping
        assert await bodies.open(ACME, late.id) is None

    async def test_after_thirty_days_a_body_is_gone(self, bodies: Any) -> None:
        old, young, odd = kept(days_ago=30.1), kept(days_ago=29.9), kept(days_ago=31, fault="not_json")
        for one in (old, young, odd):
            await bodies.put(one)
        assert await bodies.open(ACME, old.id) is None
        assert await bodies.unreadable(ACME) == []
        assert await bodies.purge() == 2
        assert await bodies.purge() == 0
        assert await bodies.open(ACME, young.id) == young.body
