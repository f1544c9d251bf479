"""The reconciler against the sandbox: what no webhook told is found, and nothing is ever read as gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.greenhouse_actions.bench import ACME, Bench

from trellis.common.contracts.envelope import decode
from trellis.common.contracts.facts import ApplicationObserved, ApplicationStatus, FoundBy
from trellis.common.errors import ConflictError
from trellis.common.ledger.budget import Use
from trellis.common.store.postgres import acquired
from trellis.greenhouse_actions.adapters import harvest_v3
from trellis.greenhouse_actions.domain.reconciling import LONGEST
from trellis.greenhouse_actions.reconciliations import Progress

AT_ONCE = {"reconcile.delay": 0, "reconcile.interval": 0, "rate.start_limit": 10_000, "rate.share": 1}
LEASE = timedelta(seconds=30)


@pytest.fixture
async def bench(bare: Bench) -> AsyncIterator[Bench]:
    """The service, connected, with webhooks that nobody hears."""
    await bare.connect(settings=AT_ONCE)
    yield bare


async def progress(bench: Bench) -> Progress:
    (one,) = await bench.replica.reconciliations.progress(ACME)
    return one


async def found(bench: Bench) -> list[ApplicationObserved]:
    messages = [m for m in await bench.messages() if isinstance(m, ApplicationObserved)]
    assert all(m.found_by is FoundBy.RECONCILIATION for m in messages)
    return messages


async def compare(bench: Bench) -> None:
    """Compare windows until the present is reached once more."""
    before = (await bench.replica.reconciliations.progress(ACME) or [None])[0]
    async with asyncio.timeout(20):
        while True:
            await bench.replica.reconciler.step()
            now = await progress(bench)
            if now.completed_at is not None and (before is None or now.completed_at != before.completed_at):
                return


async def test_what_no_webhook_told_is_told_with_stage_status_and_the_time_it_entered(bench: Bench) -> None:
    person, rejected = await bench.apply(), await bench.apply()
    await bench.sandbox.act("move", application_id=person["application_id"], stage="Onsite")
    await bench.sandbox.act("reject", application_id=rejected["application_id"])
    await compare(bench)
    facts = {fact.application_id: fact for fact in await found(bench)}
    moved = facts[person["application_id"]]
    assert moved.application is not None and moved.application.stage is not None and moved.entered_at is not None
    assert moved.application.stage.id == bench.stage("Onsite")
    assert moved.act_within_s == 86400
    ended = facts[rejected["application_id"]].application
    assert ended is not None and ended.status is ApplicationStatus.REJECTED


async def test_what_did_not_change_is_the_same_fact_and_what_changed_is_another(bench: Bench) -> None:
    person = await bench.apply()
    await compare(bench)
    await compare(bench)
    async with acquired(bench.pool) as database:
        ids = await database.fetch("select distinct id from outbox")
    assert len(ids) == 1
    await bench.sandbox.act("move", application_id=person["application_id"], stage="Onsite")
    await compare(bench)
    async with acquired(bench.pool) as database:
        rows = await database.fetch("select distinct on (id) id, body from outbox order by id, position")
    assert len(rows) == 2
    assert {decode(row["body"]).id for row in rows} == {row["id"] for row in rows}


async def test_an_hour_of_silence_is_found_though_the_first_comparison_was_complete(bench: Bench) -> None:
    await bench.apply()
    await compare(bench)
    person = await bench.apply()
    await compare(bench)
    assert person["application_id"] in {fact.application_id for fact in await found(bench)}


@pytest.mark.parametrize("non_admin", ["403", "empty"])
async def test_a_user_that_sees_nothing_moves_no_mark_and_is_named(bench: Bench, non_admin: str) -> None:
    await compare(bench)
    mark = (await progress(bench)).mark
    person = await bench.apply()
    await bench.sandbox.switch("list.non_admin", non_admin)
    await bench.sandbox.act("drop_site_admin")
    assert await bench.replica.reconciler.step()
    now = await progress(bench)
    assert now.mark == mark
    assert now.cause
    pause = await bench.pause()
    assert pause is not None and pause["remedy"]
    await bench.sandbox.act("give_site_admin")
    await asyncio.sleep(0.25)
    await compare(bench)
    assert person["application_id"] in {fact.application_id for fact in await found(bench)}
    assert await bench.pause() is None
    assert (await progress(bench)).cause == ""


@pytest.mark.parametrize(
    ("kind", "count"), [("500", 1), ("truncated_json", 1), ("filter_ignored", 2), ("429", 1), ("cut_after", 2)]
)
async def test_a_list_that_is_not_whole_moves_no_mark(bench: Bench, kind: str, count: int) -> None:
    await bench.connect(settings=AT_ONCE | {"reconcile.overlap": 0})
    await bench.apply()
    await asyncio.sleep(1.2)  # so that the list without its filter shows one from before the window
    await compare(bench)
    mark = (await progress(bench)).mark
    person = await bench.apply()
    await bench.sandbox.fault("applications.list", kind, count=count, retry_after=0)
    assert await bench.replica.reconciler.step()
    now = await progress(bench)
    assert (now.mark, now.tries) == (mark, 1)
    assert now.cause
    async with acquired(bench.pool) as database:
        await database.execute("update reconciliation set due_at = clock_timestamp()")
        await database.execute("update budget set tat = clock_timestamp()")
    await compare(bench)
    assert person["application_id"] in {fact.application_id for fact in await found(bench)}


async def test_a_replica_that_lost_its_claim_writes_nothing_more(bench: Bench) -> None:
    await bench.apply()
    store = bench.replica.reconciliations
    claim = await store.claim(timedelta(seconds=-1))
    assert claim is not None
    other = await store.claim(LEASE)
    assert other is not None and other.account == claim.account
    with pytest.raises(ConflictError):
        await store.tell(claim, [], LEASE)
    with pytest.raises(ConflictError):
        await store.advance(claim, claim.now, wait=None)
    await store.postpone(claim, "late", timedelta(hours=1), None)
    assert await store.claim(LEASE) is None
    await store.advance(await store.tell(other, [], LEASE), other.now, wait=None)
    assert (await progress(bench)).mark == other.now


async def test_a_mark_set_back_while_a_window_is_compared_stays_set_back(bench: Bench) -> None:
    await compare(bench)
    store = bench.replica.reconciliations
    claim = await store.claim(LEASE)
    assert claim is not None
    since = datetime.now(UTC) - timedelta(days=30)
    status, said = await bench.call("POST", f"{ACME}/reconciliation", {"since": since.isoformat()})
    assert (status, said) == (200, {"set_back": True})
    with pytest.raises(ConflictError):
        await store.advance(claim, claim.now, wait=None)
    assert (await progress(bench)).mark == since
    status, said = await bench.call("POST", f"{ACME}/reconciliation", {"since": datetime.now(UTC).isoformat()})
    assert said == {"set_back": False}
    status, _ = await bench.call("POST", f"{ACME}/reconciliation", {"since": "yesterday"})
    assert status == 422


async def test_a_deep_comparison_is_made_in_windows_and_a_full_one_is_halved(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.apply()
    await compare(bench)
    await bench.call("POST", f"{ACME}/reconciliation", {"since": (datetime.now(UTC) - timedelta(days=2)).isoformat()})
    with monkeypatch.context() as patch:
        patch.setattr(harvest_v3, "MOST_PAGES", 0)
        await bench.replica.reconciler.step()
    async with acquired(bench.pool) as database:
        await database.execute("update reconciliation set due_at = clock_timestamp()")
    claim = await bench.replica.reconciliations.claim(timedelta(seconds=-1))
    assert claim is not None and claim.longest == LONGEST / 2
    steps = 0
    while await bench.replica.reconciler.step() and (await progress(bench)).mark < claim.now - timedelta(minutes=1):
        steps += 1
    assert steps >= 8
    status, said = await bench.call("GET", f"{ACME}/reconciliation")
    assert status == 200
    assert said["completed_at"] is not None and said["cause"] == ""


async def test_work_for_people_goes_first(bench: Bench) -> None:
    await bench.connect(settings=AT_ONCE | {"rate.start_limit": 20, "rate.share": 1})
    async with acquired(bench.pool) as database:
        await database.execute("delete from budget")
    connected = await bench.replica.harvests.of(ACME)
    spent = 0
    budget = connected.harvest._budget  # type: ignore[attr-defined]
    while await budget.spend(ACME, 1, Use.BACKGROUND) is None:
        spent += 1
    assert spent > 0
    assert await budget.spend(ACME) is None
