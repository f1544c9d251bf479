"""From a reading: may this be written now, and is it written already? Pure.

The numbers are the cases of the greenhouse fact sheet, section 7; P4 is the design's promise that a
recruiter's act wins over ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Final

from trellis.common.contracts.commands import AddNote, MoveApplication
from trellis.common.contracts.identifiers import JobId, StageId, UserId, Visit, note_marker
from trellis.common.ledger.effects import (
    Blocked,
    CannotTell,
    Found,
    Intent,
    LookUp,
    NotSeen,
    Overtaken,
    Resolved,
    Settled,
)
from trellis.greenhouse_actions.domain.outcomes import ANSWER, SAID_NO, SAID_YES
from trellis.greenhouse_actions.domain.readings import ApplicationView, JobStage, Missing, NoteView
from trellis.greenhouse_actions.domain.requests import FromSpace
from trellis.greenhouse_actions.domain.stages import TO_NAME, TO_STAGE, fixed_target

SPACE: Final = "from_space"
"""In `resolved`: which id the latest attempt sends as `from_stage_id`."""
OTHER_TRIED: Final = "other_space_tried"
CLOCKS: Final = timedelta(minutes=1)
"""How far Greenhouse's clock may be ahead of ours."""
_ROUNDING: Final = timedelta(seconds=1)
_ROW: Final = "stage_row_id"
_ENTERED: Final = "entered_at"
_ACTIVITY: Final = "last_activity_at"
_TAG: Final = re.compile(r"<[^>]{0,200}>")
_BREAK: Final = re.compile(r"<(?:br\s*/?|/p|/div|/li)>", re.IGNORECASE)

