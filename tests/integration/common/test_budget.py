"""The budget of calls on a real database: shared by replicas, held to the vendor's word."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration.common.bench import ACME, Bench

from trellis.common.contracts.identifiers import AccountId
from trellis.common.ledger.budget import Budget, Use
from trellis.common.store.tenancy import serving


async def test_the_budget_is_shared_and_keeps_a_part_for_people(bench: Bench) -> None:
    one, two = (Budget(bench.pool, "greenhouse", limit=40, window=timedelta(seconds=30)) for _ in range(2))
    granted = 0
    while await one.spend(ACME, use=Use.BACKGROUND) is None:
        granted += 1
        assert granted < 41
    assert await two.spend(ACME, use=Use.BACKGROUND) is not None, "shared by all replicas"
    people = 0
    while await two.spend(ACME) is None:
        people += 1
        assert people < 41
    assert granted > 0
    assert people > 0, "background work leaves a share for people"
    assert granted + people <= 11
    assert await two.spend(AccountId("globex")) is None, "another account's budget is its own"


async def test_a_larger_limit_told_by_the_vendor_counts_what_was_spent_as_calls(bench: Bench) -> None:
    budget = Budget(bench.pool, "greenhouse", limit=12, window=timedelta(seconds=30))
    for _ in range(6):
        assert await budget.spend(ACME) is None
    assert await budget.spend(ACME) is not None
    await budget.told(ACME, limit=150, remaining=140)
    for _ in range(20):
        assert await budget.spend(ACME) is None, "six calls of a hundred and fifty are no reason to wait"


async def test_a_limit_that_others_used_up_is_learnt_while_one_account_is_served(bench: Bench) -> None:
    """All that is served for one account is one transaction: its second statement must not wait for its first."""
    budget = Budget(bench.pool, "greenhouse", limit=100, window=timedelta(seconds=30), share=0.5)
    with serving(ACME):
        assert await budget.spend(ACME) is None
        await budget.told(ACME, limit=60, remaining=2)
        assert await budget.spend(ACME) is not None, "the others used the rest: ours waits its turn"


async def test_after_retry_after_nobody_calls_before(bench: Bench) -> None:
    budget = Budget(bench.pool, "greenhouse", limit=100, window=timedelta(seconds=30))
    assert await budget.spend(ACME) is None
    await budget.told(ACME, limit=None, remaining=None, retry_after=timedelta(seconds=7))
    wait = await budget.spend(ACME)
    assert wait is not None
    assert 6 < wait.total_seconds() <= 8


@pytest.mark.parametrize(("limit", "window"), [(2, 1.0), (10, 1.0), (150, 30.0), (1, 1.0), (75, 30.0)])
def test_no_window_ever_sees_more_calls_than_are_ours(limit: float, window: float) -> None:
    """The algorithm of the statement on a simulated clock: greedy callers, any window."""
    budget = Budget(None, "v", limit=limit, window=timedelta(seconds=window))  # type: ignore[arg-type]
    emission, burst = budget._pace(limit)
    tat, now, granted = 0.0, 0.0, []
    while now < window * 4:
        if max(tat, now) + emission <= now + burst * emission + 1e-9:
            tat = max(tat, now) + emission
            granted.append(now)
        else:
            now += emission / 50
    most = max(sum(start <= at < start + window - 1e-6 for at in granted) for start in granted)
    assert most <= limit
    assert len(granted) >= 4 * limit * 0.7, "and most of what is ours is used"
