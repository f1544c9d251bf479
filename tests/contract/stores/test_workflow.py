"""One suite for the workflow's store, on PostgreSQL and on the twin: log, read model, timers and what races do to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from simulation.process import Process
from simulation.twins.memory import Memory
from simulation.twins.workflow import MemoryStore
from tests.contract.stores.races import both, meanwhile
from tests.databases import Databases
from tests.fakes.effects import note_command
from tests.fakes.histories import DOCUMENT

from trellis.common.contracts.facts import FoundBy
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, StageId, Visit, stream_id
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.errors import ConflictError
from trellis.common.store.postgres import Connection, open_pool, transaction
from trellis.workflow.adapters.definition_store import put_definitions
from trellis.workflow.adapters.event_store import Appended
from trellis.workflow.adapters.postgres_store import PostgresStore
from trellis.workflow.adapters.timer_store import Timer
from trellis.workflow.app import SERVICE
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application, StageVisit
from trellis.workflow.domain.compiling import compile_workflow
from trellis.workflow.domain.diagnosis import Missed
from trellis.workflow.store import Store

ACME, GLOBEX = AccountId("acme"), AccountId("globex")
ONE, TWO = ApplicationId(1), ApplicationId(2)
PERSON = CandidateId(7)
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
WORKFLOW = WorkflowDocument.model_validate(DOCUMENT)


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Store]:
    if request.param == "memory":
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        yield MemoryStore(Memory(lambda: datetime.now(UTC)), process, compile_workflow(WORKFLOW, 1))
        return
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema, size=6)
    async with transaction(pool) as connection:
        for account in (ACME, GLOBEX):
            await put_definitions(connection, account, [WORKFLOW], {})
    yield PostgresStore(pool)
    await pool.close()


def event(number: int) -> e.Event:
    return e.StageSettled(visit=Visit(f"n{number}"))


def appended(expected: int, *numbers: int, account: AccountId = ACME, application: ApplicationId = ONE) -> Appended:
    return Appended(
        account=account,
        stream=stream_id(account, application),
        expected=expected,
        events=[event(number) for number in numbers],
        handled_at=START + timedelta(seconds=expected),
        message_id=UUID(int=expected),
        message=f"message {expected}".encode(),
        correlationid=f"c{expected}",
    )


def state(application: ApplicationId, person: CandidateId | None = PERSON, account: AccountId = ACME) -> Application:
    return Application(account=account, application_id=application, known=True, candidate_id=person)


def timer(application: ApplicationId, seconds: float = 0, visit: str = "n1", account: AccountId = ACME) -> Timer:
    return Timer(
        account=account,
        application_id=application,
        visit=Visit(visit),
        due_at=START + timedelta(seconds=seconds),
        correlationid=f"of {visit}",
    )


async def append(store: Store, *batch: Appended) -> None:
    async with store.transaction() as connection:
        await store.append(connection, batch)


async def schedule(store: Store, *timers: Timer) -> None:
    async with store.transaction() as connection:
        await store.schedule(connection, timers)


async def told(store: Store, connection: Connection, account: AccountId = ACME, one: ApplicationId = ONE) -> list[str]:
    """Return what a stream tells by *connection*: each event's visit."""
    stream = stream_id(account, one)
    recorded = (await store.load(connection, [stream]))[stream]
    assert [item.version for item in recorded] == list(range(1, len(recorded) + 1))
    return [item.event.visit for item in recorded if isinstance(item.event, e.StageSettled)]


async def log_of(store: Store, account: AccountId = ACME, one: ApplicationId = ONE) -> list[str]:
    async with store.acquired() as connection:
        return await told(store, connection, account, one)


async def due(store: Store, seconds: float = 1e6) -> list[Timer]:
    async with store.acquired() as connection:
        return await store.due(connection, START + timedelta(seconds=seconds))


async def write_everything(store: Store, connection: Connection) -> None:
    assert len(await store.take_in(connection, [note_command()])) == 1
    await store.append(connection, [appended(0, 1, 2)])
    await store.project(connection, [(state(ONE), 2)])
    await store.schedule(connection, [timer(ONE)])
    await store.put_out(connection, [note_command()])


