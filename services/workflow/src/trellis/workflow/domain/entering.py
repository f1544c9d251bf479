"""Beginning a stage visit: told by a webhook, shown by a reading, found by the reconciler, accepted by a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trellis.common.contracts.facts import (
    ApplicationObserved,
    ApplicationSnapshot,
    ApplicationStatus,
    FoundBy,
    Stage,
)
from trellis.common.contracts.identifiers import Visit
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application, fold
from trellis.workflow.domain.judging import judge_stage_entry, settle_of
from trellis.workflow.domain.rules import Workflow, Workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How an entry is known.

    Attributes:
        name: The adopted visit that it completes; None begins another.
        entered_at: Greenhouse's own time of it, when it was read.
        handled_at: The decider's clock.
        by_creation: The application itself began with it.
        settles: Whether it counts only after the settle time.
    """

    name: Visit | None
    entered_at: datetime | None
    handled_at: datetime
    found_by: FoundBy
    by_creation: bool = False
    settles: bool = True


def enter(state: Application, snapshot: ApplicationSnapshot, entry: Entry, workflows: Workflows) -> list[e.Event]:
    """Begin a visit (or complete the adopted one), and judge at once if nothing is to settle."""
    stage = snapshot.stage
    if stage is None:
        return []
    status = snapshot.status or state.status
    job = snapshot.job_id if snapshot.job_id is not None else state.job_id
    active = status is ApplicationStatus.ACTIVE and not snapshot.prospect
    applying = [workflow for workflow in workflows.live if workflow.applies_to(job)]
    settle = None if snapshot.prospect else settle_of(applying, stage)
    if settle is not None and not entry.settles:
        settle = timedelta(0)
    at_once = active and settle == timedelta(0)
    entered = e.StageEntered(
        application_id=state.application_id,
        candidate_id=snapshot.candidate_id,
        job_id=job,
        stage_id=stage.id,
        stage_name=stage.name,
        visit=entry.name or _visit_name(state, entry.entered_at),
        activity_at=entry.entered_at or snapshot.last_activity_at,
        moved_by="unsettled" if state.open_move else "person",
        pins={workflow.name: workflow.version for workflow in applying},
        # Out of the running it is due all the same: it counts when a rejection is taken back.
        settle_due_at=None if settle is None or at_once else entry.handled_at + settle,
        found_by=entry.found_by,
        by_creation=entry.by_creation,
    )
    events: list[e.Event] = [entered]
    if status is not state.status:
        events.append(e.StatusChanged(status=status, activity_at=snapshot.last_activity_at))
    if at_once:
        events.append(e.StageSettled(visit=entered.visit))
        events += judge_stage_entry(fold(state, events), workflows)
    return events


def adopt(
    state: Application,
    snapshot: ApplicationSnapshot,
    status: ApplicationStatus,
    found_by: FoundBy,
    entered_at: datetime | None,
) -> e.ApplicationAdopted:
    """Record the application as it is, triggering nothing."""
    return e.ApplicationAdopted(
        application_id=state.application_id,
        candidate_id=snapshot.candidate_id if snapshot.candidate_id is not None else state.candidate_id,
        job_id=snapshot.job_id if snapshot.job_id is not None else state.job_id,
        stage_id=snapshot.stage.id if snapshot.stage else None,
        stage_name=snapshot.stage.name if snapshot.stage else None,
        status=status,
        visit=_visit_name(state, entered_at),
        activity_at=entered_at or snapshot.last_activity_at,
        found_by=found_by,
    )


def enter_untold(
    state: Application,
    handled_at: datetime,
    reading: ApplicationObserved,
    workflows: Workflows,
    *,
    adopted: Visit | None = None,
) -> list[e.Event]:
    """Deal with a stage visit whose entry no webhook told of.

    It is acted upon if the entry is recent and came after the workflow went live; else it is adopted, and
    offered for a person's yes where a rule would have acted.

    Args:
        state: The application before.
        handled_at: The decider's clock.
        reading: What the reconciler saw.
        workflows: The account's.
        adopted: The visit, when it is known already and only its entry is not.
    """
    snapshot = reading.application
    if snapshot is None:
        return []
    status = snapshot.status or state.status
    job = snapshot.job_id if snapshot.job_id is not None else state.job_id
    applying = [workflow for workflow in workflows.live if workflow.applies_to(job)]
    in_time = [one for one in applying if _is_in_time(one, reading, handled_at, workflows)]
    if in_time and snapshot.stage is not None:
        entry = Entry(name=adopted, entered_at=reading.entered_at, handled_at=handled_at, found_by=reading.found_by)
        return enter(state, snapshot, entry, replace(workflows, live=tuple(in_time)))
    events: list[e.Event] = []
    if adopted is None:
        record = adopt(state, snapshot, status, reading.found_by, reading.entered_at)
        events, adopted = [record], record.visit
    if snapshot.stage is None or status is not ApplicationStatus.ACTIVE or settle_of(applying, snapshot.stage) is None:
        return events
    offered = e.EntryOffered(
        visit=adopted,
        pins={workflow.name: workflow.version for workflow in applying},
        went_live={one.name: workflows.went_live[one.name] for one in applying if one.name in workflows.went_live},
        reason=_why_offered(reading, handled_at),
    )
    return [*events, offered]


def accept(state: Application, handled_at: datetime, visit: Visit, workflows: Workflows) -> list[e.Event]:
    """Act upon an active application's offered entry, since a person said yes; nothing when it is offered no more."""
    present = state.visit
    if present is None or present.name != visit or state.offered != visit or state.deleted:
        return []
    snapshot = ApplicationSnapshot(
        application_id=state.application_id,
        candidate_id=state.candidate_id,
        job_id=present.job_id,
        stage=Stage(id=present.stage_id, name=present.stage_name),
        status=state.status,
    )
    entry = Entry(
        name=visit,
        entered_at=present.entered_at,
        handled_at=handled_at,
        found_by=FoundBy.RECONCILIATION,
        settles=False,
    )
    return enter(state, snapshot, entry, workflows)


def _is_in_time(workflow: Workflow, reading: ApplicationObserved, handled_at: datetime, workflows: Workflows) -> bool:
    entered_at, within = reading.entered_at, reading.act_within_s
    if entered_at is None or within is None or handled_at - entered_at > timedelta(seconds=within):
        return False
    went_live = workflows.went_live.get(workflow.name)
    return went_live is None or went_live <= entered_at


def _why_offered(reading: ApplicationObserved, handled_at: datetime) -> str:
    if reading.entered_at is None:
        return "Greenhouse does not say when it entered the stage"
    if reading.act_within_s is not None and handled_at - reading.entered_at > timedelta(seconds=reading.act_within_s):
        return f"it entered the stage at {reading.entered_at:%Y-%m-%d %H:%M} UTC, longer ago than is acted upon"
    return "it entered the stage before the workflow went live"


def _visit_name(state: Application, entered_at: datetime | None) -> Visit:
    """Greenhouse's `entered_at` when it was read before the visit's first command, else our own count.

    By the second; of two visits that began within one second the second one's name has the milliseconds.
    """
    if entered_at is None:
        return Visit(f"n{state.visit_count + 1}")
    second = Visit(f"t{entered_at:%Y%m%dT%H%M%S}Z")
    taken = {item.visit for item in state.commands.values()} | ({state.visit.name} if state.visit else set())
    if second not in taken:
        return second
    return Visit(f"{second[:-1]}.{entered_at.microsecond // 1000:03d}Z")
