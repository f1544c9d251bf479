"""The fixed rate window of a credential.

Source: greenhouse.md section 5.3, "Rate".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Spent:
    """What one call found in its window."""

    limit: int
    remaining: int
    reset_at: int
    """Epoch seconds for `X-RateLimit-Reset`."""
    retry_after: int | None
    """Whole seconds to wait, at least 1, if the call was over the limit."""
    calls_in_window: int
    """Calls of this window so far, refused ones included."""

    def headers(self) -> dict[str, str]:
        """The headers each answer carries."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers


class RateWindow:
    """A window that opens with the first call and starts anew after its length."""

    def __init__(self) -> None:
        self._started_at: datetime | None = None
        self._calls = 0

    def spend(self, now: datetime, *, limit: int, length_s: float, reset_style: str) -> Spent:
        """Count one call at *now*; over *limit* it is refused.

        Args:
            now: The sandbox's clock.
            limit: Calls a window.
            length_s: Length of the window in real seconds.
            reset_style: A value of the switch `rate.reset_style`.
        """
        if self._started_at is None or now >= self._started_at + timedelta(seconds=length_s):
            self._started_at, self._calls = now, 0
        self._calls += 1
        ends_at = self._started_at + timedelta(seconds=length_s)
        reset = ends_at if reset_style == "window_end" else now + timedelta(seconds=length_s)
        over = self._calls > limit
        return Spent(
            limit=limit,
            remaining=max(0, limit - self._calls),
            reset_at=math.ceil(reset.timestamp()),
            retry_after=max(1, math.ceil((ends_at - now).total_seconds())) if over else None,
            calls_in_window=self._calls,
        )
