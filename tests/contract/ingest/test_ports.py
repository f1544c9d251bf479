"""The ports of `ingest`: what the in-memory ones do, in other tests and in simulation, is what the real ones do."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from simulation.process import Process
from simulation.twins import ingest as twins
from simulation.twins.memory import Memory, Session
from tests.databases import Databases
from tests.fakes.ingest import MemoryBodies, MemorySpool
from tests.fakes.proxy import Proxy

from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.errors import ConflictError, StoreAwayError
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.postgres import Pool, open_pool
from trellis.ingest.adapters.endpoint_store import PostgresEndpointStore
from trellis.ingest.adapters.registry import PostgresRegistry, WantedAccount, WantedCoderbyte, WantedGreenhouse
from trellis.ingest.adapters.sealed_bodies import KeptBody, PostgresSealedBodies
from trellis.ingest.adapters.spool_store import PostgresSpool
from trellis.ingest.app import SERVICE
from trellis.ingest.endpoints import Endpoint, EndpointStore, LiveSecret, Vendor
from trellis.ingest.translation import Rules

ACME, OTHER = AccountId("acme"), AccountId("other")


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


IMPLEMENTATIONS = ("memory", "simulation", "postgres")


@pytest.fixture(params=IMPLEMENTATIONS)
def spool(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemorySpool(time.monotonic)
    if request.param == "simulation":
        return twins.MemorySpool(request.getfixturevalue("session"), wait_seconds=5)
    return PostgresSpool(request.getfixturevalue("pool"), wait_seconds=5)


@pytest.fixture(params=IMPLEMENTATIONS)
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

    async def test_two_who_claim_at_once_share_nothing(self, spool: Any) -> None:
        await spool.put([fact() for _ in range(20)])
        shares = await asyncio.gather(*(spool.claim(8, 30.0) for _ in range(4)))
        claimed = [one.position for share in shares for one in share]
        while rest := await spool.claim(8, 30.0):
            claimed += [one.position for one in rest]
        assert len(claimed) == len(set(claimed)) == 20

    async def test_who_claims_later_gets_the_oldest_that_is_free(self, spool: Any) -> None:
        envelopes = [fact() for _ in range(4)]
        await spool.put(envelopes)
        first, second = await spool.claim(2, 30.0)
        await spool.release([second.position], -1.0)
        found = await spool.claim(2, 30.0)
        assert [decode(one.body) for one in sorted(found, key=lambda one: one.position)] == envelopes[1:3]
        assert first.position not in {one.position for one in found}

    async def test_the_backlog_tells_rows_and_age(self, spool: Any) -> None:
        await spool.put([fact(), fact()])
        await asyncio.sleep(0.2)
        await spool.put([fact()])
        rows, age = await spool.backlog()
        assert rows == 3
        assert 0.2 <= age < 5


def kept(
    account: AccountId = ACME,
    *,
    fault: str | None = None,
    days_ago: float = 0,
    body: bytes = b"{}",
    ident: UUID | None = None,
    address_hash: str | None = None,
) -> KeptBody:
    received_at = datetime.now(UTC) - timedelta(days=days_ago)
    return KeptBody(
        id=ident or uuid7(), account=account, vendor=Vendor.CODERBYTE, body=body, received_at=received_at, fault=fault,
        address_hash=address_hash,
    )  # fmt: skip


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


@dataclass
class Registered:
    """Endpoints, with what an administrator does to them."""

    store: EndpointStore
    add: Callable[[AccountId, Vendor, str], Awaitable[str]]
    rotate: Callable[[AccountId, float], Awaitable[None]]
    disable: Callable[[AccountId, bool], Awaitable[None]]

    async def find(self, token: str, vendor: Vendor = Vendor.GREENHOUSE) -> Endpoint | None:
        return await self.store.find(vendor, hashlib.sha256(token.encode()).digest())


def _simulated(session: Session) -> Registered:
    store = twins.MemoryEndpoints(session)

    async def add(account: AccountId, vendor: Vendor, secret: str) -> str:
        organization = account if vendor is Vendor.CODERBYTE else None
        endpoint = Endpoint(
            id=uuid7(), account=account, vendor=vendor, secrets=(LiveSecret(uuid7(), secret.encode(), None),),
            rules=Rules(custom_fields=frozenset({"x"}), new_application_is_entry=False), organization_id=organization,
        )  # fmt: skip
        await store.add(endpoint, f"token of {account} {vendor}")
        return f"token of {account} {vendor}"

    async def rotate(account: AccountId, overlap: float) -> None:
        await store.rotate(account, LiveSecret(uuid7(), b"fresh", None), overlap)

    async def disable(account: AccountId, disabled: bool) -> None:
        await store.disable(account, Vendor.GREENHOUSE, disabled=disabled)

    return Registered(store, add, rotate, disable)


def _in_postgres(pool: Pool) -> Registered:
    keyring = Keyring.generate()
    registry, wanted = PostgresRegistry(pool, keyring), dict[AccountId, dict[str, Any]]()

    async def apply(account: AccountId, **more: Any) -> None:
        wanted.setdefault(account, {"greenhouse": None, "coderbyte": None}).update(more)
        said = WantedAccount(
            account=account, custom_fields=("x",), new_application_is_entry=False, read_timeout_seconds=None,
            **wanted[account],
        )  # fmt: skip
        await registry.apply(said, dry_run=False)

    async def add(account: AccountId, vendor: Vendor, secret: str) -> str:
        if vendor is Vendor.GREENHOUSE:
            await apply(account, greenhouse=WantedGreenhouse(webhook_secret=secret))
        else:
            await apply(account, coderbyte=WantedCoderbyte(organization_id=account, accepted_webhook_keys=(secret,)))
        return next(one.token for one in await registry.shown(account) if one.vendor is vendor)

    async def rotate(account: AccountId, overlap: float) -> None:
        await registry.rotate(account, overlap_seconds=overlap)

    async def disable(account: AccountId, disabled: bool) -> None:
        await apply(account, greenhouse=None if disabled else WantedGreenhouse())

    return Registered(PostgresEndpointStore(pool, keyring), add, rotate, disable)


@pytest.fixture(params=["simulation", "postgres"])
def registered(request: pytest.FixtureRequest) -> Registered:
    if request.param == "simulation":
        return _simulated(request.getfixturevalue("session"))
    return _in_postgres(request.getfixturevalue("pool"))


class TestEndpoints:
    async def test_an_endpoint_is_found_by_its_vendor_and_token(self, registered: Registered) -> None:
        mine = await registered.add(ACME, Vendor.GREENHOUSE, "secret")
        theirs = await registered.add(OTHER, Vendor.GREENHOUSE, "another")
        coderbyte = await registered.add(ACME, Vendor.CODERBYTE, "key")
        found, other = await registered.find(mine), await registered.find(theirs)
        assert found is not None
        assert other is not None
        assert (found.account, other.account) == (ACME, OTHER)
        assert [secret.value for secret in found.secrets] == [b"secret"]
        assert found.rules == Rules(custom_fields=frozenset({"x"}), new_application_is_entry=False)
        assert (found.organization_id, found.incomplete, found.require_exp) == (None, False, False)
        signals = await registered.find(coderbyte, Vendor.CODERBYTE)
        assert signals is not None
        assert (signals.organization_id, [secret.value for secret in signals.secrets]) == (ACME, [b"key"])
        assert await registered.find(mine, Vendor.CODERBYTE) is None
        assert await registered.find(coderbyte) is None
        assert await registered.find("unknown") is None

    async def test_a_rotated_secret_counts_beside_the_new_one_until_its_time_is_over(
        self, registered: Registered
    ) -> None:
        token = await registered.add(ACME, Vendor.GREENHOUSE, "old")
        await registered.rotate(ACME, 0.5)
        both = await registered.find(token)
        assert both is not None
        assert [secret.value == b"old" for secret in both.secrets] == [False, True]
        assert both.secrets[0].expires_at is None
        assert both.secrets[1].expires_at is not None
        await asyncio.sleep(0.6)
        one = await registered.find(token)
        assert one is not None
        assert [secret.id for secret in one.secrets] == [both.secrets[0].id]

    async def test_a_second_rotation_does_not_let_the_first_secret_live_longer(self, registered: Registered) -> None:
        token = await registered.add(ACME, Vendor.GREENHOUSE, "old")
        await registered.rotate(ACME, 60)
        await registered.rotate(ACME, 3600)
        found = await registered.find(token)
        assert found is not None
        ends = [secret.expires_at for secret in found.secrets]
        assert ends[0] is None
        assert ends[1] is not None
        assert ends[2] is not None
        assert ends[2] < ends[1]

    async def test_a_disabled_endpoint_is_not_found_until_it_is_enabled_under_its_old_token(
        self, registered: Registered
    ) -> None:
        token = await registered.add(ACME, Vendor.GREENHOUSE, "secret")
        before = await registered.find(token)
        await registered.disable(ACME, True)
        assert await registered.find(token) is None
        await registered.disable(ACME, False)
        assert await registered.find(token) == before


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
