"""Erasures and merges of people in what assessments keeps, on PostgreSQL and on the twins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

from tests.contract.stores.assessments.kept import (
    ACME,
    AT,
    DELETED,
    GLOBEX,
    GOOD,
    JANE,
    JOHN,
    LATER,
    NOW,
    TEST,
    Kept,
    command,
    invite,
    signal,
)
from tests.contract.stores.races import meanwhile

from trellis.common.contracts.facts import ErasureReason
from trellis.common.contracts.identifiers import ApplicationId, CandidateId


class TestPeople:
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
        assert (await kept.stored(new)).doubted  # that it may have left is no secret, and still counts
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
        assert await kept.run(kept.people, "merge", ACME, JOHN, third) is None
        assert await kept.run(kept.people, "merge", ACME, JANE, JOHN) is None  # told out of order
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

    async def test_a_merge_told_last_into_who_was_anonymised_and_merged_since_erases_what_it_brings(
        self, kept: Kept
    ) -> None:
        third, anonymised = CandidateId(300), ErasureReason.ANONYMIZED
        new, own = await kept.prepare(invite()), await kept.prepare(invite(2, candidate_id=third))
        async with kept.database.acquired() as connection:
            before = await kept.database.now(connection)
        await kept.run(kept.people, "erase", ACME, JOHN, anonymised)
        assert await kept.run(kept.people, "merge", ACME, JOHN, third) is None
        assert await kept.run(kept.people, "merge", ACME, JANE, JOHN) == (JOHN, anonymised)
        assert (await kept.run(kept.people, "erase", ACME, JOHN, anonymised)).commands == (new.command_id,)
        assert (await kept.stored(own)).address is not None
        assert not await kept.run(kept.invites, "prepare", invite(3, seen_at=before))
        for candidate, erased in ((JANE, True), (JOHN, True), (third, False)):
            assert await kept.run(kept.invites, "is_erased", ACME, candidate, before) is erased

    async def test_a_merge_into_who_was_deleted_for_being_merged_erases_nothing(self, kept: Kept) -> None:
        third = CandidateId(300)
        await kept.run(kept.people, "merge", ACME, JOHN, third)
        await kept.run(kept.people, "erase", ACME, JOHN, DELETED)
        assert await kept.run(kept.people, "merge", ACME, JANE, JOHN) is None
        assert not await kept.run(kept.invites, "is_erased", ACME, JANE, None)

    async def test_an_anonymisation_told_after_a_merge_takes_what_was_that_persons(self, kept: Kept) -> None:
        new, own = await kept.prepare(invite()), await kept.prepare(invite(2, candidate_id=JOHN))
        await kept.run(kept.people, "merge", ACME, JANE, JOHN)
        assert (await kept.run(kept.people, "erase", ACME, JANE, DELETED)).commands == ()
        gone = await kept.run(kept.people, "erase", ACME, JANE, ErasureReason.ANONYMIZED)
        assert gone.commands == (new.command_id,)
        assert (await kept.stored(own)).address is not None

    async def test_an_anonymisation_told_last_takes_what_was_read_of_that_person_and_kept_after_the_merge(
        self, kept: Kept
    ) -> None:
        await kept.run(kept.people, "merge", ACME, JANE, JOHN)
        new, own = await kept.prepare(invite()), await kept.prepare(invite(2, candidate_id=JOHN))
        assert await kept.run(kept.invites, "prepare", new)
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
