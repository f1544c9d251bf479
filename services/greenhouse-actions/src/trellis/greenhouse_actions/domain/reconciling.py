"""Which stretch of Greenhouse's time is compared with the log next. Pure.

The mark is the time up to which everything was compared. It moves only when a whole window was read, since
pages come in the order of ids; the next window begins before it, for what was written late. A window ends a
little before the present, so that a webhook that is only under way is not taken for a missed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trellis.common.contracts.facts import PassedStage, Stage
from trellis.common.contracts.identifiers import StageId
from trellis.greenhouse_actions.domain.readings import ApplicationView, ChangeField, StageRow, Window

LONGEST: Final = timedelta(hours=6)
"""Longest window; a deep comparison is made of many, so that what was done is not done again after a crash."""
SHORTEST: Final = timedelta(minutes=1)
"""A window that is too full for one list is halved down to this."""

MOST_PASSED: Final = 20
"""Stays of one application that are told of, the latest: nobody reads more, and a fact stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How an account is reconciled.

    Attributes:
        fields: By which times changes are looked for, one list each.
        interval: From one complete comparison to the next.
        overlap: How far a window reaches back behind the mark.
        delay: How long a webhook may be under way.
        act_within: How old a missed entry may be to be acted upon without a person's yes.
        depth: How far back the first comparison looks.
        longest: Longest new part of a window.
    """

    fields: tuple[ChangeField, ...] = tuple(ChangeField)
    interval: timedelta = timedelta(minutes=10)
    overlap: timedelta = timedelta(minutes=10)
    delay: timedelta = timedelta(minutes=1)
    act_within: timedelta = timedelta(days=1)
    depth: timedelta = timedelta(days=1)
    longest: timedelta = LONGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One window to compare.

    Attributes:
        window: What is read.
        mark: The mark when it was read whole.
        is_last: Whether the comparison is complete then.
    """

    window: Window
    mark: datetime
    is_last: bool


def next_step(mark: datetime, now: datetime, pace: Pace, *, longest: timedelta = LONGEST) -> Step:
    """Return the window after *mark*, at most *longest* of it new.

    Args:
        mark: Everything up to here was compared.
        now: The present.
        pace: The account's.
        longest: How much of the window may be new.
    """
    end = max(now - pace.delay, mark)
    until = min(mark + longest, end)
    return Step(window=Window(since=mark - pace.overlap, until=until), mark=until, is_last=until >= end)


def halved(longest: timedelta) -> timedelta:
    """Return the length of the next try for a window that was too full."""
    return max(longest / 2, SHORTEST)


def merged(lists: Iterable[Iterable[ApplicationView]]) -> list[ApplicationView]:
    """Return each application of *lists* once, as it was read last, the oldest id first."""
    found = {view.id: view for views in lists for view in views}
    return [found[ident] for ident in sorted(found)]


def passed(rows: Iterable[StageRow], names: Mapping[StageId | None, str | None]) -> tuple[PassedStage, ...]:
    """Return the latest stays of *rows* that are over, the oldest first; a row without its times tells of none.

    A window does not bound them: of an application that changed again and again while nothing was compared, the
    lists show the last change alone.

    Args:
        rows: All stage visits of one application.
        names: Names of stages, as far as other applications in them were read too.
    """
    stays = [
        PassedStage(
            stage=Stage(id=row.stage_id, name=names.get(row.stage_id)),
            entered_at=row.entered_at,
            exited_at=row.exited_at,
        )
        for row in rows
        if not row.current and row.entered_at is not None and row.exited_at is not None
    ]
    return tuple(sorted(stays, key=lambda stay: (stay.entered_at, stay.exited_at))[-MOST_PASSED:])
