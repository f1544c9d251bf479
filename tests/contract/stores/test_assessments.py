"""One suite for what assessments keeps, on PostgreSQL and on the twins: invites, readings, results, signals, people."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from simulation.process import Process
from simulation.twins import assessments as twins
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Memory, Session
from simulation.twins.people import MemoryPeople
from tests.contract.stores.races import meanwhile
from tests.databases import Databases

from trellis.assessments.adapters.coderbyte import Organization
from trellis.assessments.adapters.connection_store import ConnectionStore, Wanted
from trellis.assessments.adapters.invite_links import InviteLink
from trellis.assessments.adapters.invite_rows import AttachedInvite, NewInvite, StoredInvite
from trellis.assessments.adapters.invite_store import InviteStore
from trellis.assessments.adapters.people_store import Erased, PeopleStore
from trellis.assessments.adapters.result_store import DueReading, ResultStore
from trellis.assessments.adapters.signal_store import SignalStore
from trellis.assessments.app import SERVICE
from trellis.assessments.domain import options
from trellis.assessments.domain.correlation import KnownInvite, Progress
from trellis.assessments.domain.polling import NextReading
from trellis.assessments.domain.results import Result
from trellis.assessments.stores import Invites, Organizations, People, Results, Signals
from trellis.common.contracts.commands import Origin, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import AssessmentSignalled, ErasureReason, SignalKind
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    JobId,
    StageId,
    Visit,
    command_id,
)
from trellis.common.contracts.outcomes import Integrity
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.postgres import open_pool, transaction

ACME, GLOBEX = AccountId("acme"), AccountId("globex")
TEST, OTHER_TEST = AssessmentId("backend-1"), AssessmentId("frontend-1")
JANE, JOHN = CandidateId(100), CandidateId(200)
DELETED = ErasureReason.DELETED
LEASE = timedelta(seconds=30)
NOW, SOON, LATER = timedelta(), timedelta(seconds=0.5), timedelta(hours=1)
AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
GOOD = Result(score=82.5, qualified=True, integrity=Integrity.NONE, assessment_name="Backend", attempt_count=2)
ORGANIZATION = Organization(
    account=ACME, base_url="https://c.example", organization_id="acme", api_key="key", options=options.parse({})
)


@dataclass
class Kept:
    """The ports under test."""

    database: Database
    ledger: LedgerStore
    organizations: Organizations
    invites: Invites
    results: Results
    signals: Signals
    people: People

    async def prepare(self, invite: NewInvite) -> NewInvite:
        """Take the command of *invite* into the ledger and write the invite."""
        async with self.database.transaction() as connection:
            await self.ledger.take_in(connection, command(invite), "coderbyte", None)
            await self.invites.prepare(connection, invite)
        return invite

    async def find(self, invite: NewInvite, account: AccountId = ACME) -> StoredInvite | None:
        async with self.database.acquired() as connection:
            return await self.invites.find(connection, account, invite.command_id)

    async def stored(self, invite: NewInvite) -> StoredInvite:
        found = await self.find(invite, invite.account)
        assert found is not None
        return found

    async def known(self, application: int = 1, account: AccountId = ACME) -> list[KnownInvite]:
        async with self.database.acquired() as connection:
            return await self.invites.of_application(connection, account, ApplicationId(application), TEST)

    async def claim(self, lease: timedelta = LEASE, per_account: int = 20) -> list[DueReading]:
        return await self.results.claim(lease=lease, per_account=per_account)

    async def claimed(self, **options: Any) -> list[UUID]:
        return [due.command_id for due in await self.claim(**options)]

    async def intents(self, lease: timedelta = LEASE) -> list[Intent]:
        return await self.ledger.claim_due(lease=lease, per_account=20, vendor="coderbyte")

    async def run(self, port: Any, method: str, *values: Any, **named: Any) -> Any:
        """Call one method in a transaction of its own."""
        async with self.database.transaction() as connection:
            return await getattr(port, method)(connection, *values, **named)


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Kept]:
    if request.param == "memory":
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        session = Session(Memory(lambda: datetime.now(UTC)), process)
        yield Kept(
            session, MemoryLedger(session, "trellis/test"), twins.MemoryOrganizations(session, {ACME: ORGANIZATION}),
            twins.MemoryInvites(), twins.MemoryResults(session), twins.MemorySignals(), MemoryPeople(),
        )  # fmt: skip
        return
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema, size=6)
    keyring = Keyring.generate()
    sealer, organizations = Sealer(keyring), ConnectionStore(pool, keyring)
    async with transaction(pool) as connection:
        wanted = Wanted(base_url="https://c.example", organization_id="acme", api_key="key", settings={})
        await organizations.put(connection, ACME, wanted, dry_run=False)
    yield Kept(
        PostgresDatabase(pool), Ledger(pool, "trellis/test"), organizations, InviteStore(sealer),
        ResultStore(pool, sealer), SignalStore(), PeopleStore(sealer),
    )  # fmt: skip
    await pool.close()


def invite(application: int = 1, visit: str = "n1", account: AccountId = ACME, **more: Any) -> NewInvite:
    """What is written of an invite, whose id is its command's."""
    number = ApplicationId(application)
    fields: dict[str, Any] = {
        "command_id": command_id(account, number, Visit(visit), "invite", TEST),
        "account": account,
        "application_id": number,
        "candidate_id": JANE,
        "visit": Visit(visit),
        "stage_id": StageId(7),
        "assessment_id": TEST,
        "correlationid": "c-1",
        "address": "jane@mail.example",
        "address_hash": "hash of jane",
    }
    return NewInvite(**(fields | more))


