"""What is wrong with the workflow service's own work. Pure: what a look saw comes in, findings go out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trellis.common.contracts.findings import Finding, spoken

LATE: Final = timedelta(minutes=5)
"""How overdue the oldest timer may be: timers are looked for several times a second."""


LOOKED_BACK: Final = timedelta(days=7)
"""How far back stage changes are looked at."""
MANY: Final = 3
"""Stage changes without a webhook from which on it is no chance: single ones are lost on the way now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Stage changes that reconciliation found since a webhook last told of one.

    Attributes:
        since: When that was, or when the first of them was; None without any.
    """

    count: int
    since: datetime | None


def of_missed(missed: Missed) -> list[Finding]:
    """Return what is wrong when reconciliation finds what webhooks should have told."""
    if missed.count < MANY or missed.since is None:
        return []
    return [
        Finding(
            check="webhooks-missed",
            subject="greenhouse",
            fault=f"{missed.count} stage changes were found by reconciliation, none told by webhook, since "
            f"{missed.since:%A %Y-%m-%d %H:%M} UTC",
            meaning="people are invited minutes late, and those found later than a day wait for a person's yes",
            remedy="look at the webhooks in Greenhouse (Configure > Dev Center > Web Hooks): each must be enabled and have "
            "address and secret as `trellis endpoints` tells them",
        )
    ]


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
