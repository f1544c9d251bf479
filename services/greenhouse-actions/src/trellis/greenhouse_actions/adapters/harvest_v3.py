"""Harvest v3 over HTTP: token, budget, paging and errors behind the port.

Source: greenhouse fact sheet, sections 5 and 6.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, Protocol, TypeVar

from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, JobId, UserId
from trellis.common.errors import TransientError, TrellisError
from trellis.common.ledger.budget import Use
from trellis.greenhouse_actions.adapters import v3_rows
from trellis.greenhouse_actions.adapters.harvest import MOST_IDS, Capabilities, CredentialRejectedError, TooLongError
from trellis.greenhouse_actions.adapters.headers import count, next_cursor, retry_after
from trellis.greenhouse_actions.adapters.http import HttpAnswer, HttpClients, UnansweredError
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.adapters.mint import REJECTED
from trellis.greenhouse_actions.adapters.tokens import Token
from trellis.greenhouse_actions.adapters.v3_rows import RowType, rows_of
from trellis.greenhouse_actions.connection import Connection
from trellis.greenhouse_actions.domain.effects import order_of_notes
from trellis.greenhouse_actions.domain.outcomes import Answered, Cut, NeverLeft, Reply, missing_scope
from trellis.greenhouse_actions.domain.readings import (
    ApplicationView,
    CandidateView,
    ChangeField,
    JobStage,
    NoteView,
    StageRow,
    Window,
)
from trellis.greenhouse_actions.domain.requests import HarvestRequest, Route

MOST_PAGES: Final = 40
"""Pages of one list that are read; more is not what we asked for."""
PATIENCE_SECONDS: Final = {Use.PEOPLE: 2.0, Use.BACKGROUND: 60.0}
"""How long a reading that turned out to be needed waits for budget before all is put off."""
MOST_ROWS: Final = 500
"""Rows of one page (greenhouse fact sheet, 5.3)."""
_NO_BUDGET: Final = "the rate budget of the Greenhouse connection is used up for now"
_ROUNDING: Final = timedelta(seconds=1)
TOKEN_SECONDS: Final = 4.0
"""Longest wait for a token just before a write."""

IdType = TypeVar("IdType", bound=int)


class Allowance(Protocol):
    """The rate budget; see `trellis.common.ledger.budget.Budget`."""

    async def spend(self, account: AccountId, calls: int = 1, use: Use = Use.PEOPLE) -> timedelta | None:
        """Take *calls*, or say how long to wait."""

    async def told(
        self, account: AccountId, *, limit: int | None, remaining: int | None, retry_after: timedelta | None = None
    ) -> None:
        """Follow an answer's headers."""


class Bearers(Protocol):
    """The shared tokens; see `Tokens`."""

    async def bearer(self, connection: Connection, user: UserId | None) -> Token:
        """Return a living token."""

    async def renewed(self, connection: Connection, user: UserId | None, rejected: Token) -> Token:
        """Return a newer token than *rejected*."""

    async def discard(self, connection: Connection, user: UserId | None, rejected: Token) -> None:
        """Let the next caller fetch one."""


class _CursorError(TrellisError):
    """Greenhouse does not know the cursor any more: the list starts anew."""


class _FilterError(TrellisError):
    """Greenhouse refuses the list's parameters (422)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the connections of one process share.

    Attributes:
        spellings: Which spelling of a time range each account's Greenhouse took: pipe, bracket or none.
        gates: How many calls of one account may be under way.
    """

    http: HttpClients
    tokens: Bearers
    measures: Measures
    account_calls: int = 8
    spellings: dict[AccountId, str] = field(default_factory=dict)
    gates: dict[AccountId, asyncio.Semaphore] = field(default_factory=dict)

    def gate(self, account: AccountId) -> asyncio.Semaphore:
        """Return the gate of *account*."""
        return self.gates.setdefault(account, asyncio.Semaphore(self.account_calls))


