"""Rows of Harvest v3's lists: read leniently, turned into our views.

Source: greenhouse fact sheet, sections 6.1, 6.3 and 6.4.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from trellis.common.contracts.identifiers import ApplicationId, CandidateId, JobId, StageId, StageRowId, UserId
from trellis.greenhouse_actions.adapters.rows import AddressRow, Instant, Row, addresses_of, parsed, status_of, tags_of
from trellis.greenhouse_actions.domain.readings import (
    ApplicationView,
    CandidateView,
    JobStage,
    NoteView,
    StageRow,
)


class ApplicationRow(Row):
    """A row of `/applications`; *stage_id* is a row of `/application_stages`."""

    candidate_id: int
    job_id: int | None = None
    status: str | None = None
    prospect: bool | None = None
    stage_id: int | None = None
    stage_name: str | None = None
    job_interview_stage_id: int | None = None
    created_at: Instant | None = None
    rejected_at: Instant | None = None
    last_activity_at: Instant | None = None
    updated_at: Instant | None = None
    source_id: int | None = None

    def view(self) -> ApplicationView:
        """Return it in our words."""
        stage = self.job_interview_stage_id
        return ApplicationView(
            id=ApplicationId(self.id),
            candidate_id=CandidateId(self.candidate_id),
            job_id=None if self.job_id is None else JobId(self.job_id),
            status=status_of(self.status),
            prospect=bool(self.prospect),
            stage_id=None if stage is None else StageId(stage),
            stage_name=self.stage_name,
            row_id=None if self.stage_id is None else StageRowId(self.stage_id),
            created_at=self.created_at,
            rejected_at=self.rejected_at,
            last_activity_at=self.last_activity_at,
            source_id=self.source_id,
            updated_at=self.updated_at,
        )


class ApplicationStageRow(Row):
    """A row of `/application_stages`."""

    application_id: int
    job_interview_stage_id: int | None = None
    entered_at: Instant | None = None
    exited_at: Instant | None = None
    current: bool | None = None

    def view(self) -> StageRow | None:
        """Return it in our words; None when it names no stage."""
        if self.job_interview_stage_id is None:
            return None
        return StageRow(
            id=StageRowId(self.id),
            application_id=ApplicationId(self.application_id),
            stage_id=StageId(self.job_interview_stage_id),
            entered_at=self.entered_at,
            exited_at=self.exited_at,
            current=bool(self.current),
        )


class CandidateRow(Row):
    """A row of `/candidates`."""

    email_addresses: list[AddressRow] | None = None
    private: bool | None = None
    can_email: bool | None = None
    tags: Any = None

    def view(self) -> CandidateView:
        """Return it in our words."""
        return CandidateView(
            id=CandidateId(self.id),
            addresses=addresses_of(self.email_addresses),
            private=bool(self.private),
            can_email=self.can_email is not False,
            tags=tags_of(self.tags),
        )


class StageOfJobRow(Row):
    """A row of `/job_interview_stages`."""

    job_id: int
    name: str | None = None
    sort_order: int | None = None
    active: bool | None = None

    def view(self) -> JobStage:
        """Return it in our words."""
        return JobStage(
            id=StageId(self.id),
            job_id=JobId(self.job_id),
            name=self.name or f"stage {self.id}",
            sort_order=self.sort_order or 0,
            active=self.active is not False,
        )


class NoteRow(Row):
    """A row of `/notes`, and the answer to a new note."""

    created_at: Instant
    application_id: int | None = None
    user_id: int | None = None
    body: str | None = None

    def view(self) -> NoteView:
        """Return it in our words."""
        return NoteView(
            id=self.id,
            application_id=None if self.application_id is None else ApplicationId(self.application_id),
            user_id=None if self.user_id is None else UserId(self.user_id),
            created_at=self.created_at,
            body=self.body or "",
        )


class UserRow(Row):
    """A row of `/users`; names and addresses are not read."""

    deactivated: bool | None = None
    site_admin: bool | None = None


RowType = TypeVar("RowType", bound=Row)
LISTS: Final[dict[type[Row], TypeAdapter[Any]]] = {
    kind: TypeAdapter(list[kind])  # type: ignore[valid-type]
    for kind in (ApplicationRow, ApplicationStageRow, CandidateRow, StageOfJobRow, NoteRow, UserRow, Row)
}


def rows_of(kind: type[RowType], body: bytes) -> list[RowType]:
    """Return the rows in a list's body.

    Raises:
        TransientError: It is not such a list: cut short, or HTML from a proxy. Nothing of it is in the message.
    """
    rows: list[RowType] = parsed(LISTS[kind], body)
    return rows


def note_id_of(body: bytes) -> int | None:
    """Return the id of the note in an answer; None when it holds no whole note."""
    try:
        return NoteRow.model_validate_json(body).id
    except ValidationError:
        return None
