from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trellis.workflow.domain.diagnosis import LATE, MANY, Missed, of_missed, of_timers


def test_timers_are_late_from_five_minutes_on() -> None:
    assert of_timers(-timedelta(days=1)) == of_timers(LATE - timedelta(seconds=1)) == []
    assert [finding.check for finding in of_timers(LATE)] == ["timers-late"]


def test_stage_changes_that_only_reconciliation_found_are_told_from_three_on() -> None:
    since = datetime(2026, 11, 24, 14, 2, tzinfo=UTC)
    assert of_missed(Missed(count=0, since=None)) == of_missed(Missed(count=MANY - 1, since=since)) == []
    (finding,) = of_missed(Missed(count=12, since=since))
    assert finding.check == "webhooks-missed"
    assert finding.fault == (
        "12 stage changes were found by reconciliation, none told by webhook, since Tuesday 2026-11-24 14:02 UTC"
    )
