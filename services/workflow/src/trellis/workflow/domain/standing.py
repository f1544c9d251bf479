"""How an application stands, as recruiters are to see it in Greenhouse; and the decider whose answers tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trellis.common.contracts.commands import Action, Standing
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import CommandId, stable_id
from trellis.common.contracts.outcomes import OutcomeState
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application, Commanded, fold
from trellis.workflow.domain.decisions import Message, decide
from trellis.workflow.domain.rules import Workflows

_WORDS: Final = {Action.INVITE: "the invite", Action.NOTE: "the note", Action.MOVE: "the move"}
"""What recruiters care about; who gave an order by hand sees its outcome in the story."""
_NEEDS_A_PERSON: Final = (OutcomeState.PARKED, OutcomeState.REFUSED)
_NOTHING: Final = (None, "")
_SHOWS_NOTHING: Final = (
    e.StageEntered,
    e.StagePassed,
    e.StageSettled,
    e.RulesJudged,
    e.InviteRequested,
    e.NoteRequested,
    e.MoveRequested,
    e.FactNoted,
    e.ObservationRequested,
)
"""After these alone there is nothing to see where nothing was: most facts need no second folding."""


def respond(state: Application, message: Message, workflows: Workflows) -> list[e.Event]:
    """Return what `decide` says of *message*, and what recruiters are to see of it if that is another."""
    events = decide(state, message, workflows)
    return [*events, *_told(state, events)] if events else events


def _told(state: Application, events: Sequence[e.Event]) -> list[e.Event]:
    if state.shown == _NOTHING and all(isinstance(event, _SHOWS_NOTHING) for event in events):
        return []
    after = fold(state, events)
    standing, detail = wanted = standing_of(after)
    if wanted == after.shown:
        return []
    ident = stable_id("standing", after.account, after.application_id, after.shown_count + 1)
    return [e.StandingChanged(command_id=CommandId(ident), standing=standing, detail=detail)]


def standing_of(state: Application) -> tuple[Standing | None, str]:
    """Return what recruiters are to see of the present stage visit, and why a person is needed, if one is.

    Nothing is shown of a visit for which nothing was asked or a person took it back, nor of an application out of the
    running; of an erased person only what needs another. What came of a person's own order is told to whoever gave it.
    """
    visit = state.visit
    if visit is None or state.deleted or state.status is not ApplicationStatus.ACTIVE:
        return _NOTHING
    if visit.name in state.excused:
        return _NOTHING
    taken_back = {state.invites[key] for key in state.withdrawn if key in state.invites}
    commands = [
        item
        for ident, item in state.commands.items()
        if item.visit == visit.name and item.requested and item.action in _WORDS and ident not in taken_back
    ]
    if (open_ones := [item for item in commands if item.state in _NEEDS_A_PERSON]) != []:
        return Standing.PROBLEM, _explained(open_ones[0])
    if state.erased:
        return _NOTHING
    if state.offered == visit.name:
        return Standing.WAITING, "found late, so a person is to say whether the assessment is sent"
    if (held := [rule for name, _, rule in sorted(state.held) if name == visit.name]) != []:
        return Standing.WAITING, f"rule {held[0]} asks a person to decide"
    if any(name == visit.name for name, _ in state.results):
        return Standing.FINISHED, ""
    if any(name == visit.name for name, _ in state.started - state.withdrawn):
        return Standing.STARTED, ""
    if any(item.action is Action.INVITE and item.state is OutcomeState.DONE for item in commands):
        return Standing.INVITED, ""
    return _NOTHING


def _explained(command: Commanded) -> str:
    said = (
        f"{_WORDS[command.action]}: {command.reason}" if command.reason else f"{_WORDS[command.action]} needs a person"
    )
    return f"{said}; {command.remedy}" if command.remedy else said
