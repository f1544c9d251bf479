"""A restored or copied database sends nothing until a person says so: real database, real broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.conftest import Broker
from tests.databases import Databases
from tests.fakes.effects import ScriptedEffect, move_command, note_command, notes_begun_around
from tests.integration.common.bench import runner_of

from trellis.common.bus.connection import BrokerLink
from trellis.common.contracts.envelope import Envelope
from trellis.common.errors import TransientError
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.effects import Later, Ready
from trellis.common.ledger.epoch import BrokerMarks, Epoch, Epochs
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.postgres import Pool, acquired, open_pool, transaction


@dataclass
class Process:
    """What one process of an effect service has."""

    pool: Pool
    epoch: Epoch
    ledger: Ledger
    effect: ScriptedEffect

    async def take(self, *envelopes: Envelope) -> None:
        async with transaction(self.pool) as connection:
            for envelope in envelopes:
                await self.ledger.take_in(connection, envelope, "greenhouse", None)

    async def work(self, seconds: float = 0.5) -> None:
        runner = runner_of(self.pool, self.ledger, self.effect, Breakers("greenhouse", Metrics("test")))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await runner.perform_due()
            await runner.look_up_due()
            await asyncio.sleep(0.02)

    async def state(self, envelope: Envelope) -> str:
        async with acquired(self.pool) as connection:
            return str(await connection.fetchval("select state from intent where id = $1", _command(envelope)))

    async def held_by(self, envelope: Envelope) -> str | None:
        data: Any = envelope.data
        (story,) = await self.ledger.stories(envelope.accountid, data.application_id)
        return story.held_by

    async def nonces(self) -> list[UUID]:
        return await Epochs(self.pool).newest()

    async def is_restored(self) -> bool:
        found = await Epochs(self.pool).restored()
        return found is not None and found.ended_at is None


def _command(envelope: Envelope) -> UUID:
    data: Any = envelope.data
    ident: UUID = data.command_id
    return ident


@dataclass
class Place:
    """A database server and a broker."""

    stack: AsyncExitStack
    database: str
    broker: Broker

    async def process(
        self, *, database: str | None = None, broker: str | None = None, effect: ScriptedEffect | None = None
    ) -> Process:
        pool = await open_pool(database or self.database, name="t", schema="t", size=4)
        self.stack.push_async_callback(pool.close)
        link = await self.stack.enter_async_context(linked(broker or self.broker.url))
        epoch = Epoch(Epochs(pool), BrokerMarks(link, "test"), Metrics("test"))
        return Process(pool, epoch, Ledger(pool, "trellis/test", epoch), effect or ScriptedEffect())

    async def backup(self) -> str:
        """Copy the database as it is now; nobody may be connected."""
        parts = urlsplit(self.database)
        name = f"t_{uuid4().hex[:16]}"
        admin = await asyncpg.connect(parts._replace(path="/postgres").geturl())
        await admin.execute(f"create database {name} template {parts.path[1:]}")

        async def drop() -> None:
            await admin.execute(f"drop database {name} with (force)")
            await admin.close()

        self.stack.push_async_callback(drop)
        return parts._replace(path=f"/{name}").geturl()


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[BrokerLink]:
    link = BrokerLink(url, "test-epoch")
    task = asyncio.ensure_future(link.run())
    async with asyncio.timeout(10):
        await link.connection()
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def place(databases: Databases, broker: Broker) -> AsyncIterator[Place]:
    database = await databases.migrated("t", ["trellis.common.store", "trellis.common.ledger"])
    async with AsyncExitStack() as stack:
        yield Place(stack, database, broker)


async def done_once(place: Place, *envelopes: Envelope) -> Process:
    """Return a process that performed *envelopes* and moved its epoch on."""
    it = await place.process()
    await it.epoch.look()
    await it.take(*envelopes)
    await it.work()
    await it.epoch.look()
    return it


async def test_a_new_database_and_one_that_goes_on_are_no_restored_ones(place: Place) -> None:
    it = await done_once(place, note_command(1))
    assert len(it.effect.made) == 1
    again = await place.process()
    for _ in range(3):
        await again.epoch.look()
    assert not await again.is_restored()
    await again.take(note_command(2))
    await again.work()
    assert len(again.effect.made) == 1


async def test_an_epoch_begins_before_attempts_and_ends_after_them_and_its_mark_goes_with_it(place: Place) -> None:
    it = await place.process()
    await it.epoch.look()
    (first,) = await it.nonces()
    await it.epoch.look()
    assert await it.nonces() == [first], "an idle system leaves the broker alone"
    await it.take(note_command(1))
    await it.work()
    await it.epoch.look()
    newest = await it.nonces()
    assert len(newest) == 3 and newest[-1] == first
    link = await place.stack.enter_async_context(linked(place.broker.url))
    marks = BrokerMarks(link, "test")
    assert [await marks.holds(nonce) for nonce in newest] == [True, False, False]


async def test_before_the_first_look_nothing_begins(place: Place) -> None:
    it = await place.process()
    await it.take(note_command(1))
    await it.work()
    assert it.effect.made == []
    await it.epoch.look()
    await it.work(1.5)
    assert len(it.effect.made) == 1


async def test_a_process_that_died_between_epoch_and_mark_makes_no_restored_database(place: Place) -> None:
    it = await place.process()
    await it.epoch.look()
    (first,) = await it.nonces()
    await Epochs(it.pool).advance(first)  # and it died before the mark was put
    again = await place.process()
    await again.epoch.look()
    assert not await again.is_restored()


async def _restored(place: Place, later: Envelope) -> tuple[Process, ScriptedEffect]:
    """Restore a backup from before *later* was performed, and return a process on it."""
    it = await place.process()
    await it.epoch.look()
    await it.take(note_command(1), later)
    not_yet = Later(reason="not yet", wait=timedelta(milliseconds=100))
    it.effect.on_prepare = lambda intent: not_yet if intent.id == _command(later) else ready()
    await it.work()
    await it.epoch.look()
    await it.pool.close()
    backup = await place.backup()
    on = await place.process(effect=it.effect)
    on.effect.on_prepare = lambda _: ready()
    await on.epoch.look()
    await on.work(1.5)
    await on.epoch.look()
    assert _command(later) in on.effect.made
    restored = await place.process(database=backup, effect=it.effect)
    await restored.epoch.look()
    return restored, it.effect


def ready() -> Ready:
    return Ready(request="r", read_at=time.monotonic())


async def test_a_restored_backup_sends_nothing_and_finds_what_it_does_not_know(place: Place) -> None:
    later = note_command(2)
    restored, effect = await _restored(place, later)
    assert await restored.is_restored()
    made = list(effect.made)
    fresh = note_command(3)
    await restored.take(fresh)
    for _ in range(20):
        await restored.work()
        if await restored.state(fresh) != "unknown":
            break
    assert effect.made == made
    assert await restored.state(later) == "done", "the look-up found it"
    assert await restored.state(fresh) == "waiting", "proven absent, and held"
    assert "restored" in (await restored.held_by(fresh) or "")
    assert await Epochs(restored.pool).end("test")
    await restored.work(0.3)
    assert effect.made == made, "nothing before the new epoch is marked"
    await restored.epoch.look()
    await restored.work(2.0)
    assert sorted(map(str, effect.made)) == sorted(map(str, [*made, _command(fresh)]))
    await restored.epoch.look()
    assert not await restored.is_restored()


async def test_after_the_end_only_what_belongs_to_the_time_before_is_looked_up_first(place: Place) -> None:
    restored, _ = await _restored(place, note_command(2))
    await Epochs(restored.pool).end("test")
    old, unknown, new = notes_begun_around(datetime.now(UTC))
    move = move_command(7)
    await restored.take(old, unknown, new, move)
    assert [await restored.state(one) for one in (old, unknown, new, move)] == [
        "unknown", "unknown", "waiting", "waiting",
    ]  # fmt: skip


async def test_a_copy_beside_another_broker_sends_nothing(place: Place) -> None:
    it = await done_once(place, note_command(1))
    await it.take(note_command(2))
    await it.pool.close()
    copy = await place.backup()
    parts = urlsplit(place.broker.url)
    elsewhere = await place.process(database=copy, broker=parts._replace(path="/").geturl())
    await elsewhere.epoch.look()
    assert await elsewhere.is_restored()
    elsewhere.effect.made = it.effect.made
    before = list(it.effect.made)
    await elsewhere.work(1.0)
    assert it.effect.made == before


async def test_a_database_that_is_replaced_under_a_running_process_is_noticed_by_the_next_attempt(place: Place) -> None:
    it = await done_once(place, note_command(1))
    await it.take(note_command(2))
    async with transaction(it.pool) as connection:  # an older state of the database, before anybody looked again
        await connection.execute("delete from epoch where nonce = $1", (await it.nonces())[0])
    await it.work()
    assert len(it.effect.made) == 1
    await it.epoch.look()
    assert await it.is_restored()


async def test_while_the_broker_is_away_nothing_changes(place: Place) -> None:
    it = await done_once(place, note_command(1))
    link = BrokerLink(place.broker.url, "never-up")
    lost = Epoch(Epochs(it.pool), BrokerMarks(link, "test"), Metrics("test"))
    with pytest.raises(TransientError):
        await lost.look()
    assert not await it.is_restored()
    assert lost.of_attempt() is None
