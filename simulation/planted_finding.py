"""Planted bugs of the reconciler and of readings; see `planted.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from simulation.twins.memory import tx
from simulation.vendors import SimulatedHarvest
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import stable_id
from trellis.greenhouse_actions import reading, reconciler
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError
from trellis.greenhouse_actions.domain import readings
from trellis.greenhouse_actions.domain.reconciling import next_step
from trellis.workflow.domain import decisions, entering, events

_Put = Callable[[Any, str, Any], None]


def mark_moved_first(put: _Put) -> None:
    """The mark moves before what the window shows is told."""
    real: Callable[..., Awaitable[None]] = reconciler.Reconciler._compare

    async def compare(self: Any, claim: Any, connected: Any) -> None:
        store = self._reconciliations
        window = next_step(
            claim.mark or claim.now - connected.connection.pace.depth, claim.now, connected.connection.pace
        )
        async with store._session.transaction() as connection:
            row = await tx(connection).lock("reconciliation", claim.account)
            tx(connection).put("reconciliation", claim.account, row | {"mark": window.mark})  # type: ignore[operator]  # it is claimed
        await real(self, replace(claim, mark=window.mark), connected)

    put(reconciler.Reconciler, "_compare", compare)


def refusal_is_no_change(put: _Put) -> None:
    """A list that Greenhouse refuses to show is taken for an empty one."""
    real: Callable[..., Awaitable[Any]] = SimulatedHarvest.changed

    async def changed(self: Any, *asked: Any) -> Any:
        try:
            return await real(self, *asked)
        except CredentialRejectedError:
            return []

    async def sees_anything(self: Any) -> bool:
        return True

    put(SimulatedHarvest, "changed", changed)
    put(SimulatedHarvest, "sees_anything", sees_anything)


def empty_list_is_believed(put: _Put) -> None:
    """Nobody asks whether a service user who is shown no application is shown anything at all."""

    async def sees_anything(self: Any) -> bool:
        return True

    put(SimulatedHarvest, "sees_anything", sees_anything)


def absent_is_gone(put: _Put) -> None:
    """Whatever a list does not show is taken for deleted."""

    async def missing(harvest: Any, absent: Any) -> Any:
        return dict.fromkeys(absent, readings.Missing.GONE)

    put(reading, "_missing", missing)


def old_entries_count(put: _Put) -> None:
    """An entry that was found when it was old counts as one that was told at once."""
    put(entering, "_is_in_time", lambda *given: True)


def found_is_another(put: _Put) -> None:
    """What the reconciler finds is not known again by its time when a webhook told of it."""
    put(decisions, "_entered_anew", lambda visit, reading: reading.entered_at != visit.entered_at)


def found_known_by_application(put: _Put) -> None:
    """What is found of one application is one fact for ever."""
    real = reconciler._fact

    def fact(claim: Any, view: Any, pace: Any, stays: Any) -> Envelope:
        return replace(real(claim, view, pace, stays), id=stable_id("reconciled", claim.account, view.id))

    put(reconciler, "_fact", fact)


def window_without_overlap(put: _Put) -> None:
    """A window begins where the last one ended, and ends now."""

    def bare(mark: Any, now: Any, pace: Any, **more: Any) -> Any:
        return next_step(mark, now, replace(pace, overlap=timedelta(), delay=timedelta()), **more)

    put(reconciler, "next_step", bare)


def passed_again_and_again(put: _Put) -> None:
    """Each reading's stays are recorded, whatever the log knows of them."""

    def passing(state: Any, reading: Any) -> list[Any]:
        return [
            events.StagePassed(
                stage_id=stay.stage.id, stage_name=None, entered_at=stay.entered_at, exited_at=stay.exited_at
            )
            for stay in reading.passed
            if state.visit is not None
        ]

    put(decisions, "passing", passing)


def old_reading_wins(put: _Put) -> None:
    """A reading that came late is believed all the same."""
    put(decisions, "_is_overtaken", lambda state, reading, snapshot: False)


def passed_is_past(put: _Put) -> None:
    """A stay that was over when it was first seen is not recorded."""
    put(decisions, "passing", lambda state, reading, shown: [])


def reading_without_a_trace(put: _Put) -> None:
    """A reading that shows nothing new does not note its time, so that an older webhook that comes later wins."""
    put(decisions, "_known_until", lambda state, message, snapshot: [])
