"""The spool: one suite for the one of the tests, the one of the simulation and the real one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from simulation.twins import ingest as twins
from tests.contract.ingest.messages import fact
from tests.fakes.ingest import MemorySpool

from trellis.common.contracts.envelope import decode
from trellis.ingest.adapters.spool_store import PostgresSpool


@pytest.fixture(params=["memory", "simulation", "postgres"])
def spool(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemorySpool(time.monotonic)
    if request.param == "simulation":
        return twins.MemorySpool(request.getfixturevalue("session"), wait_seconds=5)
    return PostgresSpool(request.getfixturevalue("pool"), wait_seconds=5)


class TestSpool:
    async def test_what_is_put_is_claimed_once_in_order_and_gone_when_removed(self, spool: Any) -> None:
        envelopes = [fact() for _ in range(5)]
        await spool.put(envelopes[:2])
        await spool.put(envelopes[2:])
        first = await spool.claim(3, 30.0)
        assert [decode(one.body) for one in sorted(first, key=lambda one: one.position)] == envelopes[:3]
        assert {one.routing_key for one in first} == {"candidate.updated.v1"}
        second = await spool.claim(10, 30.0)
        assert len(second) == 2
        assert await spool.claim(10, 30.0) == []
        await spool.remove([one.position for one in first + second])
        assert await spool.backlog() == (0, 0.0)

    async def test_the_same_id_twice_is_two_rows(self, spool: Any) -> None:
        one = fact()
        await spool.put([one])
        await spool.put([one])
        assert len(await spool.claim(10, 30.0)) == 2

    async def test_a_lease_that_ended_is_claimed_again(self, spool: Any) -> None:
        await spool.put([fact()])
        [claimed] = await spool.claim(10, 0.1)
        assert await spool.claim(10, 0.1) == []
        await asyncio.sleep(0.15)
        assert [one.position for one in await spool.claim(10, 30.0)] == [claimed.position]

    async def test_a_released_row_is_left_alone_for_its_time(self, spool: Any) -> None:
        await spool.put([fact(), fact()])
        now, later = await spool.claim(10, 30.0)
        await spool.release([now.position], 0.0)
        await spool.release([later.position], 30.0)
        await asyncio.sleep(0.01)
        assert [one.position for one in await spool.claim(10, 30.0)] == [now.position]
        await spool.remove([999_999])

    async def test_two_who_claim_at_once_share_nothing(self, spool: Any) -> None:
        await spool.put([fact() for _ in range(20)])
        shares = await asyncio.gather(*(spool.claim(8, 30.0) for _ in range(4)))
        claimed = [one.position for share in shares for one in share]
        while rest := await spool.claim(8, 30.0):
            claimed += [one.position for one in rest]
        assert len(claimed) == len(set(claimed)) == 20

    async def test_who_claims_later_gets_the_oldest_that_is_free(self, spool: Any) -> None:
        envelopes = [fact() for _ in range(4)]
        await spool.put(envelopes)
        first, second = await spool.claim(2, 30.0)
        await spool.release([second.position], -1.0)
        found = await spool.claim(2, 30.0)
        assert [decode(one.body) for one in sorted(found, key=lambda one: one.position)] == envelopes[1:3]
        assert first.position not in {one.position for one in found}

    async def test_the_backlog_tells_rows_and_age(self, spool: Any) -> None:
        await spool.put([fact(), fact()])
        await asyncio.sleep(0.2)
        await spool.put([fact()])
        rows, age = await spool.backlog()
        assert rows == 3
        assert 0.2 <= age < 5
