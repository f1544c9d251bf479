"""Invites through the ledger on a real database: one mail, whatever happens before the answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tests.integration.assessments.bench import ACME, TEST, Bench

from trellis.common.contracts.commands import Action, SendInvite
from trellis.common.contracts.facts import CandidateUpdated, SignalKind
from trellis.common.contracts.identifiers import AccountId, CandidateId, CommandId
from trellis.common.contracts.outcomes import OutcomeState
from trellis.common.ledger.effects import Blocked, Later, Overtaken
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
