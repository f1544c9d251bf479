"""The two kinds of effect on Greenhouse, as the ledger drives them: read, decide, write once, look up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from trellis.common.contracts.commands import Action, AddNote, MoveApplication
from trellis.common.contracts.identifiers import AccountId, CandidateId, CommandId, JobId, UserId
from trellis.common.errors import TransientError
from trellis.common.ledger.effects import (
    Answer,
    Blocked,
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
    CredentialRejectedError,
    Harvests,
    NotShownError,
    TooLongError,
)
from trellis.greenhouse_actions.adapters.http import WRITE_SECONDS
from trellis.greenhouse_actions.adapters.own_moves import OwnMoves
from trellis.greenhouse_actions.adapters.stage_cache import StageStore
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain import effects as cases
from trellis.greenhouse_actions.domain.outcomes import ANSWER, SAID_YES, NeverLeft, Reply, classify_move, classify_note
from trellis.greenhouse_actions.domain.readings import ApplicationView, JobStage, Readings
from trellis.greenhouse_actions.domain.requests import (
    REPORT_LINK,
    FromSpace,
    HarvestRequest,
    Route,
    allowed_link,
    move_request,
    note_request,
)
from trellis.greenhouse_actions.domain.stages import choose_target, knows
from trellis.greenhouse_actions.links import ReportLinks
from trellis.greenhouse_actions.pauses import Pauses, disproved_by
from trellis.greenhouse_actions.reading import Reader, read_applications
from trellis.greenhouse_actions.tags import Stopped

log = structlog.get_logger()

READING_SECONDS: Final = 10.0
"""Oldest reading on which a write may leave (P4)."""
NOTES_BACK: Final = timedelta(minutes=10)
"""How far before the attempt a look-up reads notes: the two clocks may differ."""
OTHERS_SECONDS: Final = 600.0
"""How long an accepted write proves that its route is permitted."""
AUTHOR: Final = "author_id"
"""In `resolved`: as whom the latest attempt writes a note; null is the credential's own account."""
ON_APPLICATION: Final = "names_application"
"""In `resolved`: whether the note of the latest attempt names its application; through Harvest v1 none does."""
DEFAULT_RETRY: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A write with the time of the reading it rests on, for the connection as it was then."""

    request: HarvestRequest
    read_at: float
    revision: int


class HarvestEffect:
    """What notes and moves have in common."""

    vendor = VENDOR

    def __init__(
        self,
        harvests: Harvests,
        pauses: Pauses,
        reader: Reader,
        route: Route,
        lists: tuple[Route, Route],
        request_seconds: float,
    ) -> None:
        self.request_seconds = request_seconds + 5.0  # with the wait for a token and a free connection
        self._harvests = harvests
        self._pauses = pauses
        self._reader = reader
        self._route = route
        self._prepared = disproved_by(Route.APPLICATIONS, lists[0])
        self._looked_up = disproved_by(Route.APPLICATIONS, lists[1])
        self._accepted: dict[AccountId, float] = {}
        self._paid: dict[AccountId, float] = {}
        self._tags = reader.tags

    async def prepare(self, account: AccountId, intents: Sequence[Intent]) -> Mapping[CommandId, Preparation]:
        """See `Effect.prepare`."""
        try:
            connected = await self._harvests.of(account)
            most = connected.harvest.capabilities.together
            said = await self._prepare(connected, intents[:most])
        except CredentialRejectedError as error:
            return {intent.id: error.said for intent in intents}
        await self._pauses.mended(account, self._prepared)
        return said | {intent.id: _ITS_TURN for intent in intents[most:]}

    async def _prepare(self, connected: Connected, intents: Sequence[Intent]) -> dict[CommandId, Preparation]:
        raise NotImplementedError

    async def _read(
        self, connected: Connected, commands: Iterable[AddNote | MoveApplication], *, with_visits: bool
    ) -> Readings:
        """Read, with budget for one write too, so that no reading is spent on a write refused after it."""

        async def allow(readings: int) -> None:
            await connected.harvest.allow(readings + 1)
            self._paid[connected.connection.account] = time.monotonic()

        wanted = {command.application_id: command.job_id for command in commands}
        return await self._reader.read(connected, wanted, with_visits=with_visits, allow=allow)

    async def _stopped(self, connected: Connected, people: Sequence[CandidateId]) -> Stopped:
        """Return whom a recruiter's tag keeps Trellis off; it costs a call only where the account has such a tag."""
        stopped = await self._tags.stopped(connected, people)
        if people and connected.connection.settings.keep_off_tag is not None:
            await self._pauses.mended(connected.connection.account, disproved_by(Route.CANDIDATES))
        return stopped

    async def reserve(self, intent: Intent) -> timedelta | None:
        """See `Effect.reserve`; one write was paid for with the readings."""
        if time.monotonic() - self._paid.pop(intent.account, -READING_SECONDS) < READING_SECONDS:
            return None
        try:
            return await (await self._harvests.of(intent.account)).harvest.reserve()
        except CredentialRejectedError:
            return DEFAULT_RETRY

    async def send(self, intent: Intent, request: object) -> Answer:
        """See `Effect.send`."""
        if not isinstance(request, _Outgoing):
            raise TypeError(type(request).__name__)
        try:
            connected = await self._harvests.of(intent.account)
            if connected.connection.revision != request.revision:  # another version or user: it is made anew
                return self._classify(intent, NeverLeft(reason="the connection was just changed", wait=timedelta()))
            self._reader.written(intent.account, intent.application_id)
            reply = await connected.harvest.send(request.request, leave_before=request.read_at + READING_SECONDS)
        except CredentialRejectedError as error:
            return error.said
        except TransientError as error:  # the database that holds connection and token is away: nothing left
            return self._classify(intent, NeverLeft(reason=str(error), wait=error.retry_after))
        return self._classify(intent, reply)

    def _classify(self, intent: Intent, reply: Reply) -> Answer:
        seen = self._accepted.get(intent.account)
        others_pass = seen is not None and time.monotonic() - seen < OTHERS_SECONDS
        classify = classify_move if self._route is Route.MOVE else classify_note
        answer = classify(reply, others_pass=others_pass)
        if getattr(reply, "status", 0) in range(200, 300):
            self._accepted[intent.account] = time.monotonic()
        return answer

    async def look_up(self, intent: Intent) -> LookUp:
        """See `Effect.look_up`."""
        try:
            said = await self._look_up(await self._harvests.of(intent.account), intent)
        except CredentialRejectedError as error:
            return error.said
        await self._pauses.mended(intent.account, self._looked_up)
        return said

    async def _look_up(self, connected: Connected, intent: Intent) -> LookUp:
        raise NotImplementedError

    async def cap(self, account: AccountId) -> int | None:
        """See `Effect.cap`: notes and moves have none."""
        return None

    async def second_read(self, account: AccountId) -> timedelta:
        """See `Effect.second_read`: `verify.second_read_s`."""
        try:
            return (await self._harvests.of(account)).connection.second_read
        except CredentialRejectedError:
            return DEFAULT_RETRY

    async def credential_retry(self, account: AccountId) -> timedelta:
        """See `Effect.credential_retry`: `credential.retry_s`."""
        try:
            return (await self._harvests.of(account)).connection.credential_retry
        except CredentialRejectedError:
            return DEFAULT_RETRY


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
        standing: list[tuple[Intent, ApplicationView]] = []
        for intent in asked:
            command = _note(intent)
            stages = cases.note_stages(command, intent.created_at, moves.get(intent.application_id, ()))
            checked = cases.check_note(command, readings.of(command.application_id), stages)
            if isinstance(checked, ApplicationView):
                standing.append((intent, checked))
            else:
                said[intent.id] = checked
        # The application shows whose note it is, so that person is there: no reading of the candidate (docs/adr/0011).
        people = [view.candidate_id for _, view in standing]
        stopped = await self._stopped(connected, people)
        anonymized = await self._candidates.notes_anonymized_at(account, people)
        for intent, view in standing:
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


