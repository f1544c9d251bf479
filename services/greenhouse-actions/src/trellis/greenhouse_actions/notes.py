"""Writing a note once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from trellis.common.contracts.commands import Action, AddNote
from trellis.common.contracts.identifiers import CandidateId, CommandId, UserId
from trellis.common.errors import TransientError
from trellis.common.ledger.effects import (
    CannotTell,
    Found,
    Intent,
    Later,
    LookUp,
    Overtaken,
    Preparation,
    Ready,
)
from trellis.greenhouse_actions.adapters.candidate_store import Anonymizations
from trellis.greenhouse_actions.adapters.harvest import (
    Connected,
    Harvests,
    NotShownError,
    TooLongError,
)
from trellis.greenhouse_actions.adapters.http import WRITE_SECONDS
from trellis.greenhouse_actions.adapters.own_moves import OwnMoves
from trellis.greenhouse_actions.domain import effects as cases
from trellis.greenhouse_actions.domain.readings import ApplicationView
from trellis.greenhouse_actions.domain.requests import (
    REPORT_LINK,
    Route,
    allowed_link,
    note_request,
)
from trellis.greenhouse_actions.effects import HarvestEffect, Outgoing
from trellis.greenhouse_actions.links import ReportLinks
from trellis.greenhouse_actions.pauses import Pauses
from trellis.greenhouse_actions.reading import Reader, read_applications

log = structlog.get_logger()

NOTES_BACK: Final = timedelta(minutes=10)
"""How far before the attempt a look-up reads notes: the two clocks may differ."""
AUTHOR: Final = "author_id"
"""In `resolved`: as whom the latest attempt writes a note; null is the credential's own account."""
ON_APPLICATION: Final = "names_application"
"""In `resolved`: whether the note of the latest attempt names its application; through Harvest v1 none does."""


