"""The circuit breaker of one connection, as a table of what each occurrence makes of it. Pure.

Closed, it lets everything pass. Failures in a row open it: nothing passes until its time is over. Then it is
half open: one reading passes, as the probe, and never a write. An answer lets few rows pass at a time, then
twice as many, and so on until it is closed again; a failure meanwhile halves them.

What fails is a connection: no answer, or 5xx. An answer of 4xx, whatever it says, comes from a vendor who is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

FAILURES: Final = 5
"""Failures in a row that open it: one more than a row's own back-off meets in a hiccup of seconds."""
FIRST_SECONDS: Final = 2.0
"""How long it stays open the first time, at most; twice as long each time after, until it closes."""
LONGEST_SECONDS: Final = 300.0
"""How long it stays open ever after, at most: so long, a vendor who is back goes unnoticed."""
PROBE_SECONDS: Final = 60.0
"""After so long another reading may pass: the one that was to be the probe died."""
FULL: Final = 32
"""So many rows at a time need no limit any more."""


class Phase(StrEnum):
    """How a connection is doing, as far as one process knows."""

    CLOSED = "closed"
    """It answers."""
    OPEN = "open"
    """It does not; nothing is asked."""
    HALF_OPEN = "half_open"
    """One reading is under way, to see whether it answers again."""
    RAMPING = "ramping"
    """It answered again, and is given more and more to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What is known of one connection.

    Attributes:
        failures: In a row, while closed.
        openings: How often it opened since it was closed last.
        until: While open: when it half-opens. While half open: until when the probe is awaited. In seconds of
            the caller's monotonic clock.
        allowance: While ramping: most rows under way.
        successes: While ramping: answers since the allowance grew.
    """

    phase: Phase = Phase.CLOSED
    failures: int = 0
    openings: int = 0
    until: float = 0.0
    allowance: int = 0
    successes: int = 0


def failed(breaker: Breaker, now: float, fraction: float) -> Breaker:
    """Return *breaker* after a call without an answer, or with 5xx.

    Args:
        breaker: As it was.
        now: Monotonic seconds.
        fraction: A fresh random number, 0 <= fraction < 1, so that replicas do not probe at once.
    """
    match breaker.phase:
        case Phase.CLOSED if breaker.failures + 1 < FAILURES:
            return replace(breaker, failures=breaker.failures + 1)
        case Phase.RAMPING if breaker.allowance > 1:
            return replace(breaker, allowance=breaker.allowance // 2, successes=0)
        case Phase.OPEN:  # it left before
            return breaker
        case _:
            return _opened(breaker, now, fraction)


def answered(breaker: Breaker, now: float) -> Breaker:
    """Return *breaker* after an answer that shows the vendor to be there."""
    match breaker.phase:
        case Phase.CLOSED:
            return replace(breaker, failures=0)
        case Phase.OPEN:  # to something that left before: the probe will tell
            return breaker
        case Phase.HALF_OPEN:
            return Breaker(phase=Phase.RAMPING, openings=breaker.openings, allowance=1)
        case Phase.RAMPING if breaker.successes + 1 < breaker.allowance:
            return replace(breaker, successes=breaker.successes + 1)
        case Phase.RAMPING if breaker.allowance * 2 < FULL:
            return replace(breaker, allowance=breaker.allowance * 2, successes=0)
    return Breaker()


def admitted(breaker: Breaker, now: float) -> Breaker | None:
    """Return *breaker* with a reading under way; None when none may begin."""
    if breaker.phase in (Phase.CLOSED, Phase.RAMPING):
        return breaker
    if now < breaker.until:
        return None
    return replace(breaker, phase=Phase.HALF_OPEN, until=now + PROBE_SECONDS)


def released(breaker: Breaker, now: float) -> Breaker:
    """Return *breaker* after a reading that said nothing of the vendor: it never asked, or was told to wait."""
    return replace(breaker, until=now) if breaker.phase is Phase.HALF_OPEN else breaker


def takes_writes(breaker: Breaker) -> bool:
    """Whether a write may leave: never as the probe."""
    return breaker.phase in (Phase.CLOSED, Phase.RAMPING)


def seconds_left(breaker: Breaker, now: float) -> float:
    """Return how long until a reading may pass; 0 when it may now."""
    return max(0.0, breaker.until - now) if breaker.phase in (Phase.OPEN, Phase.HALF_OPEN) else 0.0


def most_rows(breaker: Breaker, now: float) -> int | None:
    """Return how many rows may be under way; None when there is no limit."""
    match breaker.phase:
        case Phase.CLOSED:
            return None
        case Phase.OPEN:
            return 1 if now >= breaker.until else 0
        case Phase.HALF_OPEN:
            return 1
        case Phase.RAMPING:
            return breaker.allowance


def _opened(breaker: Breaker, now: float, fraction: float) -> Breaker:
    """Return it open, for a time between half of what is due and all of it."""
    ceiling: float = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(breaker.openings, 16))
    until = now + ceiling * (0.5 + fraction / 2)
    return Breaker(phase=Phase.OPEN, openings=breaker.openings + 1, until=until)
