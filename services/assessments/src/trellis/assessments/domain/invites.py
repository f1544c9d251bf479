"""One invite: its request as data, what the answer proves, what a look-up proves. Pure.

Inviting twice sends a second mail as far as anyone documents, so nothing here ever says "again" unless the
answer proves that nothing was done (Coderbyte fact sheet, sections 3.2, 3.7 and 6).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from trellis.assessments.domain.options import Delivery, Duplicate, InternalIds, OnUnknown, Options
from trellis.assessments.domain.results import as_flag, as_text
from trellis.common.contracts.identifiers import ApplicationId, AssessmentId, CandidateId
from trellis.common.ledger.effects import (
    Ambiguous,
    Answer,
    Blocked,
    CannotTell,
    Found,
    Later,
    LookUp,
    NotExecuted,
    NotSeen,
    Overtaken,
    Succeeded,
    Unauthorized,
    Unmet,
)

CREDENTIAL_REMEDY: Final = (
    "put the organization's present API key into the Coderbyte connection and apply it; work goes on by itself"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """An assessment of the organization.

    Attributes:
        public_url: What an invite takes; None for one that cannot be invited to.
        closed: Whether the vendor takes no invites for it.
    """

    id: AssessmentId
    name: str
    public_url: str | None
    closed: bool


def parse_assessments(entries: Sequence[object]) -> tuple[Assessment, ...]:
    """Return the assessments that *entries* (`data.assessments`) tell of; one without an id is left out."""
    found = []
    for entry in entries:
        if isinstance(entry, Mapping) and (ident := as_text(entry.get("test_id"))) is not None:
            found.append(
                Assessment(
                    id=AssessmentId(ident),
                    name=as_text(entry.get("display_name")) or ident,
                    public_url=as_text(entry.get("public_url")),
                    closed=as_flag(entry.get("closed")) is True,
                )
            )
    return tuple(found)


def choose(assessments: Sequence[Assessment], wanted: AssessmentId) -> Assessment | Blocked:
    """Return the assessment to invite to, or what stands against it."""
    found = next((item for item in assessments if item.id == wanted), None)
    if found is None:
        return Blocked(
            reason=f"the organization has no assessment {wanted}",
            remedy="correct the assessment's id in the workflow, then send again",
        )
    if found.closed:
        return Blocked(
            reason=f"the assessment {wanted} is closed",
            remedy="open it in Coderbyte or choose another, then send again",
        )
    if found.public_url is None:
        return Blocked(
            reason=f"the assessment {wanted} has no public link, so nobody can be invited to it by API",
            remedy="turn its public link on in Coderbyte, then send again",
        )
    return found


# -- whom we may invite, as greenhouse-actions says


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitable:
    """The application may be invited, now, at this address."""

    address: str
    candidate_id: CandidateId


Verdict = Invitable | Overtaken | Blocked | Later


# -- the request


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteRequest:
    """One invite of one address; kept in memory only.

    Attributes:
        read_at: Monotonic time of the reading of the application that it rests on.
        internal_id: Our id, where the vendor takes one with the address.
    """

    address: str
    assessment_url: str
    read_at: float
    skip_send: bool = False
    internal_id: str | None = None


def internal_id(application: ApplicationId, mode: InternalIds) -> str | None:
    """Return the id by which a report names *application*; None when the account uses none."""
    return f"ghapp_{application}" if mode is InternalIds.PARENTHESISED else None


def to_request(
    address: str, assessment: Assessment, application: ApplicationId, options: Options, *, read_at: float
) -> InviteRequest:
    """Return the invite as data.

    Raises:
        ValueError: The assessment has no public link; `choose` refuses those.
    """
    if assessment.public_url is None:
        raise ValueError(assessment.id)
    return InviteRequest(
        address=address,
        assessment_url=assessment.public_url,
        read_at=read_at,
        skip_send=options.delivery is Delivery.LINK_ONLY,
        internal_id=internal_id(application, options.internal_ids),
    )


def to_body(request: InviteRequest) -> dict[str, object]:
    """Return the JSON body; `skip_send` only where it is wanted, since one client alone was seen to use it."""
    entry = request.address if request.internal_id is None else f"{request.address} ({request.internal_id})"
    body: dict[str, object] = {"candidates": [entry], "assessment_url": request.assessment_url}
    if request.skip_send:
        body["skip_send"] = True
    return body


# -- the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An HTTP answer.

    Attributes:
        body: None when it was longer than we read, or was cut.
        retry_after: The header's text.
    """

    status: int
    body: bytes | None
    retry_after: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverLeft:
    """The request's first byte was never written."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The request left, and no answer was read."""

    reason: str


Seen = Answered | NeverLeft | Lost


def classify(seen: Seen, address: str, now: datetime, *, mailed: bool = True) -> Answer:
    """Return what *seen* proves of the invite.

    Args:
        seen: The answer or the lack of it.
        address: Taken out of what the vendor says before anyone reads it.
        now: For a `Retry-After` that is a date.
        mailed: Whether Coderbyte was asked to write to the candidate, and not for the link alone.
    """
    match seen:
        case NeverLeft(reason=reason):
            return NotExecuted(reason=f"the request never left ({reason})")
        case Lost(reason=reason):
            return Ambiguous(reason=f"no answer from Coderbyte ({reason})")
        case Answered():
            return _classify_answer(seen, address, now, mailed=mailed)


