"""Which report is read when, and by whom, on PostgreSQL and on the twins."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.contract.stores.assessments.kept import ACME, GLOBEX, LATER, NOW, SOON, Kept, invite, signal
from tests.contract.stores.races import meanwhile

from trellis.assessments.domain.polling import NextReading
from trellis.common.ledger.states import State


class TestReadings:
    async def test_a_due_reading_is_one_readers_until_its_lease_is_over(self, kept: Kept) -> None:
        await kept.prepare(invite(1, poll_after=NOW))
        await kept.prepare(invite(2, poll_after=LATER))
        (first,) = await kept.claim(lease=timedelta(seconds=0.5))
        assert (first.account, first.awaited, first.state) == (ACME, False, State.WAITING)
        assert await kept.claim() == []
        assert await kept.run(kept.results, "is_ours", first)
        await asyncio.sleep(0.6)
        (second,) = await kept.claim()
        assert second.lease_token != first.lease_token
        assert not await kept.run(kept.results, "is_ours", first)
        assert not await kept.run(kept.results, "put_off", first, NextReading(wait=NOW, step=3, overdue=True))
        await kept.run(kept.results, "retry_later", first, NOW)
        assert await kept.claim() == []
        assert await kept.run(kept.results, "is_ours", second)
        assert (await kept.stored(invite(1))).poll_step is None

    async def test_two_readers_at_once_share_nothing(self, kept: Kept) -> None:
        for number in range(10):
            await kept.prepare(invite(number, poll_after=NOW))
        found = await asyncio.gather(*(kept.claimed(per_account=5) for _ in range(4)))
        claimed = [ident for share in found for ident in share]
        assert len(claimed) == len(set(claimed)) <= 10
        while rest := await kept.claimed(per_account=5):
            claimed += rest
        assert sorted(claimed) == sorted(invite(number).command_id for number in range(10))

    async def test_the_oldest_readings_of_each_account_come_first_and_one_of_a_paused(self, kept: Kept) -> None:
        for number, seconds in enumerate((-1, -3, -2)):
            await kept.prepare(invite(number, poll_after=timedelta(seconds=seconds)))
            await kept.prepare(invite(number, account=GLOBEX, poll_after=timedelta(seconds=seconds)))
        await kept.run(kept.ledger, "pause", GLOBEX, "coderbyte", "r", "m", LATER)
        found = await kept.claimed(per_account=2)
        assert set(found) == {invite(number).command_id for number in (1, 2)} | {invite(1, account=GLOBEX).command_id}

    async def test_a_row_that_somebody_works_on_is_passed_over_and_not_waited_for(self, kept: Kept) -> None:
        locked = await kept.prepare(invite(1, poll_after=NOW))
        free = await kept.prepare(invite(2, poll_after=NOW))
        async with meanwhile(kept.database) as connection:
            await kept.invites.find(connection, ACME, locked.command_id, lock=True)
            async with asyncio.timeout(2):
                assert await kept.claimed() == [free.command_id]
        assert await kept.claimed() == [locked.command_id]

    async def test_a_reading_that_is_put_off_comes_again_and_is_overdue_for_the_first_time_once(
        self, kept: Kept
    ) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        told = []
        for overdue in (False, True, True, False, True):
            (due,) = await kept.claim()
            following = NextReading(wait=NOW, step=2, overdue=overdue)
            told.append(await kept.run(kept.results, "put_off", due, following))
            assert (await kept.stored(new)).poll_step == 2
        assert told == [False, True, False, False, True]
        (due,) = await kept.claim()
        await kept.run(kept.results, "put_off", due, NextReading(wait=SOON, step=None))
        assert await kept.claim() == []
        await asyncio.sleep(0.6)
        assert await kept.claimed() == [new.command_id]

    async def test_a_reading_that_told_nothing_keeps_its_place_and_is_tried_later(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        await kept.run(kept.invites, "await_report", await kept.stored(new), signal())
        (due,) = await kept.claim()
        await kept.run(kept.results, "retry_later", due, SOON)
        assert await kept.claim() == []
        await asyncio.sleep(0.6)
        assert [again.awaited for again in await kept.claim()] == [True]

    async def test_all_readings_of_an_account_are_put_off_or_hurried_together(self, kept: Kept) -> None:
        mine = await kept.prepare(invite(1, poll_after=NOW))
        unread = await kept.prepare(invite(2))
        theirs = await kept.prepare(invite(1, account=GLOBEX, poll_after=NOW))
        await kept.run(kept.results, "hold_all", ACME, LATER)
        assert await kept.claimed() == [theirs.command_id]
        await kept.run(kept.results, "hurry_all", GLOBEX)
        assert await kept.claim() == []
        await kept.run(kept.results, "hurry_all", ACME)
        assert await kept.claimed() == [mine.command_id]
        assert unread.command_id not in await kept.claimed()

    async def test_a_reading_that_is_stopped_is_nobodys_until_a_signal_asks_for_it(self, kept: Kept) -> None:
        new = await kept.prepare(invite(poll_after=NOW))
        (due,) = await kept.claim()
        await kept.run(kept.results, "stop", ACME, new.command_id)
        assert not await kept.run(kept.results, "is_ours", due)
        await kept.run(kept.results, "retry_later", due, NOW)
        await kept.run(kept.results, "hold_all", ACME, NOW)
        await kept.run(kept.results, "hurry_all", ACME)
        assert await kept.claim() == []
        await kept.run(kept.invites, "await_report", await kept.stored(new), signal())
        assert await kept.claimed() == [new.command_id]
