"""Which commands an event asks for. Runs when events are appended, never when they are folded."""

from __future__ import annotations

from datetime import datetime

from trellis.common.contracts.commands import (
    BY_HAND,
    AddNote,
    AttachResult,
    Command,
    MoveApplication,
    ObserveApplication,
    Origin,
    SendInvite,
    ShowStanding,
    WithdrawInvite,
)
from trellis.common.contracts.identifiers import Visit
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application


def commands_for(state: Application, event: e.Event) -> list[Command]:
    """Return the commands that *event* asks for; *state* is the application's after it."""
    job = state.job_id
    match event:
        case e.InviteRequested():
            return [
                SendInvite(
                    command_id=event.command_id,
                    application_id=state.application_id,
                    candidate_id=state.candidate_id,
                    job_id=job,
                    visit=event.visit,
                    stage_id=event.stage_id,
                    assessment_id=event.assessment_id,
                    origin=_origin(event),
                    began_at=_began_at(state, event.visit),
                )
            ]
        case e.NoteRequested():
            return [
                AddNote(
                    command_id=event.command_id,
                    application_id=state.application_id,
                    candidate_id=state.candidate_id,
                    job_id=job,
                    visit=event.visit,
                    stage_id=event.stage_id,
                    text=event.text,
                    assessment_id=event.assessment_id,
                    origin=_origin(event),
                    began_at=_began_at(state, event.visit),
                )
            ]
        case e.MoveRequested():
            return [
                MoveApplication(
                    command_id=event.command_id,
                    application_id=state.application_id,
                    candidate_id=state.candidate_id,
                    job_id=job,
                    visit=event.visit,
                    from_stage_id=event.from_stage_id,
                    to_stage_id=event.to_stage_id,
                    to_stage_name=event.to_stage_name,
                    origin=_origin(event),
                )
            ]
        case e.AttachRequested():
            return [
                AttachResult(
                    command_id=event.command_id,
                    application_id=state.application_id,
                    invite=_invite_meant(state, event, "attach", "a person attached a result"),
                    signal_id=event.signal_id,
                )
            ]
        case e.WithdrawRequested():
            return [
                WithdrawInvite(
                    command_id=event.command_id,
                    application_id=state.application_id,
                    invite=_invite_meant(state, event, "withdraw", "a person withdrew it"),
                )
            ]
        case e.ObservationRequested():
            return [
                ObserveApplication(
                    command_id=event.command_id, application_id=state.application_id, reason=event.reason
                )
            ]
        case e.StandingChanged():
            visit = state.visit
            return [
                ShowStanding(
                    command_id=event.command_id,
                    application_id=state.application_id,
                    candidate_id=state.candidate_id,
                    job_id=job,
                    visit=None if visit is None else visit.name,
                    stage_id=None if visit is None else visit.stage_id,
                    standing=event.standing,
                    detail=event.detail,
                    ordinal=state.shown_count,
                )
            ]
        case _:
            return []


def _invite_meant(
    state: Application, event: e.AttachRequested | e.WithdrawRequested, rule: str, reason: str
) -> SendInvite:
    """Return the invite that *event* is about, whether or not it was ever asked for."""
    return SendInvite(
        command_id=event.invite_id,
        application_id=state.application_id,
        candidate_id=state.candidate_id,
        job_id=state.job_id,
        visit=event.visit,
        stage_id=event.stage_id,
        assessment_id=event.assessment_id,
        origin=Origin(workflow=BY_HAND, version=1, rule=rule, reason=reason),
        began_at=_began_at(state, event.visit),
    )


def _began_at(state: Application, visit: Visit) -> datetime | None:
    """Return when *visit* began, as far as Greenhouse said."""
    return state.visit.entered_at if state.visit is not None and state.visit.name == visit else None


def _origin(event: e.InviteRequested | e.NoteRequested | e.MoveRequested) -> Origin:
    return Origin(workflow=event.workflow, version=event.version, rule=event.rule, reason=event.reason)
