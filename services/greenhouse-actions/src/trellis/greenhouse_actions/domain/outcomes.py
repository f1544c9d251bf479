"""What Greenhouse's answer to a write proves. Pure.

Source: greenhouse fact sheet, sections 5.3 ("Errors") and 7.3; design section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from trellis.common.ledger.effects import (
    Accepted,
    Ambiguous,
    Answer,
    NotExecuted,
    Succeeded,
    Unauthorized,
    Unmet,
)
from trellis.greenhouse_actions.domain.requests import Permission, Route

ANSWER = "answer"
"""Under this name `resolved` keeps what the latest move was told: one of the words below, or nothing."""
SAID_YES = "yes"
SAID_NO = "no"

_WHERE = "Greenhouse, Configure > Dev Center > API Credential Management"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer came back whole.

    Attributes:
        status: HTTP status.
        retry_after: From the header, if it was there and readable.
        request_id: `X-Request-Id`.
        note_id: Id of the new note, when the body is a note.
        message: Greenhouse's own words, short, for moves only: a note's might repeat its text.
        names_scope: The body speaks of a scope or of Site Admin rights.
        denied: What a 403 means in the version that answered; None is a scope of Harvest v3.
    """

    status: int
    retry_after: timedelta | None = None
    request_id: str | None = None
    note_id: int | None = None
    message: str = field(default="", repr=False)
    names_scope: bool = False
    denied: Unauthorized | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverLeft:
    """No byte of the request left, so nothing was done. *wait* is how long to wait, if that is known."""

    reason: str
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The request left, and no whole answer came back."""

    reason: str


Reply = Answered | NeverLeft | Cut


def missing_scope(route: Route) -> Unauthorized:
    """Return the verdict that the credential may not call *route*."""
    return Unauthorized(
        reason=f"the credential lacks the permission {route.scope}, or the service user lost Site Admin",
        remedy=f"tick {route.scope} for the credential ({_WHERE}) and make the service user a Site Admin",
    )


def missing_permission(permission: Permission) -> Unauthorized:
    """Return the verdict that the key to Harvest v1 may not call what *permission* names."""
    return Unauthorized(
        reason=f"the API key of Harvest v1 lacks the permission {permission.value}",
        remedy=f"tick {permission.value} for the key ({_WHERE})",
    )


def classify_move(reply: Reply, *, others_pass: bool) -> Answer:
    """Return what *reply* to a move proves; yes and no are both to be read back (case 3).

    Args:
        reply: What came back.
        others_pass: Another move of this connection was accepted a short while ago.
    """
    common = _common(reply, Route.MOVE, others_pass)
    if common is not None:
        return common
    assert isinstance(reply, Answered)  # noqa: S101 - the others were sorted out above
    if reply.status < 300:
        reason = f"Greenhouse answered {reply.status}; reading it back"
        return Accepted(reason=reason, resolved={ANSWER: SAID_YES}, request_id=reply.request_id)
    said = f": {reply.message}" if reply.message else ""
    reason = f"Greenhouse refused the move ({reply.status}{said}); reading where it stands"
    return Accepted(reason=reason, resolved={ANSWER: SAID_NO}, request_id=reply.request_id)


def classify_note(reply: Reply, *, others_pass: bool) -> Answer:
    """Return what *reply* to a note proves: the note itself in the answer is proof, a bare yes is not."""
    common = _common(reply, Route.NOTE, others_pass)
    if common is not None:
        return common
    assert isinstance(reply, Answered)  # noqa: S101 - the others were sorted out above
    if reply.status < 300 and reply.note_id is not None:
        return Succeeded(resolved={"note_id": reply.note_id}, request_id=reply.request_id)
    if reply.status < 300:
        reason = f"Greenhouse answered {reply.status} without the note; looking for it"
        return Accepted(reason=reason, request_id=reply.request_id)
    return Unmet(
        reason=f"Greenhouse refused the note ({reply.status})",
        remedy="look at the application and the note settings of the connection, then redrive or drop it",
        request_id=reply.request_id,
    )


def _common(reply: Reply, route: Route, others_pass: bool) -> Answer | None:
    """Sort out what is the same for every write; None is left to the caller: 2xx, and a no to this one."""
    match reply:
        case NeverLeft(reason=reason, wait=wait):
            return NotExecuted(reason=reason, wait=wait)
        case Cut(reason=reason):
            return Ambiguous(reason=reason)
        case Answered(status=401):
            return NotExecuted(reason="Greenhouse did not know the credential (401)", request_id=reply.request_id)
        case Answered(status=403) if others_pass and not reply.names_scope:
            return Unmet(
                reason="Greenhouse does not let the service user write on this application (403)",
                remedy="give the service user access to its job, then redrive",
                request_id=reply.request_id,
            )
        case Answered(status=403):
            return reply.denied or missing_scope(route)
        case Answered(status=429):
            reason = "Greenhouse's rate limit is reached (429)"
            return NotExecuted(reason=reason, wait=reply.retry_after, request_id=reply.request_id)
        case Answered(status=503) if reply.retry_after is not None:
            reason = "Greenhouse is not available and said when to come again (503)"
            return NotExecuted(reason=reason, wait=reply.retry_after, request_id=reply.request_id)
        case Answered(status=status) if status == 408 or status >= 500 or 300 <= status < 400 or status < 200:
            return Ambiguous(reason=f"Greenhouse answered {status}", request_id=reply.request_id)
    return None
