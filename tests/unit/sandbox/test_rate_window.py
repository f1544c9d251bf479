from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trellis.sandbox.greenhouse.rate import RateWindow, Spent

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def spend(window: RateWindow, at_s: float, style: str = "rolling_now_plus_30") -> Spent:
    return window.spend(START + timedelta(seconds=at_s), limit=2, length_s=30, reset_style=style)


def test_window_is_fixed_and_begins_with_the_first_call() -> None:
    window = RateWindow()
    assert [spend(window, at).retry_after for at in (0, 20, 29)] == [None, None, 1]
    assert spend(window, 30).remaining == 1


def test_refused_call_says_how_long_the_window_still_is() -> None:
    window = RateWindow()
    for at in (0, 1):
        spend(window, at)
    refused = spend(window, 12)
    assert refused.headers() == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(START.timestamp()) + 42),
        "Retry-After": "18",
    }
    assert refused.calls_in_window == 3


def test_reset_can_name_the_end_of_the_window() -> None:
    window = RateWindow()
    spend(window, 0)
    assert spend(window, 12, "window_end").reset_at == int(START.timestamp()) + 30
