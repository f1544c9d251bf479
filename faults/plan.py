"""What is broken when: rounds of faults drawn from a seed. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from trellis.common.failpoints import FAILPOINTS

SERVICES: Final = ("ingest", "workflow", "greenhouse-actions", "assessments")
_WHERE: Final = {
    "ingest": ("ingest",),
    "consumer": ("workflow", "assessments", "greenhouse-actions"),
    "workflow": ("workflow",),
    "relay": ("workflow", "assessments", "greenhouse-actions"),
    "ledger": ("assessments", "greenhouse-actions"),
    "reports": ("assessments",),
    "reconciler": ("greenhouse-actions",),
}
PROCESS: Final = ("kill", "freeze", "clock ahead", "clock behind")
BROKER: Final = ("kill", "stop", "pause", "cut", "silence", "memory alarm", "disk alarm")
DATABASE: Final = ("kill", "stop", "pause", "cut", "silence", "readonly")
VENDOR: Final = ("429", "500", "503", "cut_before", "cut_after", "500_after", "hang", "hang_after", "hang_cut")
SORTS: Final = (
    *PROCESS,
    *(f"broker {what}" for what in BROKER),
    *(f"database {what}" for what in DATABASE),
    "disk full",
)
"""Every sort of fault but failpoints and vendors; each has its turn before one comes again."""

SPOOL: Final = frozenset({"ingest.after_spool", "ingest.spool_drain.after_publish"})
"""Failpoints that are passed only while the broker is away, or just after."""
RARE: Final = SPOOL | {"ledger.after_lookup"}
"""Failpoints passed so seldom that both replicas wait there; the first to come by dies, the other one goes on."""
_STEPS: Final = (40.0, 120.0, 300.0, 900.0)
"""Seconds by which a clock is wrong: within what service tokens forgive, and beyond."""
_MOST_TRIES: Final = 3
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing to break.

    Attributes:
        kind: `kill`, `freeze`, `clock` or `failpoint` of a replica; `broker`, `database`, `disk` or `vendor`.
        target: The replica, such as `workflow.2`; else what is done, one word of `BROKER`, `DATABASE` or `VENDOR`.
        failpoint: Where the replica dies.
        nth: At which passing.
        seconds: How long it lasts.
        ahead: By how many seconds a replica's clock is ahead first, and behind then; below zero the other way.
    """

    kind: str
    target: str
    failpoint: str = ""
    nth: int = 1
    seconds: float = 0.0
    ahead: float = 0.0

    @property
    def sort(self) -> str:
        """What it is counted as."""
        if self.kind == "clock":
            return "clock ahead" if self.ahead > 0 else "clock behind"
        return self.kind if self.kind in {"kill", "freeze", "failpoint"} else f"{self.kind} {self.target}"

    def __str__(self) -> str:
        place = f" at {self.failpoint}:{self.nth}" if self.failpoint else ""
        wrong = f" wrong by {self.ahead:+.0f} s" if self.ahead else ""
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.kind} {self.target}{place}{wrong}{lasting}"


def cases() -> list[tuple[str, str]]:
    """Return every failpoint with each service that has it."""
    return [(name, service) for name in FAILPOINTS for service in _WHERE[name.partition(".")[0]]]


