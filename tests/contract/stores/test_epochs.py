"""One suite for epochs and for what the ledger does after a restore, on PostgreSQL and on the twins; and the watch itself."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from simulation.process import Process
from simulation.twins.epochs import MemoryEpochs, MemoryMarks
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Memory, Session
from tests.databases import Databases
from tests.fakes.effects import move_command, note_command, notes_begun_around

from trellis.common.contracts.envelope import Envelope
from trellis.common.errors import BrokerAwayError, StoreAwayError
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.epoch import Epoch, Epochs, EpochStore
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.postgres import open_pool

FIRST, OTHER = UUID(int=1), UUID(int=2)


@dataclass
class Present:
    """Says which epoch is the present one, and counts how often it was to be renewed."""

    known: UUID | None = None
    renewed: int = 0

    async def renew(self) -> None:
        self.renewed += 1

    def of_attempt(self) -> UUID | None:
        return self.known


@dataclass
class Kept:
    """The ports under test; *present* is the epoch that attempts rest on."""

    database: Database
    epochs: EpochStore
    ledger: LedgerStore
    present: Present

    async def take_in(self, *envelopes: Envelope) -> None:
        async with self.database.transaction() as connection:
            for envelope in envelopes:
                await self.ledger.take_in(connection, envelope, "greenhouse", None)

    async def row(self, envelope: Envelope) -> Intent:
        async with self.database.transaction() as connection:
            data: Any = envelope.data
            found = await self.ledger.held(connection, data.command_id, envelope.accountid)
        assert found is not None
        return found

    async def states(self, *envelopes: Envelope) -> list[State]:
        return [(await self.row(one)).state for one in envelopes]

    async def record(self, intent: Intent, attempt: int, occurrence: Occurrence) -> None:
        async with self.ledger.transaction() as connection:
            await self.ledger.record(connection, intent, attempt, Change(occurrence=occurrence, reason="because"))

    async def claimed(self) -> list[Intent]:
        return await self.ledger.claim_due(lease=timedelta(seconds=30), per_account=20, vendor="greenhouse")

    async def begin(self, intent: Intent) -> Any:
        return await self.ledger.begin(intent, deadline_seconds=30.0, cap=None, resolved={})


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Kept]:
    present = Present()
    if request.param == "memory":
        session = Session(Memory(lambda: datetime.now(UTC)), Process("t", random.Random(1), print, lambda: False))
        yield Kept(session, MemoryEpochs(session, uuid4), MemoryLedger(session, "trellis/test", present), present)
        return
    database = await databases.migrated("contract", ["trellis.common.store", "trellis.common.ledger"])
    pool = await open_pool(database, name="test", schema="contract", size=4)
    yield Kept(PostgresDatabase(pool), Epochs(pool), Ledger(pool, "trellis/test", present), present)
    await pool.close()


async def test_a_database_has_one_first_epoch_and_the_next_begins_after_the_present_one(kept: Kept) -> None:
    assert await kept.epochs.newest() == []
    await kept.epochs.begin_first(FIRST)
    await kept.epochs.begin_first(OTHER)
    assert await kept.epochs.newest() == [FIRST]
    await kept.epochs.advance(OTHER)
    assert await kept.epochs.newest() == [FIRST]
    await kept.epochs.advance(FIRST)
    newest = await kept.epochs.newest()
    assert (len(newest), newest[1]) == (2, FIRST)


async def test_an_attempt_begins_only_in_a_database_that_knows_its_epoch(kept: Kept) -> None:
    await kept.epochs.begin_first(FIRST)
    await kept.take_in(note_command())
    (intent,) = await kept.claimed()
    assert await kept.begin(intent) is None
    kept.present.known = OTHER
    assert await kept.begin(intent) is None
    kept.present.known = FIRST
    assert await kept.begin(intent) == 1


async def test_restored_mode_doubts_what_may_have_happened_and_nothing_begins_in_it(kept: Kept) -> None:
    await kept.epochs.begin_first(FIRST)
    kept.present.known = FIRST
    waiting, parked, done, move = note_command(1), note_command(2), note_command(3), move_command(4)
    await kept.take_in(waiting, parked, done, move)
    for envelope, occurrence in ((parked, Occurrence.BLOCKED), (done, Occurrence.OVERTAKEN)):
        intent = await kept.row(envelope)
        await kept.record(intent, 0, occurrence)
    assert not await kept.epochs.enter(OTHER)
    assert await kept.epochs.restored() is None
    assert await kept.epochs.enter(FIRST)
    assert not await kept.epochs.enter(FIRST)
    restored = await kept.epochs.restored()
    assert restored is not None and restored.ended_at is None
    assert await kept.states(waiting, parked, done, move) == [
        State.UNKNOWN, State.UNKNOWN, State.SUPERSEDED, State.WAITING,
    ]  # fmt: skip
    assert (await kept.row(waiting)).attempted_at == restored.as_of
    assert await kept.claimed() == []
    fresh = note_command(5)
    await kept.take_in(fresh)
    assert await kept.states(fresh) == [State.UNKNOWN]


async def test_the_end_of_restored_mode_doubts_once_more_and_begins_anew(kept: Kept) -> None:
    await kept.epochs.begin_first(FIRST)
    assert not await kept.epochs.end("nobody")
    await kept.epochs.enter(FIRST)
    absent, move = note_command(1), move_command(2)
    await kept.take_in(absent, move)
    await kept.record(await kept.row(absent), 0, Occurrence.ABSENT)
    assert await kept.states(absent) == [State.WAITING]
    assert await kept.epochs.end("somebody")
    assert not await kept.epochs.end("somebody")
    assert await kept.epochs.newest() == []
    assert await kept.states(absent) == [State.UNKNOWN]
    ended = await kept.epochs.restored()
    assert ended is not None and ended.ended_at is not None and ended.by == "somebody"


async def test_after_the_end_only_what_may_be_from_before_is_looked_up_first(kept: Kept) -> None:
    await kept.epochs.begin_first(FIRST)
    await kept.epochs.enter(FIRST)
    await kept.epochs.end("somebody")
    old, unknown, new = notes_begun_around(datetime.now(UTC))
    move = move_command(7)
    await kept.take_in(old, unknown, new, move)
    assert await kept.states(old, unknown, new, move) == [
        State.UNKNOWN, State.UNKNOWN, State.WAITING, State.WAITING,
    ]  # fmt: skip


async def test_what_was_sent_before_the_backup_is_sent_again_when_restored_mode_begins(kept: Kept) -> None:
    await kept.epochs.begin_first(FIRST)
    async with kept.database.transaction() as connection:
        await kept.database.put_out(connection, [note_command(1)])
    (sent,) = await kept.database.outbox.claim(most=10, lease_seconds=30)
    await kept.database.outbox.settle([sent.position], [])
    assert await kept.database.outbox.claim(most=10, lease_seconds=30) == []
    await kept.epochs.enter(FIRST)
    (again,) = await kept.database.outbox.claim(most=10, lease_seconds=30)
    assert again.body == sent.body


# -- the watch


class Marks(MemoryMarks):
    """Marks beside which something happens at the first question."""

    def __init__(self) -> None:
        self.names: set[UUID] = set()
        super().__init__(self.names, Process("t", random.Random(1), print, lambda: False), lambda: False)
        self.meanwhile: Callable[[], Any] | None = None

    async def holds(self, nonce: UUID) -> bool:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return await super().holds(nonce)


async def test_a_look_that_another_process_overtakes_begins_no_restored_mode(kept: Kept) -> None:
    marks = Marks()
    slow, quick = (Epoch(kept.epochs, marks, Metrics("test")) for _ in range(2))
    await quick.look()
    quick.of_attempt()
    marks.meanwhile = quick.look  # it moves on to the next epoch, and takes the mark of this one away
    await slow.look()
    assert await kept.epochs.restored() is None


async def test_a_look_during_which_a_person_ends_restored_mode_begins_none_anew(kept: Kept) -> None:
    marks = Marks()
    epoch = Epoch(kept.epochs, marks, Metrics("test"))
    await epoch.look()
    marks.names.clear()
    await epoch.look()

    async def end() -> None:
        assert await kept.epochs.end("somebody")

    marks.meanwhile = end
    await epoch.look()
    restored = await kept.epochs.restored()
    assert restored is not None and restored.ended_at is not None


async def test_an_epoch_begins_before_the_attempts_that_rest_on_it_and_serves_those_of_a_short_while(
    kept: Kept,
) -> None:
    marks = Marks()
    epoch = Epoch(kept.epochs, marks, Metrics("test"))
    await epoch.look()
    (first,) = await kept.epochs.newest()
    await epoch.renew()
    assert first not in marks.names, "a backup from before the attempts must count as restored, whatever dies now"
    (second, *_) = await kept.epochs.newest()
    assert marks.names == {second} == {epoch.of_attempt()}
    await epoch.renew()
    assert marks.names == {second}


async def test_while_nobody_can_mark_an_epoch_no_attempt_begins(kept: Kept) -> None:
    marks = Marks()
    epoch = Epoch(kept.epochs, marks, Metrics("test"))
    await epoch.look()
    (first,) = await kept.epochs.newest()

    async def away() -> None:
        raise BrokerAwayError("the broker is away")

    marks.meanwhile = away
    await epoch.renew()
    assert epoch.of_attempt() is None
    await epoch.renew()
    assert first not in marks.names
    assert {epoch.of_attempt()} == marks.names


async def test_an_epoch_that_nobody_used_serves_no_attempt_of_later(kept: Kept) -> None:
    marks = Marks()
    epoch = Epoch(kept.epochs, marks, Metrics("test"))
    await epoch.look()
    await epoch.renew()
    await epoch.look()  # what was claimed may still begin
    (used, *_) = await kept.epochs.newest()
    assert epoch.of_attempt() == used
    await epoch.look()
    await epoch.look()
    assert epoch.of_attempt() is None
    await epoch.renew()
    assert used not in marks.names


async def test_claiming_renews_the_epoch_if_there_is_something_to_attempt(kept: Kept) -> None:
    assert await kept.claimed() == []
    assert kept.present.renewed == 0
    await kept.take_in(note_command(1))
    assert len(await kept.claimed()) == 1
    assert kept.present.renewed == 1


async def test_an_attempt_of_a_process_that_died_ends_its_epoch_too(kept: Kept) -> None:
    marks = Marks()
    died, after = (Epoch(kept.epochs, marks, Metrics("test")) for _ in range(2))
    await died.look()
    (first,) = await kept.epochs.newest()
    died.of_attempt()
    await after.look()
    assert first not in marks.names, "a backup from before the attempt must count as restored"


async def test_an_epoch_that_could_not_be_ended_ends_at_the_next_look(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = Marks()
    epoch = Epoch(kept.epochs, marks, Metrics("test"))
    await epoch.look()
    (first,) = await kept.epochs.newest()
    epoch.of_attempt()

    async def away(after: UUID) -> None:
        raise StoreAwayError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(kept.epochs, "advance", away)
        with pytest.raises(StoreAwayError):
            await epoch.look()
    await epoch.look()
    assert first not in marks.names


async def test_a_mark_that_nobody_can_read_changes_nothing() -> None:
    marks = MemoryMarks(set(), Process("t", random.Random(1), print, lambda: False), lambda: True)
    with pytest.raises(BrokerAwayError):
        await marks.holds(FIRST)
