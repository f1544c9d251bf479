"""Counters for every kind of id, each in a range of its own above 2^32.

Separate ranges make a mix-up (a stage row for a job stage, a candidate for an application) fail instead of hitting
another record. Source: greenhouse.md sections 1 and 9.
"""

from __future__ import annotations

RANGES: dict[str, int] = {
    "source": 4_000_000_000,
    "organization": 4_003_000_000,
    "department": 4_018_000_000,
    "office": 4_027_000_000,
    "rejection_reason": 4_041_000_000,
    "job": 4_120_000_000,
    "user": 4_400_000_000,
    "hook": 4_700_000_000,
    "opening": 4_880_000_000,
    "job_post": 4_990_000_000,
    "offer": 5_100_000_000,
    "candidate": 5_600_000_000,
    "application": 6_200_000_000,
    "job_stage": 7_310_000_000,
    "job_interview": 8_420_000_000,
    "interview_kit": 8_430_000_000,
    "note": 9_710_000_000,
    "activity": 9_800_000_000,
    "stage_row": 9_880_000_000,
    "scorecard": 9_950_000_000,
    "interview": 9_960_000_000,
    "interviewer": 9_970_000_000,
}


class Ids:
    """The next id of each kind; the same calls always give the same ids."""

    def __init__(self) -> None:
        self._last = dict(RANGES)

    def next(self, kind: str) -> int:
        """A fresh id of *kind*, one of `RANGES`."""
        self._last[kind] += 1
        return self._last[kind]
