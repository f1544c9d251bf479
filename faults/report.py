"""What a run amounts to, as an object and in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faults.oracle import Counts
from faults.oracle_of_people import MECHANISMS
from faults.plan import SORTS, Fault
from faults.seen import Json
from faults.violations import Violation
from trellis.common.failpoints import FAILPOINTS

_POISON = ("poison_sent", "poison_parked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one run.

    Attributes:
        seed: What was broken when.
        faults: What was done, and whether it came about.
        counts: The figures of each account.
        violations: What did not hold.
        recovery_seconds: After each round, until somebody who entered the stage was invited.
        settle_seconds: From the end of the faults until nothing was unfinished.
        killed: The failpoints at which a process died, each as often.
        disk: How the spool's disk was made to be full.
        unexpected: Replicas that ended by themselves.
        dead: Messages that could not be handled and were to be, as they are listed.
        poison_sent: Messages sent that nobody can handle.
        poison_parked: Of each kind of them, how many are parked once.
    """

    seed: int
    faults: Sequence[tuple[Fault, bool]]
    counts: Sequence[Counts]
    violations: Sequence[Violation]
    recovery_seconds: Sequence[float]
    settle_seconds: float
    killed: Sequence[str] = ()
    disk: str = ""
    unexpected: Sequence[str] = field(default=())
    dead: int = 0
    poison_sent: int = 0
    poison_parked: Mapping[str, int] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code: 1 on any violation."""
        return 1 if self.violations else 0

    def as_json(self) -> Json:
        """Return the object of the last line."""
        kinds = [violation.kind for violation in self.violations]
        by_sort = Counter(fault.sort for fault, happened in self.faults if happened)
        in_vain = Counter(fault.sort for fault, happened in self.faults if not happened)
        killed = Counter(self.killed)
        return {
            "deliveries": sum(one.deliveries for one in self.counts),
            "faults": by_sort.total(),
            "effects": sum(one.effects for one in self.counts),
            "lost": kinds.count("lost"),
            "doubled": kinds.count("doubled"),
            "longest_recovery_seconds": round(max([*self.recovery_seconds, self.settle_seconds]), 1),
            "settle_seconds": round(self.settle_seconds, 1),
            "held": sum(one.held for one in self.counts),
            "parked": sum(one.parked for one in self.counts),
            "turned_away": sum(one.turned_away for one in self.counts),
            "dead": self.dead,
            **{name: sum(one.exercised.get(name, 0) for one in self.counts) for name in MECHANISMS},
            "poison_sent": self.poison_sent,
            "poison_parked": sum(self.poison_parked.values()),
            "poison_by_kind": dict(self.poison_parked),
            "violations": [violation.as_json() for violation in self.violations],
            "seed": self.seed,
            "faults_by_sort": dict(sorted(by_sort.items())),
            "faults_in_vain": dict(sorted(in_vain.items())),
            "faults_never": [sort for sort in SORTS if not by_sort[sort]],
            "failpoints_killed": {name: killed[name] for name in FAILPOINTS if killed[name]},
            "failpoints_never": [name for name in FAILPOINTS if not killed[name]],
            "full_disk": self.disk,
            "ended_by_themselves": list(self.unexpected),
        }

    def as_text(self) -> str:
        """Return the same for a reader."""
        told = self.as_json()
        names = ("deliveries", "faults", "effects", "lost", "doubled", "held", "parked", "turned_away")
        lines = [", ".join(f"{name.replace('_', ' ')} {told[name]}" for name in (*names, "longest_recovery_seconds"))]
        lines.append(", ".join(f"{name.replace('_', ' ')} {told[name]}" for name in (*MECHANISMS, *_POISON)))
        lines.append(", ".join(f"{sort} {count}" for sort, count in told["faults_by_sort"].items()))
        lines.append(f"killed at {len(told['failpoints_killed'])} of {len(FAILPOINTS)} failpoints")
        for name, words in (("failpoints_never", "never killed at"), ("faults_never", "never done")):
            if told[name]:
                lines.append(f"{words}: {', '.join(told[name])}")
        lines += [f"{one.promise} {one.account} {one.application or ''}: {one.text}" for one in self.violations]
        lines.append("every promise held" if not self.violations else f"{len(self.violations)} violations")
        return "\n".join(lines)
