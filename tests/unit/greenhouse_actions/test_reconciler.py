"""The reconciler's steps on a Greenhouse whose rights come and go between two calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.fakes.harvest import FakeHarvest, FakeHarvests

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import ApplicationObserved
from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.greenhouse_actions.domain.readings import ApplicationView, ChangeField, StageRow, Window
from trellis.greenhouse_actions.reconciler import Reconciler
from trellis.greenhouse_actions.reconciliations import Claim


class SeesAgain(FakeHarvest):
    """The service user sees nothing in so many lists, and everything in all other calls."""

    def __init__(self, blind_lists: int) -> None:
        super().__init__()
        self.blind_lists = blind_lists

    async def changed(self, field: ChangeField, window: Window) -> Sequence[ApplicationView]:
        shown = await super().changed(field, window)
        self.blind_lists -= 1
        return [] if self.blind_lists >= 0 else shown


class LosesSight(FakeHarvest):
    """The service user sees nothing once the lists were read, in so many readings of stage visits."""

    def __init__(self, blind_readings: int, *, sees_again: bool) -> None:
        super().__init__()
        self.blind_readings = blind_readings
        self.sees_again = sees_again

    async def stage_history(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, Sequence[StageRow]]:
        self.blind_readings -= 1
        self.is_blind = self.blind_readings >= 0
        rows = await super().stage_history(ids)
        self.is_blind = self.is_blind and not self.sees_again
        return rows


class Kept:
    """One account that is due, and what was kept of its comparison."""

    def __init__(self) -> None:
        self.told: list[Envelope] = []
        self.marks: list[datetime] = []
        self.causes: list[str] = []
        self.leases: list[timedelta] = []

    async def claim(self, lease: timedelta) -> Claim:
        self.leases.append(lease)
        now = datetime.now(UTC) + timedelta(minutes=2)
        mark = now - timedelta(minutes=10)
        return Claim(account=AccountId("acme"), mark=mark, now=now, longest=None, tries=0, fence=now + lease)

    async def tell(self, claim: Claim, facts: Sequence[Envelope], lease: timedelta) -> Claim:
        self.told += facts
        self.leases.append(lease)
        return replace(claim, fence=claim.now + lease)

    async def advance(self, claim: Claim, mark: datetime, *, wait: timedelta | None) -> None:
        self.marks.append(mark)

    async def postpone(self, claim: Claim, reason: str, wait: timedelta, longest: timedelta | None) -> None:
        self.causes.append(reason)


class Nothing:
    """Pauses, relay and measures that nobody looks at."""

    async def put(self, account: AccountId, said: object, retry: timedelta) -> None: ...

    async def mended(self, account: AccountId, reasons: Iterable[str]) -> None: ...

    def wake(self) -> None: ...

    def compared(self, account: AccountId, outcome: str, count: int) -> None: ...


def reconciler_of(harvest: FakeHarvest, kept: Kept, **more: Any) -> Reconciler:
    harvests, nothing = FakeHarvests(), cast(Any, Nothing())
    harvests.harvest = harvest
    return Reconciler(cast(Any, kept), harvests, nothing, nothing, nothing, **more)


@pytest.mark.parametrize("blind_lists", [0, 2])
async def test_a_right_that_came_back_after_an_empty_list_hides_no_change(blind_lists: int) -> None:
    harvest, kept = SeesAgain(blind_lists), Kept()
    view = harvest.apply()
    assert await reconciler_of(harvest, kept).step()
    assert [fact.subject for fact in kept.told] == [f"application/{view.id}"]
    assert len(kept.marks) == 1


async def test_an_empty_list_of_a_user_that_sees_nothing_moves_no_mark() -> None:
    harvest, kept = FakeHarvest(), Kept()
    harvest.apply()
    harvest.is_blind = True
    assert await reconciler_of(harvest, kept).step()
    assert (kept.told, kept.marks) == ([], [])
    assert len(kept.causes) == 1


async def test_an_account_in_which_nothing_changed_is_compared() -> None:
    kept = Kept()
    assert await reconciler_of(FakeHarvest(), kept).step()
    assert (kept.told, kept.causes, len(kept.marks)) == ([], [], 1)


async def test_an_entry_whose_visit_was_hidden_while_it_was_read_is_told_with_its_time() -> None:
    harvest, kept = LosesSight(1, sees_again=True), Kept()
    view = harvest.apply()
    assert await reconciler_of(harvest, kept).step()
    (fact,) = kept.told
    assert isinstance(fact.data, ApplicationObserved)
    assert fact.data.entered_at == view.entered_at


async def test_a_right_lost_between_list_and_stage_visits_moves_no_mark() -> None:
    harvest, kept = LosesSight(1, sees_again=False), Kept()
    harvest.apply()
    assert await reconciler_of(harvest, kept).step()
    assert (kept.told, kept.marks, len(kept.causes)) == ([], [], 1)


async def test_an_account_is_claimed_for_as_long_as_is_told() -> None:
    harvest, kept = FakeHarvest(), Kept()
    harvest.apply()
    assert await reconciler_of(harvest, kept, lease=timedelta(seconds=30)).step()
    assert set(kept.leases) == {timedelta(seconds=30)}
    assert len(kept.leases) == 2


class MovedBetweenTheCalls(FakeHarvest):
    """A person moves every application to Onsite after each list, and to Offer once that was read."""

    async def changed(self, field: ChangeField, window: Window) -> Sequence[ApplicationView]:
        views = await super().changed(field, window)
        for view in views:
            if view.stage_id == self.stage("Coding Assessment"):
                self.enter(view.id, self.stage("Onsite"))
        return views

    async def stage_history(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, Sequence[StageRow]]:
        rows = await super().stage_history(ids)
        for ident in ids:
            if self.truth[ident].stage_id == self.stage("Onsite"):
                self.enter(ident, self.stage("Offer"))
        return rows


def told_by(kept: Kept) -> ApplicationObserved:
    (fact,) = kept.told
    assert isinstance(fact.data, ApplicationObserved)
    return fact.data


async def test_stays_between_two_looks_are_told_with_their_times_at_no_further_call() -> None:
    harvest, kept = FakeHarvest(), Kept()
    harvest.apply("Onsite")
    first = harvest.apply()
    second = harvest.enter(first.id, harvest.stage("Onsite"))
    third = harvest.enter(first.id, harvest.stage("Offer"))
    assert await reconciler_of(harvest, kept).step()
    kept.told = [fact for fact in kept.told if fact.subject == f"application/{first.id}"]
    coding, onsite = told_by(kept).passed
    assert (coding.stage.id, coding.stage.name) == (first.stage_id, None)
    assert onsite.stage.name == "Onsite"  # as another application in it shows
    assert (coding.entered_at, onsite.entered_at) == (first.entered_at, second.entered_at)
    assert second.entered_at is not None and third.entered_at is not None
    assert second.entered_at <= onsite.exited_at <= third.entered_at
    assert harvest.readings == 3  # two lists, and the visits


async def test_a_stay_that_ended_while_the_application_was_read_is_told() -> None:
    harvest, kept = MovedBetweenTheCalls(), Kept()
    harvest.apply()
    assert await reconciler_of(harvest, kept).step()
    seen = told_by(kept)
    assert seen.application is not None and seen.application.stage is not None
    assert seen.application.stage.id == harvest.stage("Offer")
    assert [stay.stage.id for stay in seen.passed] == [harvest.stage("Coding Assessment"), harvest.stage("Onsite")]


async def test_the_same_state_read_again_is_the_same_fact() -> None:
    harvest, kept = FakeHarvest(), Kept()
    harvest.enter(harvest.apply().id, harvest.stage("Onsite"))
    for _ in range(2):
        assert await reconciler_of(harvest, kept).step()
    assert kept.told[0].id == kept.told[1].id
