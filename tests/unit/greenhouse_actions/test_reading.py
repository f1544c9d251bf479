"""A reading takes two calls, between which a person may change the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.harvest import FakeHarvest

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import ApplicationId
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.domain.readings import ApplicationView, Missing, StageRow
from trellis.greenhouse_actions.reading import read_applications


class ChangedMeanwhile(FakeHarvest):
    """A person puts every application into the next of *stages* before each further call."""

    def __init__(self, *stages: str) -> None:
        super().__init__()
        self._coming: list[str | None] = [None, *stages]

    def _next(self, ids: Sequence[ApplicationId]) -> None:
        name = self._coming.pop(0) if self._coming else None
        for ident in ids if name is not None else ():
            self.truth[ident] = replace(self.truth[ident], status=ApplicationStatus.ACTIVE)
            view = self.enter(ident, self.stage(name or ""))
            self.truth[ident] = replace(view, last_activity_at=view.entered_at)

    async def applications(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, ApplicationView]:
        self._next(ids)
        return dict(await super().applications(ids))

    async def current_stages(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, StageRow]:
        self._next(ids)
        return await super().current_stages(ids)


@pytest.mark.parametrize("before", ["in another stage", "rejected"])
async def test_an_application_that_changes_while_it_is_read_is_shown_as_of_one_moment(before: str) -> None:
    harvest = ChangedMeanwhile("Coding Assessment")
    view = harvest.apply("Onsite")
    harvest.truth[view.id] = replace(view, last_activity_at=datetime.now(UTC))
    if before == "rejected":
        harvest.end(view.id, ApplicationStatus.REJECTED)
    readings = await read_applications(harvest, {view.id: None}, with_visits=True)
    shown = readings.of(view.id)
    assert isinstance(shown, ApplicationView)
    assert shown.status is ApplicationStatus.ACTIVE
    assert (shown.stage_id, shown.stage_name) == (harvest.stage("Coding Assessment"), "Coding Assessment")


async def test_one_that_changes_again_while_it_is_read_again_is_shown_as_it_is_at_last() -> None:
    harvest = ChangedMeanwhile("Coding Assessment", "Offer")
    view = harvest.apply("Onsite")
    shown = (await read_applications(harvest, {view.id: None}, with_visits=True)).of(view.id)
    assert isinstance(shown, ApplicationView)
    assert (shown.stage_name, shown.entered_at) == ("Offer", harvest.truth[view.id].entered_at)


async def test_one_that_never_stands_still_is_tried_later() -> None:
    harvest = ChangedMeanwhile(*["Coding Assessment", "Offer", "Onsite"] * 4)
    view = harvest.apply("Onsite")
    with pytest.raises(TransientError, match="faster than it can be read"):
        await read_applications(harvest, {view.id: None}, with_visits=True)


class SeesAgain(FakeHarvest):
    """The service user sees nothing in the first list of applications, and everything afterwards."""

    async def applications(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, ApplicationView]:
        self.is_blind = self.readings == 0
        shown = await super().applications(ids)
        self.is_blind = False
        return shown


async def test_what_was_only_hidden_while_it_was_read_is_not_taken_for_deleted() -> None:
    harvest = SeesAgain()
    view = harvest.apply()
    with pytest.raises(TransientError, match="hidden while it was read"):
        await read_applications(harvest, {view.id: harvest.job}, with_visits=False)


async def test_what_is_absent_before_and_after_the_proof_that_all_is_seen_is_gone() -> None:
    harvest = FakeHarvest()
    readings = await read_applications(harvest, {ApplicationId(1): harvest.job}, with_visits=False)
    assert readings.of(ApplicationId(1)) is Missing.GONE