class HarvestV3:
    """One account's Harvest v3; see `Harvest` for what each method promises."""

    capabilities = Capabilities(stage_history=True, transfer_guard=True, note_on_application=True, updated_filter=True)

    def __init__(self, connection: Connection, budget: Allowance, shared: Shared, use: Use = Use.PEOPLE) -> None:
        self._connection = connection
        self._budget = budget
        self._shared = shared
        self._use = use
        self._allowed = 0

    # -- the budget

    async def allow(self, calls: int) -> None:
        """See `Harvest.allow`; what is left over when this object goes is not given back."""
        wait = await self._budget.spend(self._connection.account, calls, self._use)
        if wait is not None:
            raise TransientError(_NO_BUDGET, retry_after=wait)
        self._allowed += calls

    async def _spend(self) -> None:
        """Take one call: one that was allowed before, else from the budget, waiting in place for a short while."""
        if self._allowed > 0:
            self._allowed -= 1
            return
        give_up = time.monotonic() + PATIENCE_SECONDS[self._use]
        while True:
            wait = await self._budget.spend(self._connection.account, 1, self._use)
            if wait is None:
                return
            if time.monotonic() + wait.total_seconds() > give_up:
                raise TransientError(_NO_BUDGET, retry_after=wait)
            await asyncio.sleep(wait.total_seconds())

    # -- reading

    async def applications(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, ApplicationView]:
        """See `Harvest.applications`."""
        found: dict[ApplicationId, ApplicationView] = {}
        for some in _portions(ids):
            rows = await self._list(Route.APPLICATIONS, {"ids": _joined(some)}, v3_rows.ApplicationRow)
            _only(Route.APPLICATIONS, {row.id for row in rows}, some)
            found |= {ApplicationId(row.id): row.view() for row in rows}
        return found

    async def changed(self, field: ChangeField, window: Window) -> Sequence[ApplicationView]:
        """See `Harvest.changed`; rows from outside the window say that the filter did not work."""
        for spelling in self._spellings(open_ended=False):
            query = {"per_page": str(MOST_ROWS)} | _within(spelling, field, window)
            try:
                rows = await self._whole(Route.APPLICATIONS, query, v3_rows.ApplicationRow)
            except _FilterError:
                continue
            views = [row.view() for row in rows]
            if all(_lies_in(window, view, field) for view in views):
                self._shared.spellings[self._connection.account] = spelling
                return views
        raise TransientError(f"Greenhouse does not narrow the list of applications by {field.value}")

    async def current_stages(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, StageRow]:
        """See `Harvest.current_stages`."""
        found: dict[ApplicationId, StageRow] = {}
        for some in _portions(ids):
            query = {"application_ids": _joined(some), "current": "true"}
            rows = await self._list(Route.APPLICATION_STAGES, query, v3_rows.ApplicationStageRow)
            _only(Route.APPLICATION_STAGES, {row.application_id for row in rows}, some)
            for view in (row.view() for row in rows):
                if view is not None:
                    found.setdefault(view.application_id, view)  # ids descend: the newest row comes first
        return found

    async def candidates(self, ids: Sequence[CandidateId]) -> Mapping[CandidateId, CandidateView]:
        """See `Harvest.candidates`."""
        found: dict[CandidateId, CandidateView] = {}
        for some in _portions(ids):
            rows = await self._list(Route.CANDIDATES, {"ids": _joined(some)}, v3_rows.CandidateRow)
            _only(Route.CANDIDATES, {row.id for row in rows}, some)
            found |= {CandidateId(row.id): row.view() for row in rows}
        return found

    async def visible_jobs(self, ids: Sequence[JobId]) -> frozenset[JobId]:
        """See `Harvest.visible_jobs`."""
        found: set[JobId] = set()
        for some in _portions(ids):
            rows = await self._list(Route.JOBS, {"ids": _joined(some)}, v3_rows.Row)
            found |= {JobId(row.id) for row in rows}
        return frozenset(found) & frozenset(ids)

    async def stages(self, job: JobId) -> Sequence[JobStage]:
        """See `Harvest.stages`."""
        rows = await self._list(Route.STAGES, {"job_ids": str(job)}, v3_rows.StageOfJobRow)
        return [row.view() for row in rows if row.job_id == job]

    async def sees_anything(self) -> bool:
        """See `Harvest.sees_anything`; stages are there in every account that has a job."""
        answer = await self._get(Route.STAGES, {"per_page": "1"})
        return bool(rows_of(v3_rows.Row, answer.body))

    async def notes(self, application: ApplicationId, author: UserId | None, not_before: datetime) -> list[NoteView]:
        """See `Harvest.notes`; newest first, so reading ends at the first older one even without the range."""
        query = {"application_ids": str(application)} | ({} if author is None else {"user_ids": str(author)})
        for spelling in self._spellings(open_ended=True):
            try:
                found = await self._notes(query | _since(spelling, not_before), not_before)
            except _FilterError:
                continue
            self._shared.spellings[self._connection.account] = spelling
            return [n for n in found if n.application_id == application and (author is None or n.user_id == author)]
        raise TransientError("Greenhouse refuses the list of notes (422)")

    async def _notes(self, query: Mapping[str, str], not_before: datetime) -> list[NoteView]:
        found: list[NoteView] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            answer = await self._get(Route.NOTES, query if cursor is None else {"cursor": cursor})
            young, met_older = order_of_notes([row.view() for row in rows_of(v3_rows.NoteRow, answer.body)], not_before)
            found += young
            cursor = next_cursor(answer.headers)
            if cursor is None or met_older:
                return found
        raise TransientError("Greenhouse's list of notes does not end")

    def _spellings(self, *, open_ended: bool) -> list[str]:
        """Return the spellings to try; with *open_ended* at last the list without the range."""
        said = self._connection.settings.v3_range_syntax
        words: list[str] = ["pipe", "bracket"] if said == "auto" else [said]
        known = self._shared.spellings.get(self._connection.account)
        words.sort(key=lambda word: word != known)
        return [*words, "none"] if open_ended else words

    async def _list(self, route: Route, query: Mapping[str, str], kind: type[RowType]) -> list[RowType]:
        try:
            return await self._whole(route, query, kind)
        except _FilterError:
            raise TransientError(f"Greenhouse refuses the list {route.value} (422)") from None

    async def _whole(self, route: Route, query: Mapping[str, str], kind: type[RowType]) -> list[RowType]:
        """Read a whole list, from its beginning once more when its cursor died on the way."""
        try:
            return await self._pages(route, query, kind)
        except _CursorError:
            pass
        try:
            return await self._pages(route, query, kind)
        except _CursorError:
            raise TransientError(f"Greenhouse's cursor into the list {route.value} died twice") from None

    async def _pages(self, route: Route, query: Mapping[str, str], kind: type[RowType]) -> list[RowType]:
        rows: list[RowType] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            try:
                answer = await self._get(route, query if cursor is None else {"cursor": cursor})
            except _FilterError:
                if cursor is not None:
                    raise _CursorError("expired") from None
                raise
            rows += rows_of(kind, answer.body)
            cursor = next_cursor(answer.headers)
            if cursor is None:
                return rows
        raise TooLongError(f"Greenhouse's list {route.value} does not end within {MOST_PAGES} pages")

    async def _get(self, route: Route, query: Mapping[str, str]) -> HttpAnswer:
        """Read one page; a 401 gets a newer token once, a second one means that the credential is rejected."""
        user = self._connection.reading_user
        token = await self._shared.tokens.bearer(self._connection, user)
        answer = await self._read(route, query, token)
        if answer.status == 401:
            token = await self._shared.tokens.renewed(self._connection, user, token)
            answer = await self._read(route, query, token)
            if answer.status == 401:
                await self._shared.tokens.discard(self._connection, user, token)
                raise CredentialRejectedError(REJECTED)
        if answer.status == 403:
            raise CredentialRejectedError(missing_scope(route))
        if answer.status == 422:
            raise _FilterError(route.value)
        if answer.status != 200:
            wait = retry_after(answer.headers)
            raise TransientError(f"Greenhouse answered {answer.status} to a reading of {route.value}", retry_after=wait)
        return answer

    async def _read(self, route: Route, query: Mapping[str, str], token: Token) -> HttpAnswer:
        await self._spend()
        url = f"{self._connection.harvest_url}/{route.value}"
        async with self._shared.gate(self._connection.account):
            started = time.monotonic()
            try:
                answer = await self._shared.http.get(url, query, token=token.value)
            except UnansweredError as error:
                self._count(route, "cut" if error.left else "never_left", started)
                raise TransientError(f"Greenhouse cannot be read ({error})") from None
        await self._told(route, answer, started)
        return answer

    # -- writing

    async def reserve(self) -> timedelta | None:
        """See `Harvest.reserve`."""
        return await self._budget.spend(self._connection.account, 1, self._use)

    async def send(self, request: HarvestRequest, *, leave_before: float) -> Reply:
        """See `Harvest.send`."""
        user = self._connection.acting_user
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                token = await self._shared.tokens.bearer(self._connection, user)
        except TimeoutError:
            return NeverLeft(reason="no token could be had in time")
        except TransientError as error:
            return NeverLeft(reason=str(error), wait=error.retry_after)
        async with self._shared.gate(self._connection.account):
            return await self._write(request, token, leave_before)

    async def _write(self, request: HarvestRequest, token: Token, leave_before: float) -> Reply:
        started = time.monotonic()
        if started >= leave_before:
            return NeverLeft(reason="the application was read too long ago", wait=timedelta())
        url = self._connection.harvest_url + request.path
        try:
            answer = await self._shared.http.post(
                url, request.body, token=token.value, connect_seconds=leave_before - started
            )
        except UnansweredError as error:
            self._count(request.route, "cut" if error.left else "never_left", started)
            if error.left:
                return Cut(reason=f"the connection to Greenhouse broke before its answer ({error})")
            return NeverLeft(reason=f"Greenhouse cannot be reached ({error})")
        try:
            if answer.status == 401:
                await self._shared.tokens.discard(self._connection, self._connection.acting_user, token)
            await self._told(request.route, answer, started)
        except TransientError:
            pass  # the answer is what matters; budget and token are told by the next one
        return _reply(request.route, answer)

    async def _told(self, route: Route, answer: HttpAnswer, started: float) -> None:
        self._count(route, str(answer.status), started)
        await self._budget.told(
            self._connection.account,
            limit=count(answer.headers, "X-RateLimit-Limit"),
            remaining=count(answer.headers, "X-RateLimit-Remaining"),
            retry_after=retry_after(answer.headers) if answer.status == 429 else None,
        )

    def _count(self, route: Route, outcome: str, started: float) -> None:
        self._shared.measures.called(self._connection.account, route.value, outcome, time.monotonic() - started)