HIDDEN = Blocked(
    reason="the application is not visible to the service user; its job may be confidential",
    remedy="add the service user to the hiring team of the job, then redrive",
)
_GONE = Overtaken(reason="Greenhouse shows no such application any more: it was deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMove:
    """A move of ours that may have happened, from the ledger."""

    visit: Visit
    from_stage_id: StageId
    to_stage_id: StageId
    attempted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spaces:
    """Which id `from_stage_id` takes on this connection, and whether the other may be tried (6.2)."""

    first: FromSpace = FromSpace.JOB_INTERVIEW_STAGE
    other_allowed: bool = True


# -- what every effect asks of a reading (P4)


def stands_still(shown: ApplicationView | Missing, job: JobId | None) -> ApplicationView | Overtaken | Blocked:
    """Return the application if it is there, in the running and on *job*; else why it must be left alone."""
    if isinstance(shown, Missing):
        return _GONE if shown is Missing.GONE else HIDDEN
    if shown.prospect:
        return Overtaken(reason="Greenhouse shows a prospect, in no stage; Trellis left it alone")
    if not shown.is_active:
        return Overtaken(reason=f"Greenhouse shows status {shown.status.value}; Trellis left it alone")
    if job is not None and shown.job_id is not None and shown.job_id != job:
        return Overtaken(reason=f"Greenhouse shows it on job {shown.job_id}; Trellis left it alone")
    return shown


def visit_began(visit: Visit) -> datetime | None:
    """Return Greenhouse's time of a visit that is known by it (`t…`), floored to the second; else None."""
    if not visit.startswith("t"):
        return None
    try:
        began = datetime.fromisoformat(visit[1:])
    except ValueError:
        return None
    return (began if began.tzinfo else began.replace(tzinfo=UTC)).replace(microsecond=0)


def is_other_visit(visit: Visit, shown: ApplicationView) -> bool:
    """Tell whether the application left its stage and came back since *visit* began (case 5)."""
    began = visit_began(visit)
    return began is not None and shown.entered_at is not None and shown.entered_at.replace(microsecond=0) != began


def _elsewhere(shown: ApplicationView) -> Overtaken:
    return Overtaken(reason=f"Greenhouse shows {shown.shown_stage}; Trellis left it alone")


def _came_back(shown: ApplicationView) -> Overtaken:
    return Overtaken(reason=f"it left {shown.shown_stage} and came back: a new visit; Trellis left it alone")


# -- notes


def note_stages(command: AddNote, created_at: datetime, moves: Iterable[OwnMove]) -> frozenset[StageId]:
    """Return the stages in which the note may still be written: its own, and where our own moves led.

    A note and a move of one visit run at the same time, and later visits may begin while a note waits;
    that is our own doing and no person's.
    """
    stages = {command.stage_id}
    ours = [m for m in moves if m.visit == command.visit or (m.attempted_at and m.attempted_at >= created_at)]
    for _ in ours:
        stages |= {move.to_stage_id for move in ours if move.from_stage_id in stages}
    return frozenset(stages)


def check_note(
    command: AddNote, shown: ApplicationView | Missing, stages: frozenset[StageId]
) -> ApplicationView | Overtaken | Blocked:
    """Return the application if the note may be written on it now; else why not."""
    stood = stands_still(shown, command.job_id)
    if not isinstance(stood, ApplicationView):
        return stood
    if stood.stage_id not in stages:
        return _elsewhere(stood)
    if stood.stage_id == command.stage_id and is_other_visit(command.visit, stood):
        return _came_back(stood)
    return stood


def is_our_note(note: NoteView, command: AddNote, author: UserId | None) -> bool:
    """Tell whether *note* is the one *command* writes: our marker alone on its last line, by our author (case 1).

    A person may copy a note with its marker, and Greenhouse may change white space or HTML; so neither
    the marker somewhere in it nor the whole body decides.
    """
    if author is not None and note.user_id != author:
        return False
    text = unescape(_TAG.sub("", _BREAK.sub("\n", note.body)))
    lines = text.rstrip().splitlines()
    return bool(lines) and lines[-1].strip() == note_marker(command.command_id)


def look_for_note(
    intent: Intent,
    command: AddNote,
    notes: Iterable[NoteView],
    author: UserId | None,
    shown: ApplicationView | Missing,
    anonymized_at: datetime | None,
    *,
    candidate_is_shown: bool,
) -> LookUp:
    """Say whether the note is there.

    Args:
        intent: The row.
        command: Its command.
        notes: A complete reading of the application's notes back to ten minutes before the attempt.
        author: Our service user; None when not known.
        shown: The application, read after the notes: what shows that the list was not merely hidden.
        anonymized_at: When the candidate's notes were last anonymised, if they were.
        candidate_is_shown: The candidate of *shown*, read after it: what shows that their notes are not hidden.
    """
    for note in notes:
        if is_our_note(note, command, author):
            return Found(reason=f"note {note.id} bears our marker", resolved={"note_id": note.id})
    if lost_to_anonymization(intent, anonymized_at):  # case 2
        return Overtaken(reason="the candidate was anonymised since, and notes with it; not written again")
    if shown is Missing.GONE:
        return _GONE
    if shown is Missing.HIDDEN or not candidate_is_shown:
        whose = "application" if shown is Missing.HIDDEN else "candidate"
        return CannotTell(
            reason=f"the {whose} and its notes are not visible to the service user",
            remedy="look in Greenhouse whether the note is there, then confirm or redrive it",
        )
    return NotSeen(reason="no note bears our marker")


def lost_to_anonymization(intent: Intent, anonymized_at: datetime | None) -> bool:
    """Tell whether notes were anonymised after an attempt of *intent*, so that its marker proves nothing (case 2)."""
    return anonymized_at is not None and intent.attempted_at is not None and anonymized_at >= intent.attempted_at


# -- moves


def check_move(
    intent: Intent, command: MoveApplication, shown: ApplicationView | Missing, target: JobStage | Blocked | None
) -> ApplicationView | Overtaken | Blocked | Settled:
    """Return the application if it may be moved to *target* now; else why not.

    Args:
        intent: The row.
        command: Its command.
        shown: The application as just read.
        target: From `choose_target`; None when the job's plan was not needed to say no.
    """
    stood = stands_still(shown, command.job_id)
    if not isinstance(stood, ApplicationView):
        return stood
    if stood.stage_id != command.from_stage_id:
        return _not_in_from(intent, stood, target)
    if is_other_visit(command.visit, stood) or is_later_visit(intent, stood):
        return _came_back(stood)
    if isinstance(target, Blocked):
        return target
    if target is not None and target.id == stood.stage_id:
        return Overtaken(reason=f"it is in stage {target.name} already")
    return stood


def _not_in_from(intent: Intent, shown: ApplicationView, target: JobStage | Blocked | None) -> Overtaken | Settled:
    if not isinstance(target, JobStage) or shown.stage_id != target.id:
        return _elsewhere(shown)
    if intent.retries > 0:  # an earlier attempt may only have become visible now (case 3: in target = done)
        return Settled(
            reason=f"found in stage {target.name}", resolved={TO_STAGE: int(target.id), TO_NAME: target.name}
        )
    return Overtaken(reason=f"it is in stage {target.name} already, moved by a person")


def before_move(shown: ApplicationView, target: JobStage, space: FromSpace) -> Resolved:
    """Return what is fixed in the row before an attempt: target, id space, and the visit it leaves."""
    return {
        TO_STAGE: int(target.id),
        TO_NAME: target.name,
        SPACE: space.value,
        ANSWER: None,
        _ROW: None if shown.row_id is None else int(shown.row_id),
        _ENTERED: None if shown.entered_at is None else shown.entered_at.isoformat(),
        _ACTIVITY: None if shown.last_activity_at is None else shown.last_activity_at.isoformat(),
    }


def is_later_visit(intent: Intent, shown: ApplicationView) -> bool:
    """Tell whether the present visit is another than the one an attempt was to end (case 5).

    The row tells, unless Greenhouse uses rows again; then the time does. Where the attempt itself rested on a
    reading without either (Harvest v1), a visit that began after the latest activity of that reading is another,
    since entering a stage is an activity; and where that is not known, one that began a minute after the attempt.
    """
    row, entered = intent.resolved.get(_ROW), intent.resolved.get(_ENTERED)
    if isinstance(row, int) and shown.row_id is not None and shown.row_id != row:
        return True
    if shown.entered_at is None:
        return False
    if isinstance(entered, str):
        return shown.entered_at.isoformat() != entered
    if SPACE not in intent.resolved or intent.attempted_at is None:
        return False
    activity = intent.resolved.get(_ACTIVITY)
    if row is None and isinstance(activity, str):
        return shown.entered_at > datetime.fromisoformat(activity) + _ROUNDING
    return shown.entered_at > intent.attempted_at + CLOCKS


def may_hide_a_visit(intent: Intent, shown: ApplicationView) -> bool:
    """Tell whether it may have left its stage and come back since the attempt, and *shown* cannot say.

    A reading through Harvest v1 knows no visits. Both ways are activities, so one that shows no later activity than
    the attempt rested on has seen neither.
    """
    if shown.row_id is not None or shown.entered_at is not None:
        return False
    before = intent.resolved.get(_ACTIVITY)
    if not isinstance(before, str) or shown.last_activity_at is None:
        return True
    return shown.last_activity_at > datetime.fromisoformat(before)


def chosen_space(resolved: Resolved, spaces: Spaces) -> FromSpace:
    """Return which id the next attempt sends: the other one once a refusal asked for it, else the connection's."""
    if resolved.get(OTHER_TRIED) is True and spaces.other_allowed:
        return FromSpace(str(resolved[SPACE]))
    return spaces.first


def look_for_move(intent: Intent, shown: ApplicationView | Missing, spaces: Spaces) -> LookUp:
    """Say whether the application was moved; *shown* was read after the request had ended (case 3)."""
    target = fixed_target(intent.resolved)
    if isinstance(shown, ApplicationView) and shown.stage_id is not None and shown.stage_id == target:
        return Found(reason=f"Greenhouse shows {shown.shown_stage}")
    if shown is Missing.HIDDEN:
        return CannotTell(reason=HIDDEN.reason, remedy="look in Greenhouse where it stands, then confirm or redrive it")
    command = intent.command
    if not isinstance(command, MoveApplication):
        raise TypeError(type(command).__name__)
    stood = stands_still(shown, command.job_id)
    if not isinstance(stood, ApplicationView):
        return stood
    if stood.stage_id != command.from_stage_id:
        return _elsewhere(stood)
    if is_later_visit(intent, stood):
        return _came_back(stood)
    if intent.resolved.get(ANSWER) != SAID_NO and may_hide_a_visit(intent, stood):
        return CannotTell(
            reason=f"{stood.shown_stage} is shown, and Harvest v1 does not tell whether it left it and came back",
            remedy="look in its activity feed in Greenhouse whether it was moved, then confirm or redrive the move",
        )
    return _unmoved(intent, stood, spaces)


def _unmoved(intent: Intent, shown: ApplicationView, spaces: Spaces) -> NotSeen:
    """Say what follows from an application still in the stage that the move was to leave."""
    still = f"Greenhouse still shows {shown.shown_stage}"
    tried = intent.resolved.get(OTHER_TRIED) is True
    match intent.resolved.get(ANSWER):
        case word if word == SAID_YES:
            return NotSeen(
                reason=f"Greenhouse said yes, and {still[0].lower()}{still[1:]}",
                most_retries=2 if tried else 1,
                remedy="move the application by hand or look why Greenhouse does not, then redrive or drop it",
            )
        case word if word == SAID_NO and spaces.other_allowed and not tried:
            other = FromSpace(str(intent.resolved[SPACE])).other
            return NotSeen(
                reason=f"{still}; trying from_stage_id as {other.value} once",
                proof=True,
                resolved={SPACE: other.value, OTHER_TRIED: True},
            )
        case word if word == SAID_NO:
            return NotSeen(
                reason=f"Greenhouse refuses the move; {still}",
                most_retries=intent.retries,  # park at the second reading: sending the same again is refused again
                remedy="see whether the job is closed or the stage is inactive, mend it and redrive, or drop the move",
            )
    return NotSeen(reason=still)


def order_of_notes(notes: Sequence[NoteView], not_before: datetime) -> tuple[list[NoteView], bool]:
    """Return the notes made at or after *not_before*, and whether an older one was met: then no more are needed."""
    young = [note for note in notes if note.created_at >= not_before]
    return young, len(young) < len(notes)