def _classify_answer(answer: Answered, address: str, now: datetime, *, mailed: bool) -> Answer:
    status, wait = answer.status, parse_retry_after(answer.retry_after, now)
    said = f"Coderbyte answered {status}"
    if 200 <= status < 300:
        return _classify_success(answer, said, mailed=mailed)
    if status in (401, 403):
        return Unauthorized(reason=f"{said}: it rejects the API key", remedy=CREDENTIAL_REMEDY)
    if status == 429 or (status == 503 and wait is not None):
        return NotExecuted(reason=f"{said}: too many requests for now", wait=wait, request_id=answer.request_id)
    if status == 409:
        return Ambiguous(reason=f"{said}: the candidate seems to be invited already", request_id=answer.request_id)
    if 400 <= status < 500 and status != 408:
        words = vendor_words(answer.body, address)
        return Unmet(
            reason=f"{said}" + (f": {words}" if words else ""),
            remedy="look whether the assessment is open and the candidate's address is right, then send again",
            mended_by="candidate.updated" if status in (400, 422) else None,
            request_id=answer.request_id,
        )
    return Ambiguous(reason=f"{said}, which proves nothing", request_id=answer.request_id)


_TO_HAND_OVER: Final = "Coderbyte took the invite and mails nobody: hand the link over (`trellis invite-links`)"


def _classify_success(answer: Answered, said: str, *, mailed: bool) -> Answer:
    data = success_data(answer.body)
    if not isinstance(data, Mapping):
        return Ambiguous(reason=f"{said} without the body of a success", request_id=answer.request_id)
    entries = data.get("candidates")
    if not isinstance(entries, list) or not entries:
        return Ambiguous(reason=f"{said} and names no candidate as invited", request_id=answer.request_id)
    link = as_text(entries[0].get("url")) if isinstance(entries[0], Mapping) else None
    return Succeeded(
        reason="Coderbyte took the invite" if mailed else _TO_HAND_OVER,
        request_id=answer.request_id,
        private=None if link is None else link.encode(),
    )


def success_data(body: bytes | None) -> object | None:
    """Return `data` of a body that says `status: success`; None for any other body."""
    if body is None:
        return None
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or str(parsed.get("status", "")).strip().lower() != "success":
        return None
    data: object | None = parsed.get("data")
    return data


def parse_retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Return the wait a `Retry-After` asks for, in seconds or as a date; None when there is none to read."""
    if text is None:
        return None
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit():
        return timedelta(seconds=min(int(stripped[:9]), 86_400))
    try:
        moment = parsedate_to_datetime(stripped)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta()), timedelta(days=1))


_ADDRESS: Final = re.compile(r"\S+@\S+")
_LINK: Final = re.compile(r"https?://\S+")
MOST_WORDS: Final = 200


def vendor_words(body: bytes | None, address: str) -> str:
    """Return what an error body says in words, without any address or link; empty when it says nothing we read."""
    if body is None:
        return ""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    words = as_text(parsed.get("message")) or as_text(parsed.get("error")) if isinstance(parsed, dict) else None
    return scrub(words or "", address)


def scrub(text: str, address: str = "") -> str:
    """Return *text* on one line, at most 200 signs, with addresses and links taken out.

    Args:
        text: Words of a vendor or a person, bound for the story of an effect.
        address: Taken out as such, and its part before the `@` too.
    """
    cleaned = "".join(sign if sign.isprintable() else " " for sign in text)
    cleaned = _ADDRESS.sub("[address]", _LINK.sub("[link]", cleaned))
    local = address.partition("@")[0]
    if len(local) >= 3:
        cleaned = re.sub(re.escape(local), "[address]", cleaned, flags=re.IGNORECASE)
    return " ".join(cleaned.split())[:MOST_WORDS]


# -- the look-up


def judge_look_up(*, shows: bool, listing_read: bool, retries: int, options: Options) -> LookUp:
    """Return what the readings after an unanswered invite prove.

    Args:
        shows: Whether the person's attempts or list show what they did not show before the invite.
        listing_read: Whether the list of the person's assessments was read whole.
        retries: How often the invite was proven absent and tried again.
        options: The account's; only `resend_once` may ever go back to waiting, once, and only where pending
            invites are listed or a repeat costs no mail.
    """
    if shows:
        return Found(reason="Coderbyte shows the invite")
    listed = options.lists_pending and listing_read
    link_only = options.delivery is Delivery.LINK_ONLY
    if options.on_unknown is OnUnknown.RESEND_ONCE and retries == 0 and (listed or link_only):
        why = (
            "a complete list does not show the invite"
            if listed
            else "not shown, and a repeat costs an unused link only"
        )
        return NotSeen(reason=why, proof=not listed, most_retries=1)
    return CannotTell(
        reason="no answer came, and Coderbyte does not show whether the invite went out", remedy=doubt_remedy(options)
    )


_SECOND: Final = {
    Duplicate.NEW_MAIL: "sending again makes a second mail if it did",
    Duplicate.SAME_LINK: "sending again makes no second link, as the account says",
    Duplicate.ERROR: "sending again is refused if it did, as the account says",
}


def doubt_remedy(options: Options) -> str:
    """Return what a person does about an invite in doubt."""
    return (
        "ask the candidate or look in Coderbyte's dashboard whether the mail arrived, then confirm or redrive it "
        "(`trellis parked confirm`, `trellis parked redrive`); "
        f"{_SECOND[options.duplicate]}; a join or a report settles it by itself"
    )
