"""When a report is read next. Pure.

Source: Coderbyte fact sheet, section 5: no follow-up event tells that a report is ready, and no webhook is
promised to come at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class NextReading:
    """When to read again.

    Attributes:
        step: Place in the schedule then; None for the slow reading.
        overdue: The schedule is used up: a person should look, and the slow reading goes on.
    """

    wait: timedelta
    step: int | None
    overdue: bool = False


def next_reading(step: int | None, *, awaited: bool, schedule: Sequence[float], interval: timedelta) -> NextReading:
    """Return when an invite whose result was not ready is read again.

    Args:
        step: Place in the schedule so far; None when no report was awaited.
        awaited: Whether this reading showed that the candidate has finished.
        schedule: Waits in seconds, one after the other.
        interval: Of the slow reading.
    """
    if step is None and not awaited:
        return NextReading(wait=interval, step=None)
    place = step or 0
    if place < len(schedule):
        return NextReading(wait=timedelta(seconds=schedule[place]), step=place + 1)
    return NextReading(wait=interval, step=place, overdue=True)
