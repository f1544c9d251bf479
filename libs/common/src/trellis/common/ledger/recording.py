"""What one change makes of a row, and the message that tells of it. Pure; every store of rows uses it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from trellis.common.contracts.commands import Action, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId, AssessmentId, StageId, stable_id
from trellis.common.contracts.outcomes import CommandSettled, OutcomeState
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import EffectCommand, Intent, Resolved
from trellis.common.ledger.states import FINAL, Occurrence, State, next_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What of a row decides what a change makes of it; see the table's columns."""

    state: State
    attempt: int
    absent_count: int
    retries: int
    resolved: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A row after a change.

    Attributes:
        ends_attempt: The request under way is known to have ended.
        tells: People or rules care: an outcome message goes out.
    """

    state: State
    absent_count: int
    retries: int
    resolved: Resolved
    ends_attempt: bool
    tells: bool


def changed(row: Row, attempt: int, change: Change) -> Changed | None:
    """Return *row* after *change*, which is of attempt number *attempt*; None when it changes nothing."""
    after = next_state(row.state, change.occurrence) if row.attempt == attempt else None
    if after is None:
        return None
    absent = row.absent_count + 1 if change.absent else 0
    if change.occurrence is Occurrence.POSTPONED and row.state is State.UNKNOWN and not change.absent:
        absent = row.absent_count
    for_people = (State.PARKED, State.IN_DOUBT)
    return Changed(
        state=after,
        absent_count=absent,
        retries=row.retries + (1 if change.occurrence is Occurrence.ABSENT else 0),
        resolved=row.resolved | (change.resolved or {}),
        ends_attempt=row.state is State.ATTEMPTING and after is not State.ATTEMPTING,
        tells=after is not row.state and (after in FINAL or after in for_people or row.state in for_people),
    )


def told(
    source: str,
    intent: Intent,
    attempt: int,
    revision: int,
    changed: Changed,
    change: Change,
    at: datetime,
) -> Envelope:
    """Return the message that tells how *intent* stands, *revision* counting its changes."""
    stage, state = changed.resolved.get("to_stage_id"), changed.state
    shown = (
        OutcomeState.PARKED
        if state is State.IN_DOUBT
        else OutcomeState.WAITING
        if state not in FINAL and state is not State.PARKED
        else OutcomeState(state.value)
    )
    command = intent.command
    data = CommandSettled(
        command_id=intent.id,
        action=intent.action,
        application_id=intent.application_id,
        visit=intent.visit,
        state=shown,
        settled_at=at,
        attempt=attempt,
        reason=change.reason,
        remedy=change.remedy,
        to_stage_id=StageId(stage) if isinstance(stage, int) else None,
        assessment_id=AssessmentId(command.assessment_id) if isinstance(command, SendInvite) else None,
    )
    return _message(source, intent.account, intent.correlationid, stable_id("settled", intent.id, revision), data)


def told_repeat(source: str, envelope: Envelope, command: EffectCommand, action: Action) -> Envelope:
    """Return the message that answers a second command for what another already stands for."""
    data = CommandSettled(
        command_id=command.command_id,
        action=action,
        application_id=command.application_id,
        visit=command.visit,
        state=OutcomeState.SUPERSEDED,
        settled_at=envelope.time,
        reason="another command already stands for this assessment in this stage visit",
    )
    ident = stable_id("settled", command.command_id, "repeat")
    return _message(source, envelope.accountid, envelope.correlationid, ident, data)


def _message(source: str, account: AccountId, correlationid: str, ident: UUID, data: CommandSettled) -> Envelope:
    return Envelope(
        id=ident,
        source=source,
        accountid=account,
        time=data.settled_at,
        data=data,
        correlationid=correlationid,
        causationid=str(data.command_id),
        subject=f"application/{data.application_id}",
    )
