"""Results by version, candidate and age, on PostgreSQL and on the twins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.stores.assessments.kept import (
    ACME,
    AT,
    GLOBEX,
    GOOD,
    JANE,
    JOHN,
    LATER,
    OTHER_TEST,
    TEST,
    Kept,
    invite,
)
from tests.contract.stores.races import meanwhile

from trellis.assessments.adapters.invite_rows import NewInvite
from trellis.assessments.domain.results import Result
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, Visit


class TestResults:
    async def keep(
        self, kept: Kept, of: NewInvite, version: int, result: Result = GOOD, raw: Any = None, *, published: bool = True
    ) -> bool:
        return bool(
            await kept.run(
                kept.results, "keep", await kept.stored(of), version, result, raw, completed_at=AT, published=published
            )
        )

    async def test_a_version_of_a_result_is_kept_once(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        assert await kept.run(kept.results, "latest", ACME, new.command_id) is None
        better = replace(GOOD, score=None, minutes_taken=12)
        assert await self.keep(kept, new, 1)
        assert await self.keep(kept, new, 2, better)
        assert not await self.keep(kept, new, 2)
        latest = await kept.run(kept.results, "latest", ACME, new.command_id)
        assert (latest.version, latest.result, latest.completed_at, latest.report) == (2, better, AT, None)
        assert await kept.run(kept.results, "latest", GLOBEX, new.command_id) is None

    async def test_of_two_who_keep_one_version_at_once_one_does(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        stored = await kept.stored(new)
        async with meanwhile(kept.database) as connection:
            assert await kept.results.keep(connection, stored, 1, GOOD, None, completed_at=AT, published=True)
            waiting = asyncio.create_task(self.keep(kept, new, 1))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert await waiting is False

    async def test_the_results_of_an_application_come_oldest_first_and_the_newest_of_a_visit_is_found(
        self, kept: Kept
    ) -> None:
        new, again = await kept.prepare(invite()), await kept.prepare(invite(visit="n2"))
        worse = replace(GOOD, score=10.0)
        await self.keep(kept, new, 1)
        await self.keep(kept, new, 2, worse, published=False)
        await self.keep(kept, again, 1)
        rows = await kept.run(kept.results, "of_application", ACME, ApplicationId(1))
        shown = [(row["visit"], row["version"], row["score"], row["published"], row["integrity"]) for row in rows]
        assert shown == [("n1", 1, 82.5, True, "none"), ("n1", 2, 10.0, False, "none"), ("n2", 1, 82.5, True, "none")]
        assert {"command_id", "assessment_id", "completed_at", "read_at", "attempt_count"} <= rows[0].keys()
        found = await kept.run(kept.results, "find", ACME, ApplicationId(1), Visit("n1"), TEST)
        assert (found[0], found[1], found[2].version, found[2].result) == (new.command_id, JANE, 2, worse)
        for account, visit, test in ((GLOBEX, "n1", TEST), (ACME, "n9", TEST), (ACME, "n1", OTHER_TEST)):
            assert await kept.run(kept.results, "find", account, ApplicationId(1), Visit(visit), test) is None
        assert await kept.run(kept.results, "of_application", GLOBEX, ApplicationId(1)) == []

    async def test_a_report_is_opened_for_its_candidate_only(self, kept: Kept) -> None:
        new = await kept.prepare(invite())
        await self.keep(kept, new, 1, raw={"final_score": 82, "email": "jane@mail.example"})
        latest = await kept.run(kept.results, "latest", ACME, new.command_id)
        assert latest.report is not None
        opened = await kept.run(kept.results, "open_report", ACME, JANE, new.command_id, latest)
        assert opened == {"final_score": 82, "email": "jane@mail.example"}
        assert await kept.run(kept.results, "open_report", ACME, JOHN, new.command_id, latest) is None
        assert await kept.run(kept.results, "open_report", GLOBEX, JANE, new.command_id, latest) is None


class TestRecent:
    async def test_the_newest_result_of_a_candidate_is_recent_until_it_is_too_old(self, kept: Kept) -> None:
        async def recent(within: timedelta = LATER, candidate: CandidateId = JANE, account: AccountId = ACME) -> Any:
            return await kept.run(kept.results, "recent", account, candidate, TEST, within)

        now = datetime.now(UTC)
        first, second = await kept.prepare(invite()), await kept.prepare(invite(2))
        follower = await kept.prepare(invite(3, follows=first.command_id, follow_kind="earlier"))
        assert await recent() is None
        for new, minutes, published in ((first, 50, True), (second, 40, True), (follower, 10, True)):
            at = now - timedelta(minutes=minutes)
            await kept.run(
                kept.results, "keep", await kept.stored(new), 1, GOOD, None, completed_at=at, published=published
            )
        held = await kept.prepare(invite(4))
        await kept.run(kept.results, "keep", await kept.stored(held), 1, GOOD, None, completed_at=now, published=False)
        found = await recent()
        assert (found.command_id, found.application_id, found.visit) == (second.command_id, 2, "n1")
        assert (found.stored.version, found.stored.result) == (1, GOOD)
        assert timedelta(minutes=40) <= found.age < timedelta(minutes=41)
        assert await recent(timedelta(minutes=39)) is None
        assert await recent(candidate=JOHN) is None
        assert await recent(account=GLOBEX) is None
        corrected, at = replace(GOOD, score=12.0), now - timedelta(minutes=45)  # the vendor's time, before our own
        await kept.run(
            kept.results, "keep", await kept.stored(second), 2, corrected, None, completed_at=at, published=True
        )
        found = await recent()
        assert (found.command_id, found.stored.version, found.stored.result) == (second.command_id, 2, corrected)
        assert await recent(timedelta(minutes=44)) is None
