"""One suite for the database and the ledger's rows, on PostgreSQL and on the twins: the twins are not kinder."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulation.process import Process
from simulation.twins.ledger import MemoryLedger, put_brake
from simulation.twins.memory import Memory, Session
from tests.fakes.effects import note_command

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError
from trellis.common.ledger.brakes import Brakes, Scope
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.ledger.table import Ledger
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.migrate import migrate
from trellis.common.store.postgres import open_pool

ACME = AccountId("acme")
PARTS = ("trellis.common.store", "trellis.common.ledger")


@dataclass
class Kept:
    """The ports under test, with a way to put a brake on."""

    database: Database
    ledger: LedgerStore
    brake: Any

    async def take_in(self, *envelopes: Any) -> int:
        async with self.database.transaction() as connection:
            fresh = await self.database.take_in(connection, envelopes)
            for envelope in fresh:
                await self.ledger.take_in(connection, envelope, "greenhouse", None)
        return len(fresh)

    async def claim(self, seconds: float = 30.0) -> list[Intent]:
        lease = timedelta(seconds=seconds)
        return await self.ledger.claim_due(lease=lease, per_account=20, vendor="greenhouse")

    async def unsure(self) -> list[Intent]:
        return await self.ledger.claim_unsure(lease=timedelta(seconds=30), per_account=20, vendor="greenhouse")

    async def begin(self, intent: Intent, seconds: float = 30.0) -> Any:
        return await self.ledger.begin(intent, deadline_seconds=seconds, cap=None, resolved={})

    async def record(self, intent: Intent, attempt: int, occurrence: Occurrence) -> State | None:
        async with self.ledger.transaction() as connection:
            change = Change(occurrence=occurrence, reason="because")
            return await self.ledger.record(connection, intent, attempt, change)


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Kept]:
    if request.param == "memory":
        process = Process("test", random.Random(1), lambda line: None, lambda: False)
        session = Session(Memory(lambda: datetime.now(UTC)), process)
        yield Kept(session, MemoryLedger(session, "trellis/test"), lambda: put_brake(session, ACME))
        return
    await migrate(database, "contract", PARTS)
    pool = await open_pool(database, name="test", schema="contract", size=6)

    async def brake() -> None:
        await Brakes(pool).put(ACME, Scope.ACCOUNT, "", reason="r", by="p")

    yield Kept(PostgresDatabase(pool), Ledger(pool, "trellis/test"), brake)
    await pool.close()


async def test_what_is_rolled_back_was_never_taken_in(kept: Kept) -> None:
    with pytest.raises(ZeroDivisionError):
        async with kept.database.transaction() as connection:
            await kept.database.take_in(connection, [note_command()])
            await kept.database.put_out(connection, [note_command()])
            raise ZeroDivisionError
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == []
    assert await kept.take_in(note_command()) == 1


async def test_a_message_is_fresh_once_by_id_and_by_content(kept: Kept) -> None:
    one = replace(note_command(), contentkey="k")
    other = replace(note_command(2), contentkey="k")
    assert await kept.take_in(one, one) == 1
    assert await kept.take_in(one) == 0
    assert await kept.take_in(other) == 0
    assert await kept.take_in(replace(other, accountid=AccountId("globex"))) == 1


async def test_a_second_writer_waits_for_the_first_and_then_knows_its_message(kept: Kept) -> None:
    entered = asyncio.Event()

    async def first() -> None:
        async with kept.database.transaction() as connection:
            assert len(await kept.database.take_in(connection, [note_command()])) == 1
            entered.set()
            await asyncio.sleep(0.2)

    async def second() -> int:
        await entered.wait()
        async with kept.database.transaction() as connection:
            return len(await kept.database.take_in(connection, [note_command()]))

    _, known = await asyncio.gather(first(), second())
    assert known == 0


async def test_two_who_wait_for_each_other_are_told_of_a_conflict(kept: Kept) -> None:
    one, two = note_command(1), note_command(2)
    both = asyncio.Barrier(2)

    async def take(first: Any, then: Any) -> None:
        async with kept.database.transaction() as connection:
            await kept.database.take_in(connection, [first])
            await both.wait()
            await kept.database.take_in(connection, [then])

    said = await asyncio.gather(take(one, two), take(two, one), return_exceptions=True)
    assert [type(item) for item in said if item is not None] == [ConflictError]


async def test_an_outbox_row_is_leased_to_one_relay_until_it_is_given_back(kept: Kept) -> None:
    async with kept.database.transaction() as connection:
        await kept.database.put_out(connection, [note_command(1), note_command(2)])
    rows = await kept.database.outbox.claim(most=10, lease_seconds=30)
    assert len(rows) == 2
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == []
    sent, unsent = rows
    await kept.database.outbox.settle([sent.position], [unsent.position])
    assert await kept.database.outbox.claim(most=10, lease_seconds=0.05) == [unsent]
    await asyncio.sleep(0.1)
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == [unsent]


async def test_a_row_is_one_workers_until_its_lease_is_over_and_then_the_first_cannot_begin(kept: Kept) -> None:
    await kept.take_in(note_command())
    (first,) = await kept.claim(0.05)
    assert await kept.claim() == []
    await asyncio.sleep(0.1)
    (second,) = await kept.claim()
    assert await kept.begin(first) is None
    assert await kept.begin(second) == 1
    assert await kept.begin(second) is None


async def test_an_attempt_past_its_deadline_is_unknown_and_its_late_answer_counts(kept: Kept) -> None:
    await kept.take_in(note_command())
    (intent,) = await kept.claim()
    assert await kept.begin(intent, 0.05) == 1
    assert await kept.claim() == []
    await asyncio.sleep(0.1)
    (unsure,) = await kept.unsure()
    assert (unsure.state, unsure.attempt) == (State.UNKNOWN, 1)
    assert await kept.record(intent, 1, Occurrence.SUCCEEDED) is State.DONE
    assert await kept.record(intent, 1, Occurrence.SUCCEEDED) is None
    assert len(await kept.database.outbox.claim(most=10, lease_seconds=30)) == 1


async def test_the_answer_of_an_older_attempt_changes_nothing(kept: Kept) -> None:
    await kept.take_in(note_command())
    (intent,) = await kept.claim()
    await kept.begin(intent)
    assert await kept.record(intent, 1, Occurrence.NOT_EXECUTED) is State.WAITING
    (again,) = await kept.claim()
    assert await kept.begin(again) == 2
    assert await kept.record(intent, 1, Occurrence.SUCCEEDED) is None


async def test_a_brake_holds_a_row_that_was_claimed_before_it(kept: Kept) -> None:
    await kept.take_in(note_command(1), note_command(2, account="globex"))
    claimed = {intent.account: intent for intent in await kept.claim()}
    await kept.brake()
    assert await kept.begin(claimed[ACME]) is None
    assert await kept.begin(claimed[AccountId("globex")]) == 1


async def test_of_a_paused_connection_one_row_tests_it_and_others_go_on(kept: Kept) -> None:
    await kept.take_in(note_command(1), note_command(2), note_command(3, account="globex"))
    async with kept.ledger.transaction() as connection:
        assert await kept.ledger.pause(connection, ACME, "greenhouse", "r", "m", timedelta(seconds=0.2))
        assert not await kept.ledger.pause(connection, ACME, "greenhouse", "r", "m", timedelta(seconds=0.2))
    assert [intent.account for intent in await kept.claim()] == ["globex"]
    await asyncio.sleep(0.3)
    assert [intent.account for intent in await kept.claim()] == [ACME]
    async with kept.ledger.transaction() as connection:
        assert await kept.ledger.unpause(connection, ACME, "greenhouse")
    assert [intent.account for intent in await kept.claim()] == [ACME]
