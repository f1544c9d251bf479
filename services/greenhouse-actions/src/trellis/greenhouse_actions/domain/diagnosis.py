"""What is wrong with an account's Greenhouse connection. Pure: what a look saw comes in, findings go out.

The cause is told and not what follows from it: without a credential nobody asks about permissions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from trellis.common.contracts.findings import Finding, spoken
from trellis.common.contracts.identifiers import JobId, StageId, UserId
from trellis.common.ledger.brakes import Brake
from trellis.common.setup import connections
from trellis.common.setup.connections import PauseSeen
from trellis.greenhouse_actions.domain.naming import Named, of_names
from trellis.greenhouse_actions.domain.readings import JobStage
from trellis.greenhouse_actions.domain.standing import NotAllowed

VENDOR: Final = "greenhouse"
LATE_ROUNDS: Final = 3
"""Intervals without a complete comparison after which the reconciler is late."""
LEAST_LATE: Final = timedelta(minutes=10)
"""What is never late, however short the interval."""
_APPLY: Final = "in the account's file and apply it (`trellis apply -f trellis.yaml`)"
_USERS: Final = "Greenhouse, Configure > Users"
_CREDENTIALS: Final = "Greenhouse, Configure > Dev Center > API Credential Management"

PERMISSIONS: Final[Mapping[str, str]] = {
    "applications:list": "no application is read, so nobody is invited and nothing is written",
    "applications:move": "nobody moves on: each move waits",
    "application_stages:list": "nobody knows when a stage was entered: nobody is invited and nobody moves on",
    "candidates:list": "no address is read, so nobody is invited",
    "jobs:list": "a deleted application is not told from a hidden one, and waits",
    "job_interview_stages:list": "no stage is found by its name: nobody moves on",
    "job_posts:list": "posts cannot be told in conditions and pickers",
    "openings:list": "openings cannot be told in conditions and pickers",
    "notes:list": "no note is written, since nobody could see whether it is there already",
    "notes:create": "no result is written to Greenhouse: each note waits",
    "users:list": "nobody notices when the service user is disabled or loses Site Admin",
}
"""The permissions a credential must have, each without its prefix, and what its lack means for people.

