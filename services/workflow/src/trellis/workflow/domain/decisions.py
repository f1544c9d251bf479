"""The decider: state, message and workflows become new events. All judgement about facts is here.

Order is taken from Greenhouse's own times, never from arrival. What changes nothing and is a plain
repeat yields no event; what is late or held is recorded with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.facts import ApplicationSnapshot, ApplicationStatus, FoundBy
from trellis.common.contracts.identifiers import ApplicationId, AssessmentId, CandidateId, CommandId, Visit, command_id
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import ERASED, Application, Commanded, StageVisit, fold, latest
from trellis.workflow.domain.entering import Entry, accept, adopt, enter, enter_untold
from trellis.workflow.domain.judging import judge_result, judge_stage_entry
from trellis.workflow.domain.ordering import obey
from trellis.workflow.domain.passing import ENTRY_TOLERANCE, SAME_ENTRY, is_of_a_passed_stay, passing
from trellis.workflow.domain.rules import Workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleElapsed:
    """Time passed: the settle time of this visit is over."""

    application_id: ApplicationId
    visit: Visit


Input = (
    f.ApplicationStageChanged
    | f.ApplicationCreated
    | f.ApplicationUpdated
    | f.ApplicationRejected
    | f.ApplicationUnrejected
    | f.ApplicationHired
    | f.ApplicationUnhired
    | f.ApplicationDeleted
    | f.ApplicationObserved
    | f.CandidateUpdated
    | f.CandidateMerged
    | f.CandidateDeleted
    | f.CandidateAnonymized
    | f.CandidateErased
    | f.EntryAccepted
    | f.InviteOrdered
    | o.CommandSettled
    | o.AssessmentStarted
    | o.AssessmentCompleted
    | SettleElapsed
)
"""What an application's stream can be told."""

