"""An in-memory Greenhouse behind the port `Harvest`, with people who act; the twin of both adapters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    CandidateId,
    JobId,
    StageId,
    StageRowId,
    UserId,
)
from trellis.common.errors import TransientError
from trellis.common.ledger.budget import Use
from trellis.common.ledger.effects import Unauthorized
from trellis.greenhouse_actions.adapters.harvest import V3, Capabilities, Connected, CredentialRejectedError
from trellis.greenhouse_actions.connection import Connection, ConnectionSettings
from trellis.greenhouse_actions.domain.outcomes import Answered, NeverLeft, Reply
from trellis.greenhouse_actions.domain.readings import (
    Address,
    ApplicationView,
    CandidateView,
    ChangeField,
    JobStage,
    NoteView,
    StageRow,
    Window,
)
from trellis.greenhouse_actions.domain.requests import FromSpace, HarvestRequest, Route

SERVICE_USER = UserId(4_400_199_003)
PERSON = UserId(4_400_120_003)
STAGES = ("Application Review", "Recruiter Call", "Coding Assessment", "Onsite", "Offer")


class FakeHarvest:
    """One account. A test acts as people do, breaks things by the attributes, and reads what was done.

    Attributes:
        capabilities: Those of the version of Harvest through which it is read and written; it may change at any time.
        may_update: Whether the credential may update applications.
        fields: Keys of the custom fields that applications have.
        standings: What those of each application say.
        standing_writes: Each text that was written, in order.
        moves: (application, stage) of each move that was made through the port.
        written: Each note that was written through the port.
        next_replies: Each replaces the answer of one write; called with the honest way to carry it out.
        rejects: Raised by every reading while it is set.
    """

    def __init__(self, capabilities: Capabilities = V3) -> None:
        self.capabilities = capabilities
        self.job = JobId(4_120_077_003)
        self.truth: dict[ApplicationId, ApplicationView] = {}
        self.left: dict[ApplicationId, list[StageRow]] = {}
        self.people: dict[CandidateId, CandidateView] = {}
        self.plan = [
            JobStage(id=StageId(7_310_086_003 + n), job_id=self.job, name=name, sort_order=n, active=True)
            for n, name in enumerate(STAGES)
        ]
        self.hidden_jobs: set[JobId] = set()
        self.notes_there: list[NoteView] = []
        self.feeds: dict[int, CandidateId] = {}
        self.moves: list[tuple[ApplicationId, StageId]] = []
        self.written: list[NoteView] = []
        self.standings: dict[ApplicationId, str] = {}
        self.standing_writes: list[tuple[ApplicationId, str]] = []
        self.may_update = True
        self.fields = {"trellis_standing"}
        self.from_space = FromSpace.JOB_INTERVIEW_STAGE
        self.is_blind = False
        self.rejects: Unauthorized | None = None
        self.next_replies: list[Callable[[Callable[[], Reply]], Reply]] = []
        self.readings = 0
        self._ids = 5_000_000_000

    # -- people

    def fresh(self) -> int:
        self._ids += 1
        return self._ids

    def stage(self, name: str) -> StageId:
        return next(stage.id for stage in self.plan if stage.name == name)

    def apply(
        self, stage: str = "Coding Assessment", emails: Iterable[str] = ("odessa@mail.example",)
    ) -> ApplicationView:
        candidate = CandidateView(
            id=CandidateId(self.fresh()), addresses=tuple(Address(value=e, type="personal") for e in emails)
        )
        self.people[candidate.id] = candidate
        view = ApplicationView(
            id=ApplicationId(self.fresh()),
            candidate_id=candidate.id,
            job_id=self.job,
            status=ApplicationStatus.ACTIVE,
            created_at=datetime.now(UTC),
            updated_at=datetime.now(UTC),
        )
        self.truth[view.id] = view
        return self.enter(view.id, self.stage(stage))

    def enter(self, application: ApplicationId, stage: StageId) -> ApplicationView:
        self._leave(application)
        name = next(item.name for item in self.plan if item.id == stage)
        view = replace(
            self.truth[application],
            stage_id=stage,
            stage_name=name,
            row_id=StageRowId(self.fresh()),
            entered_at=datetime.now(UTC),
            updated_at=datetime.now(UTC),
        )
        self.truth[application] = view
        return view

    def _leave(self, application: ApplicationId) -> None:
        row = self._row(self.truth[application])
        if row is not None:
            over = replace(row, exited_at=datetime.now(UTC), current=False)
            self.left.setdefault(application, []).append(over)

    def _row(self, view: ApplicationView) -> StageRow | None:
        if view.row_id is None or view.stage_id is None:
            return None
        return StageRow(id=view.row_id, application_id=view.id, stage_id=view.stage_id, entered_at=view.entered_at)

    def end(self, application: ApplicationId, status: ApplicationStatus) -> None:
        self._leave(application)
        self.truth[application] = replace(
            self.truth[application], status=status, stage_id=None, row_id=None, updated_at=datetime.now(UTC)
        )

    def person_note(self, application: ApplicationId, body: str, at: datetime | None = None) -> None:
        self._keep(application, PERSON, body, at or datetime.now(UTC))

    # -- the port

    def _read(self) -> None:
        self.readings += 1
        if self.rejects is not None:
            raise CredentialRejectedError(self.rejects)

    def _shows(self, view: ApplicationView) -> bool:
        return not self.is_blind and view.job_id not in self.hidden_jobs

    async def applications(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, ApplicationView]:
        self._read()
        shown = {ident: self.truth[ident] for ident in ids if ident in self.truth}
        return {ident: self._view(view) for ident, view in shown.items() if self._shows(view)}

    def _view(self, view: ApplicationView) -> ApplicationView:
        """Return what the version tells of the truth: v1 neither visits nor `updated_at`."""
        if self.capabilities.stage_history:
            return replace(view, entered_at=None)
        return replace(view, entered_at=None, row_id=None, updated_at=None, last_activity_at=view.updated_at)

    async def changed(self, field: ChangeField, window: Window) -> Sequence[ApplicationView]:
        self._read()
        if field is ChangeField.UPDATED_AT and not self.capabilities.updated_filter:
            raise TransientError("Harvest v1 has no list by updated_at")
        views = [(view, self._view(view)) for view in self.truth.values() if self._shows(view)]
        return [
            shown
            for view, shown in views
            if (at := view.updated_at if field is ChangeField.UPDATED_AT else shown.last_activity_at) is not None
            and window.since <= at <= window.until
        ]

    async def current_stages(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, StageRow]:
        self._read()
        if not self.capabilities.stage_history:
            return {}
        shown = [self.truth[ident] for ident in ids if ident in self.truth and self._shows(self.truth[ident])]
        return {view.id: row for view in shown if (row := self._row(view)) is not None}

    async def stage_history(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, Sequence[StageRow]]:
        present = await self.current_stages(ids)
        if not self.capabilities.stage_history:
            return {}
        found = {}
        for ident in (ident for ident in ids if ident in self.truth and self._shows(self.truth[ident])):
            rows = {row.id: row for row in self.left.get(ident, ())}  # a row that was left may be the present one again
            rows |= {present[ident].id: present[ident]} if ident in present else {}
            if rows:
                found[ident] = sorted(rows.values(), key=lambda row: row.id, reverse=True)
        return found

    async def candidates(self, ids: Sequence[CandidateId]) -> Mapping[CandidateId, CandidateView]:
        self._read()
        return {} if self.is_blind else {ident: self.people[ident] for ident in ids if ident in self.people}

    async def visible_jobs(self, ids: Sequence[JobId]) -> frozenset[JobId]:
        self._read()
        return frozenset() if self.is_blind else frozenset({self.job} & set(ids) - self.hidden_jobs)

    async def stages(self, job: JobId) -> Sequence[JobStage]:
        self._read()
        return [stage for stage in reversed(self.plan) if stage.job_id == job]

    async def sees_anything(self) -> bool:
        self._read()
        return not self.is_blind

    async def notes(
        self, application: ApplicationId, author: UserId | None, not_before: datetime, *, of_candidate: bool = False
    ) -> list[NoteView]:
        self._read()
        named, of = {application}, self.candidate_of(application)
        if of_candidate or not self.capabilities.note_on_application:
            named |= {None}  # type: ignore[arg-type]
        return [
            note
            for note in reversed(self.notes_there)
            if note.application_id in named
            and (note.application_id is not None or self.feeds[note.id] == of)
            and author in (None, note.user_id)
            and note.created_at >= not_before
            and not self.is_blind
        ]

    async def allow(self, calls: int) -> None:
        return None

    async def reserve(self) -> timedelta | None:
        return None

    async def send(self, request: HarvestRequest, *, leave_before: float) -> Reply:
        if time.monotonic() >= leave_before:
            return NeverLeft(reason="the application was read too long ago", wait=timedelta())

        def honestly() -> Reply:
            carry_out = {Route.MOVE: self._move, Route.NOTE: self._note, Route.STANDING: self._update}
            return carry_out[request.route](request)

        return self.next_replies.pop(0)(honestly) if self.next_replies else honestly()

    def _move(self, request: HarvestRequest) -> Reply:
        view = self.truth.get(ApplicationId(int(request.path.split("/")[2])))
        if view is None or not self._shows(view):
            return Answered(status=404)
        by_stage = self.from_space is FromSpace.JOB_INTERVIEW_STAGE or not self.capabilities.stage_history
        present = view.stage_id if by_stage else view.row_id
        target = StageId(int(request.body["to_stage_id"]))
        stages = {stage.id for stage in self.plan if stage.active}
        if not view.is_active or request.body["from_stage_id"] != present or target not in stages - {view.stage_id}:
            return Answered(status=422, message="from_stage_id does not match the current stage")
        self.enter(view.id, target)
        self.moves.append((view.id, target))
        return Answered(status=204 if self.capabilities.stage_history else 200)

    def _update(self, request: HarvestRequest) -> Reply:
        view = self.truth.get(ident := ApplicationId(int(request.path.split("/")[2])))
        if not self.may_update:
            return Answered(status=403, names_scope=True)
        if view is None or not self._shows(view):
            return Answered(status=404)
        (changed,) = request.body["custom_fields"]
        text = changed.get("value", "")
        if changed["name_key"] not in self.fields or len(text) >= 255 or bool(text) == ("delete_value" in changed):
            return Answered(status=422)
        self.standings[ident] = text
        self.standing_writes.append((ident, text))
        return Answered(status=200)

    def _note(self, request: HarvestRequest) -> Reply:
        body = request.body
        candidate, author = CandidateId(int(body["candidate_id"])), UserId(int(body.get("user_id", SERVICE_USER)))
        application = ApplicationId(int(body["application_id"]))
        if self.capabilities.note_on_application:
            view = self.truth.get(application)
            if view is None or view.candidate_id != candidate:
                return Answered(status=422)
            note = self._keep(application, author, str(body["body"]), datetime.now(UTC))
        elif candidate in self.people:
            note = self.note_through_v1(candidate, author, str(body["body"]))
        else:
            return Answered(status=404)
        self.written.append(note)
        return Answered(status=201, note_id=note.id)

    def note_through_v1(self, candidate: CandidateId, author: UserId, body: str) -> NoteView:
        """Write a note as Harvest v1 does: on the candidate's feed, naming no application."""
        note = self._keep(None, author, body, datetime.now(UTC))
        self.feeds[note.id] = candidate
        return note

    def candidate_of(self, application: ApplicationId) -> CandidateId | None:
        view = self.truth.get(application)
        return None if view is None or not self._shows(view) else view.candidate_id

    def _keep(self, application: ApplicationId | None, author: UserId, body: str, at: datetime) -> NoteView:
        note = NoteView(id=self.fresh(), application_id=application, user_id=author, created_at=at, body=body)
        self.notes_there.append(note)
        return note


class FakeHarvests:
    """The Greenhouses of accounts that a test connected."""

    def __init__(self, **settings: Any) -> None:
        self.harvest = FakeHarvest()
        self.connection = Connection(
            account=AccountId("acme"),
            api_version="v3",
            base_url="https://harvest.example/v3",
            token_url="https://auth.example/token",
            client_id="c",
            client_secret="s",
            service_user_id=SERVICE_USER,
            settings=ConnectionSettings.parse(settings),
        )

    async def of(self, account: AccountId, use: Use = Use.PEOPLE) -> Connected:
        return Connected(connection=self.connection, harvest=self.harvest)

    async def remember_space(self, connection: Connection, space: FromSpace) -> None:
        self.connection = replace(self.connection, from_space=space)
