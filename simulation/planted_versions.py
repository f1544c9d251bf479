"""Planted bugs of Harvest v1 and of moving from it to v3; see `planted.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simulation.vendors import SimulatedHarvest
from trellis.greenhouse_actions.adapters.harvest import V1
from trellis.greenhouse_actions.domain import effects as cases

_Put = Callable[[Any, str, Any], None]


def away_and_back_is_not_seen(put: _Put) -> None:
    """An application in its old stage was never moved, whatever happened to it since, though v1 tells no visits."""
    put(cases, "may_hide_a_visit", lambda intent, shown: False)


def notes_of_v1_name_applications(put: _Put) -> None:
    """A note through v1 is looked for by its application, which it does not name."""
    real = SimulatedHarvest.notes

    async def notes(self: Any, application: Any, *given: Any, **more: Any) -> Any:
        return [note for note in await real(self, application, *given, **more) if note.application_id == application]

    put(SimulatedHarvest, "notes", notes)


def version_of_a_note_forgotten(put: _Put) -> None:
    """What v1 wrote is looked for through v3 as if v3 had written it."""
    real = SimulatedHarvest.notes

    async def notes(self: Any, *given: Any, of_candidate: bool = False) -> Any:
        return await real(self, *given, of_candidate=False)

    put(SimulatedHarvest, "notes", notes)


def v1_lists_as_v3(put: _Put) -> None:
    """What v1 cannot filter by is asked of it all the same, and no list is one without changes."""
    real = SimulatedHarvest.changed

    async def changed(self: Any, *asked: Any) -> Any:
        return [] if replace(self.capabilities) == V1 else await real(self, *asked)

    put(SimulatedHarvest, "changed", changed)