_Kind = Literal["entry", "update", "status"]
_TWO_STATUSES: Final = "two statuses at one second: which came last is to be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as the decider sees it.

    Attributes:
        name: Its type name, for the record.
        data: What it says.
        handled_at: When it is handled: the decider's only clock.
    """

    name: str
    data: Input
    handled_at: datetime


def decide(state: Application, message: Message, workflows: Workflows) -> list[e.Event]:
    """Return the events that follow from *message*; none when there is nothing to do."""
    data = message.data
    match data:
        case f.ApplicationStageChanged(application=snapshot):
            return _told(state, message, snapshot, "entry", None, workflows)
        case f.ApplicationCreated(application=snapshot, counts_as_entry=counts):
            kind: _Kind = "entry" if counts and not snapshot.prospect else "update"
            return _told(state, message, snapshot, kind, None, workflows)
        case f.ApplicationUpdated(application=snapshot):
            return _told(state, message, snapshot, "update", None, workflows)
        case f.ApplicationRejected(application=snapshot):
            return _told(state, message, snapshot, "status", ApplicationStatus.REJECTED, workflows)
        case f.ApplicationHired(application=snapshot):
            return _told(state, message, snapshot, "status", ApplicationStatus.HIRED, workflows)
        case f.ApplicationUnrejected(application=snapshot) | f.ApplicationUnhired(application=snapshot):
            return _told(state, message, snapshot, "status", ApplicationStatus.ACTIVE, workflows)
        case f.ApplicationObserved():
            return _observed(state, message, data, workflows)
        case f.ApplicationDeleted():
            return _deleted(state, "the application was deleted in Greenhouse")
        case f.CandidateDeleted():
            return _deleted(state, "the candidate was deleted in Greenhouse")
        case f.CandidateMerged(into_candidate_id=into):
            return _merged(state, into)
        case f.CandidateAnonymized(fields=fields):
            return [e.CandidateAnonymized(fields=tuple(sorted(fields)))] if state.known and not state.deleted else []
        case f.CandidateErased():
            return [e.CandidateErased()] if state.known and not state.erased and not state.deleted else []
        case f.CandidateUpdated():
            return []
        case f.EntryAccepted(visit=visit):
            if state.offered == visit and state.status is not ApplicationStatus.ACTIVE and not state.deleted:
                return [
                    _note(message, f"it is {state.status.value}: nothing is sent, and its entry stays offered", None)
                ]
            return accept(state, message.handled_at, visit, workflows)
        case f.InviteOrdered():
            return obey(state, data, workflows)
        case o.CommandSettled():
            return _settled(state, message, data)
        case o.AssessmentStarted(visit=visit, assessment_id=assessment):
            if (visit, assessment) in state.started:
                return []
            return [e.AssessmentStarted(visit=visit, assessment_id=assessment)]
        case o.AssessmentCompleted():
            return _completed(state, data, workflows)
        case SettleElapsed(visit=visit):
            return _settle_elapsed(state, visit, workflows)


# -- facts with a snapshot


def _told(
    state: Application,
    message: Message,
    snapshot: ApplicationSnapshot,
    kind: _Kind,
    status: ApplicationStatus | None,
    workflows: Workflows,
) -> list[e.Event]:
    """What a webhook with an application in it leads to."""
    if state.deleted:
        return [_note(message, "the application was deleted before", None)]
    status = status or snapshot.status or state.status
    if not state.known:
        return _first_seen(state, message, snapshot, kind, status, workflows)
    order = _order(snapshot.last_activity_at, state.activity_at)
    same_second = order == "equal"
    if order == "equal":
        order = _order_by_kind(state, message)
    if order == "late":
        return _late(state, message, snapshot, kind, workflows)
    if order == "unknown":
        return _unordered(state, message, snapshot, status)
    events: list[e.Event] = []
    if status is not state.status:
        undecided = _observe(state, _TWO_STATUSES) if same_second else []
        if same_second and kind != "status":
            return [*_entry_alone(state, message, snapshot, kind, workflows), *undecided]
        events += [e.StatusChanged(status=status, activity_at=snapshot.last_activity_at), *undecided]
        events += _settled_meanwhile(fold(state, events), message, snapshot, workflows)
    events += _candidate_of(state, snapshot)
    events += _stage_of(fold(state, events), message, snapshot, kind, order, workflows)
    if order == "newer" and all(isinstance(event, e.CandidateChanged) for event in events):
        # The note keeps the fact's time, without which an older fact would be taken for a newer one.
        events.append(_note(message, "nothing that a rule looks at changed", snapshot.last_activity_at))
    return events


def _settled_meanwhile(
    state: Application, message: Message, snapshot: ApplicationSnapshot, workflows: Workflows
) -> list[e.Event]:
    """Let an entry count whose settle time ended while the application was out of the running."""
    visit = state.visit
    if visit is None or visit.settled or visit.settle_due_at is None or visit.settle_due_at > message.handled_at:
        return []
    if snapshot.stage is not None and not _is_in(visit, snapshot):
        return []
    return _settle_elapsed(state, visit.name, workflows)


def _order(told: datetime | None, known: datetime | None) -> Literal["late", "equal", "newer", "unknown"]:
    if told is None or known is None:
        return "unknown"
    told, known = told.replace(microsecond=0), known.replace(microsecond=0)
    return "late" if told < known else "equal" if told == known else "newer"


def _order_by_kind(state: Application, message: Message) -> Literal["late", "equal", "newer"]:
    """Within one second: an application's creation comes before each of its stage changes."""
    if state.visit is None:
        return "equal"
    if isinstance(message.data, f.ApplicationStageChanged) and state.visit.by_creation:
        told = message.data.application
        created_then = _order(told.last_activity_at, state.visit.entered_at) == "equal"
        return "newer" if created_then and not _is_in(state.visit, told) else "equal"
    if isinstance(message.data, f.ApplicationCreated) and not state.visit.by_creation:
        return "equal" if _is_in(state.visit, message.data.application) else "late"
    return "equal"


def _first_seen(
    state: Application,
    message: Message,
    snapshot: ApplicationSnapshot,
    kind: _Kind,
    status: ApplicationStatus,
    workflows: Workflows,
) -> list[e.Event]:
    if kind == "entry" and snapshot.stage is not None:
        return _enter(state, message, snapshot, None, None, workflows)
    return [adopt(state, snapshot, status, FoundBy.WEBHOOK, None)]


