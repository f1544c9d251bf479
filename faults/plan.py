"""What is broken when: rounds of faults drawn from a seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trellis.common.failpoints import FAILPOINTS

SERVICES: Final = ("ingest", "workflow", "greenhouse-actions", "assessments")
_WHERE: Final = {
    "ingest": ("ingest",),
    "consumer": ("workflow", "assessments", "greenhouse-actions"),
    "workflow": ("workflow",),
    "relay": ("workflow", "assessments", "greenhouse-actions"),
    "ledger": ("assessments", "greenhouse-actions"),
    "reports": ("assessments",),
}
BROKER: Final = ("kill", "stop", "pause", "cut", "silence", "alarm")
DATABASE: Final = ("kill", "stop", "pause", "cut", "silence", "readonly")
VENDOR: Final = ("429", "500", "503", "cut_before", "cut_after", "500_after", "hang", "hang_after", "hang_cut")

SPOOL: Final = frozenset({"ingest.after_spool", "ingest.spool_drain.after_publish"})
"""Failpoints that are passed only while the broker is away, or just after."""
RARE: Final = SPOOL | {"ledger.after_lookup"}
"""Failpoints passed so seldom that both replicas wait there; the first to come by dies, the other one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing to break.

    Attributes:
        kind: `kill`, `freeze` or `failpoint` of a replica; `broker`, `database` or `vendor`.
        target: The replica, such as `workflow.2`; else what is done, one word of `BROKER`, `DATABASE` or `VENDOR`.
        failpoint: Where the replica dies.
        nth: At which passing.
        seconds: How long it lasts.
    """

    kind: str
    target: str
    failpoint: str = ""
    nth: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        place = f" at {self.failpoint}:{self.nth}" if self.failpoint else ""
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.kind} {self.target}{place}{lasting}"


def cases() -> list[tuple[str, str]]:
    """Return every failpoint with each service that has it."""
    return [(name, service) for name in FAILPOINTS for service in _WHERE[name.partition(".")[0]]]


def rounds(seed: int, *, longer_than_lease: float) -> Iterator[tuple[Fault, ...]]:
    """Yield for ever what is broken together: failpoints and random faults in turn; each failpoint before one twice.

    Args:
        seed: The same seed, the same rounds.
        longer_than_lease: Least seconds for which a process is frozen.
    """
    dice = random.Random(seed)
    waiting: list[tuple[str, str]] = []
    while True:
        if not waiting:
            waiting = cases()
            dice.shuffle(waiting)
        yield _at_failpoints(dice, waiting)
        yield _anything(dice, longer_than_lease)


def _at_failpoints(dice: random.Random, waiting: list[tuple[str, str]]) -> tuple[Fault, ...]:
    """Take up to three of *waiting*, each of another service."""
    taken: dict[str, Fault] = {}
    for name, service in list(waiting):
        if service not in taken and len(taken) < 3:
            waiting.remove((name, service))
            replica = _replica(dice, service)
            nth = 1 if name in RARE else dice.choice((1, 1, 2, 3))
            taken[service] = Fault(kind="failpoint", target=replica, failpoint=name, nth=nth)
    return tuple(taken.values())


def _anything(dice: random.Random, longer_than_lease: float) -> tuple[Fault, ...]:
    kinds = dice.sample(("kill", "freeze", "broker", "database", "vendor"), dice.choice((1, 1, 2, 2, 3)))
    found: list[Fault] = []
    for kind in kinds:
        seconds = round(dice.uniform(2, 8), 1)
        if kind == "kill":
            service = dice.choice(SERVICES)
            victims = [service, f"{service}.2"] if dice.random() < 0.4 else [_replica(dice, dice.choice(SERVICES))]
            found += [Fault(kind=kind, target=victim) for victim in victims]
        elif kind == "freeze":
            lasting = round(longer_than_lease + dice.uniform(1, 6), 1)
            found.append(Fault(kind=kind, target=_replica(dice, dice.choice(SERVICES)), seconds=lasting))
        else:
            choices = {"broker": BROKER, "database": DATABASE, "vendor": VENDOR}[kind]
            found.append(Fault(kind=kind, target=dice.choice(choices), seconds=seconds))
    return tuple(found)


def _replica(dice: random.Random, service: str) -> str:
    return dice.choice((service, f"{service}.2"))
