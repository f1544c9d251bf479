"""What the polls of the services' loops would find, found without polling.

A loop that polls twice a second finds nothing most of the time. An alarm wakes it when something that it
looks for is due in its database, and goes on waking it, ever more slowly, while it stays due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulation.twins.memory import Memory, Row
from trellis.common.ledger.states import State

SOON_SECONDS = 0.5
"""How long after a commit a poll comes."""
LONGEST_SECONDS = 8.0


@dataclass(frozen=True)
class Kind:
    """One kind of loop: where what it looks for lies, and when a row there is due.

    Attributes:
        besides: Other tables on which it depends what is done.
    """

    name: str
    table: str
    due_at: Callable[[Row], datetime | None]
    besides: tuple[str, ...] = ()


def _later(row: Row, name: str) -> datetime | None:
    due: datetime | None = row[name]
    lease: datetime | None = row["lease_until"]
    return due if due is None or lease is None or lease < due else lease


def _intent(row: Row) -> datetime | None:
    state = row["state"]
    if state is State.ATTEMPTING:
        deadline: datetime = row["deadline_at"]
        return deadline
    return _later(row, "due_at") if state is State.WAITING or state is State.UNKNOWN else None


def _wanted(row: Row) -> datetime | None:
    return _later(row, "due_at") if row["ordinal"] > row["shown_ordinal"] else None


def _unsent(row: Row) -> datetime | None:
    when: datetime | None = None if row["sent"] is not None else row["lease"] or row["at"]
    return when


def _timer(row: Row) -> datetime | None:
    due: datetime = row["due_at"]
    return due


def _spooled(row: Row) -> datetime | None:
    when: datetime = row["lease_until"] or row["at"]
    return when


KINDS = (
    Kind("runner", "intent", _intent, ("brake", "pause", "epoch")),
    Kind("relay", "outbox", _unsent),
    Kind("reports", "invite", lambda row: _later(row, "poll_at")),
    Kind("observer", "observation", lambda row: _later(row, "due_at")),
    Kind("display", "standing", _wanted, ("brake", "pause")),
    Kind("reconciler", "reconciliation", lambda row: _later(row, "due_at")),
    Kind("timers", "timer", _timer),
    Kind("drain", "spool", _spooled),
)


class Alarm:
    """Wakes the loops of one kind in the processes of one service."""

    def __init__(
        self, loop: Any, now: Callable[[], datetime], memory: Memory, kind: Kind, wake: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._now = now
        self._memory = memory
        self._kind = kind
        self._wake = wake
        self._pause = SOON_SECONDS
        self._call: Any = None

    def look_soon(self) -> None:
        """Look whether something is due: a commit changed what may be."""
        self._pause = SOON_SECONDS
        self._look_in(SOON_SECONDS)

    def _look_in(self, seconds: float) -> None:
        when = self._loop.time() + seconds
        if self._call is not None:
            if self._call.when() <= when:
                return
            self._call.cancel()
        self._call = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._call = None
        due = next_due(self._memory, self._kind)
        if due is None:
            return None
        left = (due - self._now()).total_seconds()
        if left > 0:
            return self._look_in(left + 0.001)
        self._wake(self._kind.name)
        self._look_in(self._pause)
        self._pause = min(self._pause * 2, LONGEST_SECONDS)
        return None


def next_due(memory: Memory, kind: Kind) -> datetime | None:
    """Return when the next row of *kind* is due; None if none is."""
    due: datetime | None = None
    due_at = kind.due_at
    for row in memory.table(kind.table).values():
        when = due_at(row)
        if when is not None and (due is None or when < due):
            due = when
    return due


def alarms(
    loop: Any, now: Callable[[], datetime], memory: Memory, wake: Callable[[str], None]
) -> dict[str, list[Alarm]]:
    """Return the alarms to be told when a table changed, by its name."""
    found: dict[str, list[Alarm]] = {}
    for kind in KINDS:
        alarm = Alarm(loop, now, memory, kind, wake)
        for table in (kind.table, *kind.besides):
            found.setdefault(table, []).append(alarm)
    return found
