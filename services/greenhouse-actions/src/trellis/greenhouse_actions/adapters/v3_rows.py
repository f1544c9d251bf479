"""Rows of Harvest v3's lists: read leniently, turned into our views.

Unknown fields are ignored and a missing one is null, as Greenhouse's rules for its own changes demand.
Source: greenhouse fact sheet, sections 1, 6.1, 6.3 and 6.4.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import ApplicationId, CandidateId, JobId, StageId, StageRowId, UserId
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.domain.readings import (
    Address,
    ApplicationView,
    CandidateView,
    JobStage,
    NoteView,
    StageRow,
)

Instant = Annotated[datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=UTC))]
STATUSES: Final = {
    "in_process": ApplicationStatus.ACTIVE,
    "active": ApplicationStatus.ACTIVE,
    "rejected": ApplicationStatus.REJECTED,
    "hired": ApplicationStatus.HIRED,
    "converted": ApplicationStatus.CONVERTED,
}


class Row(BaseModel):
    """What all rows share."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: int


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
            status=STATUSES.get((self.status or "").strip(), ApplicationStatus.UNKNOWN),
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
    current: bool | None = None

    def view(self) -> StageRow | None:
        """Return it in our words; None when it is not the present visit or names no stage."""
        if not self.current or self.job_interview_stage_id is None:
            return None
        return StageRow(
            id=StageRowId(self.id),
            application_id=ApplicationId(self.application_id),
            stage_id=StageId(self.job_interview_stage_id),
            entered_at=self.entered_at,
        )


class _AddressRow(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    value: str | None = None
    type: str | None = None


class CandidateRow(Row):
    """A row of `/candidates`."""

    email_addresses: list[_AddressRow] | None = None
    private: bool | None = None
    can_email: bool | None = None

    def view(self) -> CandidateView:
        """Return it in our words."""
        found = [Address(value=a.value, type=a.type or "") for a in self.email_addresses or [] if a.value]
        return CandidateView(
            id=CandidateId(self.id),
            addresses=tuple(found),
            private=bool(self.private),
            can_email=self.can_email is not False,
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
    try:
        rows: list[RowType] = LISTS[kind].validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise TransientError(f"Greenhouse answered a list we cannot read ({where}: {fault['type']})") from None
    return rows


def note_id_of(body: bytes) -> int | None:
    """Return the id of the note in an answer; None when it holds no whole note."""
    try:
        return NoteRow.model_validate_json(body).id
    except ValidationError:
        return None


def words_of(body: bytes) -> str:
    """Return Greenhouse's own words of an error, all three shapes of `errors` included; empty when unreadable."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(parsed, dict):
        return ""
    errors = parsed.get("errors", parsed.get("message", ""))
    items = errors if isinstance(errors, list) else [errors]
    texts = [", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item) for item in items]
    return "; ".join(texts)[:200]
