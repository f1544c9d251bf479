"""Shapes of the vendors' bodies: only what is used of them, tolerant of everything else.

A field that is not here is never read, so it cannot leak. Faults are told without the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from trellis.common.contracts.envelope import explain
from trellis.common.errors import PermanentError


class UnreadableBody(PermanentError):
    """An authentic body that we cannot read.

    Args:
        kind: `not_json` or `wrong_shape`.
        detail: Which field, and what was expected there; no value.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


def _lenient(convert: Callable[[Any], Any]) -> BeforeValidator:
    """Have *convert* make the best of a value before it is validated."""
    return BeforeValidator(convert, json_schema_input_type=Any)


def _time(value: object) -> datetime | None:
    """Return an instant, or None for what is none: a fact without its time beats no fact."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _object(value: object) -> object:
    """Return an empty object for what can be written `[]`, `{}`, `""` or null (greenhouse fact sheet, 2.5)."""
    return value if isinstance(value, dict) else {}


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict) and value.get("id") is not None else None


def _items(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; what is no list is an empty one."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _with_id(value: object) -> list[object]:
    """Return the objects of a list that have an id."""
    return [item for item in _items(value) if item.get("id") is not None]


def _list(value: object) -> object:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [item.strip() for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value.strip() if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    """Return a truth that may be text in old set-ups (coderbyte fact sheet, 4.2)."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def _id(value: object) -> object:
    """Refuse what pydantic would bend into a number: a boolean, or a fraction."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("expected an id")
    return value


Id = Annotated[int, BeforeValidator(_id), Field(gt=0, lt=2**63)]
Time = Annotated[datetime | None, _lenient(_time)]
Text = Annotated[str | None, _lenient(_text)]
Flag = Annotated[bool | None, _lenient(_flag)]
Values = Annotated[dict[str, Any], _lenient(_object)]


class Shape(BaseModel):
    """A part of a vendor's body; unknown fields are ignored, input is never shown in an error."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Reference(Shape):
    """An object of which only the id is used: a source, a department, an office."""

    id: Id


OptionalReference = Annotated[Reference | None, _lenient(_object_or_none)]
References = Annotated[list[Reference], _lenient(_with_id)]


class StageShape(Shape):
    """A stage: id and name."""

    id: Id
    name: Text = None


class CandidateShape(Shape):
    """A candidate: the id, and custom fields of which only listed ones pass."""

    id: Id
    custom_fields: Values = {}


class JobShape(Shape):
    """A job with where it belongs."""

    id: Id
    departments: References = []
    offices: References = []
    custom_fields: Values = {}


class ApplicationShape(Shape):
    """The application object of most events (greenhouse fact sheet, 2.5)."""

    id: Id
    status: Text = None
    prospect: Flag = None
    applied_at: Time = None
    rejected_at: Time = None
    last_activity_at: Time = None
    source: OptionalReference = None
    current_stage: Annotated[StageShape | None, _lenient(_object_or_none)] = None
    custom_fields: Values = {}
    candidate: Annotated[CandidateShape | None, _lenient(_object_or_none)] = None
    job: Annotated[JobShape | None, _lenient(_object_or_none)] = None
    jobs: Annotated[list[JobShape], _lenient(_with_id)] = []


class ApplicationPayload(Shape):
    """`payload` of the events whose root is a full application."""

    application: ApplicationShape


class DeletedApplicationShape(Shape):
    """An application that is no more: ids only."""

    id: Id
    candidate_id: Id | None = None
    job_id: Id | None = None


class DeletedApplicationPayload(Shape):
    """`payload` of `delete_application`."""

    application: DeletedApplicationShape


class CandidatePayload(Shape):
    """`payload` of `update_candidate`."""

    candidate: Reference


class MergedPersonShape(Shape):
    """The loser of a merge, and who it went into."""

    id: Id
    new_candidate_id: Id


class MergePayload(Shape):
    """`payload` of `merge_candidate`."""

    person: MergedPersonShape


class DeletedPersonShape(Shape):
    """A deleted candidate with the applications that went along."""

    id: Id
    deleted_application_ids: Annotated[list[Id], _lenient(_list)] = []


class DeletedPersonPayload(Shape):
    """`payload` of `delete_candidate`."""

    person: DeletedPersonShape


class AnonymizedPayload(Shape):
    """`payload` of `candidate_anonymized`: names of fields, not what was in them."""

    candidate_id: Id
    anonymized_fields: Annotated[list[str], _lenient(_texts)] = []


class JobPayload(Shape):
    """`payload` of `job_updated` and `job_deleted`."""

    job: Reference


class DeletedStageShape(Shape):
    """A stage that was taken out of a job's plan."""

    id: Id
    job_id: Id | None = None


class DeletedStagePayload(Shape):
    """`payload` of `job_interview_stage_deleted`."""

    job_interview_stage: DeletedStageShape


class GreenhouseBody(Shape):
    """The outermost object of each webhook of Greenhouse's; the payload is read by its action."""

    action: Annotated[str, Field(min_length=1, max_length=200)]
    payload: Any = None


class CoderbyteBody(Shape):
    """The body of each webhook of Coderbyte's."""

    operation: Annotated[str, Field(min_length=1, max_length=200)]
    organization_id: Annotated[str, Field(min_length=1, max_length=200)]
    email: Text = None
    assessment_id: Text = None
    interview_id: Text = None
    time_expired: Flag = None
    report_ready: Flag = None
    challenges_being_graded: Flag = None
    """An older spelling of `report_ready`, the other way round (C1)."""


BodyShape = TypeVar("BodyShape", GreenhouseBody, CoderbyteBody)

_GREENHOUSE: Final = TypeAdapter(GreenhouseBody)
_CODERBYTE: Final = TypeAdapter(CoderbyteBody)


def parse_greenhouse(body: bytes) -> GreenhouseBody:
    """Return the outermost object of an authentic body.

    Raises:
        UnreadableBody: It is not JSON, or not of that shape.
    """
    return _read(_GREENHOUSE, body)


def parse_coderbyte(body: bytes) -> CoderbyteBody:
    """Return an authentic body of Coderbyte's.

    Raises:
        UnreadableBody: It is not JSON, or not of that shape.
    """
    return _read(_CODERBYTE, body)


def _read(adapter: TypeAdapter[BodyShape], body: bytes) -> BodyShape:
    try:
        content = from_json(body)  # before the shape: for a large value that is kept as it is, this takes half the time
    except ValueError:
        raise UnreadableBody("not_json", "the body is not JSON") from None
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        raise UnreadableBody("wrong_shape", explain(error)) from None
