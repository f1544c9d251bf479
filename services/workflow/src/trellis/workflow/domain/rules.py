"""Rules as the decider uses them: compiled from a workflow's document, judged with three values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from trellis.common.contracts.identifiers import AssessmentId, JobId

StageRef = int | str
Value = str | int | float | bool | None
Verdict = bool | None
"""True, False, or None for unknown."""


@dataclass(frozen=True, slots=True)
class All:
    """True when every part is; false when one is false."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one part is; false when every part is false."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    part: Condition


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field's value is one of these."""

    field: Literal["job", "stage", "qualified", "integrity"]
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The score is at least one bound and below the other."""

    field: Literal["score"]
    at_least: float | None
    below: float | None


Condition = All | AnyOf | Not | OneOf | Between


@dataclass(frozen=True, slots=True)
class OnStageEntered:
    """Fires for entering one of these stages."""

    stages: tuple[StageRef, ...]


@dataclass(frozen=True, slots=True)
class OnAssessmentCompleted:
    """Fires for a result of this assessment, or of any when None."""

    assessment: AssessmentId | None


Trigger = OnStageEntered | OnAssessmentCompleted


@dataclass(frozen=True, slots=True)
class SendAssessment:
    """Invite the candidate to this assessment."""

    assessment: AssessmentId


@dataclass(frozen=True, slots=True)
class AddNote:
    """Write this text, its placeholders filled."""

    text: str


@dataclass(frozen=True, slots=True)
class Move:
    """Move to a stage by id or name; None is the next one."""

    to: StageRef | None


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Hold the rest of the rule until a person decides."""

    text: str


Action = SendAssessment | AddNote | Move | AskApproval


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a workflow."""

    name: str
    trigger: Trigger
    condition: Condition | None
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """One immutable version of a workflow. *jobs* None applies to any job."""

    name: str
    version: int
    jobs: frozenset[JobId] | None
    settle: timedelta
    rules: tuple[Rule, ...]

    def applies_to(self, job: JobId | None) -> bool:
        """Whether applications on *job* are this workflow's."""
        return self.jobs is None or job in self.jobs


@dataclass(frozen=True, slots=True)
class Workflows:
    """What a decision may look at.

    Attributes:
        live: The versions to which a new stage visit is pinned.
        versions: By name and version: the live ones, and every one pinned by a visit at hand.
        went_live: Since when each live workflow is live in any version, by name; absent is always.
    """

    live: tuple[Workflow, ...]
    versions: Mapping[tuple[str, int], Workflow]
    went_live: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """One comparison that was made: the field, its value then, what was wanted, what came of it."""

    field: str
    value: Value
    wanted: str
    verdict: Verdict


def judge(
    condition: Condition | None, values: Mapping[str, Value], stage_name: str | None
) -> tuple[Verdict, tuple[Seen, ...]]:
    """Return the verdict of *condition* on *values* and every comparison it rests on.

    Args:
        condition: None is always true.
        values: job, stage (its id), score, qualified, integrity; None or absent is unknown.
        stage_name: The stage's name, compared where a rule names stages so.
    """
    if condition is None:
        return True, ()
    match condition:
        case All(parts=parts):
            return _combined(parts, values, stage_name, decisive=False)
        case AnyOf(parts=parts):
            return _combined(parts, values, stage_name, decisive=True)
        case Not(part=part):
            verdict, seen = judge(part, values, stage_name)
            return (None if verdict is None else not verdict), seen
        case OneOf(field=field, values=wanted):
            verdict = (
                stage_matches(wanted, values.get("stage"), stage_name)
                if field == "stage"
                else _one_of(wanted, values.get(field))
            )
            shown = stage_name if field == "stage" and stage_name is not None else values.get(field)
            return verdict, (Seen(field, shown, " or ".join(map(_word, wanted)), verdict),)
        case Between(field=field):
            value = values.get(field)
            known = value if isinstance(value, int | float) and not isinstance(value, bool) else None
            verdict = None if known is None else _within(known, condition)
            return verdict, (Seen(field, known, _bounds(condition), verdict),)


def stage_matches(wanted: Sequence[Value], stage: Value, name: str | None) -> Verdict:
    """Whether the stage with this id and name is one of *wanted* (ids and names)."""
    if stage is None:
        return None
    if any(item == stage for item in wanted if isinstance(item, int)):
        return True
    names = [item for item in wanted if isinstance(item, str)]
    if names and name is None:
        return None
    return any(item.strip() == (name or "").strip() for item in names)


def _combined(
    parts: tuple[Condition, ...], values: Mapping[str, Value], stage_name: str | None, *, decisive: bool
) -> tuple[Verdict, tuple[Seen, ...]]:
    verdicts: list[Verdict] = []
    seen: list[Seen] = []
    for part in parts:
        verdict, own = judge(part, values, stage_name)
        verdicts.append(verdict)
        seen += own
    if decisive in verdicts:
        return decisive, tuple(seen)
    return (None if None in verdicts else not decisive), tuple(seen)


def _one_of(wanted: tuple[Value, ...], value: Value) -> Verdict:
    return None if value is None else value in wanted


def _within(value: float, between: Between) -> bool:
    return (between.at_least is None or value >= between.at_least) and (between.below is None or value < between.below)


def _bounds(between: Between) -> str:
    words = []
    if between.at_least is not None:
        words.append(f"at least {between.at_least:g}")
    if between.below is not None:
        words.append(f"below {between.below:g}")
    return " and ".join(words)


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