class MoveEffect(HarvestEffect):
    """Moves an application once, into a stage fixed before the first attempt.

    Args:
        harvests: The Greenhouses.
        stages: Keeps the plans of jobs.
        pauses: Ended by readings that succeed.
        reader: Reads what a write rests on.
    """

    action = Action.MOVE

    def __init__(
        self,
        harvests: Harvests,
        stages: StageStore,
        pauses: Pauses,
        reader: Reader,
        *,
        request_seconds: float = WRITE_SECONDS,
    ) -> None:
        lists = (Route.APPLICATIONS, Route.APPLICATIONS)
        super().__init__(harvests, pauses, reader, Route.MOVE, lists, request_seconds)
        self._stages = stages

    async def _prepare(self, connected: Connected, intents: Sequence[Intent]) -> dict[CommandId, Preparation]:
        commands = {intent.id: _move(intent) for intent in intents}
        # The row of the present visit is told with the application; when it began is needed to know it again.
        with_visits = any(intent.retries > 0 or intent.command.visit.startswith("t") for intent in intents)
        readings = await self._read(connected, commands.values(), with_visits=with_visits)
        stopped = await self._stopped(connected, [view.candidate_id for view in readings.applications.values()])
        readings = replace(readings, read_at=min(readings.read_at, stopped.read_at))
        plans = _Plans(connected, self._stages)
        said: dict[CommandId, Preparation] = {}
        for intent in intents:
            checked = await self._checked(connected, intent, commands[intent.id], readings, plans)
            shown = readings.of(commands[intent.id].application_id)
            if isinstance(checked, Ready) and isinstance(shown, ApplicationView):
                checked = stopped.reasons.get(shown.candidate_id, checked)
            said[intent.id] = checked
        return said

    async def _checked(
        self, connected: Connected, intent: Intent, command: MoveApplication, readings: Readings, plans: _Plans
    ) -> Preparation:
        shown = readings.of(command.application_id)
        stood = cases.stands_still(shown, command.job_id)
        if not isinstance(stood, ApplicationView):
            return stood
        job = stood.job_id or command.job_id
        if job is None:
            return Blocked(reason="Greenhouse shows it on no job", remedy="put it on a job, or drop this move")
        target = choose_target(command, intent.resolved, await plans.of(job, intent, command))
        checked = cases.check_move(intent, command, shown, target)
        if not isinstance(checked, ApplicationView):
            return checked
        assert isinstance(target, JobStage)  # noqa: S101 - check_move returned the Blocked one
        space = cases.chosen_space(intent.resolved, connected.connection.spaces)
        request = move_request(command, checked, target.id, space)
        if request is None:
            return _NO_ROW
        return Ready(
            request=_Outgoing(request, readings.read_at, connected.connection.revision),
            read_at=readings.read_at,
            resolved=cases.before_move(checked, target, space),
        )

    async def _look_up(self, connected: Connected, intent: Intent) -> LookUp:
        command, connection = _move(intent), connected.connection
        wanted = {command.application_id: command.job_id}
        capabilities = connected.harvest.capabilities
        await connected.harvest.allow(1)
        readings = await read_applications(connected.harvest, wanted, with_visits=False)
        said = cases.look_for_move(intent, readings.of(command.application_id), connection.spaces)
        if not isinstance(said, Found) and capabilities.stage_history:  # then it matters whether it left and came back
            await connected.harvest.allow(2)
            readings = await read_applications(connected.harvest, wanted, with_visits=True)
            said = cases.look_for_move(intent, readings.of(command.application_id), connection.spaces)
        if isinstance(said, Found) and intent.resolved.get(ANSWER) == SAID_YES:
            await self._harvests.remember_space(connection, FromSpace(str(intent.resolved[cases.SPACE])))
        return said


