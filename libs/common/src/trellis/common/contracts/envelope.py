"""The envelope of every message on the broker: a CloudEvents 1.0 event in structured JSON mode.

Attributes beyond the standard ones are extension attributes, whose names may hold only a-z and 0-9
(CloudEvents 1.0, "Naming Attributes"). Uniqueness is `source` + `id`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from trellis.common.contracts import commands, facts, outcomes
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError

CONTENT_TYPE: Final = "application/cloudevents+json"
REDRIVEN: Final = "x-redriven"
"""Header: how often a person had put the message back on its queue when this copy of it was published."""

MESSAGE_TYPES: Final[dict[str, type]] = {
    "application.stage_changed": facts.ApplicationStageChanged,
    "application.created": facts.ApplicationCreated,
    "application.updated": facts.ApplicationUpdated,
    "application.rejected": facts.ApplicationRejected,
    "application.unrejected": facts.ApplicationUnrejected,
    "application.hired": facts.ApplicationHired,
    "application.unhired": facts.ApplicationUnhired,
    "application.deleted": facts.ApplicationDeleted,
    "application.observed": facts.ApplicationObserved,
    "entry.accepted": facts.EntryAccepted,
    "invite.ordered": facts.InviteOrdered,
    "candidate.updated": facts.CandidateUpdated,
    "candidate.merged": facts.CandidateMerged,
    "candidate.deleted": facts.CandidateDeleted,
    "candidate.anonymized": facts.CandidateAnonymized,
    "candidate.erased": facts.CandidateErased,
    "job.changed": facts.JobChanged,
    "stage.deleted": facts.StageDeleted,
    "assessment.signalled": facts.AssessmentSignalled,
    "invite.send": commands.SendInvite,
    "note.add": commands.AddNote,
    "application.move": commands.MoveApplication,
    "application.observe": commands.ObserveApplication,
    "result.attach": commands.AttachResult,
    "invite.withdraw": commands.WithdrawInvite,
    "standing.show": commands.ShowStanding,
    "command.settled": outcomes.CommandSettled,
    "assessment.started": outcomes.AssessmentStarted,
    "assessment.completed": outcomes.AssessmentCompleted,
    "address.erased": outcomes.AddressErased,
}
"""Every message type, all at version 1. The routing key is the type and `.v1`."""

Message = (
    facts.ApplicationStageChanged
    | facts.ApplicationCreated
    | facts.ApplicationUpdated
    | facts.ApplicationRejected
    | facts.ApplicationUnrejected
    | facts.ApplicationHired
    | facts.ApplicationUnhired
    | facts.ApplicationDeleted
    | facts.ApplicationObserved
    | facts.EntryAccepted
    | facts.InviteOrdered
    | facts.CandidateUpdated
    | facts.CandidateMerged
    | facts.CandidateDeleted
    | facts.CandidateAnonymized
    | facts.CandidateErased
    | facts.JobChanged
    | facts.StageDeleted
    | facts.AssessmentSignalled
    | commands.SendInvite
    | commands.AddNote
    | commands.MoveApplication
    | commands.ObserveApplication
    | commands.AttachResult
    | commands.WithdrawInvite
    | commands.ShowStanding
    | outcomes.CommandSettled
    | outcomes.AssessmentStarted
    | outcomes.AssessmentCompleted
    | outcomes.AddressErased
)

_NAMES: Final = {model: name for name, model in MESSAGE_TYPES.items()}
_ADAPTERS: Final[dict[str, TypeAdapter[Any]]] = {name: TypeAdapter(model) for name, model in MESSAGE_TYPES.items()}
_SCHEMA_PREFIX: Final = "urn:trellis:schema:"
_KEY: Final = re.compile(r"[A-Za-z0-9_.\-\[\], ]{1,80}")
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SUBJECT: Final = re.compile(r"(application|candidate)/[0-9]{1,18}")
_CORRELATION: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_WORD: Final = re.compile(rf"({_SCHEMA_PREFIX})?[a-z]{{1,40}}\.[a-z_]{{1,40}}(:v[0-9]{{1,4}})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message with what every handler needs to know about it.

    Attributes:
        id: Stable across redeliveries of the same message; with *source* its identity.
        source: The service that wrote it, such as `trellis/ingest`.
        accountid: The tenant it belongs to.
        time: When what it tells happened or was decided, aware UTC.
        data: The typed message.
        correlationid: Shared by everything one outside event led to.
        causationid: The id of the message that led to this one, if one did.
        subject: The application or candidate it is about, `application/123`.
        traceparent: W3C trace context, if tracing is on.
        contentkey: A second key under which an equal fact under another id is a repeat.
    """

    id: UUID
    source: str
    accountid: AccountId
    time: datetime
    data: Message
    correlationid: str
    causationid: str | None = None
    subject: str | None = None
    traceparent: str | None = None
    contentkey: str | None = None

    @property
    def type(self) -> str:
        """The message's type name, such as `application.stage_changed`."""
        return _NAMES[type(self.data)]

    @property
    def routing_key(self) -> str:
        """The key under which it is published: type and version."""
        return f"{self.type}.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attributes:
    id: UUID
    source: str
    type: str
    specversion: str
    time: AwareDatetime
    accountid: str
    correlationid: str
    dataschema: str
    causationid: str | None = None
    subject: str | None = None
    traceparent: str | None = None
    contentkey: str | None = None


