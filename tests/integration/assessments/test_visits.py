"""Another visit to a stage: whether it invites again, or uses the result that is there already."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench
from tests.integration.assessments.inviting import invited

from trellis.common.contracts.commands import Action
from trellis.common.contracts.facts import SignalKind


async def test_never_invites_once_over_all_visits_and_uses_the_result_in_the_new_one(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST, final_score=66)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    again = bench.invite(visit="n2")
    await bench.take(again)
    await bench.run(rounds=2)
    assert (await bench.state(again), bench.mails()) == ("superseded", 1)
    assert "earlier visit" in await bench.cause(again)
    assert [(r.visit, r.score) for r in await bench.results()] == [("n1", 66.0), ("n2", 66.0)]


async def test_a_worker_that_dies_after_using_an_earlier_result_does_not_use_it_twice(bench: Bench) -> None:
    await invited(bench)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await bench.take(bench.invite(visit="n2"))
    ledger, effect = bench.one.api.ledger, bench.one.runner._effects[Action.INVITE]
    claimed = await ledger.claim_due(lease=timedelta(seconds=0.1), per_account=5, vendor="coderbyte")
    await effect.prepare(ACME, claimed)  # and dies before it records that the invite is overtaken
    await asyncio.sleep(0.2)
    await bench.run(rounds=2)
    assert sorted(result.visit for result in await bench.results()) == ["n1", "n2"]


async def test_a_result_that_comes_later_is_used_in_the_new_visit_to_the_same_stage_only(bench: Bench) -> None:
    await invited(bench)
    same, elsewhere = bench.invite(visit="n2"), bench.invite(visit="n3", stage=8)
    await bench.take(same, elsewhere)
    await bench.run(rounds=2)
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    assert sorted(result.visit for result in await bench.results()) == ["n1", "n2"]


@pytest.mark.parametrize(("begun", "mails"), [(False, 2), (True, 1)])
async def test_if_not_started_asks_whether_the_candidate_began(bench: Bench, begun: bool, mails: int) -> None:
    await bench.connect(invite__reinvite="if_not_started")
    await invited(bench)
    if begun:
        await bench.take(bench.signal(SignalKind.STARTED))
    await bench.take(bench.invite(visit="n2"))
    await bench.run(rounds=3)
    assert bench.mails() == mails


async def test_always_invites_in_each_visit_and_the_result_is_the_later_ones(bench: Bench) -> None:
    await bench.connect(invite__reinvite="always", invite__poll_interval=0.05)
    await invited(bench)
    await invited(bench, visit="n2")
    assert bench.mails() == 2
    bench.twin.submit(WHO, TEST)
    await bench.until(bench.results)
    for _ in range(3):
        await asyncio.sleep(0.06)
        await bench.run()
    assert [result.visit for result in await bench.results()] == ["n2"]
