"""Shapes of the vendors' bodies: only what is used of them, tolerant of everything else.

A field that is not here is never read, so it cannot leak. Faults are told without the value.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
)

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


def _time(value: object) -> datetime | None:
    """Return an instant, or None for what is none: a fact without its time beats no fact."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):  # the first hours of the year 1 east of Greenwich were in no year
        return None


def _object(_value: object) -> dict[str, Any]:
    """Return an empty object for what can be written `[]`, `""` or null (greenhouse fact sheet, 2.5)."""
    return {}


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


def _nothing(_value: object) -> None:
    """Return None for what is none: a fact without a name beats no fact."""


def _flag(value: object) -> bool | None:
    """Return a truth that may be text in old set-ups (coderbyte fact sheet, 4.2)."""
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def _id(value: object) -> object:
    """Refuse what pydantic would bend into a number: a boolean, or a fraction."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("expected an id")
    return value


# Most of the time a value is as it should be, and is taken without a call of ours and without the rest of its
# object being built; else the last choice of each union makes the best of it.
_FIRST_THAT_FITS: Final = Field(union_mode="left_to_right")
_TrimmedText = Annotated[str, StringConstraints(strict=True, strip_whitespace=True)]

Id = Annotated[int, BeforeValidator(_id), Field(gt=0, lt=2**63)]
Time = Annotated[datetime | None, BeforeValidator(_time)] | None
Text = Annotated[_TrimmedText | Annotated[None, BeforeValidator(_nothing)] | None, _FIRST_THAT_FITS]
Flag = Annotated[StrictBool | Annotated[bool | None, BeforeValidator(_flag)] | None, _FIRST_THAT_FITS]
Values = Annotated[dict[str, Any] | Annotated[dict[str, Any], BeforeValidator(_object)], _FIRST_THAT_FITS]


class Shape(BaseModel):
    """A part of a vendor's body; unknown fields are ignored, input is never shown in an error."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Reference(Shape):
    """An object of which only the id is used: a source, a department, an office."""

    id: Id


OptionalReference = Annotated[
    Reference | Annotated[Reference | None, BeforeValidator(_object_or_none)] | None, _FIRST_THAT_FITS
]
References = Annotated[
    Annotated[list[Reference], Field(fail_fast=True)] | Annotated[list[Reference], BeforeValidator(_with_id)],
    _FIRST_THAT_FITS,
]


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


OptionalStage = Annotated[
    StageShape | Annotated[StageShape | None, BeforeValidator(_object_or_none)] | None, _FIRST_THAT_FITS
]
OptionalCandidate = Annotated[
    CandidateShape | Annotated[CandidateShape | None, BeforeValidator(_object_or_none)] | None, _FIRST_THAT_FITS
]
OptionalJob = Annotated[
    JobShape | Annotated[JobShape | None, BeforeValidator(_object_or_none)] | None, _FIRST_THAT_FITS
]
Jobs = Annotated[
    Annotated[list[JobShape], Field(fail_fast=True)] | Annotated[list[JobShape], BeforeValidator(_with_id)],
    _FIRST_THAT_FITS,
]


class ApplicationShape(Shape):
    """The application object of most events (greenhouse fact sheet, 2.5)."""

    id: Id
    status: Text = None
    prospect: Flag = None
    applied_at: Time = None
    rejected_at: Time = None
    last_activity_at: Time = None
    source: OptionalReference = None
    current_stage: OptionalStage = None
    custom_fields: Values = {}
    candidate: OptionalCandidate = None
    job: OptionalJob = None
    jobs: Jobs = []


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
    deleted_application_ids: Annotated[list[Id], BeforeValidator(_list)] = []


class DeletedPersonPayload(Shape):
    """`payload` of `delete_candidate`."""

    person: DeletedPersonShape


class AnonymizedPayload(Shape):
    """`payload` of `candidate_anonymized`: names of fields, not what was in them."""

    candidate_id: Id
    anonymized_fields: Annotated[list[str], BeforeValidator(_texts)] = []


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
    """A webhook of Greenhouse's: its action, and the payload if the action is one that we read."""

    action: Annotated[str, Field(min_length=1, max_length=200)]
    payload: Shape | None = None


PAYLOADS: Final[dict[str, type[Shape]]] = {
    "candidate_stage_change": ApplicationPayload,
    "new_candidate_application": ApplicationPayload,
    "new_prospect_application": ApplicationPayload,
    "application_updated": ApplicationPayload,
    "reject_candidate": ApplicationPayload,
    "unreject_candidate": ApplicationPayload,
    "hire_candidate": ApplicationPayload,
    "unhire_candidate": ApplicationPayload,
    "delete_application": DeletedApplicationPayload,
    "update_candidate": CandidatePayload,
    "merge_candidate": MergePayload,
    "delete_candidate": DeletedPersonPayload,
    "candidate_anonymized": AnonymizedPayload,
    "job_updated": JobPayload,
    "job_deleted": JobPayload,
    "job_interview_stage_deleted": DeletedStagePayload,
}
"""The payload of every action that is read (greenhouse fact sheet, 2.3)."""


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


_BodyShape = TypeVar("_BodyShape", bound=Shape)


def _body_of(action: str, payload: type[Shape]) -> type[GreenhouseBody]:
    """Return the shape of the body of one action."""
    fields: dict[str, Any] = {"action": (Literal[action], ...), "payload": (payload, ...)}
    return create_model(f"Body_{action}", __base__=GreenhouseBody, **fields)


class _ActionOnly(Shape):
    action: Annotated[str, Field(min_length=1, max_length=200)]


_BODIES: Any = Union[tuple(_body_of(*item) for item in PAYLOADS.items())]  # noqa: UP007 - of a number of types
_READ: Final[TypeAdapter[GreenhouseBody]] = TypeAdapter(Annotated[_BODIES, Field(discriminator="action")])
_UNREAD: Final = TypeAdapter(_ActionOnly)
_CODERBYTE: Final = TypeAdapter(CoderbyteBody)
_FIELDS: Final = frozenset(name for shape in Shape.__subclasses__() for name in shape.model_fields)
_MOST_FAULTS: Final = 5


def parse_greenhouse(body: bytes) -> GreenhouseBody:
    """Return what an authentic body says; an action that we do not read has no payload.

    Raises:
        UnreadableBody: It is not JSON, or not of the shape of its action.
    """
    try:
        return _READ.validate_json(body)
    except ValidationError as error:
        if error.errors(include_input=False, include_url=False)[0]["type"] != "union_tag_invalid":
            raise _unreadable(error) from None
    return GreenhouseBody(action=_parsed(_UNREAD, body).action)


def parse_coderbyte(body: bytes) -> CoderbyteBody:
    """Return an authentic body of Coderbyte's.

    Raises:
        UnreadableBody: It is not JSON, or not of that shape.
    """
    return _parsed(_CODERBYTE, body)


def _parsed(adapter: TypeAdapter[_BodyShape], body: bytes) -> _BodyShape:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise _unreadable(error) from None


def _unreadable(error: ValidationError) -> UnreadableBody:
    """Say which field, and what was expected there; not the names of the choices that did not fit."""
    faults: dict[str, str] = {}
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        if fault["type"] == "json_invalid":
            return UnreadableBody("not_json", "the body is not JSON")
        field = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or part in _FIELDS)
        faults.setdefault(field or "body", fault["msg"])
    said = [f"{field}: {expected}" for field, expected in faults.items()]
    return UnreadableBody("wrong_shape", "; ".join(said[:_MOST_FAULTS]))
