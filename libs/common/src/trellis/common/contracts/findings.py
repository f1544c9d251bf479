"""What is wrong with a set-up, as the services find it and `trellis doctor` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from trellis.common.contracts.identifiers import AccountId

INSTALLATION: Final = AccountId("")
"""Stands for no account: what is wrong for all of them, such as a broker that takes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault of a set-up. Its words hold ids and names of stages, never a person's data or a secret.

    Attributes:
        check: Which check found it: `permission-missing`; from a closed set.
        subject: What it is about where one check may find several: a permission, a stage, a queue; else empty.
        fault: What is wrong.
        meaning: What that means for the people who wait.
        remedy: What mends it.
    """

    check: str
    subject: str = ""
    fault: str
    meaning: str
    remedy: str


def spoken(time: timedelta) -> str:
    """Return *time* as people say it, in its largest unit."""
    seconds = abs(time.total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.0f} seconds"
