"""How long to wait before the next attempt: pure, the random number is passed in."""

from __future__ import annotations

from datetime import timedelta


def full_jitter(
    attempt: int,
    fraction: float,
    *,
    base: timedelta = timedelta(seconds=1),
    cap: timedelta = timedelta(minutes=10),
) -> timedelta:
    """Return a delay drawn evenly from zero to `min(cap, base * 2**(attempt-1))`.

    Args:
        attempt: Number of the attempt that failed, from 1.
        fraction: The draw, 0 <= fraction < 1; a caller passes a fresh random number.
        base: Ceiling after the first failure.
        cap: Ceiling ever after.

    Source: AWS architecture blog, "Exponential Backoff And Jitter".
    """
    exponent = min(max(attempt - 1, 0), 32)
    ceiling: timedelta = min(cap, base * 2**exponent)
    return ceiling * fraction
