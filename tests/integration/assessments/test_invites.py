"""Invites through the ledger on a real database: one mail, whatever happens to the answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench

from trellis.common.contracts.commands import Action, SendInvite
from trellis.common.contracts.facts import CandidateUpdated, SignalKind
from trellis.common.contracts.identifiers import AccountId, CandidateId, CommandId
from trellis.common.contracts.outcomes import OutcomeState
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Blocked, Later, Overtaken
from trellis.common.ledger.epoch import Epochs
from trellis.common.ledger.states import Occurrence
from trellis.common.runtime import clock
from trellis.common.store.postgres import transaction

# -- the plain way


async def test_an_invite_goes_out_once_and_is_told(bench: Bench) -> None:
    command = bench.invite()
    await bench.take(command)
    await bench.until(lambda: bench.mails() == 1)
    await bench.run(rounds=3)
    assert await bench.state(command) == "done"
    (settled,) = await bench.settled()
    assert (settled.state, settled.attempt, settled.assessment_id) == (OutcomeState.DONE, 1, TEST)
    assert bench.mails() == 1


async def test_repeats_of_a_command_in_one_batch_and_later_are_one_mail(bench: Bench) -> None:
    command = bench.invite()
    again = bench.envelope(command.data)  # the same command under another message id
    await bench.take(command, command, again)
    await bench.take(again)
    await bench.run(rounds=3)
    await bench.take(command)
    await bench.run(rounds=3)
    assert bench.mails() == 1
    assert len(await bench.rows()) == 1


async def test_another_command_for_the_same_visit_and_assessment_is_superseded(bench: Bench) -> None:
    first = bench.invite()
    assert isinstance(first.data, SendInvite)
    second = bench.envelope(_with_id(first.data))
    await bench.take(first, second)
    await bench.run(rounds=2)
    assert bench.mails() == 1
    assert sorted(settled.state for settled in await bench.settled()) == [OutcomeState.DONE, OutcomeState.SUPERSEDED]


def _with_id(command: SendInvite) -> SendInvite:
    return replace(command, command_id=CommandId(uuid4()))


async def test_two_assessments_of_one_application_are_two_mails(bench: Bench) -> None:
    bench.twin.add_assessment("second")
    await bench.take(bench.invite(), bench.invite(assessment="second"))
    await bench.until(lambda: bench.mails() == 1 and bench.mails(test="second") == 1)


async def test_many_replicas_send_each_invite_once(bench: Bench) -> None:
    for number in range(1, 31):
        bench.gate.addresses[number] = f"person{number}@mail.example"
    await bench.take(*(bench.invite(number, candidate=number) for number in range(1, 31)))
    replicas = [bench.replica() for _ in range(3)]
    for _ in range(6):
        await asyncio.gather(*(bench.run(replica) for replica in replicas))
    assert {row["state"] for row in await bench.rows()} == {"done"}
    assert sorted(bench.twin.mails.values()) == [1] * 30


# -- what is asked first


@pytest.mark.parametrize(
    ("verdict", "state", "word"),
    [
        (Overtaken(reason="the application was rejected"), "superseded", "rejected"),
        (Blocked(reason="no address", remedy="add one", mended_by="candidate.updated"), "parked", "no address"),
        (Later(reason="Greenhouse is away", wait=timedelta(seconds=60)), "waiting", "Greenhouse is away"),
    ],
)
async def test_greenhouse_has_the_first_word(bench: Bench, verdict: object, state: str, word: str) -> None:
    bench.gate.verdicts[1] = verdict  # type: ignore[assignment]
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    assert await bench.state(command) == state
    assert word in await bench.cause(command)
    assert bench.mails() == 0
    assert bench.twin.calls["invite"] == 0


async def test_while_greenhouse_actions_is_away_invites_wait_with_their_reason(bench: Bench) -> None:
    bench.gate.away = True
    command = bench.invite()
    await bench.take(command)
    await bench.run()
    assert (await bench.state(command), bench.mails()) == ("waiting", 0)
    assert "greenhouse-actions" in await bench.cause(command)
    bench.gate.away = False
    await bench.until(lambda: bench.mails() == 1)


async def test_a_missing_address_parks_the_invite_until_the_candidate_is_updated(bench: Bench) -> None:
    bench.gate.verdicts[1] = Blocked(reason="no address", remedy="add one", mended_by="candidate.updated")
    command = bench.invite()
    await bench.take(command)
    await bench.run()
    assert await bench.state(command) == "parked"
    await bench.take(bench.envelope(CandidateUpdated(candidate_id=CandidateId(101))))
    assert await bench.state(command) == "parked"  # somebody else was updated
    del bench.gate.verdicts[1]
    await bench.take(bench.envelope(CandidateUpdated(candidate_id=CandidateId(100))))
    await bench.until(lambda: bench.mails() == 1)


async def test_an_old_reading_of_the_application_sends_nothing(bench: Bench) -> None:
    bench.gate.age = 11.0
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    assert (bench.mails(), bench.twin.calls["invite"]) == (0, 0)
    bench.gate.age = 0.0
    await bench.until(lambda: bench.mails() == 1)


async def test_one_question_is_asked_for_the_whole_batch(bench: Bench) -> None:
    for number in range(1, 11):
        bench.gate.addresses[number] = f"person{number}@mail.example"
    await bench.take(*(bench.invite(number, candidate=number) for number in range(1, 11)))
    await bench.run()
    assert bench.gate.asked == 1


@pytest.mark.parametrize(
    ("assessment", "word"), [("closed", "closed"), ("linkless", "public link"), ("missing", "no assessment")]
)
async def test_what_cannot_be_invited_to_is_parked_with_a_remedy(bench: Bench, assessment: str, word: str) -> None:
    bench.twin.add_assessment("closed", closed=True)
    bench.twin.add_assessment("linkless", public=False)
    command = bench.invite(assessment=assessment)
    await bench.take(command)
    await bench.run()
    assert await bench.state(command) == "parked"
    (row,) = await bench.rows()
    assert word in row["cause"]
    assert row["remedy"]


async def test_an_assessment_made_a_moment_ago_is_found_though_the_list_is_remembered(bench: Bench) -> None:
    await bench.take(bench.invite())
    await bench.run()
    bench.twin.add_assessment("brand-new")
    await bench.take(bench.invite(2, candidate=2, assessment="brand-new"))
    await bench.until(lambda: bench.mails(test="brand-new") == 1)


async def test_without_a_connection_invites_wait_and_go_on_once_it_is_there(bench: Bench) -> None:
    command = bench.invite(account=AccountId("newcomer"))
    await bench.take(command)
    await bench.run()
    assert await bench.state(command) == "waiting"
    assert "trellis apply" in await bench.cause(command)


async def test_a_cap_holds_back_what_is_above_it(bench: Bench) -> None:
    await bench.connect(cap__invites_per_hour=2)
    for number in range(1, 5):
        bench.gate.addresses[number] = f"person{number}@mail.example"
        await bench.take(bench.invite(number, candidate=number))
        await bench.run()
    assert sum(bench.twin.mails.values()) == 2
    assert [row["state"] for row in await bench.rows()] == ["done", "done", "waiting", "waiting"]


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


# -- a process that dies


async def test_a_worker_killed_before_the_request_leaves_nothing_in_doubt(bench: Bench) -> None:
    bench.lease = 60.0
    command = bench.invite()
    await bench.take(command)
    ledger = bench.one.api.ledger
    await ledger.claim_due(lease=timedelta(seconds=0.2), per_account=5, vendor="coderbyte")  # and dies
    await asyncio.sleep(0.3)
    await bench.until(lambda: bench.mails() == 1)
    assert (await bench.state(command), bench.twin.calls["invite"]) == ("done", 1)


async def test_a_worker_killed_with_its_request_under_way_leaves_an_invite_in_doubt_and_a_join_settles_it(
    bench: Bench,
) -> None:
    command = bench.invite()
    await bench.take(command)
    sent = bench.twin.invite

    async def sent_and_killed(organization: object, request: object) -> object:
        await sent(organization, request)  # type: ignore[arg-type]
        raise asyncio.CancelledError

    bench.twin.invite = sent_and_killed  # type: ignore[method-assign, assignment]
    await bench.one.runner.perform_due()
    assert await bench.state(command) == "attempting"
    bench.twin.invite = sent  # type: ignore[method-assign]
    await bench.execute("update intent set deadline_at = clock_timestamp() - interval '1 second'")
    await bench.run(bench.replica(), rounds=3)
    assert (await bench.state(command), bench.mails()) == ("in_doubt", 1)
    await bench.take(bench.signal(SignalKind.STARTED))
    assert (await bench.state(command), bench.mails()) == ("done", 1)


async def test_two_applications_of_one_person_made_ready_before_send_one_mail_whatever_the_lease(bench: Bench) -> None:
    await bench.connect(cap__invites_per_hour=1)
    bench.gate.addresses[9] = "other@mail.example"
    await bench.take(bench.invite(9, candidate=9))
    await bench.run()  # uses the cap up
    first, second = bench.invite(1), bench.invite(2)
    await bench.take(first)
    await bench.run()
    await bench.take(second)
    await bench.run()
    await bench.connect()  # no cap any more
    for _ in range(4):
        await bench.execute("update intent set due_at = clock_timestamp() where state = 'waiting'")
        await bench.run()
    assert bench.mails() == 1
    assert sorted([await bench.state(first), await bench.state(second)]) == ["done", "waiting"]


async def test_a_worker_whose_claim_lapsed_makes_nothing_ready(bench: Bench) -> None:
    command = bench.invite()
    await bench.take(command)
    ledger, effect = bench.one.api.ledger, bench.one.runner._effects[Action.INVITE]
    lapsed = await ledger.claim_due(lease=timedelta(seconds=0.05), per_account=5, vendor="coderbyte")
    await asyncio.sleep(0.1)
    await ledger.claim_due(lease=timedelta(seconds=30), per_account=5, vendor="coderbyte")
    (said,) = (await effect.prepare(ACME, lapsed)).values()
    assert isinstance(said, Later)
    assert await bench.fetch("select 1 from invite") == []


# -- the credential


async def test_a_rejected_key_pauses_that_account_alone_and_mended_it_goes_on_by_itself(bench: Bench) -> None:
    other = AccountId("other")
    await bench.connect(other)
    await bench.connect(api_key="stale")
    mine, theirs = bench.invite(), bench.invite(2, candidate=2, account=other)
    await bench.take(mine, theirs)
    await bench.run(rounds=3)
    assert (await bench.state(mine), await bench.state(theirs)) == ("waiting", "done")
    pause = await bench.one.api.connections.pause(ACME)
    assert pause is not None
    assert "API key" in pause["remedy"]
    bench.twin.api_key = "stale"  # the organization made it valid again; nobody told Trellis
    await bench.until(lambda: bench.mails() == 2)
    assert await bench.one.api.connections.pause(ACME) is None


async def test_a_wait_for_the_budget_costs_no_second_reading(bench: Bench) -> None:
    await bench.connect(rate__max_per_second=2)
    command = bench.invite()
    await bench.take(command)
    await bench.until(lambda: bench.mails() == 1, seconds=20)
    assert bench.twin.calls["report"] <= 2
    assert await bench.state(command) == "done"


@pytest.mark.parametrize(("old_seconds", "readings"), [(30, 1), (120, 2)])
async def test_how_old_a_reading_is_does_not_rest_on_the_workers_own_clock(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old_seconds: int, readings: int
) -> None:
    bench.twin.fault("invite", "429", retry_after=1)
    await bench.take(bench.invite())
    await bench.run()
    assert (bench.twin.calls["invite"], bench.twin.calls["report"]) == (1, 1)
    async with transaction(bench.pool) as connection:
        await connection.execute("update invite set read_at = read_at - make_interval(secs => $1)", old_seconds)
    (tmp_path / "offset").write_text("-100")
    monkeypatch.setattr(clock, "_OFFSET_FILE", str(tmp_path / "offset"))
    await bench.until(lambda: bench.mails() == 1)
    assert bench.twin.calls["report"] == readings


async def test_a_backlog_within_a_small_budget_gets_done(bench: Bench) -> None:
    await bench.connect(rate__max_per_second=8)
    for number in range(1, 7):
        bench.gate.addresses[number] = f"person{number}@mail.example"
    await bench.take(*(bench.invite(number, candidate=number) for number in range(1, 7)))
    await bench.until(lambda: sum(bench.twin.mails.values()) == 6, seconds=30)
    assert {row["attempt"] for row in await bench.rows()} == {1}


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
