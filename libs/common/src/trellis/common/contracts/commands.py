"""Commands: what was decided should be done. Their order of arrival means nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import AwareDatetime

from trellis.common.contracts.identifiers import (
    ApplicationId,
    AssessmentId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    Visit,
)


class Action(StrEnum):
    """The kinds of effect and question a command can ask for."""

    INVITE = "invite"
    NOTE = "note"
    MOVE = "move"
    OBSERVE = "observe"
    ATTACH = "attach"
    WITHDRAW = "withdraw"


BY_HAND: Final = "by hand"
"""Stands for the workflow's name where a person asked; no workflow can bear it, for names have no space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which rule of which workflow asked, for the ledger's brake and for the story.

    Attributes:
        workflow: The workflow's name within the account.
        version: Its version, from 1.
        rule: The rule's name within the version.
        reason: Why the rule fired, in words a recruiter understands; no personal data.
    """

    workflow: str
    version: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendInvite:
    """Invite the candidate of this application to one assessment, once for this stage visit.

    Attributes:
        began_at: When the stage visit began, by Greenhouse; None where nobody said.
    """

    command_id: CommandId
    application_id: ApplicationId
    candidate_id: CandidateId | None
    job_id: JobId | None
    visit: Visit
    stage_id: StageId
    assessment_id: AssessmentId
    origin: Origin
    began_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddNote:
    """Write one note on the candidate's activity feed.

    Attributes:
        text: The note without its marker; `{report_link}` stands where the writer puts the link of
            *assessment_id*'s report if the account wants it there.
        assessment_id: The assessment whose result the note tells; None when it tells none.
        stage_id: The stage in which the application must still be.
        began_at: When the stage visit began, by Greenhouse; None where nobody said.
    """

    command_id: CommandId
    application_id: ApplicationId
    candidate_id: CandidateId | None
    job_id: JobId | None
    visit: Visit
    stage_id: StageId
    text: str
    origin: Origin
    assessment_id: AssessmentId | None = None
    began_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveApplication:
    """Move the application out of *from_stage_id*.

    Attributes:
        to_stage_id: The stage to move to; None with *to_stage_name* None means the next active one.
        to_stage_name: The name of a stage of the same job, when the rule names it so.
    """

    command_id: CommandId
    application_id: ApplicationId
    candidate_id: CandidateId | None
    job_id: JobId | None
    visit: Visit
    from_stage_id: StageId
    origin: Origin
    to_stage_id: StageId | None = None
    to_stage_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveApplication:
    """Read the application in Greenhouse and tell what it shows."""

    command_id: CommandId
    application_id: ApplicationId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachResult:
    """Take the result that an unmatched signal tells of for this application's, as if its invite had matched.

    Attributes:
        invite: What the invite of this stage visit and assessment is or would be; none is sent any more.
        signal_id: The unmatched signal.
    """

    command_id: CommandId
    application_id: ApplicationId
    invite: SendInvite
    signal_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawInvite:
    """Send an invite no more; it may come before the invite's own command, which then finds it withdrawn.

    Attributes:
        invite: The invite, as its own command names it.
    """

    command_id: CommandId
    application_id: ApplicationId
    invite: SendInvite


class Standing(StrEnum):
    """How an application stands, as recruiters see it in Greenhouse."""

    INVITED = "invited"
    STARTED = "started"
    FINISHED = "finished"
    WAITING = "waiting"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowStanding:
    """Show in Greenhouse how the application stands, in place of what was shown before.

    Unlike an effect it may be done twice: what is shown in the end is the one with the highest *ordinal*.

    Attributes:
        visit: The stage visit it is about; None without one.
        standing: What to show; None takes back what is shown.
        detail: Why a person is needed and what mends it; empty otherwise.
        ordinal: Counts what was to be shown for this application, from 1.
    """

    command_id: CommandId
    application_id: ApplicationId
    candidate_id: CandidateId | None
    job_id: JobId | None
    visit: Visit | None
    stage_id: StageId | None
    standing: Standing | None
    detail: str
    ordinal: int


Command = SendInvite | AddNote | MoveApplication | ObserveApplication | AttachResult | WithdrawInvite | ShowStanding
