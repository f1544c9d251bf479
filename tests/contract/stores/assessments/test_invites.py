"""Invites as assessments keeps them, on PostgreSQL and on the twins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from tests.contract.stores.assessments.kept import (
    ACME,
    AT,
    DELETED,
    GLOBEX,
    JANE,
    JOHN,
    LATER,
    NOW,
    OTHER_TEST,
    TEST,
    Kept,
    command,
    invite,
    signal,
)
from tests.contract.stores.races import meanwhile

from trellis.assessments.adapters.invite_links import InviteLink
from trellis.assessments.adapters.invite_rows import StoredInvite
from trellis.assessments.adapters.people_store import Erased
from trellis.assessments.domain.correlation import Progress
from trellis.assessments.domain.polling import NextReading
from trellis.common.contracts.identifiers import ApplicationId, StageId, Visit
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence, State


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

    async def test_who_decides_about_a_person_or_an_application_waits_for_who_does_and_nobody_else_waits(
        self, kept: Kept
    ) -> None:
        async with meanwhile(kept.database) as connection:
            await kept.invites.lock_rivals(connection, ACME, ApplicationId(1), "hash of jane")
            of_person, of_application = (
                asyncio.create_task(kept.run(kept.invites, "lock_rivals", ACME, ApplicationId(number), name))
                for number, name in ((3, "hash of jane"), (1, "another hash of jane"))
            )
            async with asyncio.timeout(5):
                await kept.run(kept.invites, "lock_rivals", ACME, ApplicationId(2), "hash of john")
                await kept.run(kept.invites, "lock_rivals", GLOBEX, ApplicationId(1), "hash of jane")
            assert not of_person.done() and not of_application.done()
        await asyncio.gather(of_person, of_application)

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
