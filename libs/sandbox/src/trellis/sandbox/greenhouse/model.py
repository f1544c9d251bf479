"""The records a Greenhouse account holds, as plain data.

Field names follow Harvest v3 where it has one. Source: greenhouse.md sections 2.5 and 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from trellis.sandbox.bodies import Json
from trellis.sandbox.greenhouse.rate import RateWindow


@dataclass
class User:
    """A Greenhouse user; the service user is one of them."""

    id: int
    name: str
    primary_email: str | None
    site_admin: bool
    created_at: datetime
    updated_at: datetime
    deactivated: bool = False
    service_account: bool = False
    """A credential's own account: hidden from `/users` unless asked for."""


@dataclass
class Credential:
    """An OAuth client of the account."""

    client_id: str
    secrets: list[str]
    """Newest first; a rotated secret lives on behind it."""
    scopes: set[str]
    service_account_id: int
    """Who acts if a token is asked for without `sub`."""
    rate_limit: int | None = None
    """Calls a window; `None` takes the switch `rate.limit`."""
    window: RateWindow = field(default_factory=RateWindow)
    token_window: RateWindow = field(default_factory=RateWindow)


@dataclass
class HarvestKey:
    """The account's key to Harvest v1; it acts as nobody, each write names its user."""

    key: str
    permissions: set[str]
    """Endpoints that are ticked for it."""
    window: RateWindow = field(default_factory=RateWindow)


@dataclass
class Token:
    """An access token that was handed out."""

    value: str
    client_id: str
    sub: int
    expires_at: datetime
    revoked: bool = False


@dataclass
class Job:
    """An opening people apply to."""

    id: int
    name: str
    requisition_id: str
    created_at: datetime
    updated_at: datetime
    opened_at: datetime | None
    closed_at: datetime | None = None
    status: str = "open"
    confidential: bool = False
    """Hidden from every list, Site Admins included."""
    department_id: int = 0
    office_ids: list[int] = field(default_factory=list)
    post_id: int | None = None


@dataclass
class Stage:
    """A step of a job's hiring plan (`job_interview_stages`)."""

    id: int
    job_id: int
    name: str
    sort_order: int
    created_at: datetime
    updated_at: datetime
    active: bool = True
    sends_email: bool = False
    """Whether a stage rule mails the candidate on entry; counted, so that a test can see it."""
    interview_id: int = 0
    kit_id: int = 0


@dataclass
class Candidate:
    """A person."""

    id: int
    first_name: str
    last_name: str
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    email_addresses: list[dict[str, str]] = field(default_factory=list)
    phone_numbers: list[dict[str, str]] = field(default_factory=list)
    title: str | None = None
    company: str | None = None
    tags: list[str] = field(default_factory=list)
    private: bool = False
    can_email: bool = True
    custom_fields: Json = field(default_factory=dict)
    attachments: list[Json] = field(default_factory=list)
    profile: Json = field(default_factory=dict)
    """Addresses, links, educations and employments; none of them matters to the sandbox."""

    def has_email(self, email: str) -> bool:
        """Whether one of the addresses is *email*, in any case."""
        wanted = email.strip().lower()
        return any(address["value"].strip().lower() == wanted for address in self.email_addresses)


@dataclass
class Application:
    """A candidate on one job."""

    id: int
    candidate_id: int
    job_id: int | None
    """`None` for a prospect."""
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    stage: Stage | None = None
    """The job stage, kept after a rejection; `None` for prospects and hired ones."""
    row_id: int | None = None
    """Current row of `application_stages`."""
    status: str = "active"
    prospect: bool = False
    rejected_at: datetime | None = None
    source: Json | None = None
    rejection_reason: Json | None = None
    recruiter_id: int | None = None
    custom_fields: Json = field(default_factory=dict)


@dataclass
class StageRow:
    """One visit of an application to a stage (`application_stages`)."""

    id: int
    application_id: int
    job_interview_stage_id: int
    entered_at: datetime | None
    created_at: datetime
    updated_at: datetime
    exited_at: datetime | None = None
    current: bool = True


@dataclass(frozen=True)
class Snapshot:
    """What reads still show of an application for a while after a move through the API."""

    until: datetime
    application: Application
    rows: tuple[StageRow, ...]


@dataclass
class Note:
    """A note on a candidate's activity feed."""

    id: int
    candidate_id: int
    application_id: int | None
    user_id: int
    type: str
    visibility: str
    """One of the words of reads, such as `publicly_visible`."""
    body: str
    created_at: datetime
    subject: str | None = None
    email_from: str | None = None
    email_to: str | None = None
    email_cc: str | None = None


@dataclass(frozen=True)
class Activity:
    """A line of a candidate's activity feed, for people."""

    id: int
    application_id: int
    at: datetime
    text: str


@dataclass
class Scorecard:
    """An interviewer's judgement."""

    id: int
    application_id: int
    interview_kit_id: int
    interviewer_id: int
    submitter_id: int | None
    status: str
    candidate_rating: str
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime | None = None
    notes: str | None = None


@dataclass
class Interview:
    """A scheduled interview, with its one interviewer."""

    id: int
    application_id: int
    job_id: int
    job_interview_id: int
    organizer_id: int
    interviewer_row_id: int
    interviewer_id: int
    status: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    updated_at: datetime
    scorecard_id: int | None = None


@dataclass
class Opening:
    """A seat of a job."""

    id: int
    job_id: int
    opening_id: str | None
    created_at: datetime
    updated_at: datetime
    open: bool = True
    closed_at: datetime | None = None
    application_id: int | None = None


@dataclass
class Hook:
    """A registered webhook: exactly one event."""

    id: int
    event: str
    url: str
    secret: str
    name: str
    created_at: datetime
    updated_at: datetime
    enabled: bool = True
    extra_headers: list[tuple[str, str]] = field(default_factory=list)
    """Additional headers and HTTP Basic, as typed into Greenhouse's form."""