def command(of: NewInvite) -> Envelope:
    data = SendInvite(
        command_id=of.command_id,
        application_id=of.application_id,
        candidate_id=of.candidate_id,
        job_id=JobId(3),
        visit=of.visit,
        stage_id=of.stage_id,
        assessment_id=of.assessment_id,
        origin=Origin(workflow="screen", version=1, rule="send", reason="entered the stage"),
    )
    return Envelope(
        id=uuid4(), source="trellis/workflow", accountid=of.account, time=AT, data=data, correlationid="c-1"
    )


def signal(**more: Any) -> AssessmentSignalled:
    fields: dict[str, Any] = {
        "kind": SignalKind.COMPLETED,
        "address_hash": "hash of jane",
        "sealed_body_id": uuid4(),
        "received_at": AT,
        "assessment_id": TEST,
    }
    return AssessmentSignalled(**(fields | more))


def attached(of: NewInvite, body: UUID, **more: Any) -> AttachedInvite:
    fields = ("command_id", "account", "application_id", "candidate_id", "visit", "stage_id", "assessment_id")
    known = {name: getattr(of, name) for name in (*fields, "correlationid", "address_hash")}
    return AttachedInvite(**(known | {"body_id": body} | more))


class TestInvites:
    async def test_an_invite_is_found_as_it_was_prepared_and_by_its_account_only(self, kept: Kept) -> None:
        token = uuid4()
        new = await kept.prepare(
            invite(known_attempts=frozenset({"b", "a"}), read_at=AT, poll_after=LATER, ready_token=token)
        )
        found = await kept.stored(new)
        assert replace(found, address=None) == StoredInvite(
            command_id=new.command_id, account=ACME, application_id=ApplicationId(1), candidate_id=JANE,
            visit=Visit("n1"), stage_id=StageId(7), assessment_id=TEST, correlationid="c-1",
            address_hash="hash of jane", address=None, known_attempts=frozenset({"a", "b"}), read_at=AT, doubted=False,
            follows=None, follow_kind=None, progress=Progress.INVITED, completed_at=None, time_expired=None,
            poll_step=None, ready_token=token,
        )  # fmt: skip
        assert await kept.run(kept.invites, "address", found) == "jane@mail.example"
        assert await kept.find(new, GLOBEX) is None
        assert await kept.known(account=GLOBEX) == []

    async def test_a_private_link_is_told_by_application_to_its_account_until_its_person_is_erased(
        self, kept: Kept
    ) -> None:
        without = await kept.prepare(invite(visit="n2"))
        new = await kept.prepare(invite())
        await kept.run(kept.invites, "remember_link", GLOBEX, without.command_id, b"https://c.example/other")
        await kept.run(kept.invites, "remember_link", ACME, new.command_id, b"https://c.example/t?k=1")
        (found,) = await kept.run(kept.invites, "links", ACME, ApplicationId(1))
        assert found == InviteLink(
            command_id=new.command_id, visit=Visit("n1"), assessment_id=TEST, link="https://c.example/t?k=1"
        )
        assert await kept.run(kept.invites, "links", GLOBEX, ApplicationId(1)) == []
        assert await kept.run(kept.invites, "links", ACME, ApplicationId(2)) == []
        await kept.run(kept.people, "merge", ACME, JANE, JOHN)
        assert await kept.run(kept.invites, "links", ACME, ApplicationId(1)) == [found]
        await kept.run(kept.people, "erase", ACME, JOHN, DELETED)
        assert await kept.run(kept.invites, "links", ACME, ApplicationId(1)) == []

    async def test_what_is_rolled_back_was_never_there(self, kept: Kept) -> None:
        new = invite(poll_after=NOW)
        with pytest.raises(ZeroDivisionError):
            async with kept.database.transaction() as connection:
                await kept.ledger.take_in(connection, command(new), "coderbyte", None)
                await kept.invites.prepare(connection, new)
                await kept.signals.keep(connection, ACME, uuid4(), signal(), "nobody")
                raise ZeroDivisionError
        assert await kept.find(new) is None
        assert await kept.claim() == []
        assert await kept.run(kept.signals, "counts") == {}

    async def test_made_ready_again_it_has_what_was_read_last_and_keeps_how_far_it_is(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        await kept.run(kept.invites, "doubt", ACME, new.command_id, LATER)
        await kept.run(kept.invites, "advance", ACME, new.command_id, Progress.STARTED)
        (before,) = await kept.known()
        again = invite(
            address="j@mail.example", address_hash="another", candidate_id=JOHN, known_attempts=frozenset("x")
        )
        await kept.run(kept.invites, "prepare", again)
        found, (after,) = await kept.stored(new), await kept.known()
        assert await kept.run(kept.invites, "address", found) == "j@mail.example"
        assert (found.address_hash, found.candidate_id, found.known_attempts) == ("another", JOHN, frozenset("x"))
        assert (found.doubted, found.progress) == (True, Progress.STARTED)
        assert after.prepared_at > before.prepared_at
        (held,) = await kept.intents()
        assert held.candidate_id == JOHN

    async def test_another_account_cannot_change_it(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        before = await kept.stored(new)
        await kept.run(kept.invites, "prepare", replace(new, account=GLOBEX, address_hash="theirs"))
        await kept.run(kept.invites, "doubt", GLOBEX, new.command_id, NOW)
        await kept.run(kept.invites, "await_report", replace(before, account=GLOBEX), signal())
        await kept.run(kept.results, "stop", GLOBEX, new.command_id)
        await kept.run(kept.results, "hold_all", GLOBEX, LATER)
        assert not await kept.run(kept.invites, "advance", GLOBEX, new.command_id, Progress.STARTED)
        nothing = Erased(commands=(), address_hashes=())
        assert await kept.run(kept.people, "erase", GLOBEX, JANE, DELETED, [ApplicationId(1)]) == nothing
        await kept.run(kept.people, "merge", GLOBEX, JANE, JOHN)
        assert await kept.stored(new) == before
        assert await kept.claimed() == [new.command_id]

    async def test_invites_are_known_by_application_and_by_person_oldest_first(self, kept: Kept) -> None:
        second = await kept.prepare(invite(visit="n2"))
        first = await kept.prepare(invite(visit="n1"))
        other = await kept.prepare(invite(2))
        await kept.prepare(invite(3, address_hash="hash of john", candidate_id=JOHN))
        await kept.prepare(invite(1, account=GLOBEX))
        await kept.prepare(invite(1, "n3", assessment_id=OTHER_TEST))
        assert [item.command_id for item in await kept.known()] == [second.command_id, first.command_id]
        person = await kept.run(kept.invites, "of_person", ACME, "hash of jane", TEST)
        assert [item.command_id for item in person] == [second.command_id, first.command_id, other.command_id]
        await kept.run(kept.invites, "prepare", invite(visit="n2"))
        assert [item.command_id for item in await kept.known()] == [first.command_id, second.command_id]

    async def test_an_invite_shows_how_its_ledger_row_stands(self, kept: Kept) -> None:
        await kept.prepare(invite(known_attempts=frozenset({"a"})))
        (intent,) = await kept.intents()
        (before,) = await kept.known()
        assert (before.state, before.attempt, before.knew_attempts) == (State.WAITING, 0, True)
        assert await kept.ledger.begin(intent, deadline_seconds=30, cap=None, resolved={}) == 1
        (after,) = await kept.known()
        assert (after.state, after.attempt) == (State.ATTEMPTING, 1)

    async def test_it_may_be_about_to_leave_while_the_claim_that_made_it_ready_holds(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        assert [item.leaving for item in await kept.known()] == [False]
        (intent,) = await kept.intents(timedelta(seconds=0.6))
        assert [item.leaving for item in await kept.known()] == [False]
        await kept.run(kept.invites, "prepare", replace(new, ready_token=intent.lease_token))
        assert [item.leaving for item in await kept.known()] == [True]
        await asyncio.sleep(0.7)
        assert [item.leaving for item in await kept.known()] == [False]
        await kept.intents()
        assert [item.leaving for item in await kept.known()] == [False]

    async def test_a_claim_holds_the_ledger_row_until_another_takes_it(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        (first,) = await kept.intents(timedelta(seconds=0.1))
        assert await kept.run(kept.invites, "is_held", ACME, new.command_id, first.lease_token)
        assert not await kept.run(kept.invites, "is_held", GLOBEX, new.command_id, first.lease_token)
        assert not await kept.run(kept.invites, "is_held", ACME, new.command_id, uuid4())
        await asyncio.sleep(0.15)
        (second,) = await kept.intents()
        assert not await kept.run(kept.invites, "is_held", ACME, new.command_id, first.lease_token)
        assert await kept.run(kept.invites, "is_held", ACME, new.command_id, second.lease_token)

    async def test_while_one_holds_the_ledger_row_its_outcome_waits(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        (intent,) = await kept.intents()
        change = Change(occurrence=Occurrence.BLOCKED, reason="because")
        async with meanwhile(kept.database) as connection:
            assert await kept.invites.is_held(connection, ACME, new.command_id, intent.lease_token)
            waiting = asyncio.create_task(kept.run(kept.ledger, "record", intent, 0, change))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert await waiting is State.PARKED

    async def test_who_decides_about_a_person_waits_for_who_does_and_nobody_else_waits(self, kept: Kept) -> None:
        async with meanwhile(kept.database) as connection:
            await kept.invites.lock_person(connection, ACME, "hash of jane")
            waiting = asyncio.create_task(kept.run(kept.invites, "lock_person", ACME, "hash of jane"))
            async with asyncio.timeout(5):
                await kept.run(kept.invites, "lock_person", ACME, "hash of john")
                await kept.run(kept.invites, "lock_person", GLOBEX, "hash of jane")
            assert not waiting.done()
        await waiting

    async def test_a_locked_invite_is_changed_after_the_lock_and_seen_as_it_is_then(self, kept: Kept) -> None:
        new = await kept.prepare(invite())

        async def advance() -> bool:
            return bool(await kept.run(kept.invites, "advance", ACME, new.command_id, Progress.STARTED))

        async with meanwhile(kept.database) as connection:
            await kept.invites.find(connection, ACME, new.command_id, lock=True)
            waiting = [asyncio.create_task(advance()), asyncio.create_task(advance())]
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in waiting)
            assert (await kept.stored(new)).progress is Progress.INVITED
        assert sorted(await asyncio.gather(*waiting)) == [False, True]

    async def test_progress_never_goes_back(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        told = [
            await kept.run(kept.invites, "advance", ACME, new.command_id, progress)
            for progress in (
                Progress.COMPLETED,
                Progress.STARTED,
                Progress.COMPLETED,
                Progress.REVIEWED,
                Progress.GRADED,
            )
        ]
        assert told == [True, False, False, True, False]
        assert (await kept.stored(new)).progress is Progress.REVIEWED

    async def test_a_doubted_invite_is_read_soon_and_never_later_than_before(self, kept: Kept) -> None:
        slow = await kept.prepare(invite(1, poll_after=LATER))
        quick = await kept.prepare(invite(2, poll_after=NOW))
        unread = await kept.prepare(invite(3))
        await kept.run(kept.invites, "doubt", ACME, slow.command_id, NOW)
        await kept.run(kept.invites, "doubt", ACME, quick.command_id, LATER)
        await kept.run(kept.invites, "doubt", ACME, unread.command_id, NOW)
        assert set(await kept.claimed()) == {slow.command_id, quick.command_id, unread.command_id}
        assert [(await kept.stored(item)).doubted for item in (slow, quick, unread)] == [True, True, True]

    async def test_a_signal_has_the_report_read_now_and_what_was_told_first_stays(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=LATER))
        assert await kept.claim() == []
        await kept.run(kept.invites, "await_report", await kept.stored(new), signal(time_expired=True))
        later = signal(received_at=AT + LATER)
        await kept.run(kept.invites, "await_report", await kept.stored(new), later)
        found = await kept.stored(new)
        assert (found.completed_at, found.time_expired, found.poll_step) == (AT, True, 0)
        assert [due.awaited for due in await kept.claim()] == [True]
        await kept.run(kept.invites, "await_report", found, signal(time_expired=False))
        assert (await kept.stored(new)).time_expired is False

    async def test_a_follower_is_found_by_whom_it_follows_and_says_how(self, kept: Kept) -> None:
        first = await kept.prepare(invite())
        follower = await kept.prepare(invite(2, follows=first.command_id, follow_kind="shared"))
        followers = await kept.run(kept.invites, "followers", ACME, first.command_id)
        assert [(item.command_id, item.follow_kind) for item in followers] == [(follower.command_id, "shared")]
        assert await kept.run(kept.invites, "followers", GLOBEX, first.command_id) == []
        assert [item.follows for item in await kept.known(2)] == [first.command_id]
        with pytest.raises((ValueError, asyncpg.CheckViolationError)):
            await kept.prepare(invite(3, follows=first.command_id))

    async def test_open_awaited_and_overdue_invites_are_counted_by_account(self, kept: Kept) -> None:
        for number in range(1, 4):
            await kept.prepare(invite(number, poll_after=NOW))
        await kept.prepare(invite(9))
        for intent in await kept.intents():
            if intent.application_id != 9:
                await kept.ledger.begin(intent, deadline_seconds=30, cap=None, resolved={})
        await kept.run(kept.invites, "advance", ACME, invite(1).command_id, Progress.COMPLETED)
        first, second, third = sorted(await kept.claim(), key=lambda due: due.command_id == invite(3).command_id)
        await kept.run(kept.results, "put_off", first, NextReading(wait=LATER, step=1))
        await kept.run(kept.results, "put_off", second, NextReading(wait=LATER, step=None))
        await kept.run(kept.results, "put_off", third, NextReading(wait=LATER, step=None, overdue=True))
        assert await kept.run(kept.invites, "counts") == {ACME: {"open": 2, "awaited": 1, "overdue": 1}}


class TestReadings:
    async def test_a_due_reading_is_one_readers_until_its_lease_is_over(self, kept: Kept) -> None:
        await kept.prepare(invite(1, poll_after=NOW))
        await kept.prepare(invite(2, poll_after=LATER))
        (first,) = await kept.claim(lease=timedelta(seconds=0.5))
        assert (first.account, first.awaited, first.state) == (ACME, False, State.WAITING)
        assert await kept.claim() == []
        assert await kept.run(kept.results, "is_ours", first)
        await asyncio.sleep(0.6)
        (second,) = await kept.claim()
        assert second.lease_token != first.lease_token
        assert not await kept.run(kept.results, "is_ours", first)
        assert not await kept.run(kept.results, "put_off", first, NextReading(wait=NOW, step=3, overdue=True))
        await kept.run(kept.results, "retry_later", first, NOW)
        assert await kept.claim() == []
        assert await kept.run(kept.results, "is_ours", second)
        assert (await kept.stored(invite(1))).poll_step is None

    async def test_two_readers_at_once_share_nothing(self, kept: Kept) -> None:
        for number in range(10):
            await kept.prepare(invite(number, poll_after=NOW))
        found = await asyncio.gather(*(kept.claimed(per_account=5) for _ in range(4)))
        claimed = [ident for share in found for ident in share]
        assert len(claimed) == len(set(claimed)) <= 10
        while rest := await kept.claimed(per_account=5):
            claimed += rest
        assert sorted(claimed) == sorted(invite(number).command_id for number in range(10))

    async def test_the_oldest_readings_of_each_account_come_first_and_one_of_a_paused(self, kept: Kept) -> None:
        for number, seconds in enumerate((-1, -3, -2)):
            await kept.prepare(invite(number, poll_after=timedelta(seconds=seconds)))
            await kept.prepare(invite(number, account=GLOBEX, poll_after=timedelta(seconds=seconds)))
        await kept.run(kept.ledger, "pause", GLOBEX, "coderbyte", "r", "m", LATER)
        found = await kept.claimed(per_account=2)
        assert set(found) == {invite(number).command_id for number in (1, 2)} | {invite(1, account=GLOBEX).command_id}

    async def test_a_row_that_somebody_works_on_is_passed_over_and_not_waited_for(self, kept: Kept) -> None:
        locked = await kept.prepare(invite(1, poll_after=NOW))
        free = await kept.prepare(invite(2, poll_after=NOW))
        async with meanwhile(kept.database) as connection:
            await kept.invites.find(connection, ACME, locked.command_id, lock=True)
            async with asyncio.timeout(2):
                assert await kept.claimed() == [free.command_id]
        assert await kept.claimed() == [locked.command_id]

    async def test_a_reading_that_is_put_off_comes_again_and_is_overdue_for_the_first_time_once(
        self, kept: Kept
    ) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        told = []
        for overdue in (False, True, True, False, True):
            (due,) = await kept.claim()
            following = NextReading(wait=NOW, step=2, overdue=overdue)
            told.append(await kept.run(kept.results, "put_off", due, following))
            assert (await kept.stored(new)).poll_step == 2
        assert told == [False, True, False, False, True]
        (due,) = await kept.claim()
        await kept.run(kept.results, "put_off", due, NextReading(wait=SOON, step=None))
        assert await kept.claim() == []
        await asyncio.sleep(0.6)
        assert await kept.claimed() == [new.command_id]

    async def test_a_reading_that_told_nothing_keeps_its_place_and_is_tried_later(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        await kept.run(kept.invites, "await_report", await kept.stored(new), signal())
        (due,) = await kept.claim()
        await kept.run(kept.results, "retry_later", due, SOON)
        assert await kept.claim() == []
        await asyncio.sleep(0.6)
        assert [again.awaited for again in await kept.claim()] == [True]

    async def test_all_readings_of_an_account_are_put_off_or_hurried_together(self, kept: Kept) -> None:
        mine = await kept.prepare(invite(1, poll_after=NOW))
        unread = await kept.prepare(invite(2))
        theirs = await kept.prepare(invite(1, account=GLOBEX, poll_after=NOW))
        await kept.run(kept.results, "hold_all", ACME, LATER)
        assert await kept.claimed() == [theirs.command_id]
        await kept.run(kept.results, "hurry_all", GLOBEX)
        assert await kept.claim() == []
        await kept.run(kept.results, "hurry_all", ACME)
        assert await kept.claimed() == [mine.command_id]
        assert unread.command_id not in await kept.claimed()

    async def test_a_reading_that_is_stopped_is_nobodys_until_a_signal_asks_for_it(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        (due,) = await kept.claim()
        await kept.run(kept.results, "stop", ACME, new.command_id)
        assert not await kept.run(kept.results, "is_ours", due)
        await kept.run(kept.results, "retry_later", due, NOW)
        await kept.run(kept.results, "hold_all", ACME, NOW)
        await kept.run(kept.results, "hurry_all", ACME)
        assert await kept.claim() == []
        await kept.run(kept.invites, "await_report", await kept.stored(new), signal())
        assert await kept.claimed() == [new.command_id]


class TestResults:
    async def keep(
        self, kept: Kept, of: NewInvite, version: int, result: Result = GOOD, raw: Any = None, *, published: bool = True
    ) -> bool:
        return bool(
            await kept.run(
                kept.results, "keep", await kept.stored(of), version, result, raw, completed_at=AT, published=published
            )
        )

    async def test_a_version_of_a_result_is_kept_once(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        assert await kept.run(kept.results, "latest", ACME, new.command_id) is None
        better = replace(GOOD, score=None, minutes_taken=12)
        assert await self.keep(kept, new, 1)
        assert await self.keep(kept, new, 2, better)
        assert not await self.keep(kept, new, 2)
        latest = await kept.run(kept.results, "latest", ACME, new.command_id)
        assert (latest.version, latest.result, latest.completed_at, latest.report) == (2, better, AT, None)
        assert await kept.run(kept.results, "latest", GLOBEX, new.command_id) is None

    async def test_of_two_who_keep_one_version_at_once_one_does(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        stored = await kept.stored(new)
        async with meanwhile(kept.database) as connection:
            assert await kept.results.keep(connection, stored, 1, GOOD, None, completed_at=AT, published=True)
            waiting = asyncio.create_task(self.keep(kept, new, 1))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert await waiting is False

    async def test_the_results_of_an_application_come_oldest_first_and_the_newest_of_a_visit_is_found(
        self, kept: Kept
    ) -> None:
        new, again = await kept.prepare(invite()), await kept.prepare(invite(visit="n2"))
        worse = replace(GOOD, score=10.0)
        await self.keep(kept, new, 1)
        await self.keep(kept, new, 2, worse, published=False)
        await self.keep(kept, again, 1)
        rows = await kept.run(kept.results, "of_application", ACME, ApplicationId(1))
        shown = [(row["visit"], row["version"], row["score"], row["published"], row["integrity"]) for row in rows]
        assert shown == [("n1", 1, 82.5, True, "none"), ("n1", 2, 10.0, False, "none"), ("n2", 1, 82.5, True, "none")]
        assert {"command_id", "assessment_id", "completed_at", "read_at", "attempt_count"} <= rows[0].keys()
        found = await kept.run(kept.results, "find", ACME, ApplicationId(1), Visit("n1"), TEST)
        assert (found[0], found[1], found[2].version, found[2].result) == (new.command_id, JANE, 2, worse)
        for account, visit, test in ((GLOBEX, "n1", TEST), (ACME, "n9", TEST), (ACME, "n1", OTHER_TEST)):
            assert await kept.run(kept.results, "find", account, ApplicationId(1), Visit(visit), test) is None
        assert await kept.run(kept.results, "of_application", GLOBEX, ApplicationId(1)) == []

    async def test_a_report_is_opened_for_its_candidate_only(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        await self.keep(kept, new, 1, raw={"final_score": 82, "email": "jane@mail.example"})
        latest = await kept.run(kept.results, "latest", ACME, new.command_id)
        assert latest.report is not None
        opened = await kept.run(kept.results, "open_report", ACME, JANE, new.command_id, latest)
        assert opened == {"final_score": 82, "email": "jane@mail.example"}
        assert await kept.run(kept.results, "open_report", ACME, JOHN, new.command_id, latest) is None
        assert await kept.run(kept.results, "open_report", GLOBEX, JANE, new.command_id, latest) is None


class TestSignalsAndPeople:
    async def test_an_attached_invite_has_the_webhooks_address_and_is_made_ready_no_more(self, kept: Kept) -> None:
        new, body = await kept.prepare(invite(known_attempts=frozenset("a"))), uuid4()
        assert await kept.run(kept.invites, "attach", attached(new, body))
        assert (await kept.stored(new)).known_attempts == frozenset("a")
        assert await kept.run(kept.invites, "address", await kept.stored(new)) == "jane@mail.example"
        assert await kept.run(kept.invites, "attach", attached(new, body, address_hash="another"))
        await kept.run(kept.invites, "prepare", new)
        found = await kept.stored(new)
        assert (found.attached_body_id, found.address_hash, found.address) == (body, "another", None)
        assert found.known_attempts == frozenset()
        await kept.run(kept.invites, "keep_address", replace(found, address_hash="hash of jane"), "x@mail.example")
        assert (await kept.stored(new)).address is None
        await kept.run(kept.invites, "keep_address", found, "jane@other.example")
        assert await kept.run(kept.invites, "address", await kept.stored(new)) == "jane@other.example"
        await kept.run(kept.people, "erase", ACME, JANE, DELETED)
        assert not await kept.run(kept.invites, "attach", attached(new, body))
        await kept.run(kept.invites, "keep_address", found, "jane@other.example")
        gone = await kept.stored(new)
        assert (gone.address, gone.attached_body_id) == (None, None)

    async def test_an_invite_is_attached_that_never_was_one_and_by_its_account_only(self, kept: Kept) -> None:
        new, body = invite(), uuid4()
        async with kept.database.transaction() as connection:
            await kept.ledger.take_in(connection, command(new), "coderbyte", None)
        assert await kept.run(kept.invites, "attach", attached(new, body))
        assert not await kept.run(kept.invites, "attach", attached(new, body, account=GLOBEX))
        found = await kept.stored(new)
        assert (found.visit, found.progress, found.poll_step) == ("n1", Progress.INVITED, None)
        await kept.run(kept.invites, "await_report", found, signal())
        assert await kept.claimed() == [new.command_id]

    async def test_attempts_given_to_one_invite_are_no_others(self, kept: Kept) -> None:
        new, other = await kept.prepare(invite()), await kept.prepare(invite(2, known_attempts=frozenset("b")))
        stranger = await kept.prepare(invite(3, address_hash="hash of john", candidate_id=JOHN))
        await kept.run(kept.invites, "disown", await kept.stored(new), frozenset("a"))
        assert [(await kept.stored(item)).known_attempts for item in (new, other, stranger)] == [
            frozenset(), frozenset("ab"), frozenset(),
        ]  # fmt: skip

    async def test_an_attached_signal_waits_no_more_and_tells_whose_it_is(self, kept: Kept) -> None:
        ident, told = uuid4(), signal()
        await kept.run(kept.signals, "keep", ACME, ident, told, "nobody")
        assert await kept.run(kept.signals, "find", GLOBEX, ident) is None
        assert await kept.run(kept.signals, "find", ACME, uuid4()) is None
        await kept.run(kept.signals, "attached", GLOBEX, ident, ApplicationId(1))
        found = await kept.run(kept.signals, "find", ACME, ident)
        assert (found.signal, found.attached_to) == (told, None)
        await kept.run(kept.signals, "attached", ACME, ident, ApplicationId(1))
        assert (await kept.run(kept.signals, "find", ACME, ident)).attached_to == 1
        assert await kept.run(kept.signals, "counts") == {}

    async def test_the_newest_result_of_a_candidate_is_recent_until_it_is_too_old(self, kept: Kept) -> None:
        async def recent(within: timedelta = LATER, candidate: CandidateId = JANE, account: AccountId = ACME) -> Any:
            return await kept.run(kept.results, "recent", account, candidate, TEST, within)

        now = datetime.now(UTC)
        first, second = await kept.prepare(invite()), await kept.prepare(invite(2))
        follower = await kept.prepare(invite(3, follows=first.command_id, follow_kind="earlier"))
        assert await recent() is None
        for new, minutes, published in ((first, 50, True), (second, 40, True), (follower, 10, True)):
            at = now - timedelta(minutes=minutes)
            await kept.run(
                kept.results, "keep", await kept.stored(new), 1, GOOD, None, completed_at=at, published=published
            )
        held = await kept.prepare(invite(4))
        await kept.run(kept.results, "keep", await kept.stored(held), 1, GOOD, None, completed_at=now, published=False)
        found = await recent()
        assert (found.command_id, found.application_id, found.visit) == (second.command_id, 2, "n1")
        assert (found.stored.version, found.stored.result) == (1, GOOD)
        assert timedelta(minutes=40) <= found.age < timedelta(minutes=41)
        assert await recent(timedelta(minutes=39)) is None
        assert await recent(candidate=JOHN) is None
        assert await recent(account=GLOBEX) is None
        corrected, at = replace(GOOD, score=12.0), now - timedelta(minutes=45)  # the vendor's time, before our own
        await kept.run(
            kept.results, "keep", await kept.stored(second), 2, corrected, None, completed_at=at, published=True
        )
        found = await recent()
        assert (found.command_id, found.stored.version, found.stored.result) == (second.command_id, 2, corrected)
        assert await recent(timedelta(minutes=44)) is None

    async def test_an_unmatched_signal_is_kept_once(self, kept: Kept) -> None:
        ident = uuid4()
        for account, name in ((ACME, ident), (ACME, ident), (ACME, uuid4()), (GLOBEX, uuid4())):
            await kept.run(kept.signals, "keep", account, name, signal(), "nobody")
        assert await kept.run(kept.signals, "counts") == {ACME: 2, GLOBEX: 1}

    async def test_erasing_a_person_leaves_nothing_to_read_match_or_poll(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=NOW, known_attempts=frozenset({"a"})))
        by_id = await kept.prepare(invite(5, candidate_id=CandidateId(300), address_hash="hash of another"))
        other = await kept.prepare(invite(2, candidate_id=JOHN, address_hash="hash of john", poll_after=LATER))
        stored = await kept.stored(new)
        for account, name in ((ACME, "jane"), (ACME, "john"), (GLOBEX, "jane")):
            await kept.run(kept.signals, "keep", account, uuid4(), signal(address_hash=f"hash of {name}"), "nobody")
        await kept.run(kept.results, "keep", stored, 1, GOOD, {"a": 1}, completed_at=AT, published=True)
        before = await kept.run(kept.results, "latest", ACME, new.command_id)
        (due,) = await kept.claim()
        gone = await kept.run(kept.people, "erase", ACME, JANE, DELETED, [ApplicationId(5)])
        assert set(gone.commands) == {new.command_id, by_id.command_id}
        assert gone.address_hashes == ("hash of another", "hash of jane")
        for erased in (new, by_id):
            found = await kept.stored(erased)
            assert (found.address, found.address_hash, found.known_attempts) == (None, None, frozenset())
            assert await kept.run(kept.invites, "address", found) is None
        assert await kept.run(kept.invites, "of_person", ACME, "hash of jane", TEST) == []
        assert await kept.run(kept.results, "open_report", ACME, JANE, new.command_id, before) is None
        assert (await kept.run(kept.results, "latest", ACME, new.command_id)).report is None
        assert await kept.run(kept.signals, "counts") == {ACME: 1, GLOBEX: 1}
        assert not await kept.run(kept.results, "is_ours", due)
        await kept.run(kept.results, "retry_later", due, NOW)
        await kept.run(kept.invites, "await_report", stored, signal())
        await kept.run(kept.invites, "doubt", ACME, new.command_id, NOW)
        assert await kept.claim() == []
        assert not (await kept.stored(new)).doubted
        assert await kept.run(kept.invites, "address", await kept.stored(other)) == "jane@mail.example"

    async def test_nothing_of_an_erased_person_is_kept_however_late_it_comes(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        stored = await kept.stored(new)
        async with kept.database.acquired() as connection:
            before = await kept.database.now(connection)
        await kept.run(kept.people, "erase", ACME, JANE, DELETED)
        await kept.run(kept.invites, "remember_link", ACME, new.command_id, b"link")
        later = replace(new, seen_at=before + LATER)
        for late in (new, later, invite(2)):
            assert not await kept.run(kept.invites, "prepare", late)
        assert not await kept.run(kept.results, "keep", stored, 1, GOOD, {"a": 1}, completed_at=AT, published=True)
        await kept.run(kept.signals, "keep", ACME, uuid4(), signal(address_hash="hash of jane"), "nobody")
        assert (await kept.stored(new)).address is None
        assert await kept.find(invite(2)) is None
        assert await kept.run(kept.results, "latest", ACME, new.command_id) is None
        assert await kept.run(kept.signals, "counts") == {}
        for candidate, account, erased in ((JANE, ACME, True), (JOHN, ACME, False), (JANE, GLOBEX, False)):
            assert await kept.run(kept.invites, "is_erased", account, candidate, before + LATER) is erased

    async def test_after_an_anonymisation_only_what_is_read_later_is_kept(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        async with kept.database.acquired() as connection:
            before = await kept.database.now(connection)
        await kept.run(kept.people, "erase", ACME, JANE, ErasureReason.ANONYMIZED)
        assert await kept.run(kept.invites, "is_erased", ACME, JANE, before)
        assert not await kept.run(kept.invites, "prepare", replace(new, seen_at=before))
        assert not await kept.run(kept.invites, "prepare", new)
        async with kept.database.acquired() as connection:
            after = await kept.database.now(connection)
        assert not await kept.run(kept.invites, "is_erased", ACME, JANE, after)
        assert await kept.run(kept.invites, "prepare", replace(new, address="new@mail.example", seen_at=after))
        stored = await kept.stored(new)
        assert await kept.run(kept.invites, "address", stored) == "new@mail.example"
        assert await kept.run(kept.results, "keep", stored, 1, GOOD, {"a": 1}, completed_at=AT, published=True)
        await kept.run(kept.people, "erase", ACME, JANE, DELETED)
        await kept.run(kept.people, "erase", ACME, JANE, ErasureReason.ANONYMIZED)
        assert not await kept.run(kept.invites, "prepare", replace(new, seen_at=after + LATER))

    async def test_who_makes_an_invite_ready_while_its_person_is_erased_waits_and_keeps_nothing(
        self, kept: Kept
    ) -> None:
        async with meanwhile(kept.database) as connection:
            await kept.people.erase(connection, ACME, JANE, DELETED)
            preparing = asyncio.create_task(kept.run(kept.invites, "prepare", invite()))
            await asyncio.sleep(0.1)
            assert not preparing.done()
        assert await preparing is False

    async def test_who_erases_while_an_invite_is_made_ready_waits_and_erases_it(self, kept: Kept) -> None:
        new = invite()
        async with meanwhile(kept.database) as connection:
            await kept.ledger.take_in(connection, command(new), "coderbyte", None)
            assert await kept.invites.prepare(connection, new)
            erasing = asyncio.create_task(kept.run(kept.people, "erase", ACME, JANE, DELETED))
            await asyncio.sleep(0.1)
            assert not erasing.done()
        assert (await erasing).commands == (new.command_id,)
        assert (await kept.stored(new)).address is None

    async def test_erasing_the_survivor_erases_what_came_of_the_merged(self, kept: Kept) -> None:
        new, third = await kept.prepare(invite()), CandidateId(300)
        assert await kept.run(kept.people, "merge", ACME, JOHN, third) == (third, None)
        assert await kept.run(kept.people, "merge", ACME, JANE, JOHN) == (third, None)  # told out of order
        assert (await kept.stored(new)).candidate_id == third
        late = await kept.prepare(invite(2))
        assert (await kept.stored(late)).candidate_id == third
        assert len((await kept.run(kept.people, "erase", ACME, third, DELETED)).commands) == 2
        assert (await kept.stored(new)).address is (await kept.stored(late)).address is None
        assert not await kept.run(kept.invites, "prepare", invite(3))
        assert await kept.run(kept.invites, "is_erased", ACME, JANE, None)

    async def test_an_erasure_knows_every_address_that_an_invite_was_made_ready_for(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        for name in ("b", "b", "a"):
            await kept.run(kept.invites, "prepare", replace(new, address=f"{name}@mail.example", address_hash=name))
        gone = await kept.run(kept.people, "erase", ACME, JANE, DELETED)
        assert gone.address_hashes == ("a", "b", "hash of jane")
        assert (await kept.run(kept.people, "erase", ACME, JANE, DELETED)).address_hashes == ()

    async def test_a_merge_told_late_says_that_the_survivor_was_erased(self, kept: Kept) -> None:
        await kept.prepare(invite())
        await kept.run(kept.people, "erase", ACME, JOHN, ErasureReason.ANONYMIZED)
        assert await kept.run(kept.people, "merge", ACME, JANE, JOHN) == (JOHN, ErasureReason.ANONYMIZED)
        assert len((await kept.run(kept.people, "erase", ACME, JOHN, ErasureReason.ANONYMIZED)).commands) == 1

    async def test_an_anonymisation_told_after_a_merge_takes_what_was_that_persons(self, kept: Kept) -> None:
        new, own = await kept.prepare(invite()), await kept.prepare(invite(2, candidate_id=JOHN))
        await kept.run(kept.people, "merge", ACME, JANE, JOHN)
        assert (await kept.run(kept.people, "erase", ACME, JANE, DELETED)).commands == ()
        gone = await kept.run(kept.people, "erase", ACME, JANE, ErasureReason.ANONYMIZED)
        assert gone.commands == (new.command_id,)
        assert (await kept.stored(own)).address is not None

    async def test_an_erasure_by_hand_follows_a_merge_whichever_comes_first(self, kept: Kept) -> None:
        new, own = await kept.prepare(invite()), await kept.prepare(invite(2, candidate_id=JOHN))
        by_hand, third = ErasureReason.BY_HAND, CandidateId(300)
        await kept.run(kept.people, "merge", ACME, JANE, JOHN)
        gone = await kept.run(kept.people, "erase", ACME, JANE, by_hand)
        assert set(gone.commands) == {new.command_id, own.command_id}
        assert not await kept.run(kept.invites, "prepare", invite(3, candidate_id=JOHN))
        assert await kept.run(kept.people, "merge", ACME, JOHN, third) == (third, by_hand)

    async def test_the_ledgers_rows_of_a_person_are_found_by_candidate_and_by_application(self, kept: Kept) -> None:
        new, other = await kept.prepare(invite()), await kept.prepare(invite(2, candidate_id=JOHN))
        for applications, wanted in (([], {new.command_id}), ([ApplicationId(2)], {new.command_id, other.command_id})):
            found = await kept.run(kept.ledger, "of_candidate", ACME, JANE, applications)
            assert {intent.id for intent in found} == wanted
        assert await kept.run(kept.ledger, "of_candidate", GLOBEX, JANE, [ApplicationId(2)]) == []

    async def test_a_merge_takes_all_along_under_the_other_candidate(self, kept: Kept) -> None:
        new, other = await kept.prepare(invite()), await kept.prepare(invite(2, candidate_id=JOHN))
        await kept.run(kept.results, "keep", await kept.stored(new), 1, GOOD, {"a": 1}, completed_at=AT, published=True)
        await kept.run(kept.people, "merge", ACME, JANE, CandidateId(300))
        found = await kept.stored(new)
        assert found.candidate_id == 300
        assert await kept.run(kept.invites, "address", found) == "jane@mail.example"
        latest = await kept.run(kept.results, "latest", ACME, new.command_id)
        assert await kept.run(kept.results, "open_report", ACME, CandidateId(300), new.command_id, latest) == {"a": 1}
        assert await kept.run(kept.results, "open_report", ACME, JANE, new.command_id, latest) is None
        assert (await kept.stored(other)).candidate_id == JOHN
        assert sorted(intent.candidate_id or 0 for intent in await kept.intents()) == [JOHN, 300]

    async def test_an_account_has_its_connection_or_none(self, kept: Kept) -> None:
        assert await kept.organizations.load(ACME) == ORGANIZATION
        assert await kept.organizations.load(GLOBEX) is None