class Plan:
    """Draws rounds of what is broken together: failpoints and other faults in turn, without end.

    Every failpoint has its turn in one service before any has it in another, and in all of them before one comes
    twice; every sort of other fault likewise.

    Args:
        seed: The same seed, the same rounds, but for what is owed.
        longer_than_lease: Least seconds for which a process is frozen.
    """

    def __init__(self, seed: int, *, longer_than_lease: float) -> None:
        self._dice = random.Random(seed)
        self._longer_than_lease = longer_than_lease
        self._cases: list[tuple[str, str]] = []
        self._sorts: list[str] = []
        self._vendor: list[str] = []
        self._tries: dict[tuple[str, str], int] = {}
        self._at_failpoints_next = True

    def next_round(self) -> tuple[Fault, ...]:
        """Return what is broken next."""
        self._at_failpoints_next = not self._at_failpoints_next
        return self._anything() if self._at_failpoints_next else self._at_failpoints()

    def owe(self, fault: Fault) -> None:
        """Have a failpoint that nobody came by wait for another turn, a few times."""
        case = fault.failpoint, fault.target.partition(".")[0]
        self._tries[case] = self._tries.get(case, 0) + 1
        if self._tries[case] < _MOST_TRIES:
            self._cases.insert(0, case)

    def _at_failpoints(self) -> tuple[Fault, ...]:
        """Take up to three cases, each of another service."""
        if not self._cases:
            self._cases = _names_first(self._shuffled(cases()))
        taken: dict[str, Fault] = {}
        for name, service in list(self._cases):
            if service not in taken and len(taken) < 3:
                self._cases.remove((name, service))
                nth = 1 if name in RARE else self._dice.choice((1, 1, 2, 3))
                target = self._replica(service)
                taken[service] = Fault(kind="failpoint", target=target, failpoint=name, nth=nth)
        return tuple(taken.values())

    def _anything(self) -> tuple[Fault, ...]:
        """Take one to three sorts, each of another kind; a full disk stands alone, since the broker's fails with it."""
        if not self._sorts:
            self._sorts = self._shuffled(SORTS)
        sorts = [self._sorts.pop(0)]
        most = 1 if sorts == ["disk full"] else self._dice.choice((1, 2, 2, 3))
        for sort in list(self._sorts):
            if len(sorts) < most and sort != "disk full" and _kind(sort) not in map(_kind, sorts):
                self._sorts.remove(sort)
                sorts.append(sort)
        found = [fault for sort in sorts for fault in self._of_sort(sort)]
        if self._dice.random() < 0.4:
            found.append(Fault(kind="vendor", target=self._next_vendor(), seconds=self._seconds(2, 8)))
        return tuple(found)

    def _of_sort(self, sort: str) -> list[Fault]:
        kind, _, what = sort.partition(" ")
        service = self._dice.choice(SERVICES)
        makers: dict[str, Callable[[], list[Fault]]] = {
            "kill": lambda: [Fault(kind=kind, target=victim) for victim in self._victims(service)],
            "freeze": lambda: [
                Fault(kind=kind, target=self._replica(service), seconds=self._longer_than_lease + self._seconds(1, 6))
            ],
            "clock": lambda: [
                Fault(
                    kind=kind,
                    target=self._replica(service),
                    seconds=self._seconds(6, 12),
                    ahead=self._dice.choice(_STEPS) * (1 if what == "ahead" else -1),
                )
            ],
        }
        made = makers.get(kind)
        return made() if made else [Fault(kind=kind, target=what, seconds=self._seconds(2, 8))]

    def _victims(self, service: str) -> list[str]:
        return [service, f"{service}.2"] if self._dice.random() < 0.4 else [self._replica(service)]

    def _replica(self, service: str) -> str:
        return self._dice.choice((service, f"{service}.2"))

    def _next_vendor(self) -> str:
        if not self._vendor:
            self._vendor = self._shuffled(VENDOR)
        return self._vendor.pop()

    def _seconds(self, least: float, most: float) -> float:
        return round(self._dice.uniform(least, most), 1)

    def _shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        return self._dice.sample(items, len(items))


def _kind(sort: str) -> str:
    return sort.partition(" ")[0]


def _names_first(drawn: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put one case of each failpoint before every second one, spread over the services, which die side by side."""
    services = {name: [service for other, service in drawn if other == name] for name, _ in drawn}
    load: Counter[str] = Counter()
    first = []
    for name in sorted(services, key=lambda name: len(services[name])):
        service = min(services[name], key=lambda service: load[service])
        load[service] += 1
        first.append((name, service))
    chosen = set(first)
    return [*(case for case in drawn if case in chosen), *(case for case in drawn if case not in chosen)]
