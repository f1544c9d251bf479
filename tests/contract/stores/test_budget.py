"""One suite for the rate budget, in PostgreSQL and in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from simulation.twins.budget import MemoryBudget
from tests.databases import Databases

from trellis.common.contracts.identifiers import AccountId
from trellis.common.ledger.budget import Budget, Spending, Use
from trellis.common.store.postgres import open_pool

ACME, GLOBEX = AccountId("acme"), AccountId("globex")
WINDOW = timedelta(seconds=60)
Make = Callable[..., Spending]


@pytest.fixture(params=["memory", "postgres"])
async def make(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Make]:
    if request.param == "memory":
        yield lambda **more: MemoryBudget(time.monotonic, **({"window": WINDOW} | more))
        return
    database = await databases.migrated("budget", ("trellis.common.store", "trellis.common.ledger"))
    pool = await open_pool(database, name="test", schema="budget", size=4)
    yield lambda **more: Budget(pool, "greenhouse", **({"window": WINDOW} | more))
    await pool.close()


async def granted(budget: Spending, use: Use, account: AccountId = ACME) -> int:
    """Return how many calls are granted one by one now."""
    count = 0
    while await budget.spend(account, 1, use) is None:
        count += 1
    return count


async def test_background_leaves_a_share_of_the_burst_to_people_and_accounts_do_not_touch_each_other(
    make: Make,
) -> None:
    budget = make(limit=40)
    assert await granted(budget, Use.BACKGROUND) == 6
    assert await granted(budget, Use.PEOPLE) == 4
    assert await granted(budget, Use.PEOPLE, GLOBEX) == 10


async def test_what_is_refused_says_when_it_may_come_and_no_more_than_two_windows(make: Make) -> None:
    budget = make(limit=40)
    assert await budget.spend(ACME, 10) is None
    wait = await budget.spend(ACME, 1)
    assert wait is not None
    assert 1.5 < wait.total_seconds() < 2.0  # one call each 60 / 31 seconds
    assert await budget.spend(ACME, 100) == pytest.approx(timedelta(seconds=19.3), abs=timedelta(seconds=0.5))


async def test_more_than_the_burst_is_granted_when_all_of_it_is_there_and_paid_for_afterwards(make: Make) -> None:
    budget = make(limit=40)
    assert await budget.spend(ACME, 20) is None
    wait = await budget.spend(ACME, 1)
    assert wait is not None
    assert wait.total_seconds() > 20


async def test_a_smaller_limit_that_is_told_counts_at_once_and_what_was_spent_stays_spent(make: Make) -> None:
    budget = make(limit=40)
    assert await budget.spend(ACME, 5) is None
    await budget.told(ACME, limit=20, remaining=15)
    assert await granted(budget, Use.PEOPLE) == 1  # of a burst of six
    await budget.told(ACME, limit=40, remaining=30)
    assert await granted(budget, Use.PEOPLE) == 4


async def test_when_others_use_the_rest_of_the_limit_the_next_call_waits(make: Make) -> None:
    budget = make(limit=40, share=0.5)
    assert await budget.spend(ACME, 1) is None
    await budget.told(ACME, limit=40, remaining=30)
    assert await budget.spend(ACME, 1) is None
    await budget.told(ACME, limit=40, remaining=4)
    assert await granted(budget, Use.PEOPLE) == 0


async def test_nobody_calls_before_the_time_a_refusal_told(make: Make) -> None:
    budget = make(limit=600, window=timedelta(seconds=6))
    assert await budget.spend(ACME, 1) is None
    await budget.told(ACME, limit=None, remaining=None, retry_after=timedelta(seconds=1))
    wait = await budget.spend(ACME, 1)
    assert wait is not None
    assert 0.8 < wait.total_seconds() < 1.5
    await asyncio.sleep(wait.total_seconds() + 0.1)
    assert await budget.spend(ACME, 1) is None
