"""The time, as a port: the shell reads it here and passes it on; the core is told it.

This is the only place that reads the machine's clock of the day, so that a test can let a process be wrong
about it: `TRELLIS_CLOCK_OFFSET_FILE` names a file with a number of seconds, read at every look, by which
this process's clock is ahead (or, below zero, behind); while there is no such file it is right. What counts
seconds uses `time.monotonic`, which no step changes, and what several processes must agree on asks PostgreSQL.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

_OFFSET_FILE: Final = os.environ.get("TRELLIS_CLOCK_OFFSET_FILE", "")


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present, aware UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return utc_now()


def utc_now() -> datetime:
    """Return the present by the machine's clock, aware UTC."""
    now = datetime.now(UTC)
    return now + offset(Path(_OFFSET_FILE)) if _OFFSET_FILE else now


def offset(file: Path) -> timedelta:
    """Return by how much *file* says the clock is ahead; nothing while it is not there."""
    try:
        return timedelta(seconds=float(file.read_text("ascii")))
    except FileNotFoundError:
        return timedelta()