class _Plans:
    """The plans of jobs during one batch: from the cache, read anew at most once when an id is not known."""

    def __init__(self, connected: Connected, stages: StageStore) -> None:
        self._connected = connected
        self._stages = stages
        self._read: dict[JobId, Sequence[JobStage]] = {}

    async def of(self, job: JobId, intent: Intent, command: MoveApplication) -> Sequence[JobStage]:
        if job in self._read:
            return self._read[job]
        account = self._connected.connection.account
        kept = await self._stages.get(account, job)
        if kept is not None and knows(kept, command, intent.resolved):
            return kept
        self._read[job] = fresh = await self._connected.harvest.stages(job)
        await self._stages.put(account, job, fresh)
        return fresh


_NO_ROW: Final = Blocked(
    reason="Greenhouse shows no row of the present stage visit, which this connection's moves must name",
    remedy="move the application by hand, or set v3.from_stage_space to job_interview_stage",
)


_ITS_TURN: Final = Later(
    reason="applications are read one by one through Harvest v1; it waits for its turn", wait=timedelta(seconds=1)
)


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
        request=_Outgoing(request, read_at, connection.revision),
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


def _move(intent: Intent) -> MoveApplication:
    if not isinstance(intent.command, MoveApplication):
        raise TypeError(type(intent.command).__name__)
    return intent.command
