"""Outcomes: what came of a command, and what came of an assessment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import AwareDatetime, FiniteFloat

from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import (
    ApplicationId,
    AssessmentId,
    CommandId,
    StageId,
    Visit,
)


class OutcomeState(StrEnum):
    """How a command stands. `parked` and `waiting` are not the end of it."""

    DONE = "done"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    PARKED = "parked"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettled:
    """How one command stands after its ledger row changed.

    Attributes:
        attempt: The attempt it came of; 0 when none was made.
        reason: Why, in words for a person; empty when done plainly.
        remedy: What would mend it, when it is parked.
        until: When it is tried again, when it waits.
        to_stage_id: Where a move that is done went.
        settled_at: When the ledger recorded it.
    """

    command_id: CommandId
    action: Action
    application_id: ApplicationId
    visit: Visit
    state: OutcomeState
    settled_at: AwareDatetime
    attempt: int = 0
    reason: str = ""
    remedy: str = ""
    until: AwareDatetime | None = None
    to_stage_id: StageId | None = None
    assessment_id: AssessmentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessmentStarted:
    """The candidate began the assessment he or she was invited to."""

    application_id: ApplicationId
    visit: Visit
    assessment_id: AssessmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressErased:
    """A person was erased: what names these addresses is dropped, and not kept when it comes later.

    Attributes:
        address_hashes: Keyed hashes of the addresses that invites of the person went to.
    """

    address_hashes: tuple[str, ...]


class Integrity(StrEnum):
    """Whether the vendor suspects that the work is not the candidate's own."""

    NONE = "none"
    SUSPECTED = "suspected"
    DETECTED = "detected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessmentCompleted:
    """The report of an assessment was read and is ready.

    Attributes:
        result_version: Counts the visible changes of this result, from 1.
        score: Final score out of 100; None means unknown, never zero.
        code_score: Score of the coding challenges out of 100; None means unknown.
        mc_score: Score of the multiple-choice questions out of 100; None means unknown.
        qualified: Whether the vendor's pass mark was reached; None means unknown, not failed.
        qualifying_score: That pass mark.
        time_expired: The clock ended the attempt.
        minutes_taken: Time taken; None means unknown.
        attempt_count: How many assessment attempts the report listed since the invite.
    """

    application_id: ApplicationId
    visit: Visit
    assessment_id: AssessmentId
    result_version: int
    completed_at: AwareDatetime
    assessment_name: str | None = None
    score: FiniteFloat | None = None
    code_score: FiniteFloat | None = None
    mc_score: FiniteFloat | None = None
    qualified: bool | None = None
    qualifying_score: FiniteFloat | None = None
    integrity: Integrity = Integrity.UNKNOWN
    time_expired: bool | None = None
    minutes_taken: int | None = None
    attempt_count: int = 1