async def seen(store: Store, connection: Connection) -> tuple[Any, ...]:
    return (
        await told(store, connection),
        await store.applications_of(connection, [(ACME, PERSON)]),
        await store.due(connection, START),
        await store.next_due(connection),
    )


NOTHING = ([], {}, [], None)
EVERYTHING = (["n1", "n2"], {(ACME, PERSON): [ONE]}, [timer(ONE)], START)


class TestTransactions:
    async def test_what_is_rolled_back_was_never_there(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError):
            async with store.transaction() as connection:
                await write_everything(store, connection)
                raise ZeroDivisionError
        async with store.acquired() as connection:
            assert await seen(store, connection) == NOTHING
        assert await store.outbox.claim(most=10, lease_seconds=30) == []
        async with store.transaction() as connection:
            await write_everything(store, connection)
        async with store.acquired() as connection:
            assert await seen(store, connection) == EVERYTHING
        assert len(await store.outbox.claim(most=10, lease_seconds=30)) == 1

    async def test_a_transaction_sees_what_it_wrote_and_nobody_else_does_until_it_is_committed(
        self, store: Store
    ) -> None:
        async with store.transaction() as connection:
            await write_everything(store, connection)
            assert await seen(store, connection) == EVERYTHING
            async with store.acquired() as other:
                assert await seen(store, other) == NOTHING
            assert await store.outbox.claim(most=10, lease_seconds=30) == []
        async with store.acquired() as other:
            assert await seen(store, other) == EVERYTHING

    async def test_each_statement_sees_what_others_committed_since_the_transaction_began(self, store: Store) -> None:
        async with store.transaction() as connection:
            assert await seen(store, connection) == NOTHING
            async with store.transaction() as other:
                await write_everything(store, other)
            assert await seen(store, connection) == EVERYTHING


class TestLog:
    async def test_events_come_back_in_order_with_what_they_were_decided_on(self, store: Store) -> None:
        before = datetime.now(UTC) - timedelta(seconds=5)
        await append(store, appended(2, 3), appended(0, 1, 2), appended(0, 9, application=TWO))
        streams = [stream_id(ACME, TWO), stream_id(ACME, ONE), uuid4()]
        async with store.acquired() as connection:
            found = await store.load(connection, streams)
        assert {stream: [item.event for item in events] for stream, events in found.items()} == {
            streams[0]: [event(9)],
            streams[1]: [event(1), event(2), event(3)],
            streams[2]: [],
        }
        recorded = found[streams[1]]
        assert [item.version for item in recorded] == [1, 2, 3]
        assert [item.handled_at for item in recorded] == [START, START, START + timedelta(seconds=2)]
        assert [item.message_id for item in recorded] == [UUID(int=0), UUID(int=0), UUID(int=2)]
        assert [item.correlationid for item in recorded] == ["c0", "c0", "c2"]
        assert [item.message for item in recorded] == [None, None, None]
        assert all(before < item.recorded_at < datetime.now(UTC) + timedelta(seconds=5) for item in recorded)

    async def test_of_two_batches_decided_on_one_version_the_second_is_told_of_a_conflict(self, store: Store) -> None:
        await append(store, appended(0, 1))
        with pytest.raises(ConflictError):
            await append(store, appended(0, 2))
        await append(store, appended(1, 2))
        with pytest.raises(ConflictError):
            await append(store, appended(1, 3, 4))
        assert await log_of(store) == ["n1", "n2"]

    async def test_when_one_stream_of_a_batch_lost_its_race_none_is_written(self, store: Store) -> None:
        await append(store, appended(0, 1))
        with pytest.raises(ConflictError):
            await append(store, appended(0, 5, application=TWO), appended(0, 6))
        assert await log_of(store, one=TWO) == []
        assert await log_of(store) == ["n1"]

    async def test_accounts_with_equal_ids_have_streams_of_their_own(self, store: Store) -> None:
        await append(store, appended(0, 1), appended(0, 2, account=GLOBEX))
        assert await log_of(store) == ["n1"]
        assert await log_of(store, GLOBEX) == ["n2"]

    @pytest.mark.parametrize(("committed", "second", "log"), [(True, ConflictError, ["n1"]), (False, None, ["n2"])])
    async def test_a_second_writer_waits_for_the_first_and_wins_only_if_that_is_rolled_back(
        self, store: Store, committed: bool, second: type[BaseException] | None, log: list[str]
    ) -> None:
        async with meanwhile(store, committed=committed) as connection:
            await store.append(connection, [appended(0, 1)])
            waiting = asyncio.create_task(both(append(store, appended(0, 2))))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert await waiting == [second]
        assert await log_of(store) == log

    async def test_of_two_who_wait_for_each_others_stream_one_is_told_of_a_conflict(self, store: Store) -> None:
        met = asyncio.Barrier(2)

        async def write(first: Sequence[Appended], then: Sequence[Appended]) -> None:
            async with store.transaction() as connection:
                await store.append(connection, first)
                await met.wait()
                await store.append(connection, then)

        of_two = [appended(0, 2, application=TWO)]
        said = await both(write([appended(0, 1)], of_two), write(of_two, [appended(0, 1)]))
        assert sorted(map(str, said)) == sorted(map(str, [None, ConflictError]))
        assert (await log_of(store), await log_of(store, one=TWO)) == (["n1"], ["n2"])