def _late(
    state: Application, message: Message, snapshot: ApplicationSnapshot, kind: _Kind, workflows: Workflows
) -> list[e.Event]:
    """A late fact never moves the state back; but the entry of the present, adopted visit completes it."""
    entry = _entry_alone(state, message, snapshot, kind, workflows)
    return entry or [_note(message, "late: Greenhouse's own time is older than what is known already", None)]


def _entry_alone(
    state: Application, message: Message, snapshot: ApplicationSnapshot, kind: _Kind, workflows: Workflows
) -> list[e.Event]:
    """Complete the present, adopted visit by its entry, from a fact whose word on the status does not count."""
    visit = state.visit
    if kind != "entry" or visit is None or visit.entry_seen or not _is_in(visit, snapshot):
        return []
    if is_of_a_passed_stay(state, snapshot):
        return []
    return _enter(state, message, replace(snapshot, status=state.status), visit.name, None, workflows)


def _unordered(
    state: Application, message: Message, snapshot: ApplicationSnapshot, status: ApplicationStatus
) -> list[e.Event]:
    """A fact without Greenhouse's time: its status is taken, its place among the others is read."""
    events: list[e.Event] = []
    if status is not state.status:
        events.append(e.StatusChanged(status=status, activity_at=None))
    moved = snapshot.stage is not None and (state.visit is None or not _is_in(state.visit, snapshot))
    if events or moved:
        events += _observe(state, f"{message.name} came without a time of Greenhouse's")
    return events


def _stage_of(
    state: Application,
    message: Message,
    snapshot: ApplicationSnapshot,
    kind: _Kind,
    order: Literal["equal", "newer"],
    workflows: Workflows,
) -> list[e.Event]:
    if snapshot.stage is None:
        return []
    visit = state.visit
    if visit is None or not _is_in(visit, snapshot):
        if order == "equal" and visit is not None:
            return _observe(state, "two stages at one second: which came last is to be read")
        return _enter(state, message, snapshot, None, None, workflows)
    if kind != "entry":
        return []
    if not visit.entry_seen:
        return _enter(state, message, snapshot, visit.name, None, workflows)
    if order == "newer":
        return _observe(state, "told of entering the stage it is in: whether it left meanwhile is to be read")
    return []


def _is_in(visit: StageVisit, snapshot: ApplicationSnapshot) -> bool:
    same_job = snapshot.job_id is None or visit.job_id is None or snapshot.job_id == visit.job_id
    return snapshot.stage is not None and snapshot.stage.id == visit.stage_id and same_job


def _candidate_of(state: Application, snapshot: ApplicationSnapshot) -> list[e.Event]:
    told = snapshot.candidate_id
    if told is None or told == state.candidate_id:
        return []
    return [e.CandidateChanged(candidate_id=told)]


def _enter(
    state: Application,
    message: Message,
    snapshot: ApplicationSnapshot,
    name: Visit | None,
    entered_at: datetime | None,
    workflows: Workflows,
) -> list[e.Event]:
    """Begin a visit that *message* tells of, or complete the adopted one called *name*."""
    return enter(
        state,
        snapshot,
        Entry(
            name=name,
            entered_at=entered_at,
            handled_at=message.handled_at,
            found_by=message.data.found_by if isinstance(message.data, f.ApplicationObserved) else FoundBy.WEBHOOK,
            by_creation=isinstance(message.data, f.ApplicationCreated),
        ),
        workflows,
    )


def _note(message: Message, reason: str, activity_at: datetime | None) -> e.FactNoted:
    return e.FactNoted(fact=message.name, reason=reason, activity_at=activity_at)


# -- readings


def _observe(state: Application, reason: str) -> list[e.Event]:
    """Ask for a reading, once while one is open."""
    if state.observation is not None:
        return []
    ident = command_id(
        state.account,
        state.application_id,
        state.visit.name if state.visit else Visit("n0"),
        "observe",
        str(state.observation_count + 1),
    )
    return [e.ObservationRequested(command_id=ident, reason=reason)]


