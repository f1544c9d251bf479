"""A webhook becomes our facts. Pure, and the place where personal data is left behind.

Facts are built field by field from shapes that hold no name, address, link or note; a custom field passes
only when the account lists it. Greenhouse's and Coderbyte's words end here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import structs

from trellis.common.contracts import facts
from trellis.common.contracts.envelope import Envelope, Message
from trellis.common.contracts.facts import ApplicationSnapshot, ApplicationStatus, FieldValue, SignalKind, Stage
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    JobId,
    StageId,
    stable_id,
)
from trellis.ingest.webhooks import (
    PAYLOADS,
    ApplicationShape,
    CoderbyteBody,
    GreenhouseBody,
    JobShape,
    UnreadableBody,
    values_of,
)

SOURCE: Final = "trellis/ingest"
_FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the account says about translation.

    Attributes:
        custom_fields: Keys that may pass: `x` of the application, `candidate.x`, `job.x`.
        new_application_is_entry: A new application counts as entering its stage.
    """

    custom_fields: frozenset[str] = frozenset()
    new_application_is_entry: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of one webhook.

    Attributes:
        id: Of the fact: `delivery_id` where there is one, else a fresh one.
        account: Whose endpoint was called.
        received_at: When, on our clock.
        digest: SHA-256 of the raw body, hexadecimal.
    """

    id: UUID
    account: AccountId
    received_at: datetime
    digest: str


def delivery_id(endpoint: UUID, event_id: str, digest: str) -> UUID:
    """Return the id of a delivery that bears an event id: the same when it is delivered again.

    The digest belongs to it because nothing signs the header, and nothing says that it is unique across
    bodies (greenhouse fact sheet, 2.2).
    """
    return stable_id("delivery", endpoint, event_id, digest)


def to_facts(body: GreenhouseBody, delivery: Delivery, rules: Rules) -> list[Envelope]:
    """Return the facts that a webhook of Greenhouse's tells; none for an action without use for us.

    Raises:
        UnreadableBody: A custom field that the account lists holds what is no text.
    """
    if body.payload is None:
        return []
    return [_envelope(_TRANSLATIONS[body.action](body.payload, rules), delivery, body.action)]


def is_known(action: str) -> bool:
    """Whether *action* is translated; others are counted together."""
    return action in PAYLOADS


def signal_kind(operation: str) -> SignalKind | None:
    """Return what an operation of Coderbyte's speaks of; None for one that we do not know."""
    return _OPERATIONS.get(operation)


def to_signal(body: CoderbyteBody, delivery: Delivery, *, address_hash: str, sealed_body_id: UUID) -> Envelope:
    """Return the fact that a webhook of Coderbyte's tells: a hint and where its body is kept.

    It has no content key: two equal bodies may be two events (coderbyte fact sheet, 5).

    Raises:
        UnreadableBody: The operation is unknown, or what it speaks of is not named.
    """
    kind = signal_kind(body.operation)
    if kind is None:
        raise UnreadableBody("wrong_shape", "operation: expected one that is known")
    is_interview = kind is SignalKind.INTERVIEW_COMPLETED
    if not (body.interview_id if is_interview else body.assessment_id):
        missing = "interview_id" if is_interview else "assessment_id"
        raise UnreadableBody("wrong_shape", f"{missing}: expected text")
    signal = facts.AssessmentSignalled(
        kind=kind,
        address_hash=address_hash,
        sealed_body_id=sealed_body_id,
        received_at=delivery.received_at,
        assessment_id=AssessmentId(body.assessment_id) if body.assessment_id else None,
        interview_id=body.interview_id or None,
        time_expired=body.time_expired,
        report_ready=_report_ready(body),
    )
    return _envelope(signal, delivery, body.operation)


def _report_ready(body: CoderbyteBody) -> bool | None:
    if body.report_ready is not None or body.challenges_being_graded is None:
        return body.report_ready
    return not body.challenges_being_graded


