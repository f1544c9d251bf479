from __future__ import annotations

from datetime import timedelta

from trellis.workflow.domain.diagnosis import LATE, of_timers


def test_timers_are_late_from_five_minutes_on() -> None:
    assert of_timers(-timedelta(days=1)) == of_timers(LATE - timedelta(seconds=1)) == []
    assert [finding.check for finding in of_timers(LATE)] == ["timers-late"]
