"""What histories met, crossed with the faults that were fresh when it was met, and what they never met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from trellis.common.contracts.envelope import MESSAGE_TYPES
from trellis.common.failpoints import FAILPOINTS
from trellis.common.ledger.states import TRANSITIONS, Occurrence, State

FRESH_SECONDS: Final = 5.0
"""How long after a fault what is met counts as met with it."""

FAULTS: Final = (
    *("crash", "frozen", "clock off", "commit cut", "deadlock", "database away"),
    *("broker away", "connections cut", "publish lost", "confirm lost", "redelivered"),
    *(
        "webhooks off",
        "sees nothing",
        "vendor away",
        "webhook lost",
        "webhook doubled",
        "webhook refused",
        "question failed",
        "call failed",
        "budget used up",
    ),
    *(
        "credential rejected",
        "brake",
        "write refused",
        "write unmet",
        "write 429",
        "write lost",
        "answer lost",
        "500 after",
    ),
)
_BITS: Final = {name: 1 << number for number, name in enumerate(FAULTS)}

Met = Counter[tuple[str, int]]
"""How often a thing was met, by the faults that were fresh, as bits."""


def transition(state: State, occurrence: Occurrence) -> str:
    """Return the name of a row of the ledger's table."""
    return f"{state.value} + {occurrence.value}"


_ANSWERS: Final = ("succeeded", "accepted", "ambiguous")
THINGS: Final[dict[str, tuple[str, ...]]] = {
    "failpoints": FAILPOINTS,
    "transitions": tuple(transition(state, occurrence) for state, row in TRANSITIONS.items() for occurrence in row),
    "messages": tuple(MESSAGE_TYPES),
}
"""All that can be met, by kind."""

_LATE = "a late answer: only a worker frozen past its deadline records one, which is rare"
_NEVER = "no answer of these vendors is a no that nobody can mend"
_PERSON = "rare: a person is there only now and then, and orders only what is held"
EXCEPTED: Final[dict[str, str]] = {
    **{f"{state} + rejected": _NEVER for state in ("waiting", "attempting", "unknown", "in_doubt", "parked")},
    **{f"{state} + unmet": _LATE for state in ("waiting", "unknown", "in_doubt", "parked")},
    **{f"{state} + {word}": _LATE for state in ("waiting", "unknown", "parked") for word in _ANSWERS},
    **dict.fromkeys(
        ("unknown + not_executed", "in_doubt + succeeded", "in_doubt + accepted", "in_doubt + not_executed"), _LATE
    ),
    **dict.fromkeys(("waiting + evidence", "parked + evidence"), _LATE),
    **dict.fromkeys(("unknown + overtaken", "unknown + blocked"), "rare: it is overtaken while it is looked up"),
    **dict.fromkeys(
        ("waiting + dropped", "in_doubt + resent", "in_doubt + dropped", "parked + resent", "parked + dropped"), _PERSON
    ),
    "attempting + evidence": "rare: a result comes while its invite is under way",
    "parked + mended": "rare: an address is added to a person who had none, while the invite waits for it",
    **dict.fromkeys([f"{state} + withdrawn" for state in ("attempting", "unknown", "in_doubt", "parked")], _PERSON),
    **dict.fromkeys(
        ("waiting + restored", "parked + restored"), "rare: it waits or is parked when the databases are put back"
    ),
}
"""What some hundred histories need not meet, with the reason."""


class Coverage:
    """Counts what one history meets."""

    def __init__(self, time: Callable[[], float]) -> None:
        self.met: Met = Counter()
        self._time = time
        self._until: dict[int, float] = {}
        self._fresh = 0
        self._first_end = 0.0

    def fault(self, name: str, seconds: float = 0.0) -> None:
        """Note that a fault happens, and how long it lasts."""
        self.met[name, 0] += 1
        bit = _BITS[name]
        self._until[bit] = max(self._until.get(bit, 0.0), self._time() + seconds + FRESH_SECONDS)
        self._fresh |= bit
        self._first_end = min(self._until.values())

    def thing(self, name: str) -> None:
        """Note that something was met."""
        if self._fresh and self._time() > self._first_end:
            now = self._time()
            self._until = {bit: until for bit, until in self._until.items() if until >= now}
            self._fresh = sum(self._until)
            self._first_end = min(self._until.values(), default=0.0)
        self.met[name, self._fresh] += 1


def report(met: Met) -> dict[str, Any]:
    """Return what was met, by kind, with which faults, and what never was."""
    counts, crossed = Counter[str](), dict[str, Counter[str]]()
    for (name, bits), count in met.items():
        counts[name] += count
        if bits:
            beside = crossed.setdefault(name, Counter[str]())
            for fault, bit in _BITS.items():
                if bits & bit:
                    beside[fault] += count
    shown: dict[str, Any] = {
        kind: {
            name: {"met": counts[name], "with": dict(crossed.get(name, Counter[str]()))}
            for name in names
            if counts[name]
        }
        for kind, names in THINGS.items()
    }
    shown["faults"] = {name: counts[name] for name in FAULTS if counts[name]}
    shown["never"] = {kind: [name for name in names if not counts[name]] for kind, names in THINGS.items()}
    shown["never"]["faults"] = [name for name in FAULTS if not counts[name]]
    shown["never"]["pairs"] = {
        name: [fault for fault in FAULTS if counts[fault] and fault not in crossed.get(name, ())]
        for names in THINGS.values()
        for name in names
        if counts[name]
    }
    shown["never"]["pairs"] = {name: missing for name, missing in shown["never"]["pairs"].items() if missing}
    return shown


def unmet(met: Met) -> set[str]:
    """Return what should have been met, faults included, and never was."""
    never = report(met)["never"]
    return {name for kind in (*THINGS, "faults") for name in never[kind]} - set(EXCEPTED)


def told(shown: dict[str, Any]) -> Iterator[str]:
    """Yield the report as lines to read."""
    for kind, names in THINGS.items():
        pairs = sum(len(entry["with"]) for entry in shown[kind].values())
        yield f"{kind}: {len(shown[kind])} of {len(names)} met, {pairs} of {len(names) * len(FAULTS)} pairs with a fault"
        for name in shown["never"][kind]:
            yield f"  never met: {name}" + (f" ({EXCEPTED[name]})" if name in EXCEPTED else "")
    yield "faults: " + ", ".join(f"{name} {count}" for name, count in shown["faults"].items())
    if shown["never"]["faults"]:
        yield f"  never: {', '.join(shown['never']['faults'])}"
