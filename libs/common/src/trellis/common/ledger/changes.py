"""What an answer, a look-up or a check before an attempt means for its row. Pure: the draw is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from trellis.common.backoff import full_jitter
from trellis.common.ledger import effects as x
from trellis.common.ledger.states import Occurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one occurrence writes into a row, beyond its state.

    Attributes:
        occurrence: What happened.
        reason: Why, for people; no personal data.
        remedy: What mends it, when it parks the row.
        mended_by: The fact that mends it.
        wait: How long until the row is touched again.
        resolved: Merged into the row's.
        request_id: The vendor's id of the request.
        kind: How the journal calls it.
        absent: Add one to the readings that did not see the effect; None sets them to zero.
    """

    occurrence: Occurrence
    reason: str = ""
    remedy: str = ""
    mended_by: str | None = None
    wait: timedelta = timedelta()
    resolved: x.Resolved | None = None
    request_id: str | None = None
    kind: str = "outcome"
    absent: bool = False


def of_preparation(said: x.Overtaken | x.Blocked | x.Settled) -> Change:
    """Return what a check before the attempt means, when it says that none is to be made."""
    match said:
        case x.Overtaken(reason=reason):
            return Change(occurrence=Occurrence.OVERTAKEN, reason=reason)
        case x.Blocked(reason=reason, remedy=remedy, mended_by=mended_by):
            return Change(occurrence=Occurrence.BLOCKED, reason=reason, remedy=remedy, mended_by=mended_by)
        case x.Settled(reason=reason, resolved=resolved):
            return Change(occurrence=Occurrence.SUCCEEDED, reason=reason, resolved=resolved)
        case _:
            assert_never(said)


def of_answer(answer: x.Answer, *, attempt: int, fraction: float) -> Change:
    """Return what the answer to attempt number *attempt* means.

    Args:
        answer: What the one request came to.
        attempt: Its number, from 1.
        fraction: A fresh random number, 0 <= fraction < 1, for the delay.
    """
    match answer:
        case x.Succeeded(reason=reason, resolved=resolved, request_id=request):
            return _answered(Occurrence.SUCCEEDED, reason, request, resolved=resolved)
        case x.Accepted(reason=reason, resolved=resolved, request_id=request):
            return _answered(Occurrence.ACCEPTED, reason, request, resolved=resolved)
        case x.NotExecuted(reason=reason, wait=wait, request_id=request):
            delay = wait if wait is not None else full_jitter(attempt, fraction)
            return _answered(Occurrence.NOT_EXECUTED, reason, request, wait=delay)
        case x.Rejected(reason=reason, request_id=request):
            return _answered(Occurrence.REJECTED, reason, request)
        case x.Unmet(reason=reason, remedy=remedy, mended_by=mended_by, request_id=request):
            return _answered(Occurrence.UNMET, reason, request, remedy=remedy, mended_by=mended_by)
        case x.Ambiguous(reason=reason, request_id=request):
            return _answered(Occurrence.AMBIGUOUS, reason, request)
        case x.Unauthorized(reason=reason):
            return _answered(Occurrence.NOT_EXECUTED, reason, None)
        case _:
            assert_never(answer)


def of_look_up(
    said: x.Found | x.NotSeen | x.CannotTell | x.Overtaken | x.Blocked | x.Later,
    intent: x.Intent,
    *,
    second_read: timedelta,
    fraction: float,
) -> Change:
    """Return what a look-up means for *intent*.

    One reading without the effect proves nothing yet: a second one follows after *second_read*. Proven
    absent, it is tried again, unless that was done as often as the effect allows.
    """
    match said:
        case x.Found(reason=reason, resolved=resolved):
            return _looked(Occurrence.FOUND, reason, resolved=resolved)
        case x.NotSeen(reason=reason) if not said.proof and intent.absent_count == 0:
            again = f"{reason}; read again in {second_read.total_seconds():g} s"
            return _looked(Occurrence.POSTPONED, again, wait=second_read, absent=True, resolved=said.resolved)
        case x.NotSeen(reason=reason, remedy=remedy) if intent.retries >= said.most_retries:
            return _looked(Occurrence.BLOCKED, f"{reason}, {intent.attempt} attempts made", remedy=remedy)
        case x.NotSeen(reason=reason, resolved=resolved):
            wait = full_jitter(intent.retries + 1, fraction)
            return _looked(Occurrence.ABSENT, f"proven absent: {reason}", resolved=resolved, wait=wait)
        case x.CannotTell(reason=reason, remedy=remedy):
            return _looked(Occurrence.CANNOT_TELL, reason, remedy=remedy)
        case x.Overtaken(reason=reason):
            return _looked(Occurrence.OVERTAKEN, reason)
        case x.Blocked(reason=reason, remedy=remedy, mended_by=mended_by):
            return _looked(Occurrence.BLOCKED, reason, remedy=remedy, mended_by=mended_by)
        case x.Later(reason=reason, wait=wait):
            return _looked(Occurrence.POSTPONED, reason, wait=wait)
        case _:
            assert_never(said)


def _answered(
    occurrence: Occurrence,
    reason: str,
    request_id: str | None,
    *,
    resolved: x.Resolved | None = None,
    wait: timedelta = timedelta(),
    remedy: str = "",
    mended_by: str | None = None,
) -> Change:
    return Change(
        occurrence=occurrence,
        reason=reason,
        request_id=request_id,
        resolved=resolved,
        wait=wait,
        remedy=remedy,
        mended_by=mended_by,
        kind="answer",
    )


def _looked(
    occurrence: Occurrence,
    reason: str,
    *,
    resolved: x.Resolved | None = None,
    wait: timedelta = timedelta(),
    remedy: str = "",
    mended_by: str | None = None,
    absent: bool = False,
) -> Change:
    return Change(
        occurrence=occurrence,
        reason=reason,
        resolved=resolved,
        wait=wait,
        remedy=remedy,
        mended_by=mended_by,
        absent=absent,
        kind="look-up",
    )
