"""One person with two applications that ask for the same assessment: who shares the invite and the result."""

from __future__ import annotations

import asyncio

from tests.integration.assessments.bench import TEST, WHO, Bench
from tests.integration.assessments.inviting import invited, is_done

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import SignalKind
from trellis.common.ledger.effects import Overtaken


async def take_in_turn(bench: Bench, first: Envelope, second: Envelope) -> None:
    """Take *second* when *first* is out: two that are prepared at the same time go in either order."""
    await bench.take(first)
    await bench.until(lambda: bench.mails() == 1)
    await bench.take(second)


async def test_the_second_application_shares_the_first_ones_invite_and_result(bench: Bench) -> None:
    first, second = bench.invite(1), bench.invite(2)
    await take_in_turn(bench, first, second)
    await bench.run(rounds=4)
    assert (await bench.state(first), await bench.state(second)) == ("done", "waiting")
    assert "application 1" in await bench.cause(second)
    assert bench.mails() == 1
    bench.twin.submit(WHO, TEST, final_score=77)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(lambda: is_done(bench, second))
    results = await bench.results()
    assert sorted((result.application_id, result.score) for result in results) == [(1, 77.0), (2, 77.0)]
    assert "shared" in (await bench.settled())[-1].reason
    assert bench.mails() == 1


async def test_a_changed_result_reaches_both(bench: Bench) -> None:
    first, second = bench.invite(1), bench.invite(2)
    await take_in_turn(bench, first, second)
    await bench.run(rounds=2)
    attempt = bench.twin.submit(WHO, TEST, final_score=50)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    attempt["final_score"] = 55
    await bench.take(bench.signal(SignalKind.REVIEWED))
    await bench.run(rounds=2)
    told = sorted((r.application_id, r.result_version, r.score) for r in await bench.results())
    assert told == [(1, 1, 50.0), (1, 2, 55.0), (2, 1, 50.0), (2, 2, 55.0)]


async def test_an_application_that_left_meanwhile_shares_nothing(bench: Bench) -> None:
    first, second = bench.invite(1), bench.invite(2)
    await take_in_turn(bench, first, second)
    await bench.run(rounds=2)
    bench.gate.verdicts[2] = Overtaken(reason="rejected")
    await bench.execute("update intent set due_at = clock_timestamp()")
    await bench.run(rounds=2)
    assert await bench.state(second) == "superseded"
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    assert [result.application_id for result in await bench.results()] == [1]


async def test_when_the_first_falls_away_the_second_is_sent(bench: Bench) -> None:
    bench.gate.verdicts[1] = Overtaken(reason="rejected")
    first, second = bench.invite(1), bench.invite(2)
    await bench.take(first, second)
    await bench.until(lambda: is_done(bench, second))
    assert (await bench.state(first), bench.mails()) == ("superseded", 1)


async def test_newest_sends_both_and_gives_the_result_to_the_newest(bench: Bench) -> None:
    await bench.connect(result__on_collision="newest", invite__poll_interval=0.05)
    await invited(bench, 1)
    await invited(bench, 2)
    assert bench.mails() == 2
    bench.twin.submit(WHO, TEST)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    for _ in range(4):
        await asyncio.sleep(0.06)
        await bench.run()
    assert [result.application_id for result in await bench.results()] == [2]


async def test_hold_parks_the_second_for_a_person(bench: Bench) -> None:
    await bench.connect(result__on_collision="hold")
    await invited(bench, 1)
    second = bench.invite(2)
    await bench.take(second)
    await bench.run(rounds=2)
    assert await bench.state(second) == "parked"
    assert bench.mails() == 1


async def test_once_the_first_has_its_result_the_second_is_invited_of_its_own_and_results_stay_apart(
    bench: Bench,
) -> None:
    await invited(bench, 1)
    bench.twin.submit(WHO, TEST, final_score=50)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await invited(bench, 2)
    assert bench.mails() == 2
    bench.twin.join(WHO, TEST)
    bench.twin.submit(WHO, TEST, final_score=95)
    await bench.take(bench.signal(SignalKind.COMPLETED))

    async def both() -> bool:
        return len(await bench.results()) == 2

    await bench.until(both)
    await bench.take(bench.signal(SignalKind.REVIEWED))
    await bench.run(rounds=3)
    assert [(r.application_id, r.score) for r in await bench.results()] == [(1, 50.0), (2, 95.0)]


async def test_with_internal_ids_each_application_gets_its_own_result(bench: Bench) -> None:
    await bench.connect(
        invite__internal_id_mode="parenthesised", result__on_collision="newest", invite__poll_interval=0.05
    )
    bench.twin.switches["invite.internal_id_mode"] = "parentheses"
    await invited(bench, 1)
    await invited(bench, 2)
    bench.twin.join(WHO, TEST, internal_id="ghapp_2")
    bench.twin.submit(WHO, TEST, final_score=64)
    await bench.until(bench.results)
    for _ in range(3):
        await asyncio.sleep(0.06)
        await bench.run()
    assert [(r.application_id, r.score) for r in await bench.results()] == [(2, 64.0)]
