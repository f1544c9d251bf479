"""One suite for the database and the ledger's rows, on PostgreSQL and on the twins: the twins are not kinder."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from simulation.process import KilledError, Process
from simulation.twins.ledger import MemoryLedger, put_brake
from simulation.twins.memory import Memory, Session
from tests.contract.stores.races import meanwhile
from tests.databases import Databases
from tests.fakes.effects import note_command
from tests.fakes.proxy import Proxy

from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.contracts.identifiers import AccountId
from trellis.common.contracts.outcomes import CommandSettled
from trellis.common.errors import ConflictError, StoreAwayError
from trellis.common.ledger.brakes import Brakes, Scope
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.ledger.table import Ledger
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.postgres import open_pool

ACME = AccountId("acme")
PARTS = ("trellis.common.store", "trellis.common.ledger")


@dataclass
class Kept:
    """The ports under test.

    Attributes:
        brake: Puts a brake on an account.
        away: Takes the database away, or gives it back.
        other: Another process's database, and what kills that process.
    """

    database: Database
    ledger: LedgerStore
    brake: Any
    away: Callable[[bool], Awaitable[None]]
    other: tuple[Database, Callable[[], Awaitable[None]]]

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
async def kept(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Kept]:
    if request.param == "memory":
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        memory, doomed = (
            Memory(lambda: datetime.now(UTC)),
            Process("o", random.Random(2), lambda *_: None, lambda: False),
        )
        session = Session(memory, process)

        async def leave(away: bool) -> None:
            memory.away = away

        async def die() -> None:
            doomed.kill("in the test")

        ledger = MemoryLedger(session, "trellis/test")
        yield Kept(session, ledger, lambda: put_brake(session, ACME), leave, (Session(memory, doomed), die))
        return
    database = await databases.migrated("contract", PARTS)
    proxy, doomed_proxy = Proxy(database), Proxy(database)
    await proxy.start()
    await doomed_proxy.start()
    pool = await open_pool(proxy.url, name="test", schema="contract", size=6)
    other = await open_pool(doomed_proxy.url, name="other", schema="contract", size=1)

    async def brake() -> None:
        await Brakes(pool).put(ACME, Scope.ACCOUNT, "", reason="r", by="p")

    async def cut(away: bool) -> None:
        await (proxy.cut() if away else proxy.start())

    yield Kept(
        PostgresDatabase(pool), Ledger(pool, "trellis/test"), brake, cut, (PostgresDatabase(other), doomed_proxy.cut)
    )
    await pool.close()
    await other.close()
    await proxy.cut()


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


async def test_once_a_statement_failed_a_transaction_does_nothing_more_and_commits_nothing(kept: Kept) -> None:
    one, two, met = note_command(1), note_command(2), asyncio.Barrier(2)
    lost = []

    async def take(first: Envelope, then: Envelope) -> None:
        async with kept.database.transaction() as connection:
            await kept.database.take_in(connection, [first])
            await met.wait()
            try:
                await kept.database.take_in(connection, [then])
            except (ConflictError, asyncpg.DeadlockDetectedError):
                lost.append(first)
                with pytest.raises((RuntimeError, asyncpg.InFailedSQLTransactionError)):
                    await kept.database.put_out(connection, [note_command(3)])

    await asyncio.gather(take(one, two), take(two, one))
    assert len(lost) == 1
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == []
    assert await kept.take_in(one, two) == 0  # the winner's, both of them


async def test_a_process_that_dies_in_a_transaction_leaves_nothing_and_holds_up_nobody(kept: Kept) -> None:
    database, die = kept.other
    with pytest.raises((StoreAwayError, KilledError)):
        async with database.transaction() as connection:
            await database.take_in(connection, [note_command()])
            await database.put_out(connection, [note_command()])
            waiting = asyncio.create_task(kept.take_in(note_command()))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await die()
            async with asyncio.timeout(4):
                assert await waiting == 1
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == []


async def test_while_the_database_is_away_everything_says_so_and_what_was_open_is_rolled_back(kept: Kept) -> None:
    await kept.take_in(note_command(1))
    with pytest.raises(StoreAwayError):
        async with kept.database.transaction() as connection:
            await kept.database.take_in(connection, [note_command(2)])
            await kept.away(True)
            await kept.database.put_out(connection, [note_command(2)])
    for asked in (kept.take_in(note_command(3)), kept.claim(), kept.database.outbox.settle([1], [])):
        with pytest.raises(StoreAwayError):
            await asked
    await kept.away(False)
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == []
    assert await kept.take_in(note_command(1), note_command(2), note_command(3)) == 2


@pytest.mark.parametrize("committed", [True, False])
async def test_a_unique_key_is_one_commands_and_another_is_answered_once_the_first_is_sure(
    kept: Kept, committed: bool
) -> None:
    async def take(envelope: Envelope) -> bool:
        async with kept.database.transaction() as connection:
            return await kept.ledger.take_in(connection, envelope, "greenhouse", "key")

    first, second = note_command(1), note_command(1, ordinal="r#1")
    async with meanwhile(kept.database, committed=committed) as connection:
        assert await kept.ledger.take_in(connection, first, "greenhouse", "key")
        waiting = asyncio.create_task(take(second))
        assert await take(note_command(1, "globex"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting is not committed
    told = [decode(row.body).data for row in await kept.database.outbox.claim(most=10, lease_seconds=30)]
    assert [item.state for item in told if isinstance(item, CommandSettled)] == ["superseded"] * committed
    assert not await take(second if not committed else first)
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == []


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


async def test_of_an_account_no_more_rows_are_claimed_than_there_is_room_for_and_the_oldest_first(kept: Kept) -> None:
    await kept.take_in(*(note_command(number) for number in range(1, 5)), note_command(9, account="globex"))
    claim = partial(kept.ledger.claim_due, lease=timedelta(seconds=30), per_account=20, vendor="greenhouse")
    none = await claim(room={ACME: 0})
    some = await claim(room={ACME: 2, AccountId("globex"): 5})
    rest = await claim()
    assert [intent.account for intent in none] == ["globex"]
    assert [intent.application_id for intent in some] == [1, 2]
    assert [intent.application_id for intent in rest] == [3, 4]
    for intent in (*none, *some, *rest):
        attempt = await kept.begin(intent)
        await kept.record(intent, attempt, Occurrence.AMBIGUOUS)
    unsure = partial(kept.ledger.claim_unsure, lease=timedelta(seconds=30), per_account=20, vendor="greenhouse")
    assert {intent.account for intent in await unsure(room={ACME: 0})} == {"globex"}
    assert [intent.application_id for intent in await unsure(room={ACME: 3})] == [1, 2, 3]


async def test_what_is_put_off_is_due_together_later_says_why_and_keeps_its_order(kept: Kept) -> None:
    await kept.take_in(note_command(3), note_command(4, account="globex"))
    await kept.take_in(note_command(1), note_command(2))
    (held,) = await kept.ledger.claim_due(
        lease=timedelta(seconds=30), per_account=1, vendor="greenhouse", room={AccountId("globex"): 0}
    )
    wait = timedelta(seconds=0.3)
    assert await kept.ledger.put_off(ACME, "coderbyte", wait, "because") == 0
    assert await kept.ledger.put_off(ACME, "greenhouse", wait, "because") == 2
    assert await kept.ledger.put_off(ACME, "greenhouse", wait, "because") == 0  # they are not due
    assert {intent.account for intent in await kept.claim()} == {"globex"}
    assert await kept.begin(held) == 1  # whoever holds a row keeps it
    end = asyncio.get_running_loop().time() + 5.0
    while not (later := await kept.claim()):
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.05)
    assert [intent.application_id for intent in later] == [1, 2]
    assert [intent.cause for intent in later] == ["because"] * 2
