"""A recent result of the same candidate is taken instead of an invite, when the account wants it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration.assessments.bench import WHO, Bench
from tests.integration.assessments.inviting import invited

from trellis.common.contracts.facts import SignalKind

DAY_S = 86400.0


async def with_result(bench: Bench, age: timedelta) -> None:
    """Give application 1 of candidate 100 a result of that age."""
    invite = await invited(bench)
    bench.twin.submit(WHO, invite.data.assessment_id, final_score=83)  # type: ignore[union-attr]
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)
    await bench.execute("update result set completed_at = completed_at - $1::interval", age)


async def test_another_applications_result_stands_for_the_invite_with_whose_and_how_old(bench: Bench) -> None:
    await with_result(bench, timedelta(days=3))
    await bench.connect(result__reuse_within=7 * DAY_S)
    second = bench.invite(2)
    await bench.take(second)
    await bench.until(lambda: _is_done(bench, second))
    assert bench.mails() == 1
    first, taken = await bench.results()
    assert (taken.application_id, taken.score, taken.completed_at < first.completed_at) == (2, 83.0, True)
    assert await bench.cause(second) == (
        "no invite was sent: the result of application 1, of the same candidate, is taken; it is 3 days old"
    )
    await bench.run(rounds=2)
    assert len(await bench.results()) == 2


async def _is_done(bench: Bench, invite: object) -> bool:
    return await bench.state(invite) == "done"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("within", "candidate", "workflow"),
    [(None, 100, "screen"), (2 * DAY_S, 100, "screen"), (7 * DAY_S, 200, "screen"), (7 * DAY_S, 100, "by hand")],
    ids=["off", "too old", "another candidate", "ordered by hand"],
)
async def test_otherwise_the_invite_goes_out(bench: Bench, within: float | None, candidate: int, workflow: str) -> None:
    await with_result(bench, timedelta(days=3))
    await bench.connect(result__reuse_within=within)
    await bench.take(bench.invite(2, candidate=candidate, workflow=workflow))
    await bench.until(lambda: bench.mails() == 2)
    assert len(await bench.results()) == 1


async def test_a_later_visit_takes_its_own_result_even_where_each_visit_would_be_invited(bench: Bench) -> None:
    await with_result(bench, timedelta(hours=5))
    await bench.connect(result__reuse_within=DAY_S, invite__reinvite="always")
    again = bench.invite(visit="n2", stage=8)
    await bench.take(again)
    await bench.until(lambda: _is_done(bench, again))
    assert (await bench.results())[-1].visit == "n2"
    assert "its own result of stage visit n1" in await bench.cause(again)
    assert bench.mails() == 1