class TestReadModel:
    async def test_the_applications_of_a_candidate_come_in_order_and_of_its_account_only(self, store: Store) -> None:
        async with store.transaction() as connection:
            await store.project(connection, [(state(TWO), 1)])
            await store.project(connection, [(state(ONE), 1), (state(ONE, account=GLOBEX), 1)])
            await store.project(connection, [(state(ApplicationId(3), CandidateId(8)), 1)])
        async with store.acquired() as connection:
            found = await store.applications_of(connection, [(ACME, PERSON), (ACME, CandidateId(99))])
        assert found == {(ACME, PERSON): [ONE, TWO]}

    async def test_an_application_follows_its_candidate(self, store: Store) -> None:
        async with store.transaction() as connection:
            await store.project(connection, [(state(ONE), 1)])
        async with store.transaction() as connection:
            await store.project(connection, [(state(ONE, CandidateId(8)), 2)])
            pairs = [(ACME, PERSON), (ACME, CandidateId(8))]
            assert await store.applications_of(connection, pairs) == {(ACME, CandidateId(8)): [ONE]}

    async def test_what_only_reconciliation_found_since_a_webhook_last_told_is_counted(self, store: Store) -> None:
        def visiting(number: int, found_by: FoundBy, minutes: int | None, **more: Any) -> tuple[Application, int]:
            visit = StageVisit(
                name=Visit("n1"),
                stage_id=StageId(7),
                stage_name=None,
                job_id=None,
                entered_at=None if minutes is None else START + timedelta(minutes=minutes),
                pins={},
                entry_seen=True,
                found_by=found_by,
            )
            return replace(state(ApplicationId(number), account=more.pop("account", ACME)), visit=visit, **more), 1

        found, told = FoundBy.RECONCILIATION, FoundBy.WEBHOOK
        async with store.transaction() as connection:
            await store.project(connection, [visiting(1, found, 1), visiting(2, found, 2)])
        async with store.acquired() as connection:
            first = Missed(count=2, since=START + timedelta(minutes=1))
            assert await store.missed(connection, ACME, START) == first
            assert await store.missed(connection, ACME, START + timedelta(minutes=2)) == Missed(count=0, since=None)
        async with store.transaction() as connection:
            rest = [visiting(3, told, 3), visiting(4, found, 4), visiting(5, FoundBy.READING, 5)]
            rest += [
                visiting(6, found, None),
                visiting(7, found, 7, deleted=True),
                visiting(8, found, 8, account=GLOBEX),
            ]
            await store.project(connection, rest)
        async with store.acquired() as connection:
            assert await store.missed(connection, ACME, START) == Missed(count=1, since=START + timedelta(minutes=3))
            assert list(await store.accounts(connection)) == [ACME, GLOBEX]

    async def test_a_second_writer_of_an_application_waits_for_the_first(self, store: Store) -> None:
        async def project(person: int) -> None:
            async with store.transaction() as connection:
                await store.project(connection, [(state(ONE, CandidateId(person)), 2)])

        async with meanwhile(store) as connection:
            await store.project(connection, [(state(ONE), 1)])
            waiting = asyncio.create_task(project(8))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await waiting
        async with store.acquired() as connection:
            assert await store.applications_of(connection, [(ACME, CandidateId(8))]) == {(ACME, CandidateId(8)): [ONE]}


