"""The bench's answer: one JSON object for programs, a table for people, and whether the limits hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bench.figures import Spread, rounded

MOST_RESIDENT_MIB = 150.0
"""What a process of ours may hold in memory at load."""

Json = dict[str, object]


class Sense(StrEnum):
    """On which side of its limit a ratio must be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the bench.

    Attributes:
        name: Its key in the JSON object.
        unit: Of *ours* and *bare*.
        ratio: Ours over bare, pair by pair.
        ours: What our code reached.
        bare: What the bare counterpart reached.
        limit: Judged against the median ratio.
        sense: On which side of it the ratio must be.
        details: Further keys of the JSON line, each described in docs/benchmarks.md.
        remarks: Said to people below the table.
    """

    name: str
    unit: str
    ratio: Spread
    ours: Spread
    bare: Spread
    limit: float
    sense: Sense
    details: Json = field(default_factory=dict)
    remarks: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Whether the median ratio is on the right side of the limit."""
        if self.sense is Sense.AT_LEAST:
            return self.ratio.median >= self.limit
        return self.ratio.median <= self.limit

    def as_json(self) -> Json:
        """Return the line; the keys of *details* never replace the common ones."""
        return {
            **self.details,
            "ratio": rounded(self.ratio.median),
            "ratio_spread": self.ratio.as_json(),
            "ours": rounded(self.ours.median),
            "ours_spread": self.ours.as_json(),
            "bare": rounded(self.bare.median),
            "bare_spread": self.bare.as_json(),
            "unit": self.unit,
            "limit": self.limit,
            "sense": self.sense.value,
            "runs": self.ratio.count,
            "holds": self.holds,
        }


def as_json(lines: Sequence[Line], machine: Json, memory: Mapping[str, float]) -> Json:
    """Return the whole report: a key for each line, `machine`, and `memory` in MiB by service."""
    resident = {name: round(value, 1) for name, value in memory.items()}
    return {**{line.name: line.as_json() for line in lines}, "machine": machine, "memory": resident}


def failures(lines: Sequence[Line], memory: Mapping[str, float]) -> list[str]:
    """Return what missed its limit, in words; empty when all is well."""
    missed = [
        f"{line.name}: the ratio {line.ratio.median:.2f} must be {line.sense.value} {line.limit:g}"
        for line in lines
        if not line.holds
    ]
    too_large = [
        f"{name}: {value:.0f} MiB resident at load must be under {MOST_RESIDENT_MIB:g}"
        for name, value in sorted(memory.items())
        if value >= MOST_RESIDENT_MIB
    ]
    return missed + too_large


def as_table(lines: Sequence[Line], machine: Json, memory: Mapping[str, float]) -> str:
    """Return the report for people."""
    rows = [("", "ratio (min to max)", "limit", "ours", "bare", "runs", "")]
    rows += [
        (
            line.name,
            f"{line.ratio.median:.2f} ({line.ratio.least:.2f} to {line.ratio.most:.2f})",
            f"{line.sense.value} {line.limit:g}",
            f"{line.ours.median:,.0f} {line.unit}",
            f"{line.bare.median:,.0f} {line.unit}",
            str(line.ratio.count),
            "ok" if line.holds else "MISSED",
        )
        for line in lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    text += ["", *(f"{line.name}: {remark}" for line in lines for remark in line.remarks)]
    if memory:
        text.append("resident at load: " + ", ".join(f"{name} {value:.0f} MiB" for name, value in memory.items()))
    text.append("machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    return "\n".join(text)
