"""One application as its events tell it: `fold` copies events into state and refuses none of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

from trellis.common.contracts.commands import Action, Standing
from trellis.common.contracts.facts import ApplicationStatus, FoundBy, Order
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    Visit,
)
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e


@dataclass(frozen=True, slots=True, kw_only=True)
class StageVisit:
    """One stay in one stage.

    Attributes:
        entry_seen: Whether an entry was told, not only a reading or an edit.
        by_creation: It began with the application itself.
        settled: The entry counted already.
        settle_due_at: When the entry counts, or, of an application out of the running then, as soon as it is in it
            again; None when it counted at once or no rule waits for it.
        entered_at: Greenhouse's time of the activity that told of it.
        found_by: What told of it.
    """

    name: Visit
    stage_id: StageId
    stage_name: str | None
    job_id: JobId | None
    entered_at: datetime | None
    pins: Mapping[str, int]
    entry_seen: bool
    by_creation: bool = False
    settled: bool = False
    settle_due_at: datetime | None = None
    found_by: FoundBy = FoundBy.WEBHOOK


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded:
    """A command this stream asked for, and how it stands.

    Attributes:
        requested: False when only its outcome is known.
        reason: Why it stands so.
        remedy: What would mend it, when it needs a person.
        settled_at: When the ledger recorded that.
    """

    action: Action
    visit: Visit
    requested: bool = False
    state: OutcomeState | None = None
    reason: str = ""
    remedy: str = ""
    settled_at: datetime | None = None


ERASED: Final = "the person was erased by hand: nothing is asked for any more"
ANONYMIZED: Final = "the candidate was anonymised in Greenhouse meanwhile: the entry counts for nothing"


@dataclass(frozen=True, kw_only=True)
class Application:
    """The state of one application's stream; without slots, so that `_with` is quick.

    Attributes:
        known: False before the first event.
        erased: A person ordered that nothing is kept of the candidate; nothing is asked for any more.
        anonymized_in: The stage visit in which Greenhouse anonymised the candidate; its entry counts for nothing any more.
        visit: The present stage visit; None before the first or without a stage.
        visit_count: How many visits there were.
        passed_at: When the latest stay began that was over when it was first seen.
        activity_at: The latest of Greenhouse's own times seen.
        commands: All commands asked for, by id.
        results: Latest result version judged or noted, by visit and assessment.
        started: Assessments known to be begun.
        held: Visit, workflow and rule of each approval asked for.
        observation: The open request to read the application.
        offered: The adopted visit that waits for a person's yes.
        orders: A person's orders that were taken.
        invites: The command of each invite asked for, by visit and assessment.
        withdrawn: Invites that a person took back, by visit and assessment.
        excused: Stage visits in which a person wants no result awaited.
        attached: The latest command to attach an unmatched result, by visit and assessment.
        shown: What recruiters are to see of it in Greenhouse.
        shown_count: How often that changed.
    """

    account: AccountId
    application_id: ApplicationId
    known: bool = False
    candidate_id: CandidateId | None = None
    job_id: JobId | None = None
    status: ApplicationStatus = ApplicationStatus.ACTIVE
    deleted: bool = False
    erased: bool = False
    anonymized_in: Visit | None = None
    visit: StageVisit | None = None
    visit_count: int = 0
    passed_at: datetime | None = None
    activity_at: datetime | None = None
    commands: Mapping[CommandId, Commanded] = field(default_factory=dict)
    results: Mapping[tuple[Visit, AssessmentId], int] = field(default_factory=dict)
    started: frozenset[tuple[Visit, AssessmentId]] = frozenset()
    held: frozenset[tuple[Visit, str, str]] = frozenset()
    observation: CommandId | None = None
    observation_count: int = 0
    offered: Visit | None = None
    orders: frozenset[UUID] = frozenset()
    attached: Mapping[tuple[Visit, AssessmentId], CommandId] = field(default_factory=dict)
    invites: Mapping[tuple[Visit, AssessmentId], CommandId] = field(default_factory=dict)
    withdrawn: frozenset[tuple[Visit, AssessmentId]] = frozenset()
    excused: frozenset[Visit] = frozenset()
    shown: tuple[Standing | None, str] = (None, "")
    shown_count: int = 0

    @property
    def open_move(self) -> bool:
        """Whether a move of ours is under way, or not known to be made or not."""
        return any(
            item.action is Action.MOVE and item.state in (None, OutcomeState.WAITING, OutcomeState.PARKED)
            for item in self.commands.values()
        )

    def stands(self, command: CommandId) -> bool:
        """Whether a command is not to be asked for again.

        After a restore that a command was passed over may be told, and that it was ever asked for be forgotten.
        """
        known = self.commands.get(command)
        return known is not None and (known.requested or known.state is not OutcomeState.SUPERSEDED)


def initial_state(account: AccountId, application: ApplicationId) -> Application:
    """Return the state before the first event."""
    return Application(account=account, application_id=application)


def fold(state: Application, events: Iterable[e.Event]) -> Application:
    """Return *state* after *events*."""
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Application, event: e.Event) -> Application:
    """Return *state* after one event."""
    match event:
        case e.ApplicationAdopted():
            return _adopted(state, event)
        case e.StageEntered():
            return _entered(state, event)
        case e.StagePassed(entered_at=entered_at):
            passed_at, activity_at = latest(state.passed_at, entered_at), latest(state.activity_at, entered_at)
            return _with(state, passed_at=passed_at, activity_at=activity_at)
        case e.EntryOffered(visit=name):
            return replace(state, offered=name)
        case e.StageSettled(visit=name):
            if state.visit is None or state.visit.name != name:
                return state
            return _with(state, visit=replace(state.visit, settled=True))
        case e.StatusChanged(status=status, activity_at=activity_at):
            return _with(state, status=status, activity_at=latest(state.activity_at, activity_at))
        case e.ApplicationDeleted():
            return _with(state, known=True, deleted=True)
        case e.CandidateChanged(candidate_id=candidate_id):
            return _with(state, candidate_id=candidate_id)
        case e.CandidateErased():
            return _with(state, erased=True)
        case e.CandidateAnonymized():
            return _with(state, anonymized_in=state.visit.name if state.visit else None)
        case e.RulesJudged():
            return state
        case e.FactNoted(activity_at=activity_at):
            read = event.fact == "application.observed"
            return _with(
                state,
                known=True,
                activity_at=latest(state.activity_at, activity_at),
                observation=None if read else state.observation,
            )
        case e.InviteRequested(command_id=command_id, visit=visit, assessment_id=assessment_id):
            invites = {**state.invites, (visit, assessment_id): command_id}
            return _with(_commanded(state, command_id, Action.INVITE, visit), invites=invites)
        case e.OrderTaken(order_id=order_id, order=order, visit=visit, refused=refused):
            excused = state.excused | {visit} if order is Order.EXCUSE and not refused else state.excused
            return _with(state, orders=state.orders | {order_id}, excused=excused)
        case e.WithdrawRequested(command_id=command_id, visit=visit, assessment_id=assessment_id):
            withdrawn = state.withdrawn | {(visit, assessment_id)}
            return _with(_commanded(state, command_id, Action.WITHDRAW, visit), withdrawn=withdrawn)
        case e.AttachRequested(command_id=command_id, visit=visit, assessment_id=assessment_id):
            attached = {**state.attached, (visit, assessment_id): command_id}
            return _with(_commanded(state, command_id, Action.ATTACH, visit), attached=attached)
        case e.NoteRequested(command_id=command_id, visit=visit):
            return _commanded(state, command_id, Action.NOTE, visit)
        case e.MoveRequested(command_id=command_id, visit=visit):
            return _commanded(state, command_id, Action.MOVE, visit)
        case e.ApprovalRequested(visit=visit, workflow=workflow, rule=rule):
            return _with(state, held=state.held | {(visit, workflow, rule)})
        case e.ObservationRequested(command_id=command_id):
            return _with(state, known=True, observation=command_id, observation_count=state.observation_count + 1)
        case e.EffectSettled():
            return _with(state, commands={**state.commands, event.command_id: _settled(state, event)})
        case e.AssessmentStarted(visit=visit, assessment_id=assessment_id):
            return _with(state, started=state.started | {(visit, assessment_id)})
        case e.ResultReceived(result=result):
            key = (result.visit, result.assessment_id)
            return _with(state, results={**state.results, key: result.result_version})
        case e.StandingChanged(standing=standing, detail=detail):
            return _with(state, shown=(standing, detail), shown_count=state.shown_count + 1)
        case _:
            assert_never(event)


def _with(state: Application, **changes: Any) -> Application:
    """Return *state* with *changes*: `replace` without running `__init__`, which took most of folding's time."""
    fresh = object.__new__(Application)
    vars(fresh).update(vars(state), **changes)
    return fresh


