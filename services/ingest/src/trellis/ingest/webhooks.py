"""Shapes of the vendors' bodies: only what is used of them, tolerant of everything else.

A field that is not here is never read, so it cannot leak; the reader passes over it without making anything of
it, which is also why a webhook costs little (docs/benchmarks.md). A body that is not exactly as the vendors
document it is read a second time, with what can be made of each field; faults are told without the value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_type_hints

import msgspec
from msgspec import Meta, Raw

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


@dataclass(frozen=True, slots=True)
class _Lenient:
    """Says of a field what is made of a value that is not as documented."""

    mend: Callable[[Any], Any]


def _id(value: object) -> object:
    """Return the number in a text or in a fraction without a fractional part; anything else stays and is refused."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        return int(value) if len(value) < _MOST_DIGITS else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _ids(value: object) -> list[object]:
    return [_id(item) for item in value] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    """Return trimmed text, or None for what is none: a fact without a name beats no fact."""
    return value.strip() if isinstance(value, str) else None


def _texts(value: object) -> list[str]:
    return [item.strip() for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _flag(value: object) -> bool | None:
    """Return a truth that may be text in old set-ups (coderbyte fact sheet, 4.2)."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def _object(value: object) -> dict[str, Any]:
    """Return an empty object for what can be written `[]`, `""` or null (greenhouse fact sheet, 2.5)."""
    return value if isinstance(value, dict) else {}


def _object_with_id(value: object) -> object:
    return value if isinstance(value, dict) and value.get("id") is not None else None


def _objects_with_id(value: object) -> list[object]:
    """Return the objects of a list that have an id; what is no list is an empty one."""
    return [item for item in value if _object_with_id(item) is not None] if isinstance(value, list) else []


_MOST_DIGITS: Final = 30
_Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Trimmed = Annotated[str, Meta(pattern=r"(?s)\A(?:\S(?:.*\S)?)?\Z")]

Id = Annotated[_Number, _Lenient(_id)]
OptionalId = Annotated[_Number | None, _Lenient(_id)]
Ids = Annotated[tuple[_Number, ...], _Lenient(_ids)]
Text = Annotated[_Trimmed | None, _Lenient(_text)]
Texts = Annotated[tuple[_Trimmed, ...], _Lenient(_texts)]
Flag = Annotated[bool | None, _Lenient(_flag)]
Values = Annotated[Raw, _Lenient(_object)]
"""Custom fields as they came; they are read only if the account lists some."""
_NO_VALUES: Final = Raw(b"{}")


class Shape(msgspec.Struct, frozen=True, gc=False):
    """A part of a vendor's body; unknown fields are passed over."""


class Reference(Shape, frozen=True, gc=False):
    """An object of which only the id is used: a source, a department, an office."""

    id: Id


OptionalReference = Annotated[Reference | None, _Lenient(_object_with_id)]
References = Annotated[tuple[Reference, ...], _Lenient(_objects_with_id)]


class StageShape(Shape, frozen=True, gc=False):
    """A stage: id and name."""

    id: Id
    name: Text = None


class CandidateShape(Shape, frozen=True, gc=False):
    """A candidate: the id, and custom fields of which only listed ones pass."""

    id: Id
    custom_fields: Values = _NO_VALUES


class JobShape(Shape, frozen=True, gc=False):
    """A job with where it belongs."""

    id: Id
    departments: References = ()
    offices: References = ()
    custom_fields: Values = _NO_VALUES


OptionalStage = Annotated[StageShape | None, _Lenient(_object_with_id)]
OptionalCandidate = Annotated[CandidateShape | None, _Lenient(_object_with_id)]
OptionalJob = Annotated[JobShape | None, _Lenient(_object_with_id)]
Jobs = Annotated[tuple[JobShape, ...], _Lenient(_objects_with_id)]


class ApplicationShape(Shape, frozen=True, gc=False):
    """The application object of most events (greenhouse fact sheet, 2.5)."""

    id: Id
    status: Text = None
    prospect: Flag = None
    applied_at: Text = None
    rejected_at: Text = None
    last_activity_at: Text = None
    source: OptionalReference = None
    current_stage: OptionalStage = None
    custom_fields: Values = _NO_VALUES
    candidate: OptionalCandidate = None
    job: OptionalJob = None
    jobs: Jobs = ()


class ApplicationPayload(Shape, frozen=True, gc=False):
    """`payload` of the events whose root is a full application."""

    application: ApplicationShape


class DeletedApplicationShape(Shape, frozen=True, gc=False):
    """An application that is no more: ids only."""

    id: Id
    candidate_id: OptionalId = None
    job_id: OptionalId = None


class DeletedApplicationPayload(Shape, frozen=True, gc=False):
    """`payload` of `delete_application`."""

    application: DeletedApplicationShape


class CandidatePayload(Shape, frozen=True, gc=False):
    """`payload` of `update_candidate`."""

    candidate: Reference


class MergedPersonShape(Shape, frozen=True, gc=False):
    """The loser of a merge, and who it went into."""

    id: Id
    new_candidate_id: Id


class MergePayload(Shape, frozen=True, gc=False):
    """`payload` of `merge_candidate`."""

    person: MergedPersonShape


class DeletedPersonShape(Shape, frozen=True, gc=False):
    """A deleted candidate with the applications that went along."""

    id: Id
    deleted_application_ids: Ids = ()


class DeletedPersonPayload(Shape, frozen=True, gc=False):
    """`payload` of `delete_candidate`."""

    person: DeletedPersonShape


class AnonymizedPayload(Shape, frozen=True, gc=False):
    """`payload` of `candidate_anonymized`: names of fields, not what was in them."""

    candidate_id: Id
    anonymized_fields: Texts = ()


class JobPayload(Shape, frozen=True, gc=False):
    """`payload` of `job_updated` and `job_deleted`."""

    job: Reference


class DeletedStageShape(Shape, frozen=True, gc=False):
    """A stage that was taken out of a job's plan."""

    id: Id
    job_id: OptionalId = None


class DeletedStagePayload(Shape, frozen=True, gc=False):
    """`payload` of `job_interview_stage_deleted`."""

    job_interview_stage: DeletedStageShape


class GreenhouseBody(Shape, frozen=True, gc=False):
    """A webhook of Greenhouse's: its action, and the payload if the action is one that we read."""

    action: str
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


_Word = Annotated[str, Meta(min_length=1, max_length=200)]


class CoderbyteBody(Shape, frozen=True, gc=False):
    """The body of each webhook of Coderbyte's."""

    operation: _Word
    organization_id: _Word
    email: Text = None
    assessment_id: Text = None
    interview_id: Text = None
    time_expired: Flag = None
    report_ready: Flag = None
    challenges_being_graded: Flag = None
    """An older spelling of `report_ready`, the other way round (C1)."""


class _ActionOnly(Shape, frozen=True, gc=False):
    action: _Word


_BodyShape = TypeVar("_BodyShape", bound=Shape)


def _body_of(action: str, payload: type[Shape]) -> Any:
    """Return the shape of the body of one action."""
    return msgspec.defstruct(
        f"Body_{action}",
        [("payload", payload)],
        bases=(Shape,),
        tag_field="action",
        tag=action,
        frozen=True,
        gc=False,
    )


_BODIES: Final[dict[str, Any]] = {action: _body_of(action, payload) for action, payload in PAYLOADS.items()}
_ACTIONS: Final = {body: action for action, body in _BODIES.items()}
_READ: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(Union[tuple(_BODIES.values())])  # noqa: UP007 - of a number of types
_CODERBYTE: Final = msgspec.json.Decoder(CoderbyteBody)
_ACTION: Final = msgspec.json.Decoder(_ActionOnly)
_ANY: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()


def parse_greenhouse(body: bytes) -> GreenhouseBody:
    """Return what an authentic body says; an action that we do not read has no payload.

    Raises:
        UnreadableBody: It is not JSON, or not of the shape of its action.
    """
    try:
        read = _READ.decode(body)
    except (ValueError, RecursionError):
        return _leniently_greenhouse(body)
    return GreenhouseBody(_ACTIONS[type(read)], read.payload)


def parse_coderbyte(body: bytes) -> CoderbyteBody:
    """Return an authentic body of Coderbyte's.

    Raises:
        UnreadableBody: It is not JSON, or not of that shape.
    """
    try:
        return _CODERBYTE.decode(body)
    except (ValueError, RecursionError):
        return _mended(_any(body), CoderbyteBody)


def values_of(raw: Raw) -> dict[str, Any]:
    """Return custom fields by key; none for what is no object.

    Raises:
        UnreadableBody: They hold what is no text.
    """
    value = _any(bytes(raw))
    return value if isinstance(value, dict) else {}


def _leniently_greenhouse(body: bytes) -> GreenhouseBody:
    """Return what can be made of a body that is not as documented, or of an action that we do not read."""
    value = _any(body)
    action = _decoded(_ACTION, body).action
    if action not in _BODIES:
        return GreenhouseBody(action)
    return GreenhouseBody(action, _mended(value, _BODIES[action]).payload)


def _mended(value: object, shape: type[_BodyShape]) -> _BodyShape:
    return _decoded(msgspec.json.Decoder(shape), msgspec.json.encode(_lenient(value, shape)))


def _any(body: bytes) -> Any:
    return _decoded(_ANY, body)


def _decoded(decoder: msgspec.json.Decoder[_BodyShape], body: bytes) -> _BodyShape:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        expected, _, field = str(error).partition(" - at `$.")
        raise UnreadableBody("wrong_shape", f"{field.rstrip('`') or 'body'}: {expected}") from None
    except (ValueError, RecursionError):
        raise UnreadableBody("not_json", "the body is not JSON") from None


def _lenient(value: object, shape: type[Shape]) -> object:
    """Return *value* with what can be made of its fields for *shape*, and none but those."""
    if not isinstance(value, dict):
        return value
    return {name: mend(value[name]) for name, mend in _mends(shape).items() if name in value}


@cache
def _mends(shape: type[Shape]) -> dict[str, Callable[[object], object]]:
    """Return what is done to each field of *shape*."""
    hints = get_type_hints(shape, include_extras=True)
    return {field.encode_name: _mend(hints[field.name]) for field in msgspec.structs.fields(shape)}


def _mend(hint: Any) -> Callable[[object], object]:
    mend = next((note.mend for note in getattr(hint, "__metadata__", ()) if isinstance(note, _Lenient)), _as_it_is)
    shape = _shape_in(hint)
    if shape is None:
        return mend

    def mend_inside(value: object) -> object:
        mended = mend(value)
        return [_lenient(item, shape) for item in mended] if isinstance(mended, list) else _lenient(mended, shape)

    return mend_inside


def _as_it_is(value: object) -> object:
    return value


def _shape_in(hint: Any) -> type[Shape] | None:
    if isinstance(hint, type) and issubclass(hint, Shape):
        return hint
    return next((shape for part in get_args(hint) if (shape := _shape_in(part)) is not None), None)