_ATTRIBUTES: Final = TypeAdapter(_Attributes)


def encode(envelope: Envelope) -> bytes:
    """Return the JSON bytes of *envelope*; absent attributes are left out."""
    name = envelope.type
    head: dict[str, object] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": name,
        "time": envelope.time,
        "datacontenttype": "application/json",
        "dataschema": f"{_SCHEMA_PREFIX}{name}:v1",
        "accountid": envelope.accountid,
        "correlationid": envelope.correlationid,
    }
    for key in ("causationid", "subject", "traceparent", "contentkey"):
        value = getattr(envelope, key)
        if value is not None:
            head[key] = value
    data = _ADAPTERS[name].dump_json(envelope.data)
    return to_json(head)[:-1] + b',"data":' + data + b"}"


def decode(body: bytes) -> Envelope:
    """Return the message in *body*.

    Raises:
        PermanentError: It is no CloudEvent of ours, of an unknown type or version, or its data does
            not fit its type. The message names the field and what was expected, never the value.
    """
    try:
        raw = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise PermanentError(f"the message is not JSON that we read ({type(error).__name__})") from None
    if not isinstance(raw, dict):
        raise PermanentError("the message is not a JSON object")
    try:
        head = _ATTRIBUTES.validate_python(raw)
    except ValidationError as error:
        raise PermanentError(f"the envelope is not a CloudEvent of ours: {explain(error)}") from None
    adapter = _ADAPTERS.get(head.type)
    if head.specversion != "1.0":
        raise PermanentError("specversion: expected 1.0")
    if adapter is None:
        raise PermanentError(f"type: expected a known message type, not {_shown(head.type)}")
    if head.dataschema != f"{_SCHEMA_PREFIX}{head.type}:v1":
        expected = f"{_SCHEMA_PREFIX}{head.type}:v1"
        raise PermanentError(f"dataschema: expected {expected}, not {_shown(head.dataschema)}")
    try:
        data = adapter.validate_python(raw.get("data"))
    except ValidationError as error:
        raise PermanentError(f"data of {head.type}: {explain(error)}") from None
    return Envelope(
        id=head.id,
        source=head.source,
        accountid=AccountId(head.accountid),
        time=head.time,
        data=data,
        correlationid=head.correlationid,
        causationid=head.causationid,
        subject=head.subject,
        traceparent=head.traceparent,
        contentkey=head.contentkey,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """What can be told of a message that need not be one of ours; each is None unless it has the form of ours."""

    account: AccountId | None = None
    subject: str | None = None
    correlation_id: str | None = None


def glimpse(body: bytes) -> Glimpse:
    """Return what *body* tells of itself, also where `decode` refuses it: a newer release's message, say."""
    try:
        raw = from_json(body, allow_inf_nan=False)
    except ValueError:
        return Glimpse()
    if not isinstance(raw, dict):
        return Glimpse()
    account = _formed(raw.get("accountid"), _ACCOUNT)
    return Glimpse(
        account=None if account is None else AccountId(account),
        subject=_formed(raw.get("subject"), _SUBJECT),
        correlation_id=_formed(raw.get("correlationid"), _CORRELATION),
    )


def _formed(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _shown(word: str) -> str:
    """Return *word* if it has the form of a type or a schema of ours: a newer release's, say; else nothing of it."""
    return repr(word) if _WORD.fullmatch(word) else "another text"


def explain(error: ValidationError, *, most: int = 5) -> str:
    """Return the faults of *error* as `field: what was expected`, without any input value."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    shown = [f"{'.'.join(map(_part, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults[:most]]
    return "; ".join(shown) + (f"; and {len(faults) - most} more" if len(faults) > most else "")


def _part(part: int | str) -> str:
    """Return one part of a field's path; a key that no field of ours could have is the sender's own words."""
    return str(part) if isinstance(part, int) or _KEY.fullmatch(part) else "…"