def latest(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two times, of which each may be unknown."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def _adopted(state: Application, event: e.ApplicationAdopted) -> Application:
    visit = None
    if event.stage_id is not None:
        visit = StageVisit(
            name=event.visit,
            stage_id=event.stage_id,
            stage_name=event.stage_name,
            job_id=event.job_id,
            entered_at=event.activity_at,
            pins={},
            entry_seen=False,
            found_by=event.found_by,
        )
    return _with(
        state,
        known=True,
        candidate_id=event.candidate_id,
        job_id=event.job_id,
        status=event.status,
        visit=visit,
        visit_count=state.visit_count + (visit is not None),
        activity_at=latest(state.activity_at, event.activity_at),
        observation=None,
        offered=None,
    )


def _entered(state: Application, event: e.StageEntered) -> Application:
    again = state.visit is not None and state.visit.name == event.visit
    return _with(
        state,
        known=True,
        candidate_id=event.candidate_id if event.candidate_id is not None else state.candidate_id,
        job_id=event.job_id if event.job_id is not None else state.job_id,
        visit=StageVisit(
            name=event.visit,
            stage_id=event.stage_id,
            stage_name=event.stage_name,
            job_id=event.job_id,
            entered_at=event.activity_at,
            pins=dict(event.pins),
            entry_seen=True,
            by_creation=event.by_creation,
            settle_due_at=event.settle_due_at,
            found_by=event.found_by,
        ),
        visit_count=state.visit_count + (not again),
        activity_at=latest(state.activity_at, event.activity_at),
        observation=None,
        offered=None,
    )


def _commanded(state: Application, command_id: CommandId, action: Action, visit: Visit) -> Application:
    asked = Commanded(action=action, visit=visit, requested=True)
    return _with(state, commands={**state.commands, command_id: asked})


def _settled(state: Application, event: e.EffectSettled) -> Commanded:
    known = state.commands.get(event.command_id)
    return Commanded(
        action=event.action,
        visit=event.visit,
        requested=known is not None and known.requested,
        state=event.state,
        reason=event.reason,
        remedy=event.remedy,
        settled_at=event.settled_at,
    )
