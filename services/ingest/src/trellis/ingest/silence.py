"""How unusual is it that no webhook came for so long? Pure.

What is usual is taken from the same hours of the same weekdays in the weeks before, as far as the endpoint
was connected then; without such an hour nothing is known and nothing is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WEEKS: Final = 4
"""Weeks that are looked back."""
HOUR: Final = timedelta(hours=1)
MOST_HOURS: Final = 7 * 24
"""Longest silence that is weighed hour by hour; a week of it says enough."""
UNUSUAL: Final = 7.0
"""Webhooks that would have come as a rule; that none comes then is one chance in a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How long an endpoint has been silent.

    Attributes:
        since: When the latest authentic webhook came; when it was connected, if none came yet.
        expected: Webhooks that came in such a time as a rule.
    """

    since: datetime
    expected: float

    @property
    def is_unusual(self) -> bool:
        """Whether somebody should look: the webhook may be disabled or forgotten."""
        return self.expected >= UNUSUAL


def hour_of(at: datetime) -> datetime:
    """Return the beginning of the hour of *at*."""
    return at.replace(minute=0, second=0, microsecond=0)


def silence(counts: Mapping[datetime, int], connected_at: datetime, last_at: datetime, now: datetime) -> Silence:
    """Weigh the silence from *last_at* to *now*.

    Args:
        counts: Webhooks by the beginning of their hour; an hour that is absent had none.
        connected_at: Hours before are not known, not empty.
        last_at: When the latest webhook came.
        now: The present.
    """
    begin = max(last_at, now - MOST_HOURS * HOUR)
    expected, hour = 0.0, hour_of(begin)
    while hour < now:
        part = (min(hour + HOUR, now) - max(hour, begin)) / HOUR
        expected += part * _usual(counts, hour, connected_at, last_at)
        hour += HOUR
    return Silence(since=last_at, expected=expected)


def _usual(counts: Mapping[datetime, int], hour: datetime, connected_at: datetime, last_at: datetime) -> float:
    """Return the mean of the same hour in the weeks before, as far as they are known and were not silent too."""
    before = [hour - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    known = [one for one in before if one >= connected_at and one + HOUR <= last_at]
    return sum(counts.get(one, 0) for one in known) / len(known) if known else 0.0