class NoteEffect(HarvestEffect):
    """Writes a note once.

    Args:
        harvests: The Greenhouses.
        own_moves: Tells where our own moves led.
        candidates: Tells whose notes were anonymised.
        links: Tells links of reports.
        pauses: Ended by readings that succeed.
        reader: Reads what a write rests on.
    """

    action = Action.NOTE

    def __init__(
        self,
        harvests: Harvests,
        own_moves: OwnMoves,
        candidates: Anonymizations,
        links: ReportLinks,
        pauses: Pauses,
        reader: Reader,
        *,
        request_seconds: float = WRITE_SECONDS,
    ) -> None:
        super().__init__(harvests, pauses, reader, Route.NOTE, (Route.APPLICATIONS, Route.NOTES), request_seconds)
        self._own_moves = own_moves
        self._candidates = candidates
        self._links = links

    async def _prepare(self, connected: Connected, intents: Sequence[Intent]) -> dict[CommandId, Preparation]:
        account = connected.connection.account
        links = dict(zip([i.id for i in intents], await asyncio.gather(*map(self._link, intents)), strict=True))
        said: dict[CommandId, Preparation] = {ident: link for ident, link in links.items() if isinstance(link, Later)}
        asked = [intent for intent in intents if intent.id not in said]
        if not asked:
            return said
        commands = [_note(intent) for intent in asked]
        with_visits = any(command.visit.startswith("t") for command in commands)
        readings = await self._read(connected, commands, with_visits=with_visits)
        moves = await self._own_moves.of(account, list(readings.applications))  # after the reading: see LedgerMoves
        fitting: list[tuple[Intent, ApplicationView]] = []
        for intent in asked:
            command = _note(intent)
            stages = cases.note_stages(command, intent.created_at, moves.get(intent.application_id, ()))
            checked = cases.check_note(command, readings.of(command.application_id), stages)
            if isinstance(checked, ApplicationView):
                fitting.append((intent, checked))
            else:
                said[intent.id] = checked
        # The application shows whose note it is, so that person is there: no reading of the candidate (docs/adr/0011).
        people = [view.candidate_id for _, view in fitting]
        stopped = await self._stopped(connected, people)
        anonymized = await self._candidates.notes_anonymized_at(account, people)
        for intent, view in fitting:
            link = links[intent.id]
            if view.candidate_id in stopped.reasons:
                said[intent.id] = stopped.reasons[view.candidate_id]
            elif cases.lost_to_anonymization(intent, anonymized.get(view.candidate_id)):
                said[intent.id] = Overtaken(reason="the candidate was anonymised since; the note is not written again")
            else:
                said[intent.id] = _ready(
                    connected,
                    _note(intent),
                    view,
                    min(readings.read_at, stopped.read_at),
                    link if isinstance(link, str) else None,
                )
        return said

    async def _link(self, intent: Intent) -> str | Later | None:
        """Ask for the report's link, before the reading, which may be only ten seconds old at the write."""
        command = _note(intent)
        if REPORT_LINK not in command.text or command.assessment_id is None:
            return None
        try:
            return await self._links.link(intent.account, command.application_id, command.visit, command.assessment_id)
        except TransientError as error:
            return Later(reason=str(error), wait=error.retry_after or timedelta(seconds=5))

    async def _look_up(self, connected: Connected, intent: Intent) -> LookUp:
        command, harvest = _note(intent), connected.harvest
        author = connected.connection.acting_user
        since = (intent.attempted_at or intent.created_at) - NOTES_BACK
        may_name_none = intent.resolved.get(ON_APPLICATION) is not True  # after a restore nobody knows
        author = _author(intent, author)
        await harvest.allow(3 if harvest.capabilities.note_on_application and not may_name_none else 4)
        try:
            notes = await harvest.notes(command.application_id, author, since, of_candidate=may_name_none)
        except (TooLongError, NotShownError) as error:
            return CannotTell(
                reason=str(error), remedy="look in Greenhouse whether the note is there, then confirm or redrive it"
            )
        found = next((note for note in notes if cases.is_our_note(note, command, author)), None)
        if found is not None:
            return Found(reason=f"note {found.id} bears our marker", resolved={"note_id": found.id})
        # Only an application and a candidate that are shown prove that their notes would be shown too.
        readings = await read_applications(harvest, {command.application_id: command.job_id}, with_visits=False)
        shown = readings.of(command.application_id)
        seen = isinstance(shown, ApplicationView) and bool(await harvest.candidates([shown.candidate_id]))
        known = intent.resolved.get("candidate_id") or intent.candidate_id
        people = [CandidateId(known)] if isinstance(known, int) else []
        anonymized = await self._candidates.notes_anonymized_at(intent.account, people)
        at = anonymized.get(people[0]) if people else None
        return cases.look_for_note(intent, command, notes, author, shown, at, candidate_is_shown=seen)


def _author(intent: Intent, present: UserId | None) -> UserId | None:
    """Return who wrote the note, if it was written: the connection's user may have changed since."""
    if AUTHOR not in intent.resolved:
        return present
    author = intent.resolved[AUTHOR]
    return UserId(author) if isinstance(author, int) else None


def _ready(connected: Connected, command: AddNote, view: ApplicationView, read_at: float, link: str | None) -> Ready:
    connection = connected.connection
    allowed = allowed_link(link, connection.settings.note_link_hosts)
    if link is not None and allowed is None:
        log.warning("note.link_dropped", account=connection.account, command_id=str(command.command_id))
    request = note_request(command, view.candidate_id, connection.acting_user, connection.note_style, allowed)
    author = connection.acting_user
    return Ready(
        request=Outgoing(request, read_at, connection.revision),
        read_at=read_at,
        resolved={
            "candidate_id": int(view.candidate_id),
            AUTHOR: None if author is None else int(author),
            ON_APPLICATION: connected.harvest.capabilities.note_on_application,
        },
    )


def _note(intent: Intent) -> AddNote:
    if not isinstance(intent.command, AddNote):
        raise TypeError(type(intent.command).__name__)
    return intent.command
