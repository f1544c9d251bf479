"""Facts: what the outside world told us.

They carry ids and what rules need, no direct identifier: no name, address, phone number, link, note,
answer, attachment or unlisted custom field. Times are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, FiniteFloat

from trellis.common.contracts.identifiers import (
    ApplicationId,
    AssessmentId,
    CandidateId,
    JobId,
    StageId,
    Visit,
)


class ApplicationStatus(StrEnum):
    """Where an application stands; `unknown` is a word of Greenhouse's we do not know yet."""

    ACTIVE = "active"
    REJECTED = "rejected"
    HIRED = "hired"
    CONVERTED = "converted"
    UNKNOWN = "unknown"


class FoundBy(StrEnum):
    """How a fact reached us."""

    WEBHOOK = "webhook"
    READING = "reading"
    RECONCILIATION = "reconciliation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a job's hiring plan: its id, and its name when the fact carried one."""

    id: StageId
    name: str | None = None


FieldValue = str | int | FiniteFloat | bool | list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSnapshot:
    """What one message of Greenhouse's said about an application.

    Attributes:
        application_id: The application.
        candidate_id: Its candidate; None when the message did not say.
        job_id: Its job; None for a prospect or when the message did not say.
        stage: The stage it is in; None when it has none or the message did not say.
        status: Where it stands; None when the message did not say.
        prospect: True for a prospect, who is in no stage.
        applied_at: When it was made.
        rejected_at: When it was rejected, if it was.
        last_activity_at: Greenhouse's own time of the latest activity: the order of facts.
        source_id: Where the candidate came from.
        department_ids: Departments of the job.
        office_ids: Offices of the job.
        custom_fields: The custom fields that the account lists, by immutable key; of the
            application, or of the candidate under `candidate.KEY`, or of the job under `job.KEY`.
    """

    application_id: ApplicationId
    candidate_id: CandidateId | None = None
    job_id: JobId | None = None
    stage: Stage | None = None
    status: ApplicationStatus | None = None
    prospect: bool = False
    applied_at: AwareDatetime | None = None
    rejected_at: AwareDatetime | None = None
    last_activity_at: AwareDatetime | None = None
    source_id: int | None = None
    department_ids: tuple[int, ...] = ()
    office_ids: tuple[int, ...] = ()
    custom_fields: dict[str, FieldValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationStageChanged:
    """The application is in another stage than before: the new one."""

    application: ApplicationSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationCreated:
    """A candidate applied, in whichever stage; it counts as entering that stage."""

    application: ApplicationSnapshot
    counts_as_entry: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationUpdated:
    """Fields of the application were edited; perhaps it went to another job."""

    application: ApplicationSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRejected:
    """A person rejected the application."""

    application: ApplicationSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationUnrejected:
    """A person took the rejection back."""

    application: ApplicationSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationHired:
    """The candidate was hired."""

    application: ApplicationSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationUnhired:
    """The hire was taken back."""

    application: ApplicationSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationDeleted:
    """The application exists no more."""

    application_id: ApplicationId
    candidate_id: CandidateId | None = None
    job_id: JobId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedStage:
    """A stay in a stage that was over when it was read.

    Attributes:
        stage: The stage, with its name where that was at hand.
        entered_at: When the stay began, by Greenhouse.
        exited_at: When it ended, by Greenhouse.
    """

    stage: Stage
    entered_at: AwareDatetime
    exited_at: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationObserved:
    """We read the application in Greenhouse.

    Attributes:
        application: What Greenhouse showed; None when it shows no such application.
        application_id: The application asked for.
        entered_at: When it entered its present stage (Harvest v3's current stage row); None
            when Greenhouse does not say.
        observed_at: When the reading was made, on our clock.
        asked_by: The command that asked, if one did.
        found_by: `reading` when we asked on purpose, `reconciliation` when the reconciler found it.
        act_within_s: How long ago, in seconds, an entry that no webhook told may have happened to be acted
            upon without a person's yes; None when the reading is not the reconciler's.
        passed: The latest stays before the present one, the oldest first (Harvest v3's stage rows); empty when the
            reading is not the reconciler's.
    """

    application_id: ApplicationId
    application: ApplicationSnapshot | None
    observed_at: AwareDatetime
    entered_at: AwareDatetime | None = None
    asked_by: UUID | None = None
    found_by: FoundBy = FoundBy.READING
    act_within_s: float | None = None
    passed: tuple[PassedStage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAccepted:
    """A person wants an entry acted upon that no webhook told of in time."""

    application_id: ApplicationId
    visit: Visit


class Order(StrEnum):
    """What a person may order about one application's invite."""

    ATTACH = "attach"
    """Take an unmatched result for the application's."""
    SEND = "send"
    """Invite it to an assessment, in the stage visit that it is in."""
    SWAP = "swap"
    """Invite it to another assessment instead of the open one, which is withdrawn."""
    EXCUSE = "excuse"
    """Await no result in this stage visit: what is open is withdrawn, and no rule judges a result."""
    WITHDRAW = "withdraw"
    """Take an open invite back, or as much of it as can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteOrdered:
    """A person orders something by hand about one application, in the stage visit that was shown.

    Attributes:
        order_id: Names the order: the same one taken twice is one.
        visit: The stage visit it is meant for; in another one nothing is done.
        assessment_id: The assessment it is about; None leaves it to the one that is open.
        signal_id: The unmatched signal to attach; None for every other order.
    """

    order_id: UUID
    application_id: ApplicationId
    visit: Visit
    order: Order
    assessment_id: AssessmentId | None = None
    signal_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateUpdated:
    """Something about the candidate was edited, an address perhaps."""

    candidate_id: CandidateId


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateMerged:
    """The candidate became part of another; its applications follow."""

    candidate_id: CandidateId
    into_candidate_id: CandidateId


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateDeleted:
    """The candidate was deleted, with these applications (the list may be empty)."""

    candidate_id: CandidateId
    application_ids: tuple[ApplicationId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateAnonymized:
    """Greenhouse made these fields of the candidate unreadable."""

    candidate_id: CandidateId
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateErased:
    """A person ordered that nothing is kept of the candidate, and nothing done for it any more."""

    candidate_id: CandidateId


class ErasureReason(StrEnum):
    """Why a person's data is dropped. After an anonymisation the candidate may get new data, else never."""

    DELETED = "deleted"
    ANONYMIZED = "anonymized"
    BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """A job was edited or deleted; what is cached about it is stale."""

    job_id: JobId
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDeleted:
    """A stage of a job's plan was deleted."""

    stage_id: StageId
    job_id: JobId | None = None


class SignalKind(StrEnum):
    """What a webhook of the assessment vendor spoke of."""

    STARTED = "started"
    COMPLETED = "completed"
    REVIEWED = "reviewed"
    INTERVIEW_COMPLETED = "interview_completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessmentSignalled:
    """The assessment vendor spoke of a person whom it knows only by address: a hint, to be read back.

    Attributes:
        kind: What it spoke of.
        address_hash: Keyed hash of the lower-cased, trimmed address under the account's key.
        assessment_id: The assessment; None for an interview.
        interview_id: The interview, for those.
        sealed_body_id: Where `ingest` keeps the sealed body.
        time_expired: The clock ended the attempt; None when the message did not say.
        report_ready: Grading had finished; None when the message did not say.
        received_at: When the webhook reached us.
    """

    kind: SignalKind
    address_hash: str
    sealed_body_id: UUID
    received_at: AwareDatetime
    assessment_id: AssessmentId | None = None
    interview_id: str | None = None
    time_expired: bool | None = None
    report_ready: bool | None = None