def _observed(
    state: Application, message: Message, reading: f.ApplicationObserved, workflows: Workflows
) -> list[e.Event]:
    """The reading is the fact: what it shows is how things are."""
    snapshot = reading.application
    if state.deleted:
        return []
    if snapshot is None:
        return [_note(message, "Greenhouse shows no such application", None)]
    if reading.found_by is FoundBy.RECONCILIATION:
        if _is_overtaken(state, reading, snapshot):
            return []
        passed = passing(state, reading, snapshot)
        events = [*passed, *_reconciled(fold(state, passed), message, reading, snapshot, workflows)]
        return [*events, *_known_until(fold(state, events), message, snapshot)]
    if not state.known:
        return [adopt(state, snapshot, snapshot.status or state.status, reading.found_by, reading.entered_at)]
    if _is_older(snapshot, reading, state):
        return [_note(message, "the reading is older than what is known already", None)]
    visit = state.visit
    if snapshot.stage is not None and (visit is None or not _is_in(visit, snapshot) or _entered_anew(visit, reading)):
        return _enter(state, message, snapshot, None, reading.entered_at, workflows)
    return [
        *_stands(state, message, snapshot, workflows),
        _note(message, "the reading shows the stage visit that is known", snapshot.last_activity_at),
    ]


def _reconciled(
    state: Application,
    message: Message,
    reading: f.ApplicationObserved,
    snapshot: ApplicationSnapshot,
    workflows: Workflows,
) -> list[e.Event]:
    """The reconciler reads whatever changed: what is known already is no news."""
    visit, handled_at = state.visit, message.handled_at
    if state.known and snapshot.stage is None:
        return _stands(state, message, snapshot, workflows)
    if visit is None or not _is_in(visit, snapshot):
        return enter_untold(state, handled_at, reading, workflows)
    if _entered_anew(visit, reading):
        return enter_untold(state, handled_at, reading, workflows)
    if visit.entry_seen:
        return _stands(state, message, snapshot, workflows)
    events: list[e.Event] = []
    if state.offered != visit.name:
        events = enter_untold(state, handled_at, reading, workflows, adopted=visit.name)
        if any(isinstance(event, e.StageEntered) for event in events):
            return events
    return [*events, *_stands(fold(state, events), message, snapshot, workflows)]


def _is_overtaken(state: Application, reading: f.ApplicationObserved, snapshot: ApplicationSnapshot) -> bool:
    """Whether more is known than was read; when an adopted visit began is not known before it is read."""
    visit = state.visit
    if not state.known:
        return False
    if _is_older(snapshot, reading, state):
        return True
    if visit is None or snapshot.stage is None or not _entered_before(visit, reading):
        return False
    if not _is_in(visit, snapshot):
        return True
    # A visit that something else than its entry told of may have begun before that: then what is newer counts.
    return visit.entry_seen and _order(snapshot.last_activity_at, state.activity_at) != "newer"


def _known_until(state: Application, message: Message, snapshot: ApplicationSnapshot) -> list[e.Event]:
    """Note how late the reading knows things: a webhook from before that comes later must not win."""
    if _order(snapshot.last_activity_at, state.activity_at) != "newer":
        return []
    return [_note(message, "read by the reconciler; nothing else was untold", snapshot.last_activity_at)]


def _stands(state: Application, message: Message, snapshot: ApplicationSnapshot, workflows: Workflows) -> list[e.Event]:
    """What a reading within the known visit tells: its status, and whose it is."""
    events: list[e.Event] = []
    status = snapshot.status or state.status
    if status is not state.status:
        events.append(e.StatusChanged(status=status, activity_at=snapshot.last_activity_at))
        events += _settled_meanwhile(fold(state, events), message, snapshot, workflows)
    return [*events, *_candidate_of(state, snapshot)]


