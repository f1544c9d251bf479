"""What is wrong with the workflow service's own work. Pure: what a look saw comes in, findings go out."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from trellis.common.contracts.findings import Finding, spoken

LATE: Final = timedelta(minutes=5)
"""How overdue the oldest timer may be: timers are looked for several times a second."""


def of_timers(late: timedelta) -> list[Finding]:
    """Return what is wrong when the oldest timer that is due is overdue by *late*."""
    if late < LATE:
        return []
    return [
        Finding(
            check="timers-late",
            fault=f"the oldest timer is overdue by {spoken(late)}",
            meaning="stage entries are not acted upon when they have settled: those people wait without an invite",
            remedy="look for `timer.` and `timers.` in the log of workflow",
        )
    ]