Source: README, "Connect a real Greenhouse and Coderbyte"; greenhouse fact sheet, section 5.4.
"""

_LISTS: Final = frozenset(name for name in PERMISSIONS if name.endswith(":list"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSeen:
    """The service user as Greenhouse shows it."""

    active: bool
    site_admin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSeen:
    """The rate window at its fullest during the look.

    Attributes:
        limit: Calls a window.
        remaining: The fewest that were left.
        refused: Whether a call was answered 429.
    """

    limit: int
    remaining: int
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSeen:
    """How far the reconciler is; *completed_at* None when it never was complete, *since* when it could begin."""

    completed_at: datetime | None
    since: datetime
    interval: timedelta
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """How signing in went.

    Attributes:
        away: Why nobody answered; empty when somebody did.
        refused: Why a token was refused, with its remedy; None when one was given.
    """

    away: str = ""
    refused: PauseSeen | None = None


SIGNED: Final = Signed()
"""A token was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look saw.

    Attributes:
        acting: The service user; None is the credential's own account.
        share: Which part of the rate limit is ours.
        opens: Whether the credential could be opened.
        user: The service user as Greenhouse shows it; None when it is not shown or was not asked for.
        asked_user: Whether the list of users could be read, so that an absent user is unknown.
        permissions: What the credential has, without prefix; None when nobody tells.
        refused: Lists that were answered 403.
        blind: Whether every list was empty.
        stages: All stages of the jobs that matter; None when they were not read whole.
        remembered: Which stages bore the names of workflows before.
        skew: How far our clock is ahead of Greenhouse's.
        held_until: Until when the services ask it nothing, because it did not answer before; None when they do.
    """

    account: str
    now: datetime
    acting: UserId | None
    share: float
    opens: bool = True
    signed: Signed = SIGNED
    user: UserSeen | None = None
    asked_user: bool = False
    permissions: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    blind: bool = False
    named: Sequence[Named] = ()
    jobs: frozenset[JobId] | None = None
    stages: Sequence[JobStage] | None = None
    remembered: Mapping[str, frozenset[StageId]] = field(default_factory=dict)
    rate: RateSeen | None = None
    skew: timedelta | None = None
    pause: PauseSeen | None = None
    progress: ProgressSeen | None = None
    brakes: Sequence[Brake] = ()
    not_shown: NotAllowed | None = None
    held_until: datetime | None = None


def of_connection(seen: Seen) -> list[Finding]:
    """Return what is wrong, causes first."""
    found = _of_credential(seen)
    if not found:
        found = _of_user(seen) or _of_permissions(seen)
        if seen.stages is not None:
            found += of_names(seen.named, seen.jobs, seen.stages, seen.remembered)
        found += _of_rate(seen)
        found += connections.skewed(VENDOR, seen.skew)
        if not found:
            found = connections.paused(VENDOR, seen.pause) or [*_of_progress(seen), *_of_standing(seen)]
    if not seen.signed.away:  # the look itself was answered, or asks nothing of a v1 key
        found += connections.held_back(VENDOR, seen.held_until)
    return found + connections.braked(seen.account, seen.brakes, seen.now)


def _of_credential(seen: Seen) -> list[Finding]:
    if not seen.opens:
        return [connections.unreadable(VENDOR, "greenhouse-actions")]
    if seen.signed.away:
        return [connections.away(VENDOR, seen.signed.away)]
    if seen.signed.refused is None:
        return []
    user = _of_user(seen)
    if user:
        return user  # the credential is right, and what it is to act as is told by name
    return [
        Finding(
            check="credential-rejected",
            subject=VENDOR,
            fault=seen.signed.refused.reason,
            meaning=connections.meaning(VENDOR),
            remedy=seen.signed.refused.remedy,
        )
    ]


def _of_user(seen: Seen) -> list[Finding]:
    if seen.acting is None:
        return [_blind(None)] if seen.blind else []
    if seen.user is None:
        if seen.signed.refused is not None and seen.asked_user:
            return [
                _user(
                    "service-user-unknown",
                    f"Greenhouse has no user {seen.acting}, as whom Trellis is to act",
                    f"put the numeric id of the service user ({_USERS}) {_APPLY}",
                )
            ]
        return [_blind(seen.acting)] if seen.blind else []
    if not seen.user.active:
        return [
            _user(
                "service-user-disabled",
                f"the service user {seen.acting} is deactivated in Greenhouse",
                f"reactivate it ({_USERS}), or name another service user {_APPLY}",
            )
        ]
    return [] if seen.user.site_admin else [_blind(seen.acting)]


def _blind(acting: UserId | None) -> Finding:
    who = "the credential's own account" if acting is None else f"the service user {acting}"
    return _user(
        "site-admin-lost",
        f"{who} is no Site Admin in Greenhouse, so it is shown nothing",
        f"make it a Site Admin ({_USERS}), or name a user who is one as service user {_APPLY}",
    )


def _user(check: str, fault: str, remedy: str) -> Finding:
    return Finding(check=check, subject=VENDOR, fault=fault, meaning=connections.meaning(VENDOR), remedy=remedy)


def _of_permissions(seen: Seen) -> list[Finding]:
    has = seen.permissions
    lacks = [name for name in PERMISSIONS if (name not in has if has is not None else name in seen.refused)]
    # It has the permission and is refused, or is refused everything: only a Site Admin may list.
    if (has is not None and not lacks and seen.refused) or (has is None and seen.refused >= _LISTS):
        return [_blind(seen.acting)]
    return [
        Finding(
            check="permission-missing",
            subject=f"harvest:{name}",
            fault=f"the credential lacks the permission harvest:{name}",
            meaning=PERMISSIONS[name],
            remedy=f"tick harvest:{name} for the credential ({_CREDENTIALS})",
        )
        for name in lacks
    ]


def _of_rate(seen: Seen) -> list[Finding]:
    rate = seen.rate
    if rate is None:
        return []
    # Ours is paced to its share, so less than half of the others' part left means that others take of ours.
    if not rate.refused and rate.remaining >= rate.limit * (1.0 - seen.share) / 2:
        return []
    return [
        Finding(
            check="rate-shared",
            subject=VENDOR,
            fault=f"another tool uses up the credential's rate limit: {rate.remaining} of {rate.limit} calls were left",
            meaning="invites, notes and moves wait for calls, minutes in bad hours",
            remedy=f"give the other tool a credential of its own ({_CREDENTIALS}), or lower rate.share",
        )
    ]


def _of_progress(seen: Seen) -> list[Finding]:
    if seen.progress is None:
        return []
    progress = seen.progress
    late = max(progress.interval * LATE_ROUNDS, LEAST_LATE)
    age = seen.now - (progress.completed_at or progress.since)
    if age <= late:
        return []
    why = f": {progress.cause}" if progress.cause else ""
    return [
        Finding(
            check="reconciler-late",
            subject=VENDOR,
            fault=f"Greenhouse was not compared with the log for {spoken(age)}{why}",
            meaning="entries whose webhook was lost are not found: those people wait without an invite",
            remedy=f"`trellis reconcile status --account {seen.account}` shows how far it is; look for `reconciler.` in "
            "the log of greenhouse-actions",
        )
    ]


def _of_standing(seen: Seen) -> list[Finding]:
    if seen.not_shown is None:
        return []
    return [
        Finding(
            check="standing-not-shown",
            subject=VENDOR,
            fault=seen.not_shown.reason,
            meaning="recruiters do not see in Greenhouse who was invited and which applications need a person",
            remedy=seen.not_shown.remedy,
        )
    ]
