"""Whose a webhook or a result is: invites matched by person and assessment. Pure.

Coderbyte names a person only by address, so two applications of one person to the same assessment share
one key (fact sheet, section 6, points 6 and 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from trellis.assessments.domain.options import OnCollision, Reinvite
from trellis.common.contracts.facts import AssessmentSignalled, SignalKind
from trellis.common.contracts.identifiers import ApplicationId, AssessmentId, StageId, Visit
from trellis.common.ledger.states import State

CLOCK_SKEW: Final = timedelta(seconds=30)
"""How far the receiver's clock and the database's may be apart."""


class Progress(StrEnum):
    """How far an invite's candidate is; later states never go back."""

    INVITED = "invited"
    STARTED = "started"
    COMPLETED = "completed"
    GRADED = "graded"
    REVIEWED = "reviewed"


_ORDER: Final = tuple(Progress)
_PROGRESS: Final = {
    SignalKind.STARTED: Progress.STARTED,
    SignalKind.COMPLETED: Progress.COMPLETED,
    SignalKind.REVIEWED: Progress.REVIEWED,
}


def further(one: Progress, other: Progress) -> Progress:
    """Return the later of two."""
    return max(one, other, key=_ORDER.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownInvite:
    """An invite with how its ledger row stands.

    Attributes:
        state: Of the ledger row.
        attempt: Attempts begun.
        doubted: Whether an attempt's outcome was ever unknown.
        leaving: Whether it was made ready by the worker that holds it now, so that it may be about to leave.
        prepared_at: When it was last made ready to leave; no signal from before can be of it.
        knew_attempts: Whether the candidate had attempts at this assessment before the invite.
        follows: The invite whose result stands for this one, which is not sent itself.
    """

    command_id: UUID
    application_id: ApplicationId
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId
    state: State
    attempt: int
    doubted: bool
    leaving: bool
    progress: Progress
    prepared_at: datetime
    knew_attempts: bool
    follows: UUID | None = None

    @property
    def may_be_out(self) -> bool:
        """Whether the invite reached the vendor, as far as anyone knows."""
        if self.follows is not None:
            return False
        if self.state in (State.ATTEMPTING, State.UNKNOWN, State.IN_DOUBT, State.DONE):
            return True
        return self.state in (State.WAITING, State.PARKED) and self.attempt > 0 and self.doubted

    @property
    def was_given_up(self) -> bool:
        """Whether a person dropped it although it may be out."""
        return self.follows is None and self.state is State.SUPERSEDED and self.attempt > 0 and self.doubted

    @property
    def is_open(self) -> bool:
        """Whether a result of it is still to come."""
        return self.may_be_out and self.progress in (Progress.INVITED, Progress.STARTED, Progress.COMPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The invites a signal is of, and how far it brings them."""

    invites: tuple[KnownInvite, ...]
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """No invite is known for it; a person may look."""

    reason: str


def match_signal(
    signal: AssessmentSignalled, invites: Sequence[KnownInvite], policy: OnCollision
) -> Matched | Unmatched:
    """Return which of *invites*, all of the signal's person and assessment, the signal is of.

    Args:
        signal: What the vendor's webhook spoke of.
        invites: Of the same account, address and assessment, in any order.
        policy: Whose it is when several are open.
    """
    if signal.kind is SignalKind.INTERVIEW_COMPLETED:
        return Unmatched(reason="an interview, which no invite is for")
    progress = _PROGRESS[signal.kind]
    after = [invite for invite in invites if invite.prepared_at <= signal.received_at + CLOCK_SKEW]
    still_open = [invite for invite in after if invite.is_open]
    if signal.kind is SignalKind.REVIEWED:
        still_open = [invite for invite in still_open if invite.progress is Progress.COMPLETED]
    if still_open:
        chosen = share(still_open, policy)
        if not chosen:
            return Unmatched(reason="several open invites of this person name this assessment")
        return Matched(invites=chosen, progress=progress)
    past = [invite for invite in after if invite.may_be_out or invite.was_given_up]
    if not past:
        reason = "no invite went to this address" if not after else "the invite to this address never left"
        return Unmatched(reason=reason)
    return Matched(invites=_newest_of_each(past), progress=progress)


def share(invites: Sequence[KnownInvite], policy: OnCollision) -> tuple[KnownInvite, ...]:
    """Return whose of several open invites a result is; empty means that a person must say."""
    newest = _newest_of_each(invites)
    if len(newest) == 1 or policy is OnCollision.ALL_OPEN:
        return newest
    if policy is OnCollision.NEWEST:
        return (max(newest, key=lambda invite: invite.prepared_at),)
    return ()


def _newest_of_each(invites: Sequence[KnownInvite]) -> tuple[KnownInvite, ...]:
    """Of several visits of one application the latest counts."""
    newest: dict[ApplicationId, KnownInvite] = {}
    for invite in sorted(invites, key=lambda item: item.prepared_at):
        newest[invite.application_id] = invite
    return tuple(newest.values())


def is_evidence(kind: SignalKind, invite: KnownInvite) -> bool:
    """Return whether a signal shows that *invite* arrived.

    Someone who had attempts before may have completed an old one; then only the report can tell.
    """
    return kind is SignalKind.STARTED or (kind is SignalKind.COMPLETED and not invite.knew_attempts)


def successor(command: UUID, of_person: Sequence[KnownInvite], policy: OnCollision) -> KnownInvite | None:
    """Return the invite to which attempts belong that began after it went out; None when there is none.

    A later visit's invite ends the window of an earlier one. Another application's ends it once this one has
    its result, or where the account gives results to the newest.
    """
    own = next((invite for invite in of_person if invite.command_id == command), None)
    if own is None:
        return None
    has_result = own.progress in (Progress.GRADED, Progress.REVIEWED)
    later = [
        invite
        for invite in of_person
        if invite.may_be_out
        and invite.prepared_at > own.prepared_at
        and (invite.application_id == own.application_id or has_result or policy is OnCollision.NEWEST)
    ]
    return min(later, key=lambda invite: invite.prepared_at, default=None)


def must_hold(command: UUID, of_person: Sequence[KnownInvite], policy: OnCollision) -> bool:
    """Return whether a person must say whose a result is."""
    still_open = [invite for invite in of_person if invite.is_open]
    ours = any(invite.command_id == command for invite in still_open)
    return ours and policy is OnCollision.HOLD and len(_newest_of_each(still_open)) > 1


# -- before an invite


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Nothing known stands against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitedBefore:
    """The application was invited to this assessment in an earlier visit, and that stands."""

    earlier: KnownInvite
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsFor:
    """Another application of the same person has an open invite to this assessment."""

    rival: KnownInvite


@dataclass(frozen=True, slots=True, kw_only=True)
class Collides:
    """As `WaitsFor`, and the account wants a person to decide."""

    rival: KnownInvite


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Another invite of this application to this assessment is about to leave: wait what comes of it."""


Precedence = Go | Leaving | InvitedBefore | WaitsFor | Collides


def precedence(
    command: UUID,
    application: ApplicationId,
    *,
    earlier: Sequence[KnownInvite],
    of_person: Sequence[KnownInvite],
    reinvite: Reinvite,
    on_collision: OnCollision,
) -> Precedence:
    """Return what the invites known so far mean for a new one.

    Args:
        command: The new invite.
        application: Its application.
        earlier: Invites of the same application and assessment, in any visit.
        of_person: Invites of the same address and assessment, of any application.
        reinvite: The account's rule for later visits.
        on_collision: The account's rule for one person with two applications.
    """
    others = [invite for invite in earlier if invite.command_id != command]
    before = [invite for invite in others if invite.may_be_out or invite.was_given_up]
    if before and reinvite is not Reinvite.ALWAYS:
        newest = max(before, key=lambda invite: invite.prepared_at)
        if reinvite is Reinvite.NEVER:
            return InvitedBefore(earlier=newest, reason="was invited to this assessment in an earlier visit")
        if any(invite.progress is not Progress.INVITED for invite in before):
            return InvitedBefore(earlier=newest, reason="began this assessment in an earlier visit")
    if reinvite is not Reinvite.ALWAYS and any(_is_leaving(item) for item in others):
        return Leaving()
    rivals = [
        invite
        for invite in of_person
        if invite.application_id != application and (invite.is_open or _is_leaving(invite))
    ]
    if not rivals or on_collision is OnCollision.NEWEST:
        return Go()
    first = min(rivals, key=lambda invite: invite.prepared_at)
    return WaitsFor(rival=first) if on_collision is OnCollision.ALL_OPEN else Collides(rival=first)


def _is_leaving(invite: KnownInvite) -> bool:
    return invite.follows is None and invite.state is State.WAITING and invite.leaving
