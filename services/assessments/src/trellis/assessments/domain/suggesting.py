"""Whose an unmatched result may be: applications invited to the same assessment, the likeliest first. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from trellis.assessments.domain.correlation import CLOCK_SKEW
from trellis.common.contracts.identifiers import ApplicationId, Visit
from trellis.common.ledger.states import State

MOST: Final = 5
"""Suggestions for one signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What of an unmatched signal tells whose it may be."""

    id: UUID
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An invite to the signal's assessment.

    Attributes:
        at: When it was last made ready to leave.
        is_sent: Whether an attempt to send it was ever begun.
        same_address: It went to the address that the signal names.
    """

    application_id: ApplicationId
    visit: Visit
    at: datetime
    state: State
    is_sent: bool
    has_begun: bool
    has_result: bool
    same_address: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """An application whose result it may be, and what speaks for it."""

    application_id: ApplicationId
    visit: Visit
    reasons: tuple[str, ...]


def suggest(signal: Signal, asked: Iterable[Asked]) -> list[Suggestion]:
    """Return whose *signal* may be, the likeliest first: at most `MOST`, each application once.

    An invite that has its result, or was made ready only after the signal came, speaks for nothing.
    """
    possible = [item for item in asked if not item.has_result and item.at <= signal.received_at + CLOCK_SKEW]
    ranked = sorted(possible, key=lambda item: (not item.same_address, not item.is_sent, signal.received_at - item.at))
    found: dict[ApplicationId, Suggestion] = {}
    for item in ranked:
        suggestion = Suggestion(
            application_id=item.application_id, visit=item.visit, reasons=tuple(_reasons(item, signal))
        )
        found.setdefault(item.application_id, suggestion)
    return list(found.values())[:MOST]


def _reasons(item: Asked, signal: Signal) -> Iterable[str]:
    if item.same_address:
        yield "it was invited at the same address"
    if item.state is State.DONE:
        yield f"its invite to this assessment went out {_ago(item, signal)} before and has no result"
    elif item.is_sent:
        yield f"its invite to this assessment may have gone out {_ago(item, signal)} before"
    else:
        yield "its invite to this assessment has not gone out"
    if item.has_begun:
        yield "its candidate began"


def _ago(item: Asked, signal: Signal) -> str:
    seconds = (signal.received_at - item.at).total_seconds()
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}" if count == 1 else f"{count} {word}s"
    return "less than a minute"
