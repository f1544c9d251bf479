"""Stays that no webhook told and that were over when the application was read: recorded, and never acted upon."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from trellis.common.contracts.facts import ApplicationObserved, ApplicationSnapshot, ApplicationStatus
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application

ENTRY_TOLERANCE: Final = timedelta(seconds=1)
"""Greenhouse's webhooks bear seconds, its readings milliseconds; once an activity a second early was seen."""

SAME_ENTRY: Final = timedelta(minutes=1)
"""Nearer to the known entry, an entry into the same stage that only the reconciler saw is taken for that one:
Greenhouse's rows may be written after the activity they tell of, and a second invite is worse than none."""


def passing(state: Application, reading: ApplicationObserved, shown: ApplicationSnapshot) -> list[e.Event]:
    """Return the stays of *reading*, which shows the application as *shown*, that came after all that is known, the oldest first; none at first sight.

    Without a time of the known visit nothing tells which of them it was. Of an active application whose present stay is
    not told, the latest in its stage is that one: it ended after the application was read and before its stays were.
    """
    visit = state.visit
    if visit is None or visit.entered_at is None:
        return []
    begun = visit.entered_at + SAME_ENTRY
    known = begun if state.passed_at is None else max(begun, state.passed_at)
    stays = reading.passed
    if reading.entered_at is None and shown.stage is not None and shown.status is ApplicationStatus.ACTIVE:
        latest = max(stays, key=lambda stay: stay.entered_at, default=None)
        if latest is not None and latest.stage.id == shown.stage.id:
            stays = tuple(stay for stay in stays if stay is not latest)
    return [
        e.StagePassed(
            stage_id=stay.stage.id, stage_name=stay.stage.name, entered_at=stay.entered_at, exited_at=stay.exited_at
        )
        for stay in stays
        if stay.entered_at > known and (reading.entered_at is None or stay.entered_at < reading.entered_at)
    ]


def is_of_a_passed_stay(state: Application, snapshot: ApplicationSnapshot) -> bool:
    """Whether an entry told late is that of a stay recorded as over, or of one before it, and not the present one's."""
    told = snapshot.last_activity_at
    return told is not None and state.passed_at is not None and told <= state.passed_at + ENTRY_TOLERANCE
