"""Workflows as users write them: one model for the file, the API and the pages.

A workflow is an ordered list of rules: when (trigger), if (conditions), then (actions). Every rule whose
trigger and conditions match fires. Shapes only: what they mean is the workflow service's.
"""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
"""A name of a-z, 0-9 and '-', at most 60 signs, that never changes."""


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


StageRef = Annotated[int, Field(gt=0)] | Annotated[str, StringConstraints(min_length=1, max_length=255)]
Stages = Annotated[
    list[StageRef], BeforeValidator(_listed, json_schema_input_type=StageRef | list[StageRef]), Field(min_length=1)
]
"""One stage or several, each by its Greenhouse id or by its exact name."""
JobRef = Annotated[int, Field(gt=0)]
Jobs = Annotated[
    list[JobRef], BeforeValidator(_listed, json_schema_input_type=JobRef | list[JobRef]), Field(min_length=1)
]
"""One job or several, by Greenhouse id."""
IntegrityWord = Literal["none", "suspected", "detected"]
Integrities = Annotated[
    list[IntegrityWord],
    BeforeValidator(_listed, json_schema_input_type=IntegrityWord | list[IntegrityWord]),
    Field(min_length=1),
]
AssessmentRef = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


def _exactly_one(model: BaseModel, what: str) -> None:
    given = [name for name in type(model).model_fields if getattr(model, name) is not None]
    if len(given) != 1:
        known = ", ".join(field.alias or name for name, field in type(model).model_fields.items())
        raise ValueError(f"exactly one {what} of: {known}")


class StageEntered(_Shape):
    """Fires when an application enters one of these stages and has settled there."""

    stage: Stages


class AssessmentDone(_Shape):
    """Fires when a report is ready; without an assessment, for any assessment."""

    assessment: AssessmentRef | None = None


class When(_Shape):
    """The trigger of a rule: exactly one."""

    stage_entered: StageEntered | None = None
    assessment_completed: AssessmentDone | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "trigger")
        return self


class Range(_Shape):
    """A range of a score out of 100."""

    at_least: float | None = Field(default=None, ge=0, le=100)
    below: float | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("at_least or below, or both")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError("at_least smaller than below")
        return self


class Condition(_Shape):
    """A condition: exactly one. An unknown value makes it unknown, never false."""

    all: list[Condition] | None = Field(default=None, min_length=1)
    any: list[Condition] | None = Field(default=None, min_length=1)
    not_: Condition | None = Field(default=None, alias="not")
    job: Jobs | None = None
    stage: Stages | None = None
    score: Range | None = None
    qualified: bool | None = None
    integrity: Integrities | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "condition")
        return self


DEFAULT_NOTE = "{assessment}: {score} of 100, {qualified}. Integrity: {integrity}.\nReport: {report_link}"
PLACEHOLDERS = ("assessment", "score", "qualified", "qualifying_score", "integrity", "time", "report_link")


class AddNote(_Shape):
    """Writes a note as the service user."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=9000)] = DEFAULT_NOTE

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        if not _only_names(self.text):
            raise ValueError(f"only these placeholders in braces: {', '.join(PLACEHOLDERS)}")
        return self


def _only_names(text: str) -> bool:
    """Whether each placeholder is a known name and nothing else: no attribute, and no width to fill with spaces."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return False
    return all(name is None or (name in PLACEHOLDERS and not form and how is None) for _, name, form, how in parts)


def _note(value: object) -> object:
    """A note may be nothing (the usual text), a text, or its full form."""
    if value is None:
        return {}
    return {"text": value} if isinstance(value, str) else value


class Action(_Shape):
    """An action: exactly one."""

    send_assessment: AssessmentRef | None = None
    add_note: Annotated[AddNote | None, BeforeValidator(_note, json_schema_input_type=AddNote | str | None)] = None
    move: StageRef | None = None
    """`next`, or a stage of the same job by id or name."""
    ask_approval: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    """Holds the rest of the rule until a person decides; the text says what is asked."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "action")
        return self


class Rule(_Shape):
    """When this happens, and if that holds, then do these, in this order."""

    name: Name
    when: When
    if_: Condition | None = Field(default=None, alias="if")
    then: list[Action] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_trigger(self) -> Self:
        if self.when.stage_entered is not None and any(
            action.add_note is not None and "{" in action.add_note.text for action in self.then
        ):
            raise ValueError("a note without placeholders: no result is known when a stage is entered")
        return self


class WorkflowDocument(_Shape):
    """One workflow of an account."""

    name: Name
    jobs: Jobs | Literal["any"] = "any"
    settle_s: float = Field(default=60.0, ge=0, le=86400)
    """How long an application must stay in a stage before its entry counts, in seconds."""
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique_rules(self) -> Self:
        names = [rule.name for rule in self.rules]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"each rule's name once; doubled: {', '.join(doubled)}")
        return self


Condition.model_rebuild()