def _entered_anew(visit: StageVisit, reading: f.ApplicationObserved) -> bool:
    if reading.entered_at is None or visit.entered_at is None:
        return False
    nearest = SAME_ENTRY if reading.found_by is FoundBy.RECONCILIATION else ENTRY_TOLERANCE
    return reading.entered_at > visit.entered_at + nearest


def _entered_before(visit: StageVisit, reading: f.ApplicationObserved) -> bool:
    """Whether the reading shows an earlier visit than the present one."""
    if reading.entered_at is None or visit.entered_at is None:
        return False
    return reading.entered_at < visit.entered_at - ENTRY_TOLERANCE


def _is_older(snapshot: ApplicationSnapshot, reading: f.ApplicationObserved, state: Application) -> bool:
    """Whether more is known than was read. Readings bear milliseconds, so two of one second have an order."""
    told, known = latest(snapshot.last_activity_at, reading.entered_at), state.activity_at
    if snapshot.last_activity_at is None or told is None or known is None:
        return False
    return told < (known if told.microsecond else known.replace(microsecond=0))


# -- deletions, merges


def _deleted(state: Application, reason: str) -> list[e.Event]:
    return [] if state.deleted else [e.ApplicationDeleted(reason=reason)]


def _merged(state: Application, into: CandidateId) -> list[e.Event]:
    if not state.known or state.deleted or state.candidate_id == into:
        return []
    return [e.CandidateChanged(candidate_id=into)]


# -- outcomes and time


def _is_of_another_life(known: Commanded, outcome: o.CommandSettled) -> bool:
    """Whether a ledger that was put back to a backup says otherwise, later, than a final outcome from before."""
    return known.settled_at is not None and outcome.settled_at > known.settled_at and outcome.state is not known.state


def _settled(state: Application, message: Message, outcome: o.CommandSettled) -> list[e.Event]:
    known = state.commands.get(CommandId(outcome.command_id))
    final = (o.OutcomeState.DONE, o.OutcomeState.REFUSED, o.OutcomeState.SUPERSEDED)
    if known is not None and known.state in final and not _is_of_another_life(known, outcome):
        return []
    is_late = known is not None and known.settled_at is not None and outcome.settled_at < known.settled_at
    if is_late and outcome.state not in final:
        return [_note(message, f"late: how the {outcome.action.value} stands now is known already", None)]
    return [
        e.EffectSettled(
            command_id=outcome.command_id,
            action=outcome.action,
            visit=outcome.visit,
            state=outcome.state,
            reason=outcome.reason,
            remedy=outcome.remedy,
            to_stage_id=outcome.to_stage_id,
            settled_at=outcome.settled_at,
        )
    ]


def _completed(state: Application, result: o.AssessmentCompleted, workflows: Workflows) -> list[e.Event]:
    if state.results.get((result.visit, result.assessment_id), 0) >= result.result_version:
        return []
    unused = _why_unused(state, result.visit, result.assessment_id)
    received = e.ResultReceived(result=result, used=unused is None, reason=unused or "")
    if unused is not None:
        return [received]
    return [received, *judge_result(fold(state, [received]), result, workflows)]


def _why_unused(state: Application, visit: Visit, assessment: AssessmentId) -> str | None:
    if state.deleted:
        return "the application was deleted"
    if state.erased:
        return ERASED
    if state.status is not ApplicationStatus.ACTIVE:
        return f"the application is {state.status.value}; the result is held and shown"
    if state.visit is None or state.visit.name != visit:
        return "its stage visit has ended; the result is held and shown"
    if visit in state.excused:
        return "a person excused it from the test in this stage visit; the result is shown"
    if (visit, assessment) in state.withdrawn:
        return "a person withdrew its invite; the result is shown"
    return None


def _settle_elapsed(state: Application, name: Visit, workflows: Workflows) -> list[e.Event]:
    visit = state.visit
    if visit is None or visit.name != name or visit.settled or not visit.entry_seen:
        return []
    if state.deleted or state.status is not ApplicationStatus.ACTIVE:
        return []
    settled = e.StageSettled(visit=name)
    return [settled, *judge_stage_entry(fold(state, [settled]), workflows)]
