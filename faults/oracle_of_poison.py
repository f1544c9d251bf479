"""Whether each message that could not be handled is parked once, with a cause, and nothing else is; a part of the oracle. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from faults.poison import KINDS, Poison
from faults.violations import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One row of a service's table of dead letters, as its owner reads it."""

    id: str
    service: str
    queue: str
    reason: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One message as `trellis parked list` shows it; *account* None is the list of those that do not say whose they are."""

    id: str
    service: str
    account: str | None
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """What was sent that nobody can handle, and what is parked of it.

    Attributes:
        sent: What the broker confirmed.
        unsure: What it may have besides: the confirm never came.
        kept: What the tables hold.
        listed: What the lists show.
    """

    sent: Sequence[Poison] = ()
    unsure: Sequence[Poison] = ()
    kept: Sequence[Kept] = ()
    listed: Sequence[Listed] = ()

    def rows_of(self, poison: Poison) -> list[Kept]:
        """Return the rows of *poison*."""
        return [row for row in self.kept if (row.queue, row.body) == (poison.queue, poison.body)]

    def expected(self) -> set[tuple[str, str]]:
        """Return service and id of every row that is one of these messages."""
        return {(row.service, row.id) for poison in (*self.sent, *self.unsure) for row in self.rows_of(poison)}


def check(parking: Parking) -> list[Violation]:
    """Return every message that is not parked as it should be, and what is parked besides."""
    return [*unfinished(parking), *_once(parking), *_nothing_else(parking)]


def unfinished(parking: Parking) -> list[Violation]:
    """Return what is not parked yet, or not where a person sees it with cause and remedy: empty when settled."""
    found = []
    for poison in parking.sent:
        rows = parking.rows_of(poison)
        if not rows:
            found.append(_wrong("P2", poison, f"a {poison} is parked nowhere", "lost"))
        for row in rows:
            shown = [one for one in parking.listed if (one.service, one.id) == (row.service, row.id)]
            if not any(one.account == poison.account for one in shown):
                found.append(_wrong("P5", poison, f"a {poison} is parked and in no list of its account", "lost"))
            if not row.reason or not all(one.cause and one.remedy for one in shown):
                found.append(_wrong("P5", poison, f"a {poison} is parked without a cause or a remedy"))
    return found


def parked(parking: Parking) -> dict[str, int]:
    """Return how many messages of each kind are parked once."""
    kinds = Counter(poison.kind for poison in parking.sent if len(parking.rows_of(poison)) == 1)
    return {kind: kinds[kind] for kind in KINDS}


def _once(parking: Parking) -> Iterator[Violation]:
    times = Counter((one.service, one.id) for one in parking.listed)
    for poison in (*parking.sent, *parking.unsure):
        rows = parking.rows_of(poison)
        count = max(len(rows), sum(times[row.service, row.id] for row in rows))
        if count > 1:
            yield _wrong("P5", poison, f"a {poison} is parked {count} times", "doubled")
        if any(row.service != poison.service for row in rows):
            yield _wrong("P5", poison, f"a {poison} is parked by {', '.join(row.service for row in rows)}")


def _nothing_else(parking: Parking) -> Iterator[Violation]:
    """Whatever is killed, what can be handled is handled."""
    expected = parking.expected()
    reasons = {(row.service, row.id): row.reason for row in parking.kept}
    accounts: dict[tuple[str, str], str | None] = dict.fromkeys(reasons)
    for one in parking.listed:
        reasons[one.service, one.id] = one.cause
        accounts[one.service, one.id] = one.account
    for (service, ident), reason in sorted(reasons.items()):
        if (service, ident) not in expected:
            text = f"{service} parked message {ident}, which is no poison: {reason}"
            yield Violation("P5", accounts[service, ident] or "", None, text)


def _wrong(promise: str, poison: Poison, text: str, kind: str = "") -> Violation:
    return Violation(promise, poison.account or "", None, text, kind)
