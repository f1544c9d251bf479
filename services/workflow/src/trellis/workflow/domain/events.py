"""What a stream records, past tense. Stored for ever: see `adapters/codec.py` for names and versions.

No event holds a direct identifier: no name, address or link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from trellis.common.contracts.commands import Action, Standing
from trellis.common.contracts.facts import ApplicationStatus, FoundBy, Order
from trellis.common.contracts.identifiers import (
    ApplicationId,
    AssessmentId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    Visit,
)
from trellis.common.contracts.outcomes import AssessmentCompleted, OutcomeState

MovedBy = Literal["person", "trellis", "unsettled"]
"""Who made a stage entry; `unsettled` while a move of ours was open that may have made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationAdopted:
    """First seen otherwise than by entering a stage: recorded as it is, triggering nothing."""

    application_id: ApplicationId
    candidate_id: CandidateId | None
    job_id: JobId | None
    stage_id: StageId | None
    stage_name: str | None
    status: ApplicationStatus
    visit: Visit
    activity_at: datetime | None
    found_by: FoundBy


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntered:
    """The application entered a stage: a new visit, with the workflow versions live then.

    Attributes:
        visit: The visit's name; a second event for one visit completes an adopted one.
        activity_at: Greenhouse's time of it; None when it did not say.
        pins: The workflows that apply: name -> version, kept for the whole visit.
        settle_due_at: When the entry counts, or, of an application out of the running then, as soon as it is in it
            again; None when it counts at once or no rule waits for it.
        by_creation: The application itself began with it, so nothing came before it.
    """

    application_id: ApplicationId
    candidate_id: CandidateId | None
    job_id: JobId | None
    stage_id: StageId
    stage_name: str | None
    visit: Visit
    activity_at: datetime | None
    moved_by: MovedBy
    pins: Mapping[str, int]
    settle_due_at: datetime | None
    found_by: FoundBy = FoundBy.WEBHOOK
    by_creation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePassed:
    """The application was in a stage for a while, which only a later reading showed: no rule is judged on it.

    Attributes:
        entered_at: When the stay began, by Greenhouse.
        exited_at: When it ended.
    """

    stage_id: StageId
    stage_name: str | None
    entered_at: datetime
    exited_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOffered:
    """An adopted visit on which rules would have acted waits for a person's yes.

    Attributes:
        pins: The workflows that would have applied: name -> version.
        went_live: Since when they are live, where that was known: name -> time.
    """

    visit: Visit
    pins: Mapping[str, int]
    went_live: Mapping[str, datetime]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettled:
    """The application stayed in the stage for the settle time: the entry counts."""

    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged:
    """The application was rejected, hired, converted, or is active again."""

    status: ApplicationStatus
    activity_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationDeleted:
    """The application or its candidate was deleted in Greenhouse."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateChanged:
    """The application belongs to another candidate now: a merge."""

    candidate_id: CandidateId


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateAnonymized:
    """Greenhouse anonymised the candidate."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateErased:
    """A person ordered that nothing is kept of the candidate: from now on nothing is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactNoted:
    """A fact that changed nothing, and why: late, or for the record.

    Attributes:
        fact: Its message type.
        activity_at: Greenhouse's time of the latest activity it bore; advances what we know of.
    """

    fact: str
    reason: str
    activity_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison a rule made: what it looked at and what it wanted."""

    field: str
    value: str | int | float | bool | None
    wanted: str
    verdict: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleJudged:
    """What one rule came to and why; `untriggered` when its trigger was another."""

    workflow: str
    version: int
    rule: str
    verdict: Literal["fired", "no", "unknown", "untriggered"]
    reason: str
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesJudged:
    """All rules of the visit's workflows were judged on one trigger.

    Attributes:
        engine: Version of the code that judged; re-deciding with the same one gives the same.
        subject: What the trigger was about, such as an assessment and its result's version.
    """

    visit: Visit
    trigger: Literal["stage_entered", "assessment_completed"]
    subject: str
    engine: int
    rules: tuple[RuleJudged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteRequested:
    """A rule decided to invite the candidate; or a person did, when the workflow is `BY_HAND`."""

    command_id: CommandId
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId
    workflow: str
    version: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTaken:
    """A person ordered something by hand.

    Attributes:
        refused: Why nothing follows from it; empty when it is carried out.
    """

    order_id: UUID
    order: Order
    visit: Visit
    assessment_id: AssessmentId | None
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachRequested:
    """A person said that an unmatched result is this application's.

    Attributes:
        invite_id: The command id that the invite of this visit and assessment has or would have.
    """

    command_id: CommandId
    invite_id: CommandId
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId
    signal_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawRequested:
    """A person takes the invite of this visit back; its result, should one come, is shown only."""

    command_id: CommandId
    invite_id: CommandId
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRequested:
    """A rule decided to write a note."""

    command_id: CommandId
    visit: Visit
    stage_id: StageId
    text: str
    assessment_id: AssessmentId | None
    workflow: str
    version: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequested:
    """A rule decided to move the application; without a stage, to the next one."""

    command_id: CommandId
    visit: Visit
    from_stage_id: StageId
    to_stage_id: StageId | None
    to_stage_name: str | None
    workflow: str
    version: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested:
    """A rule asks a person; what follows in the rule is held.

    Attributes:
        held: The held actions in words.
    """

    visit: Visit
    text: str
    held: tuple[str, ...]
    workflow: str
    version: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationRequested:
    """The order of facts cannot be known, so the application is read."""

    command_id: CommandId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSettled:
    """What came of a command, or how it stands when it is parked."""

    command_id: CommandId
    action: Action
    visit: Visit
    state: OutcomeState
    reason: str
    remedy: str
    to_stage_id: StageId | None
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessmentStarted:
    """The candidate began an assessment."""

    visit: Visit
    assessment_id: AssessmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultReceived:
    """The result of an assessment was read.

    Attributes:
        used: Whether rules were judged on it; not when its visit has ended.
    """

    result: AssessmentCompleted
    used: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingChanged:
    """What recruiters are to see of the application in Greenhouse is another.

    Attributes:
        command_id: Of the command that shows it.
        standing: None when nothing is to be shown any more.
        detail: Why a person is needed and what mends it; empty otherwise.
    """

    command_id: CommandId
    standing: Standing | None
    detail: str


Event = (
    ApplicationAdopted
    | StageEntered
    | StagePassed
    | EntryOffered
    | StageSettled
    | StatusChanged
    | ApplicationDeleted
    | CandidateChanged
    | CandidateAnonymized
    | CandidateErased
    | FactNoted
    | RulesJudged
    | InviteRequested
    | OrderTaken
    | AttachRequested
    | WithdrawRequested
    | NoteRequested
    | MoveRequested
    | ApprovalRequested
    | ObservationRequested
    | EffectSettled
    | AssessmentStarted
    | ResultReceived
    | StandingChanged
)

PINNING: Final = (StageEntered, EntryOffered)
"""Events that bear workflow versions, which are needed to decide their messages again."""