def _envelope(message: Message, delivery: Delivery, action: str) -> Envelope:
    return Envelope(
        id=delivery.id,
        source=SOURCE,
        accountid=delivery.account,
        time=delivery.received_at,
        data=message,
        correlationid=str(delivery.id),
        subject=_subject(message),
        contentkey=_content_key(message, delivery, action),
    )


def _subject(message: Message) -> str | None:
    application = application_of(message)
    if application is not None:
        return f"application/{application}"
    candidate = getattr(message, "candidate_id", None)
    return f"candidate/{candidate}" if candidate is not None else None


def application_of(message: Message) -> ApplicationId | None:
    """Return the application that a fact is about, if it is about one."""
    snapshot: ApplicationSnapshot | None = getattr(message, "application", None)
    if snapshot is not None:
        return snapshot.application_id
    found: ApplicationId | None = getattr(message, "application_id", None)
    return found


def _content_key(message: Message, delivery: Delivery, action: str) -> str | None:
    """Return the key under which a redelivery with a new event id is known (greenhouse fact sheet, 7.7).

    Without `last_activity_at` there is none: hire, unhire, hire may be three equal bodies.
    """
    snapshot: ApplicationSnapshot | None = getattr(message, "application", None)
    if snapshot is None or snapshot.last_activity_at is None:
        return None
    stage = snapshot.stage.id if snapshot.stage else ""
    parts = (action, snapshot.application_id, stage, snapshot.last_activity_at.isoformat(), delivery.digest)
    text = "".join(f"{len(part)}:{part};" for part in map(str, parts))
    return hashlib.sha256(text.encode()).hexdigest()


def _snapshot(shape: ApplicationShape, rules: Rules) -> ApplicationSnapshot:
    job = _job(shape)
    return ApplicationSnapshot(
        application_id=ApplicationId(shape.id),
        candidate_id=CandidateId(shape.candidate.id) if shape.candidate else None,
        job_id=JobId(job.id) if job else None,
        stage=Stage(id=StageId(shape.current_stage.id), name=shape.current_stage.name) if shape.current_stage else None,
        status=_status(shape.status),
        prospect=bool(shape.prospect),
        applied_at=_instant(shape.applied_at),
        rejected_at=_instant(shape.rejected_at),
        last_activity_at=_instant(shape.last_activity_at),
        source_id=shape.source.id if shape.source else None,
        department_ids=tuple(one.id for one in job.departments) if job else (),
        office_ids=tuple(one.id for one in job.offices) if job else (),
        custom_fields=_custom_fields(shape, job, rules.custom_fields),
    )


def _job(shape: ApplicationShape) -> JobShape | None:
    """Return the job: a candidate has exactly one, a prospect has any number and so none that is *the* job."""
    if shape.prospect:
        return None
    if shape.jobs:
        return shape.jobs[0] if len(shape.jobs) == 1 else shape.job
    return shape.job


