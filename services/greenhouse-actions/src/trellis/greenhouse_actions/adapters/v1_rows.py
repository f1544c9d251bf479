"""Bodies of Harvest v1: read leniently, turned into our views.

Source: greenhouse fact sheet, sections 4 and 6.4.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import ApplicationId, CandidateId, JobId, StageId, UserId
from trellis.greenhouse_actions.adapters.rows import AddressRow, Instant, Part, Row, addresses_of, status_of, tags_of
from trellis.greenhouse_actions.domain.readings import ApplicationView, CandidateView, JobStage, NoteView


class _Named(Row):
    name: str | None = None


class _Source(Part):
    id: int | None = None


class ApplicationRow(Row):
    """An application; it tells neither `updated_at` nor visits."""

    candidate_id: int
    prospect: bool | None = None
    applied_at: Instant | None = None
    rejected_at: Instant | None = None
    last_activity_at: Instant | None = None
    status: str | None = None
    jobs: list[_Named] | None = None
    current_stage: _Named | None = None
    source: _Source | None = None

    def view(self) -> ApplicationView:
        """Return it in our words; an ended one is in no stage, though v1 still shows that of a rejected one."""
        status, prospect, jobs = status_of(self.status), bool(self.prospect), self.jobs or []
        stage = self.current_stage if status is ApplicationStatus.ACTIVE and not prospect else None
        return ApplicationView(
            id=ApplicationId(self.id),
            candidate_id=CandidateId(self.candidate_id),
            job_id=JobId(jobs[0].id) if len(jobs) == 1 and not prospect else None,
            status=status,
            prospect=prospect,
            stage_id=None if stage is None else StageId(stage.id),
            stage_name=None if self.current_stage is None else self.current_stage.name,
            created_at=self.applied_at,
            rejected_at=self.rejected_at,
            last_activity_at=self.last_activity_at,
            source_id=None if self.source is None else self.source.id,
        )


class CandidateRow(Row):
    """A candidate."""

    email_addresses: list[AddressRow] | None = None
    is_private: bool | None = None
    can_email: bool | None = None
    tags: Any = None

    def view(self) -> CandidateView:
        """Return it in our words."""
        return CandidateView(
            id=CandidateId(self.id),
            addresses=addresses_of(self.email_addresses),
            private=bool(self.is_private),
            can_email=self.can_email is not False,
            tags=tags_of(self.tags),
        )


class StageOfJobRow(Row):
    """A stage of a job's plan."""

    job_id: int
    name: str | None = None
    priority: int | None = None
    active: bool | None = None

    def view(self) -> JobStage:
        """Return it in our words."""
        return JobStage(
            id=StageId(self.id),
            job_id=JobId(self.job_id),
            name=self.name or f"stage {self.id}",
            sort_order=self.priority or 0,
            active=self.active is not False,
        )


class NoteRow(Row):
    """A note of an activity feed, and the answer to a new one; it names no application."""

    created_at: Instant
    body: str | None = None
    user: _Named | None = None

    def view(self) -> NoteView:
        """Return it in our words."""
        return NoteView(
            id=self.id,
            application_id=None,
            user_id=None if self.user is None else UserId(self.user.id),
            created_at=self.created_at,
            body=self.body or "",
        )


class Feed(Part):
    """An activity feed; its lines of activities are English text for people and are not read."""

    notes: list[NoteRow]


APPLICATION: Final = TypeAdapter(ApplicationRow)
APPLICATIONS: Final = TypeAdapter(list[ApplicationRow])
CANDIDATES: Final = TypeAdapter(list[CandidateRow])
STAGES: Final = TypeAdapter(list[StageOfJobRow])
ROWS: Final = TypeAdapter(list[Row])
FEED: Final = TypeAdapter(Feed)
NOTE: Final = TypeAdapter(NoteRow)
