"""Numbers of repeated runs: medians, spread, and ratios taken pair by pair. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The middle and the ends of some measurements."""

    median: float
    least: float
    most: float
    count: int

    def as_json(self) -> dict[str, float]:
        """Return it as the JSON report has it."""
        return {"median": rounded(self.median), "min": rounded(self.least), "max": rounded(self.most)}


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of *values*.

    Raises:
        ValueError: There are none.
    """
    if not values:
        raise ValueError("nothing was measured")
    return Spread(median=statistics.median(values), least=min(values), most=max(values), count=len(values))


def ratios(ours: Sequence[float], bare: Sequence[float]) -> list[float]:
    """Return ours divided by bare, pair by pair: each pair was measured at nearly the same moment.

    Raises:
        ValueError: The two are not of one length, or a bare value is not above zero.
    """
    if len(ours) != len(bare):
        raise ValueError(f"{len(ours)} runs of ours and {len(bare)} bare ones make no pairs")
    if any(value <= 0 for value in bare):
        raise ValueError("a bare measurement is not above zero")
    return [one / other for one, other in zip(ours, bare, strict=True)]


def rounded(value: float) -> float:
    """Return *value* with four significant digits, as many as a noisy machine deserves."""
    return float(f"{value:.4g}")
