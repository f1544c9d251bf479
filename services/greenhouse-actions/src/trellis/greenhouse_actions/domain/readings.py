"""What a reading of Greenhouse shows, in our words, whichever version of the API it came by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import ApplicationId, CandidateId, JobId, StageId, StageRowId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """The row of one stage visit of an application.

    Attributes:
        id: The row; in another range of ids than stages.
        entered_at: When the visit began; None on rows that were filled in later.
        exited_at: When it ended; None of the present visit, and on rows that were filled in later.
        current: Whether it is the present visit.
    """

    id: StageRowId
    application_id: ApplicationId
    stage_id: StageId
    entered_at: datetime | None
    exited_at: datetime | None = None
    current: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationView:
    """An application as Greenhouse shows it now.

    Attributes:
        stage_id: The stage it is in; None for prospects and ended ones, or when the API leaves it out.
        row_id: Its row of the present visit; None likewise.
        entered_at: When it entered its stage; None when not read or not said.
        created_at: When the candidate applied.
        last_activity_at: Greenhouse's time of the latest activity.
        updated_at: When the record was last written, by whatever.
    """

    id: ApplicationId
    candidate_id: CandidateId
    job_id: JobId | None
    status: ApplicationStatus
    prospect: bool = False
    stage_id: StageId | None = None
    stage_name: str | None = None
    row_id: StageRowId | None = None
    entered_at: datetime | None = None
    created_at: datetime | None = None
    rejected_at: datetime | None = None
    last_activity_at: datetime | None = None
    source_id: int | None = None
    updated_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether it is in the running, in a stage of a job."""
        return self.status is ApplicationStatus.ACTIVE and not self.prospect

    @property
    def shown_stage(self) -> str:
        """The stage in words for a person."""
        return f"stage {self.stage_name or self.stage_id or 'none'}"


class Missing(StrEnum):
    """Why a reading does not show an application."""

    GONE = "gone"
    """Its job is shown, the application is not: it was deleted."""
    HIDDEN = "hidden"
    """Nothing proves that it was deleted; its job may be confidential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One complete reading of several applications.

    Attributes:
        read_at: Monotonic time just before the first request of the reading was sent.
        applications: Those shown.
        missing: Those not shown, and what that proves.
    """

    read_at: float
    applications: Mapping[ApplicationId, ApplicationView]
    missing: Mapping[ApplicationId, Missing] = field(default_factory=dict)

    def of(self, application: ApplicationId) -> ApplicationView | Missing:
        """Return what the reading says of *application*; one that was not asked for is hidden."""
        return self.applications.get(application) or self.missing.get(application, Missing.HIDDEN)


class ChangeField(StrEnum):
    """By which of its times a change of an application is found."""

    UPDATED_AT = "updated_at"
    LAST_ACTIVITY_AT = "last_activity_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of Greenhouse's time, both ends included."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An e-mail address and what Greenhouse calls it (`personal`, `work`, `other`)."""

    value: str = field(repr=False)
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """A candidate as Greenhouse shows it now; kept in memory only."""

    id: CandidateId
    addresses: tuple[Address, ...] = ()
    private: bool = False
    can_email: bool = True
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStage:
    """A stage of a job's plan; an inactive one was deleted."""

    id: StageId
    job_id: JobId
    name: str
    sort_order: int
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteView:
    """A note on an activity feed."""

    id: int
    application_id: ApplicationId | None
    user_id: UserId | None
    created_at: datetime
    body: str = field(repr=False)
