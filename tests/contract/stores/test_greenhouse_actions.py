"""One suite for what greenhouse-actions keeps, on PostgreSQL and on the twins: questions, people, pauses, moves, stages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from simulation.process import Process
from simulation.twins import greenhouse_actions as twins
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Memory, Session
from tests.contract.stores.races import meanwhile
from tests.databases import Databases
from tests.fakes.effects import note_command

from trellis.common.contracts.commands import MoveApplication, Origin
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateAnonymized, CandidateMerged
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    CandidateId,
    JobId,
    StageId,
    Visit,
    command_id,
    stable_id,
)
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent, Unauthorized
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.postgres import open_pool
from trellis.greenhouse_actions.adapters.candidate_store import Anonymizations, CandidateStore
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore
from trellis.greenhouse_actions.adapters.known_store import KnownStore
from trellis.greenhouse_actions.adapters.own_moves import LedgerMoves, OwnMoves
from trellis.greenhouse_actions.adapters.stage_cache import StageCache, StageStore
from trellis.greenhouse_actions.app import SERVICE
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.readings import JobStage
from trellis.greenhouse_actions.domain.stages import TO_STAGE
from trellis.greenhouse_actions.invites import PausesOf
from trellis.greenhouse_actions.known import Known, Questions
from trellis.greenhouse_actions.pauses import LedgerPauses, Pauses
from trellis.greenhouse_actions.questions import Question

ACME, GLOBEX = AccountId("acme"), AccountId("globex")
JANE, JOHN, JIM = CandidateId(100), CandidateId(200), CandidateId(300)
LEASE, SOON, LATER = timedelta(seconds=30), timedelta(seconds=0.5), timedelta(hours=1)
AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
IDS = UUID(int=4)


@dataclass
class Kept:
    """The ports under test."""

    database: Database
    ledger: LedgerStore
    known: Known
    questions: Questions
    candidates: Anonymizations
    pauses: Pauses
    paused: PausesOf
    moves: OwnMoves
    stages: StageStore

    async def ask(self, *questions: Question) -> None:
        async with self.database.transaction() as connection:
            for question in questions:
                await self.known.ask(connection, question)

    async def claim(self, lease: timedelta = LEASE, per_account: int = 20) -> list[Question]:
        found = await self.questions.claim(per_account=per_account, lease=lease)
        return sorted(found, key=lambda question: (question.account_id, question.application_id))

    async def anonymized(self, who: CandidateId, *fields: str, at: datetime = AT, account: AccountId = ACME) -> None:
        async with self.database.transaction() as connection:
            fact = CandidateAnonymized(candidate_id=who, fields=fields)
            await self.known.record_anonymized(connection, account, fact, at)

    async def merged(self, who: CandidateId, into: CandidateId, account: AccountId = ACME) -> None:
        async with self.database.transaction() as connection:
            fact = CandidateMerged(candidate_id=who, into_candidate_id=into)
            await self.known.record_merged(connection, account, fact)

    async def drop(self, account: AccountId, job: int | None, stage: int | None = None) -> None:
        async with self.database.transaction() as connection:
            of_job = None if job is None else JobId(job)
            await self.known.drop_stages(connection, account, of_job, None if stage is None else StageId(stage))

    async def intents(self) -> list[Intent]:
        return await self.ledger.claim_due(lease=LEASE, per_account=20, vendor=VENDOR)

    async def take_in(self, *envelopes: Envelope) -> None:
        async with self.database.transaction() as connection:
            for envelope in envelopes:
                await self.ledger.take_in(connection, envelope, VENDOR, None)

    async def begin(self, intent: Intent, to_stage: int | None = 9) -> None:
        resolved = {} if to_stage is None else {TO_STAGE: to_stage}
        assert await self.ledger.begin(intent, deadline_seconds=30, cap=None, resolved=resolved) is not None

    async def record(self, intent: Intent, occurrence: Occurrence) -> None:
        async with self.database.transaction() as connection:
            await self.ledger.record(connection, intent, 1, Change(occurrence=occurrence, reason="because"))


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Kept]:
    if request.param == "memory":
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        session = Session(Memory(lambda: datetime.now(UTC)), process)
        ledger, known = MemoryLedger(session, "trellis/test"), twins.MemoryKnown(session)
        pauses = twins.MemoryPauses(session, ledger)
        yield Kept(
            session, ledger, known, known, twins.MemoryCandidates(session), pauses, pauses, twins.MemoryMoves(session),
            twins.MemoryStages(session),
        )  # fmt: skip
        return
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema, size=6)
    table, store = Ledger(pool, "trellis/test"), KnownStore(pool)
    yield Kept(
        PostgresDatabase(pool), table, store, store, CandidateStore(pool), LedgerPauses(pool, table),
        ConnectionStore(pool, Sealer(Keyring.generate()), table), LedgerMoves(pool), StageCache(pool),
    )  # fmt: skip
    await pool.close()


def question(application: int = 1, account: AccountId = ACME) -> Question:
    return Question(
        command_id=uuid5(IDS, f"{account}/{application}"),
        account_id=account,
        application_id=ApplicationId(application),
        correlationid="c-1",
        causationid="m-1",
    )


def move(application: int = 1, visit: str = "n1", account: AccountId = ACME) -> Envelope:
    ident = command_id(account, ApplicationId(application), Visit(visit), "move", "r#0")
    data = MoveApplication(
        command_id=ident,
        application_id=ApplicationId(application),
        candidate_id=JANE,
        job_id=JobId(1),
        visit=Visit(visit),
        from_stage_id=StageId(7),
        origin=Origin(workflow="w", version=1, rule="r", reason="because"),
    )
    return Envelope(
        id=stable_id("message", ident), source="trellis/workflow", accountid=account, time=AT, data=data,
        correlationid="c",
    )  # fmt: skip


class TestQuestions:
    async def test_a_question_asked_twice_is_claimed_once_as_it_was_asked(self, kept: Kept) -> None:
        await kept.ask(question(), question())
        await kept.ask(replace(question(), causationid="another"))
        assert await kept.claim() == [question()]
        assert await kept.claim() == []

    async def test_a_question_that_is_rolled_back_was_never_asked(self, kept: Kept) -> None:
        with pytest.raises(ZeroDivisionError):
            async with kept.database.transaction() as connection:
                await kept.known.ask(connection, question())
                assert await kept.claim() == []
                raise ZeroDivisionError
        assert await kept.claim() == []

    async def test_who_asks_what_is_being_asked_waits_and_asks_nothing_more(self, kept: Kept) -> None:
        async with meanwhile(kept.database) as connection:
            await kept.known.ask(connection, question())
            waiting = asyncio.create_task(kept.ask(question()))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await waiting
        assert await kept.claim() == [question()]

    async def test_a_lease_that_ended_is_claimed_again(self, kept: Kept) -> None:
        await kept.ask(question())
        assert await kept.claim(timedelta(seconds=0.5)) == [question()]
        assert await kept.claim() == []
        await asyncio.sleep(0.6)
        assert await kept.claim() == [question()]

    async def test_of_each_account_the_oldest_come_first_and_no_more_than_its_share(self, kept: Kept) -> None:
        for number in (3, 1, 2):
            await kept.ask(question(number), question(number, GLOBEX))
        await kept.claim()
        for number in (3, 1, 2):
            await kept.questions.postpone([question(number)], "later", timedelta(seconds=-number))
            await kept.questions.postpone([question(number, GLOBEX)], "later", timedelta(seconds=-number))
        found = await kept.claim(per_account=2)
        assert [(item.account_id, item.application_id) for item in found] == [
            (ACME, 2),
            (ACME, 3),
            (GLOBEX, 2),
            (GLOBEX, 3),
        ]
        assert [item.application_id for item in await kept.claim(per_account=2)] == [1, 1]

    async def test_two_who_claim_at_once_share_nothing(self, kept: Kept) -> None:
        await kept.ask(*(question(number) for number in range(10)))
        shares = await asyncio.gather(*(kept.claim(per_account=4) for _ in range(4)))
        claimed = [item.application_id for share in shares for item in share]
        while rest := await kept.claim(per_account=4):
            claimed += [item.application_id for item in rest]
        assert sorted(claimed) == list(range(10))

    async def test_a_question_that_is_postponed_comes_again_later_with_its_tries_counted(self, kept: Kept) -> None:
        await kept.ask(question())
        await kept.claim()
        await kept.questions.postpone([question()], "not yet", SOON)
        assert await kept.claim() == []
        await asyncio.sleep(0.6)
        assert await kept.claim() == [replace(question(), tries=1)]
        await kept.questions.postpone([question()], "not yet", timedelta())
        assert [item.tries for item in await kept.claim()] == [2]

    async def test_an_answered_question_is_forgotten_with_its_facts_put_out_and_by_its_account_only(
        self, kept: Kept
    ) -> None:
        await kept.ask(question(1), question(2))
        await kept.questions.answer(GLOBEX, [question(1)], [])
        await kept.questions.answer(ACME, [question(2)], [note_command()])
        assert await kept.claim() == [question(1)]
        assert len(await kept.database.outbox.claim(most=10, lease_seconds=30)) == 1
        await kept.questions.answer(ACME, [question(2)], [])
        await kept.questions.postpone([question(2)], "gone", timedelta())
        assert await kept.claim() == []


class TestCandidates:
    async def test_only_fields_that_take_notes_along_count_and_no_field_named_means_all(self, kept: Kept) -> None:
        await kept.anonymized(JANE, "emails")
        await kept.anonymized(JOHN, "emails", "notes")
        await kept.anonymized(JIM)
        await kept.anonymized(CandidateId(400), "activity_items", account=GLOBEX)
        asked = [JANE, JOHN, JIM, CandidateId(400), CandidateId(500)]
        assert await kept.candidates.notes_anonymized_at(ACME, asked) == {JOHN: AT, JIM: AT}
        assert await kept.candidates.notes_anonymized_at(ACME, []) == {}

    async def test_what_is_told_later_is_added_and_the_latest_time_stays(self, kept: Kept) -> None:
        await kept.anonymized(JANE, "notes", at=AT + LATER)
        await kept.anonymized(JANE, "emails", at=AT)
        await kept.anonymized(JOHN)
        await kept.anonymized(JOHN, "emails")
        found = await kept.candidates.notes_anonymized_at(ACME, [JANE, JOHN])
        assert found == {JANE: AT + LATER, JOHN: AT}

    async def test_of_two_facts_told_at_once_neither_is_lost(self, kept: Kept) -> None:
        async with meanwhile(kept.database) as connection:
            fact = CandidateAnonymized(candidate_id=JANE, fields=("notes",))
            await kept.known.record_anonymized(connection, ACME, fact, AT)
            waiting = asyncio.create_task(kept.anonymized(JANE, "emails"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await waiting
        assert await kept.candidates.notes_anonymized_at(ACME, [JANE]) == {JANE: AT}

    async def test_a_merged_candidate_is_looked_for_under_every_later_id_and_a_ring_ends(self, kept: Kept) -> None:
        await kept.merged(JANE, JOHN)
        await kept.merged(JOHN, JIM)
        await kept.anonymized(JIM, "notes", at=AT + LATER)
        await kept.anonymized(JANE, "notes")
        found = await kept.candidates.notes_anonymized_at(ACME, [JANE, JOHN])
        assert found == {JANE: AT + LATER, JOHN: AT + LATER}
        await kept.merged(JIM, JANE)
        assert await kept.candidates.notes_anonymized_at(ACME, [JIM]) == {JIM: AT + LATER}
        assert await kept.candidates.notes_anonymized_at(GLOBEX, [JANE]) == {}

    async def test_open_rows_of_the_ledger_follow_a_merge_and_ended_ones_do_not(self, kept: Kept) -> None:
        await kept.take_in(note_command(1), note_command(2), note_command(1, "globex"))
        first = next(intent for intent in await kept.intents() if intent.application_id == 1 and intent.account == ACME)
        await kept.begin(first)
        await kept.record(first, Occurrence.SUCCEEDED)
        for account in (ACME, GLOBEX):
            await kept.merged(CandidateId(1001), JANE, account)
        await kept.merged(CandidateId(1002), JOHN)
        await kept.merged(JOHN, JOHN)
        held = {}
        async with kept.database.transaction() as connection:
            for envelope in (note_command(1), note_command(2), note_command(1, "globex")):
                ident: Any = envelope.data
                intent = await kept.ledger.held(connection, ident.command_id, envelope.accountid)
                assert intent is not None
                held[envelope.accountid, intent.application_id] = intent.candidate_id
        assert held == {(ACME, 1): 1001, (ACME, 2): JOHN, (GLOBEX, 1): JANE}


class TestPauses:
    async def test_a_pause_is_told_and_ends_when_its_reason_is_disproved(self, kept: Kept) -> None:
        await kept.pauses.put(ACME, Unauthorized(reason="rejected", remedy="a new key"), LATER)
        first = await kept.paused.pause_of(ACME)
        await asyncio.sleep(0.02)
        await kept.pauses.put(ACME, Unauthorized(reason="another", remedy="none"), LATER)
        pause = await kept.paused.pause_of(ACME)
        assert first is not None
        assert pause is not None
        assert (pause.reason, pause.remedy) == ("another", "none")
        assert pause.since == first.since < datetime.now(UTC)
        assert timedelta(minutes=59) < pause.retry_at - pause.since < timedelta(minutes=61)
        assert await kept.paused.pause_of(GLOBEX) is None
        await kept.pauses.mended(ACME, ["rejected"])
        await kept.pauses.mended(GLOBEX, ["another"])
        assert await kept.paused.pause_of(ACME) is not None
        await kept.pauses.mended(ACME, ["rejected", "another"])
        assert await kept.paused.pause_of(ACME) is None


class TestMoves:
    async def test_only_moves_that_may_have_happened_are_ours(self, kept: Kept) -> None:
        await kept.take_in(*(move(number) for number in range(1, 5)), move(1, account=GLOBEX), note_command(5))
        of = {(intent.account, intent.application_id): intent for intent in await kept.intents()}
        begun, done, undone = of[ACME, ApplicationId(1)], of[ACME, ApplicationId(2)], of[ACME, ApplicationId(3)]
        for intent in (begun, done, undone):
            await kept.begin(intent)
        await kept.begin(of[ACME, ApplicationId(5)])
        await kept.record(done, Occurrence.SUCCEEDED)
        await kept.record(undone, Occurrence.NOT_EXECUTED)
        asked = [ApplicationId(number) for number in range(1, 6)]
        found = await kept.moves.of(ACME, asked)
        assert found.keys() == {1, 2}
        (own,) = found[ApplicationId(1)]
        assert (own.visit, own.from_stage_id, own.to_stage_id) == ("n1", 7, 9)
        assert own.attempted_at is not None
        assert abs(own.attempted_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert await kept.moves.of(ACME, [ApplicationId(3)]) == await kept.moves.of(GLOBEX, asked) == {}

    async def test_a_move_whose_target_was_never_fixed_is_none(self, kept: Kept) -> None:
        await kept.take_in(move())
        (intent,) = await kept.intents()
        await kept.begin(intent, None)
        assert await kept.moves.of(ACME, [ApplicationId(1)]) == {}
        assert intent.state is State.WAITING


class TestStages:
    async def test_the_stages_of_a_job_are_kept_as_read_last_until_they_are_dropped(self, kept: Kept) -> None:
        def plan(job: int, *names: str) -> list[JobStage]:
            return [
                JobStage(id=StageId(number), job_id=JobId(job), name=name, sort_order=number, active=number > 0)
                for number, name in enumerate(names)
            ]

        await kept.stages.put(ACME, JobId(1), plan(1, "Old"))
        await kept.stages.put(ACME, JobId(1), plan(1, "Review", "Offer"))
        await kept.stages.put(ACME, JobId(2), plan(2, "Call"))
        await kept.stages.put(GLOBEX, JobId(1), plan(1, "Theirs"))
        assert await kept.stages.get(ACME, JobId(1)) == plan(1, "Review", "Offer")
        await kept.drop(ACME, 1, 5)
        assert await kept.stages.get(ACME, JobId(1)) is None
        assert await kept.stages.get(ACME, JobId(2)) == plan(2, "Call")
        await kept.stages.put(ACME, JobId(1), plan(1, "Review"))
        await kept.drop(ACME, None, 5)
        assert [await kept.stages.get(ACME, JobId(job)) for job in (1, 2)] == [None, None]
        assert await kept.stages.get(GLOBEX, JobId(1)) == plan(1, "Theirs")
