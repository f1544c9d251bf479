"""The life of a ledger row, as a table of transitions. Pure.

Everything that may happen to a row is an `Occurrence`; what is not in the table changes nothing and is
only journalled. An answer counts when it is the answer of the row's current attempt, however late.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a row stands."""

    WAITING = "waiting"
    """Nothing is under way; it is tried when due."""
    ATTEMPTING = "attempting"
    """A request may be under way until the deadline."""
    UNKNOWN = "unknown"
    """A request may have had its effect; it is looked up, never repeated."""
    IN_DOUBT = "in_doubt"
    """Parked, because no look-up can tell whether it happened."""
    PARKED = "parked"
    """Parked, certainly not done: a person can mend it."""
    DONE = "done"
    REFUSED = "refused"
    """It will never be done: the outside said no for good."""
    SUPERSEDED = "superseded"
    """The world moved on, so it was not done."""


FINAL: Final = frozenset({State.DONE, State.REFUSED, State.SUPERSEDED})


class Occurrence(StrEnum):
    """What may happen to a row."""

    BEGUN = "begun"
    """A worker committed an attempt with its deadline."""
    SUCCEEDED = "succeeded"
    """The answer says that it was done."""
    ACCEPTED = "accepted"
    """The answer says yes, but only a reading proves it."""
    NOT_EXECUTED = "not_executed"
    """The answer, or the lack of a request, proves that nothing was done."""
    REJECTED = "rejected"
    """The answer says no for good."""
    UNMET = "unmet"
    """The answer says no, and a person can mend why."""
    AMBIGUOUS = "ambiguous"
    """No answer, or one that proves nothing."""
    EXPIRED = "expired"
    """The deadline passed with no answer recorded: the worker died or was cut off."""
    FOUND = "found"
    """A look-up saw the effect."""
    ABSENT = "absent"
    """Look-ups proved that there is no effect."""
    CANNOT_TELL = "cannot_tell"
    """A look-up can neither see nor exclude the effect."""
    EVIDENCE = "evidence"
    """The world showed the effect by itself: a report, a webhook, a list."""
    OVERTAKEN = "overtaken"
    """A reading shows that it must not be done any more."""
    BLOCKED = "blocked"
    """A reading shows that it cannot be done until a person mends something."""
    POSTPONED = "postponed"
    """Not now: budget, an outage, a second reading that must wait."""
    RESTORED = "restored"
    """The database was restored: it may have happened since the backup (`epoch.py` writes this one)."""
    MENDED = "mended"
    """What blocked it was mended."""
    RESENT = "resent"
    """A person ordered another attempt, knowing the doubt."""
    CONFIRMED = "confirmed"
    """A person says that it happened."""
    DROPPED = "dropped"
    """A person gave it up."""
    WITHDRAWN = "withdrawn"
    """A person took it back, whatever state it was in; a request under way may still have its effect."""


_LATE_ANSWERS: Final = {
    Occurrence.SUCCEEDED: State.DONE,
    Occurrence.ACCEPTED: State.UNKNOWN,
    Occurrence.REJECTED: State.REFUSED,
    Occurrence.UNMET: State.PARKED,
    Occurrence.AMBIGUOUS: State.UNKNOWN,
    Occurrence.EVIDENCE: State.DONE,
}

_TABLE: Final[dict[State, dict[Occurrence, State]]] = {
    State.WAITING: _LATE_ANSWERS
    | {
        Occurrence.BEGUN: State.ATTEMPTING,
        Occurrence.OVERTAKEN: State.SUPERSEDED,
        Occurrence.BLOCKED: State.PARKED,
        Occurrence.POSTPONED: State.WAITING,
        Occurrence.RESTORED: State.UNKNOWN,
        Occurrence.DROPPED: State.SUPERSEDED,
    },
    State.ATTEMPTING: _LATE_ANSWERS
    | {
        Occurrence.NOT_EXECUTED: State.WAITING,
        Occurrence.EXPIRED: State.UNKNOWN,
    },
    State.UNKNOWN: _LATE_ANSWERS
    | {
        Occurrence.NOT_EXECUTED: State.WAITING,
        Occurrence.FOUND: State.DONE,
        Occurrence.ABSENT: State.WAITING,
        Occurrence.CANNOT_TELL: State.IN_DOUBT,
        Occurrence.OVERTAKEN: State.SUPERSEDED,
        Occurrence.BLOCKED: State.PARKED,
        Occurrence.POSTPONED: State.UNKNOWN,
    },
    # A late answer that proves nothing changes nothing: what a person is told to do stands.
    State.IN_DOUBT: {occurrence: state for occurrence, state in _LATE_ANSWERS.items() if occurrence != "ambiguous"}
    | {
        Occurrence.NOT_EXECUTED: State.WAITING,
        Occurrence.CONFIRMED: State.DONE,
        Occurrence.RESENT: State.WAITING,
        Occurrence.DROPPED: State.SUPERSEDED,
    },
    State.PARKED: _LATE_ANSWERS
    | {
        Occurrence.RESTORED: State.UNKNOWN,
        Occurrence.MENDED: State.WAITING,
        Occurrence.RESENT: State.WAITING,
        Occurrence.DROPPED: State.SUPERSEDED,
    },
    State.DONE: {},
    State.REFUSED: {},
    State.SUPERSEDED: {},
}
for _state, _row in _TABLE.items():
    if _state not in FINAL:
        _row[Occurrence.WITHDRAWN] = State.SUPERSEDED
TRANSITIONS: Final = MappingProxyType({state: MappingProxyType(row) for state, row in _TABLE.items()})


def next_state(state: State, occurrence: Occurrence) -> State | None:
    """Return the state after *occurrence*; None when it changes nothing in *state*."""
    return TRANSITIONS[state].get(occurrence)
