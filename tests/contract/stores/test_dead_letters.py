"""One suite for dead letters and a person's orders about them, on PostgreSQL and on the twin."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from simulation.process import Process
from simulation.twins.dead_letters import MemoryDeadLetters
from simulation.twins.memory import Memory, Session
from tests.databases import Databases

from trellis.common.contracts.identifiers import AccountId
from trellis.common.dead_letters.letters import DeadLetter, Death, Order, State, death_of
from trellis.common.dead_letters.orders import give
from trellis.common.dead_letters.store import DeadLetterStore, PostgresDeadLetters
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.outbox import Unsent
from trellis.common.store.postgres import acquired, open_pool
from trellis.common.store.tenancy import serving
from trellis.workflow.app import SERVICE

ACME, GLOBEX = AccountId("acme"), AccountId("globex")
QUEUE, KEY = "workflow.inbound", "candidate.updated.v1"


@dataclass
class Kept:
    """The port under test."""

    database: Database
    letters: DeadLetterStore
    age: Callable[[timedelta], Any]

    async def record(self, *deaths: Death) -> None:
        async with self.database.transaction() as connection:
            await self.letters.record(connection, deaths)

    async def give(
        self, death: Death, order: Order = Order.REDRIVE, account: AccountId | None = ACME
    ) -> DeadLetter | None:
        return await give(self.database, self.letters, account, death.id, order, by="cli:anna")

    async def ids(self, account: AccountId | None = ACME) -> list[Any]:
        return [letter.death.id for letter in await self.letters.waiting(account)]

    async def sent(self) -> list[Unsent]:
        return await self.database.outbox.claim(most=10, lease_seconds=60)


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Kept]:
    if request.param == "memory":
        past = [timedelta()]
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        session = Session(Memory(lambda: datetime.now(UTC) + past[0]), process)

        async def later(by: timedelta) -> None:
            past[0] += by

        yield Kept(session, MemoryDeadLetters(session), later)
        return
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema, size=4)

    async def aged(by: timedelta) -> None:
        async with acquired(pool) as connection:
            await connection.execute("update dead_letter set settled_at = settled_at - $1::interval", by)

    yield Kept(PostgresDatabase(pool), PostgresDeadLetters(pool), aged)
    await pool.close()


def dead(body: bytes = b"x", *, account: AccountId | None = ACME, reason: str = "no", redriven: int = 0) -> Death:
    found = death_of(QUEUE, body, KEY, {"x-reason": reason, "x-attempt": 4, "x-redriven": redriven}, limit=20)
    return replace(found, account=account, subject="application/7")


async def test_the_same_message_found_twice_is_one_row(kept: Kept) -> None:
    await kept.record(dead(), dead(b"y"), dead())
    await kept.record(dead())
    (first, second) = await kept.letters.waiting(ACME)
    assert {first.death.body, second.death.body} == {b"x", b"y"}
    assert first.death in (dead(), dead(b"y"))
    assert first.state is State.WAITING


async def test_what_does_not_say_whose_it_is_belongs_to_no_account(kept: Kept) -> None:
    stray = dead(b"?", account=None)
    await kept.record(stray, dead())
    assert await kept.ids(None) == [stray.id]
    assert await kept.ids() == [dead().id]
    assert await kept.letters.counts() == {(QUEUE, None): 1, (QUEUE, ACME): 1}
    assert await kept.give(stray, account=ACME) is None
    assert await kept.give(dead(), account=None) is None
    found = await kept.give(stray, account=None)
    assert found is not None
    assert found.state is State.WAITING


async def test_one_account_sees_and_settles_nothing_of_another(kept: Kept) -> None:
    await kept.record(dead())
    with serving(GLOBEX):
        assert await kept.ids(GLOBEX) == []
        assert await kept.give(dead(), account=GLOBEX) is None
    with serving(ACME):
        assert await kept.ids() == [dead().id]
        assert await kept.give(dead()) is not None


async def test_what_is_asked_of_one_subject_is_about_it(kept: Kept) -> None:
    other = replace(dead(b"y"), subject="application/8")
    await kept.record(dead(), other)
    assert [item.death.id for item in await kept.letters.waiting(ACME, subject="application/8")] == [other.id]
    assert len(await kept.letters.waiting(ACME, most=1)) == 1


async def test_a_redriven_message_goes_to_its_own_queue_once(kept: Kept) -> None:
    await kept.record(dead())
    first, second = await asyncio.gather(kept.give(dead()), kept.give(dead()))
    assert {first and first.state, second and second.state} == {State.WAITING, State.REDRIVEN}
    assert await kept.ids() == []
    (row,) = await kept.sent()
    assert (row.body, row.routing_key, row.queue, row.redriven_count) == (b"x", KEY, QUEUE, 1)


async def test_a_dropped_message_goes_nowhere_and_stays_dropped(kept: Kept) -> None:
    await kept.record(dead())
    await kept.give(dead(), Order.DROP)
    again = await kept.give(dead())
    assert again is not None
    assert again.state is State.DROPPED
    await kept.record(dead())
    assert (await kept.ids(), await kept.sent()) == ([], [])


async def test_a_redriven_message_that_dies_again_waits_again_with_its_count(kept: Kept) -> None:
    await kept.record(dead(reason="first"))
    await kept.give(dead())
    await kept.record(dead(reason="first"))
    assert await kept.ids() == [], "an older copy that comes late is not a death after the redrive"
    await kept.record(dead(reason="again", redriven=1), dead(reason="first"))
    (letter,) = await kept.letters.waiting(ACME)
    assert (letter.death.reason, letter.death.redriven_count, letter.state) == ("again", 1, State.WAITING)
    await kept.give(dead())
    assert [row.redriven_count for row in await kept.sent()] == [1, 2]


async def test_an_order_whose_transaction_fails_did_nothing(kept: Kept) -> None:
    await kept.record(dead())
    with pytest.raises(RuntimeError, match="cut"):
        async with kept.database.transaction() as connection:
            letter = await kept.letters.held(connection, ACME, dead().id)
            assert letter is not None
            await kept.letters.settle(connection, letter, State.REDRIVEN, "x")
            raise RuntimeError("cut")
    assert await kept.ids() == [dead().id]
    assert await kept.sent() == []


async def test_what_was_settled_is_forgotten_after_a_month_and_what_waits_never(kept: Kept) -> None:
    await kept.record(dead(), dead(b"y"))
    await kept.give(dead(b"y"), Order.DROP)
    await kept.age(timedelta(days=29))
    assert await kept.letters.forget_old() == 0
    await kept.age(timedelta(days=2))
    assert await kept.letters.forget_old() == 1
    assert await kept.ids() == [dead().id]
    assert await kept.give(dead(b"y")) is None


async def test_an_unknown_message_is_none(kept: Kept) -> None:
    assert await kept.give(replace(dead(), id=uuid4())) is None