def _instant(text: str | None) -> datetime | None:
    """Return an instant, or None for what is none: a fact without its time beats no fact."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):  # the first hours of the year 1 east of Greenwich were in no year
        return None


def _status(word: str | None) -> ApplicationStatus | None:
    if not word:
        return None
    try:
        return ApplicationStatus(word.lower())
    except ValueError:
        return ApplicationStatus.UNKNOWN


def _custom_fields(shape: ApplicationShape, job: JobShape | None, listed: frozenset[str]) -> dict[str, FieldValue]:
    if not listed:
        return {}
    sources = (
        ("", shape),
        ("candidate.", shape.candidate),
        ("job.", job),
    )
    return {
        prefix + key: _value(entry)
        for prefix, source in sources
        if source is not None
        for key, entry in values_of(source.custom_fields).items()
        if prefix + key in listed
    }


def _value(entry: object) -> FieldValue:
    """Return what a rule can compare with: a scalar, a list of texts, the amount of a sum of money.

    Other objects (a user with name and address, a range) are None.
    """
    value = entry.get("value") if isinstance(entry, dict) else None
    if isinstance(value, dict):
        value = value.get("amount")
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [item.strip() for item in value]
    return None


def _created(payload: Any, rules: Rules) -> Message:
    snapshot = _snapshot(payload.application, rules)
    return facts.ApplicationCreated(
        application=snapshot,
        counts_as_entry=rules.new_application_is_entry and not snapshot.prospect and snapshot.stage is not None,
    )


def _prospect(payload: Any, rules: Rules) -> Message:
    snapshot = _snapshot(structs.replace(payload.application, prospect=True), rules)
    return facts.ApplicationCreated(application=snapshot, counts_as_entry=False)


def _hired(payload: Any, rules: Rules) -> Message:
    """Translate a hire, whose body bears no status: the action says it."""
    snapshot = _snapshot(payload.application, rules)
    return facts.ApplicationHired(application=replace(snapshot, status=snapshot.status or ApplicationStatus.HIRED))


def _about(fact: Callable[..., Message]) -> Callable[[Any, Rules], Message]:
    return lambda payload, rules: fact(application=_snapshot(payload.application, rules))


def _application_deleted(payload: Any, _rules: Rules) -> Message:
    gone = payload.application
    return facts.ApplicationDeleted(application_id=gone.id, candidate_id=gone.candidate_id, job_id=gone.job_id)


def _candidate_updated(payload: Any, _rules: Rules) -> Message:
    return facts.CandidateUpdated(candidate_id=payload.candidate.id)


def _candidate_merged(payload: Any, _rules: Rules) -> Message:
    return facts.CandidateMerged(candidate_id=payload.person.id, into_candidate_id=payload.person.new_candidate_id)


def _candidate_deleted(payload: Any, _rules: Rules) -> Message:
    return facts.CandidateDeleted(
        candidate_id=payload.person.id, application_ids=tuple(payload.person.deleted_application_ids)
    )


def _candidate_anonymized(payload: Any, _rules: Rules) -> Message:
    """Translate an anonymisation; only words that can be names of fields pass."""
    names = tuple(name for name in payload.anonymized_fields if _FIELD_NAME.fullmatch(name))
    return facts.CandidateAnonymized(candidate_id=payload.candidate_id, fields=names)


def _job_changed(payload: Any, _rules: Rules) -> Message:
    return facts.JobChanged(job_id=payload.job.id)


def _job_deleted(payload: Any, _rules: Rules) -> Message:
    return facts.JobChanged(job_id=payload.job.id, deleted=True)


def _stage_deleted(payload: Any, _rules: Rules) -> Message:
    return facts.StageDeleted(stage_id=payload.job_interview_stage.id, job_id=payload.job_interview_stage.job_id)


_TRANSLATIONS: Final[dict[str, Callable[[Any, Rules], Message]]] = {
    "candidate_stage_change": _about(facts.ApplicationStageChanged),
    "new_candidate_application": _created,
    "new_prospect_application": _prospect,
    "application_updated": _about(facts.ApplicationUpdated),
    "reject_candidate": _about(facts.ApplicationRejected),
    "unreject_candidate": _about(facts.ApplicationUnrejected),
    "hire_candidate": _hired,
    "unhire_candidate": _about(facts.ApplicationUnhired),
    "delete_application": _application_deleted,
    "update_candidate": _candidate_updated,
    "merge_candidate": _candidate_merged,
    "delete_candidate": _candidate_deleted,
    "candidate_anonymized": _candidate_anonymized,
    "job_updated": _job_changed,
    "job_deleted": _job_deleted,
    "job_interview_stage_deleted": _stage_deleted,
}
"""What becomes of the payload of each action that is read."""

_OPERATIONS: Final = {
    "candidate_joined": SignalKind.STARTED,
    "assessment_completed": SignalKind.COMPLETED,
    "scorecard_updated": SignalKind.REVIEWED,
    "interview_completed": SignalKind.INTERVIEW_COMPLETED,
}
"""Every operation of Coderbyte's that is translated (coderbyte fact sheet, 4.2)."""
