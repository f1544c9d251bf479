"""Signals that no invite was found for, and invites attached by hand, on PostgreSQL and on the twins."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from tests.contract.stores.assessments.kept import (
    ACME,
    DELETED,
    GLOBEX,
    JANE,
    JOHN,
    Kept,
    attached,
    command,
    invite,
    signal,
)

from trellis.assessments.domain.correlation import Progress
from trellis.common.contracts.identifiers import ApplicationId


class TestSignals:
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

    async def test_an_unmatched_signal_is_kept_once(self, kept: Kept) -> None:
        ident = uuid4()
        for account, name in ((ACME, ident), (ACME, ident), (ACME, uuid4()), (GLOBEX, uuid4())):
            await kept.run(kept.signals, "keep", account, name, signal(), "nobody")
        assert await kept.run(kept.signals, "counts") == {ACME: 2, GLOBEX: 1}
