"""What an answer to an invite proves, or none, and what settles it: a webhook, a report, a listing, a person."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench

from trellis.common.contracts.facts import SignalKind
from trellis.common.contracts.outcomes import OutcomeState
from trellis.common.ledger.changes import Change
from trellis.common.ledger.epoch import Epochs
from trellis.common.ledger.states import Occurrence
from trellis.common.store.postgres import transaction


# -- what the answer proves
@pytest.mark.parametrize("kind", ["429", "503", "refused"])
async def test_what_proves_that_nothing_was_done_is_tried_again(bench: Bench, kind: str) -> None:
    bench.twin.fault("invite", kind, retry_after=0 if kind != "refused" else None)
    command = bench.invite()
    await bench.take(command)
    await bench.until(lambda: bench.mails() == 1)
    assert await bench.state(command) == "done"
    assert bench.twin.calls["invite"] == 2


@pytest.mark.parametrize(
    ("kind", "mails"),
    [("500", 0), ("cut_before", 0), ("500_after", 1), ("502_after", 1), ("cut_after", 1), ("truncated_json", 1)],
)
async def test_what_may_have_happened_is_held_for_a_person_and_never_repeated(
    bench: Bench, kind: str, mails: int
) -> None:
    bench.twin.fault("invite", kind)
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=6)
    assert await bench.state(command) == "in_doubt"
    assert (bench.mails(), bench.twin.calls["invite"]) == (mails, 1)
    (settled,) = await bench.settled()
    assert settled.state is OutcomeState.PARKED
    assert "confirm or redrive" in settled.remedy


@pytest.mark.parametrize("kind", [SignalKind.STARTED, SignalKind.COMPLETED])
async def test_a_lost_answer_is_settled_by_the_candidates_own_webhook(bench: Bench, kind: SignalKind) -> None:
    bench.twin.fault("invite", "cut_after")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=3)
    assert await bench.state(command) == "in_doubt"
    await bench.take(bench.signal(kind))
    assert await bench.state(command) == "done"
    assert [settled.state for settled in await bench.settled()] == [OutcomeState.PARKED, OutcomeState.DONE]
    assert bench.mails() == 1


async def test_a_lost_answer_is_settled_by_a_report_without_any_webhook(bench: Bench) -> None:
    await bench.connect(invite__poll_interval=0.2)
    bench.twin.fault("invite", "cut_after")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    bench.twin.submit(WHO, TEST, final_score=75)
    await bench.until(bench.results)
    assert await bench.state(command) == "done"
    assert (bench.mails(), len(await bench.results())) == (1, 1)


async def restored(bench: Bench) -> None:
    """Begin restored mode: what the database knew ended a day ago."""
    async with transaction(bench.pool) as connection:
        await connection.execute(
            "insert into epoch (nonce, since) values (gen_random_uuid(), now() - interval '1 day')"
        )
    newest = await Epochs(bench.pool).newest()
    assert await Epochs(bench.pool).enter(newest[0])


async def test_after_a_restore_an_invite_that_may_have_left_is_held_and_its_result_settles_it(bench: Bench) -> None:
    await bench.connect(invite__poll_interval=0.2)
    await restored(bench)
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    assert (await bench.state(command), bench.mails()) == ("in_doubt", 0)
    bench.twin.submit(WHO, TEST, final_score=75)
    await bench.until(bench.results)
    assert (await bench.state(command), bench.mails()) == ("done", 0)


async def test_after_a_restore_what_coderbyte_shows_already_proves_nothing(bench: Bench) -> None:
    await bench.connect(invite__on_unknown="resend_once", lookup__lists_pending_invites=True)
    await restored(bench)
    bench.twin.submit(WHO, TEST, final_score=99)
    shown, absent = bench.invite(), bench.invite(2)
    bench.gate.addresses[2] = "nobody@mail.example"
    await bench.take(shown)
    await bench.take(absent)
    await bench.run(rounds=2)
    await asyncio.sleep(0.1)
    await bench.run(rounds=2)
    assert (await bench.state(shown), await bench.state(absent), bench.mails()) == ("in_doubt", "waiting", 0)


async def test_a_look_after_a_restore_that_dies_before_it_is_recorded_proves_nothing_at_the_next_one(
    bench: Bench,
) -> None:
    await bench.connect(invite__on_unknown="resend_once", lookup__lists_pending_invites=True)
    await restored(bench)
    bench.twin.submit(WHO, TEST, final_score=99)
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    await bench.execute("update intent set state = 'unknown', due_at = clock_timestamp(), lease_until = null")
    await bench.run(rounds=2)
    await asyncio.sleep(0.1)
    await bench.run(rounds=2)
    assert (await bench.state(command), bench.mails()) == ("in_doubt", 0)


async def test_after_a_restore_an_invite_is_looked_for_under_the_present_address_too(bench: Bench) -> None:
    await bench.connect(invite__on_unknown="resend_once", lookup__lists_pending_invites=True)
    bench.twin.fault("invite", "429")
    command = bench.invite()
    await bench.take(command)
    await bench.run()
    assert (await bench.state(command), bench.mails()) == ("waiting", 0)
    bench.gate.addresses[1] = "new@mail.example"
    bench.twin.submit("new@mail.example", TEST, final_score=99)
    await restored(bench)
    await bench.run(rounds=2)
    assert (await bench.state(command), bench.mails()) == ("in_doubt", 0)


async def test_after_a_restore_two_visits_that_were_proven_absent_are_one_mail(bench: Bench) -> None:
    await bench.connect(invite__on_unknown="resend_once", lookup__lists_pending_invites=True)
    bench.twin.switches["lookup.lists_pending_invites"] = True
    await restored(bench)
    first, second = bench.invite(visit="n1"), bench.invite(visit="n2")
    await bench.take(first, second)
    assert bench.mails() == 0
    await Epochs(bench.pool).end("test")

    async def are_settled() -> bool:
        return sorted([await bench.state(first), await bench.state(second)]) == ["done", "superseded"]

    await bench.until(are_settled)
    assert bench.mails() == 1


async def test_an_attempt_from_before_the_invite_settles_nothing(bench: Bench) -> None:
    bench.twin.submit(WHO, TEST, final_score=99)
    bench.twin.fault("invite", "cut_before")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=3)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    for _ in range(5):
        await bench.run()
        await asyncio.sleep(0.06)
    assert await bench.state(command) == "in_doubt"
    assert await bench.results() == []


async def test_a_webhook_that_overtakes_the_answer_is_matched(bench: Bench) -> None:
    command = bench.invite()
    sent = bench.twin.invite

    async def slow(organization: object, request: object) -> object:
        seen = await sent(organization, request)  # type: ignore[arg-type]
        await bench.take(bench.signal(SignalKind.STARTED))
        return seen

    bench.twin.invite = slow  # type: ignore[method-assign, assignment]
    await bench.take(command)
    await bench.run()
    assert await bench.state(command) == "done"
    assert len(await bench.started()) == 1
    assert await bench.fetch("select 1 from unmatched_signal") == []
    assert (await bench.fetch("select link from invite"))[0]["link"] is not None


async def test_pending_invites_that_are_listed_prove_both_ways(bench: Bench) -> None:
    bench.twin.switches["lookup.lists_pending_invites"] = True
    await bench.connect(lookup__lists_pending_invites=True, invite__on_unknown="resend_once")
    bench.twin.fault("invite", "cut_after")
    first = bench.invite()
    await bench.take(first)
    await bench.run(rounds=2)
    assert await bench.state(first) == "done"
    bench.twin.fault("invite", "cut_before")
    bench.gate.addresses[2] = "second@mail.example"
    second = bench.invite(2, candidate=2)
    await bench.take(second)
    await bench.until(lambda: bench.mails("second@mail.example") == 1)
    assert (bench.mails(), bench.twin.calls["invite"]) == (1, 3)


async def test_resend_once_resends_once_and_then_holds(bench: Bench) -> None:
    await bench.connect(lookup__lists_pending_invites=True, invite__on_unknown="resend_once")
    bench.twin.fault("invite", "cut_before", times=2)
    command = bench.invite()
    await bench.take(command)

    async def held() -> bool:
        return await bench.state(command) == "in_doubt"

    await bench.until(held)
    assert (bench.twin.calls["invite"], bench.mails()) == (2, 0)


async def test_a_listing_from_before_the_invite_proves_nothing(bench: Bench) -> None:
    bench.twin.switches["lookup.lists_pending_invites"] = True
    bench.twin.invites.append((WHO, TEST, True))  # somebody invited this person by hand last week
    bench.twin.fault("invite", "cut_before")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=3)
    assert await bench.state(command) == "in_doubt"


async def test_link_only_sends_no_mail_of_coderbytes(bench: Bench) -> None:
    await bench.connect(invite__delivery="link_only")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    assert (await bench.state(command), bench.mails(), len(bench.twin.invites)) == ("done", 0, 1)
    assert "hand the link over" in await bench.cause(command)


# -- a person's word
async def test_a_resent_invite_that_had_arrived_after_all_makes_no_second_mail(bench: Bench) -> None:
    bench.twin.fault("invite", "cut_after")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    bench.twin.join(WHO, TEST)  # the webhook was lost
    await _order(bench, command, "RESENT")
    await bench.run(rounds=2)
    assert (await bench.state(command), bench.mails()) == ("done", 1)
    assert "had no answer" in await bench.cause(command)


async def test_a_person_may_order_a_second_mail(bench: Bench) -> None:
    bench.twin.fault("invite", "cut_before")
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    await _order(bench, command, "RESENT")
    await bench.until(lambda: bench.mails() == 1)
    assert await bench.state(command) == "done"


async def _order(bench: Bench, command: object, occurrence: str) -> None:
    ledger = bench.one.api.ledger
    async with transaction(bench.pool) as connection:
        held = await ledger.held(connection, command.data.command_id, ACME)  # type: ignore[attr-defined]
        assert held is not None
        await ledger.record(
            connection, held, held.attempt, Change(occurrence=Occurrence[occurrence], reason="a person")
        )