def _reply(route: Route, answer: HttpAnswer) -> Answered:
    words = v3_rows.words_of(answer.body) if answer.status >= 400 else ""
    lowered = words.lower()
    return Answered(
        status=answer.status,
        retry_after=retry_after(answer.headers),
        request_id=answer.headers.get("X-Request-Id", "")[:100] or None,
        note_id=v3_rows.note_id_of(answer.body) if route is Route.NOTE and answer.status < 300 else None,
        message=words if route is Route.MOVE else "",
        names_scope="scope" in lowered or "site admin" in lowered or "permission" in lowered,
    )


def _since(spelling: str, at: datetime) -> dict[str, str]:
    text = _instant(at.replace(microsecond=0))
    match spelling:
        case "pipe":
            return {"created_at": f"gte|{text}"}
        case "bracket":
            return {"created_at[gte]": text}
    return {}


def _within(spelling: str, field: ChangeField, window: Window) -> dict[str, str]:
    since, until = _instant(window.since), _instant(window.until)
    if spelling == "pipe":
        return {field.value: f"gte|{since}|lte|{until}"}
    return {f"{field.value}[gte]": since, f"{field.value}[lte]": until}


def _lies_in(window: Window, view: ApplicationView, field: ChangeField) -> bool:
    """Whether the row may be in the window; a row changed while the list was read may be later by now."""
    at = view.updated_at if field is ChangeField.UPDATED_AT else view.last_activity_at
    return at is None or at >= window.since - _ROUNDING


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _portions(ids: Sequence[IdType]) -> Iterator[list[IdType]]:
    """Split *ids*, each once, into lists of at most `MOST_IDS`."""
    rest = iter(dict.fromkeys(ids))
    while some := list(islice(rest, MOST_IDS)):
        yield some


def _joined(ids: Sequence[int]) -> str:
    return ",".join(str(ident) for ident in ids)


def _only(route: Route, shown: set[int], asked: Sequence[int]) -> None:
    """Refuse a list with rows nobody asked for: the filter did not work, so what is absent proves nothing."""
    if shown - set(asked):
        raise TransientError(f"Greenhouse ignored the filter of {route.value}")
