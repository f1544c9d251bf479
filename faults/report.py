"""What a run amounts to, as an object and in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from faults.oracle import Counts, Json, Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one run."""

    seed: int
    faults: int
    counts: Sequence[Counts]
    violations: Sequence[Violation]
    recovery_seconds: Sequence[float]
    settle_seconds: float
    reached: Sequence[str] = ()
    missed: Sequence[str] = ()
    """Failpoints that were armed and at which nothing died."""
    unexpected: Sequence[str] = field(default=())
    """Replicas that ended by themselves."""
    dead: int = 0
    """Messages in dead queues."""

    @property
    def code(self) -> int:
        """The exit code: 1 on any violation."""
        return 1 if self.violations else 0

    def as_json(self) -> Json:
        """Return the object of the last line."""
        kinds = [violation.kind for violation in self.violations]
        return {
            "deliveries": sum(one.deliveries for one in self.counts),
            "faults": self.faults,
            "effects": sum(one.effects for one in self.counts),
            "lost": kinds.count("lost"),
            "doubled": kinds.count("doubled"),
            "longest_recovery_seconds": round(max([*self.recovery_seconds, self.settle_seconds]), 1),
            "settle_seconds": round(self.settle_seconds, 1),
            "held": sum(one.held for one in self.counts),
            "parked": sum(one.parked for one in self.counts),
            "dead": self.dead,
            "violations": [violation.as_json() for violation in self.violations],
            "seed": self.seed,
            "failpoints_reached": sorted(self.reached),
            "failpoints_missed": sorted(self.missed),
            "ended_by_themselves": list(self.unexpected),
        }

    def as_text(self) -> str:
        """Return the same for a reader."""
        told = self.as_json()
        names = ("deliveries", "faults", "effects", "lost", "doubled", "held", "parked", "longest_recovery_seconds")
        lines = [", ".join(f"{name.replace('_', ' ')} {told[name]}" for name in names)]
        lines += [f"{one.promise} {one.account} {one.application or ''}: {one.text}" for one in self.violations]
        lines.append("every promise held" if not self.violations else f"{len(self.violations)} violations")
        return "\n".join(lines)
