"""How unusual a silence is: by the same hours of the weeks before, as far as they are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trellis.ingest.silence import HOUR, hour_of, silence

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LONG_AGO = MONDAY - timedelta(weeks=8)


def busy(per_hour: int, *hours: int, weeks: int = 4) -> dict[datetime, int]:
    """*per_hour* webhooks in these hours after nine on Monday, in each of the weeks before."""
    return {MONDAY + hour * HOUR - timedelta(weeks=week): per_hour for hour in hours for week in range(1, weeks + 1)}


def test_a_silence_over_busy_hours_is_unusual() -> None:
    found = silence(busy(5, 0, 1), LONG_AGO, MONDAY, MONDAY + 2 * HOUR)
    assert found.expected == 10.0
    assert found.is_unusual


def test_a_silent_night_is_usual() -> None:
    assert silence(busy(5, 0, 1), LONG_AGO, MONDAY + 2 * HOUR, MONDAY + 14 * HOUR).expected == 0.0


def test_a_part_of_an_hour_counts_in_part() -> None:
    begun = MONDAY + timedelta(minutes=45)
    assert silence(busy(8, 0), LONG_AGO, begun, MONDAY + HOUR).expected == 2.0
    assert silence(busy(8, 0), LONG_AGO, MONDAY, MONDAY + timedelta(minutes=15)).expected == 2.0


def test_an_hour_without_webhooks_counts_as_none_and_one_before_the_connection_not_at_all() -> None:
    once = busy(8, 0, weeks=1)
    assert silence(once, LONG_AGO, MONDAY, MONDAY + HOUR).expected == 2.0
    assert silence(once, MONDAY - timedelta(weeks=1), MONDAY, MONDAY + HOUR).expected == 8.0
    assert silence(once, MONDAY - timedelta(days=6), MONDAY, MONDAY + HOUR).expected == 0.0


def test_a_long_silence_is_not_taken_for_usual() -> None:
    last = MONDAY - timedelta(weeks=2)
    assert silence(busy(8, 0, weeks=4), LONG_AGO, last, MONDAY + HOUR).expected >= 8.0


@pytest.mark.parametrize(("expected", "unusual"), [(6, False), (7, True)])
def test_where_the_line_is(expected: int, unusual: bool) -> None:
    assert silence(busy(expected, 0), LONG_AGO, MONDAY, MONDAY + HOUR).is_unusual is unusual


@given(
    st.dictionaries(st.integers(-1000, -1), st.integers(0, 50), max_size=40),
    st.timedeltas(timedelta(), timedelta(days=60)),
    st.timedeltas(timedelta(), timedelta(days=30)),
)
def test_more_time_never_makes_a_silence_less_unusual(
    counts: dict[int, int], quiet: timedelta, more: timedelta
) -> None:
    hours = {hour_of(MONDAY) + hour * HOUR: count for hour, count in counts.items()}
    short = silence(hours, LONG_AGO, MONDAY, MONDAY + min(quiet, timedelta(days=3)))
    long = silence(hours, LONG_AGO, MONDAY, MONDAY + min(quiet, timedelta(days=3)) + min(more, timedelta(days=3)))
    assert 0 <= short.expected <= long.expected + 1e-9