class TestTimers:
    async def test_due_timers_come_oldest_first_and_stay_until_they_are_removed(self, store: Store) -> None:
        late, soon, other = timer(ONE, 20), timer(TWO, 10), timer(ONE, 15, account=GLOBEX)
        await schedule(store, late, soon, other)
        assert await due(store, 9.9) == []
        assert await due(store, 10) == [soon]
        assert await due(store, 30) == await due(store, 30) == [soon, other, late]
        async with store.transaction() as connection:
            assert await store.next_due(connection) == soon.due_at
            await store.remove(connection, [soon, other])
        assert await due(store) == [late]

    async def test_of_many_due_timers_the_oldest_come_in_portions(self, store: Store) -> None:
        await schedule(store, *(timer(ApplicationId(number), number) for number in range(203)))
        first = await due(store)
        assert [item.application_id for item in first] == list(range(200))
        async with store.transaction() as connection:
            await store.remove(connection, first)
        assert [item.application_id for item in await due(store)] == [200, 201, 202]

    async def test_a_timer_set_anew_is_another_generation_that_the_old_ones_end_leaves_alone(
        self, store: Store
    ) -> None:
        await schedule(store, timer(ONE, 10))
        (old,) = await due(store)
        await schedule(store, timer(ONE, 30, "n2"))
        async with store.transaction() as connection:
            await store.remove(connection, [old])
            await store.put_off(connection, old, timedelta(hours=1))
        (new,) = await due(store)
        assert new == replace(timer(ONE, 30, "n2"), generation=2)
        assert new.message_id != old.message_id

    async def test_a_timer_that_is_put_off_waits_so_much_longer(self, store: Store) -> None:
        await schedule(store, timer(ONE, 10), timer(ONE, 12, account=GLOBEX))
        async with store.transaction() as connection:
            await store.put_off(connection, timer(ONE), timedelta(seconds=60))
            assert await store.next_due(connection) == START + timedelta(seconds=12)
        assert [item.due_at for item in await due(store)] == [
            START + timedelta(seconds=seconds) for seconds in (12, 70)
        ]

    async def test_who_removes_a_timer_that_is_being_set_anew_waits_and_leaves_it(self, store: Store) -> None:
        await schedule(store, timer(ONE, 10))
        (old,) = await due(store)

        async def remove() -> None:
            async with store.transaction() as connection:
                await store.remove(connection, [old])

        async with meanwhile(store) as connection:
            await store.schedule(connection, [timer(ONE, 30, "n2")])
            waiting = asyncio.create_task(remove())
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await waiting
        assert await due(store) == [replace(timer(ONE, 30, "n2"), generation=2)]

    async def test_two_who_set_one_timer_at_once_set_it_one_after_the_other(self, store: Store) -> None:
        async with meanwhile(store) as connection:
            await store.schedule(connection, [timer(ONE, 10)])
            waiting = asyncio.create_task(schedule(store, timer(ONE, 30, "n2")))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await waiting
        assert await due(store) == [replace(timer(ONE, 30, "n2"), generation=2)]


class TestDefinitionsAndClock:
    async def test_decisions_see_the_live_version_and_those_that_visits_are_pinned_to(self, store: Store) -> None:
        async with store.acquired() as connection:
            found = await store.workflows(connection, [ACME, GLOBEX], {(ACME, WORKFLOW.name, 1)})
        for account in (ACME, GLOBEX):
            (live,) = found[account].live
            assert live == compile_workflow(WORKFLOW, 1)
            assert found[account].versions == {(WORKFLOW.name, 1): live}

    async def test_the_stores_clock_is_aware_and_never_goes_back_within_a_transaction(self, store: Store) -> None:
        async with store.transaction() as connection:
            first = await store.now(connection)
            await asyncio.sleep(0.01)
            second = await store.now(connection)
        assert first.utcoffset() == timedelta(0)
        assert first < second
        assert abs(second - datetime.now(UTC)) < timedelta(seconds=5)
