"""Harvest v3 over HTTP: token, budget, paging and errors behind the port.

Source: greenhouse fact sheet, sections 5 and 6.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from trellis.common.contracts.identifiers import ApplicationId, CandidateId, JobId, UserId
from trellis.common.errors import TransientError, TrellisError
from trellis.greenhouse_actions.adapters import v3_rows
from trellis.greenhouse_actions.adapters.harvest import MOST_IDS, V3, CredentialRejectedError, TooLongError
from trellis.greenhouse_actions.adapters.headers import next_cursor, retry_after
from trellis.greenhouse_actions.adapters.http import HttpAnswer
from trellis.greenhouse_actions.adapters.http_harvest import HttpHarvest, unreadable
from trellis.greenhouse_actions.adapters.mint import REJECTED
from trellis.greenhouse_actions.adapters.rows import Row, words_of
from trellis.greenhouse_actions.adapters.tokens import Token
from trellis.greenhouse_actions.adapters.v3_rows import RowType, rows_of
from trellis.greenhouse_actions.domain.effects import order_of_notes
from trellis.greenhouse_actions.domain.outcomes import Answered, NeverLeft, Reply, missing_scope
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
MOST_ROWS: Final = 500
"""Rows of one page (greenhouse fact sheet, 5.3)."""
_ROUNDING: Final = timedelta(seconds=1)
TOKEN_SECONDS: Final = 4.0
"""Longest wait for a token just before a write."""

IdType = TypeVar("IdType", bound=int)


class _CursorError(TrellisError):
    """Greenhouse does not know the cursor any more: the list starts anew."""


class _FilterError(TrellisError):
    """Greenhouse refuses the list's parameters (422)."""


class HarvestV3(HttpHarvest):
    """One account's Harvest v3; see `Harvest` for what each method promises."""

    capabilities = V3

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
            for row in await self._visits(some, {"current": "true"}):
                if row.current:
                    found.setdefault(row.application_id, row)
        return found

    async def stage_history(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, Sequence[StageRow]]:
        """See `Harvest.stage_history`; in pages so long that 50 applications rarely need a second one."""
        found: dict[ApplicationId, list[StageRow]] = {}
        for some in _portions(ids):
            for row in await self._visits(some, {"per_page": str(MOST_ROWS)}):
                found.setdefault(row.application_id, []).append(row)
        return found

    async def _visits(self, some: Sequence[ApplicationId], query: Mapping[str, str]) -> list[StageRow]:
        """Return the rows of at most 50 applications, the newest first."""
        rows = await self._list(
            Route.APPLICATION_STAGES, {"application_ids": _joined(some), **query}, v3_rows.ApplicationStageRow
        )
        _only(Route.APPLICATION_STAGES, {row.application_id for row in rows}, some)
        views = (row.view() for row in rows)
        return sorted((view for view in views if view is not None), key=lambda view: view.id, reverse=True)

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
            rows = await self._list(Route.JOBS, {"ids": _joined(some)}, Row)
            found |= {JobId(row.id) for row in rows}
        return frozenset(found) & frozenset(ids)

    async def stages(self, job: JobId) -> Sequence[JobStage]:
        """See `Harvest.stages`."""
        rows = await self._list(Route.STAGES, {"job_ids": str(job)}, v3_rows.StageOfJobRow)
        return [row.view() for row in rows if row.job_id == job]

    async def sees_anything(self) -> bool:
        """See `Harvest.sees_anything`; stages are there in every account that has a job."""
        answer = await self._get(Route.STAGES, {"per_page": "1"})
        return bool(rows_of(Row, answer.body))

    async def notes(
        self, application: ApplicationId, author: UserId | None, not_before: datetime, *, of_candidate: bool = False
    ) -> list[NoteView]:
        """See `Harvest.notes`; newest first, so reading ends at the first older one even without the range."""
        query = {"application_ids": str(application)}
        if of_candidate:
            view = (await self.applications([application])).get(application)
            if view is None:
                return []
            query = {"candidate_ids": str(view.candidate_id)}
        query |= {} if author is None else {"user_ids": str(author)}
        named = {application, None} if of_candidate else {application}
        for spelling in self._spellings(open_ended=True):
            try:
                found = await self._notes(query | _since(spelling, not_before), not_before)
            except _FilterError:
                continue
            self._shared.spellings[self._connection.account] = spelling
            return [n for n in found if n.application_id in named and author in (None, n.user_id)]
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
        raise TooLongError("Greenhouse's list of notes does not end")

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
        with self._shared.breakers.reading(self._connection.account):
            return await self._page(route, query)

    async def _page(self, route: Route, query: Mapping[str, str]) -> HttpAnswer:
        user = self._connection.reading_user
        token = await self._shared.tokens.bearer(self._connection, user)
        answer = await self._read(route, f"/{route.value}", query, _bearing(token))
        if answer.status == 401:
            token = await self._shared.tokens.renewed(self._connection, user, token)
            answer = await self._read(route, f"/{route.value}", query, _bearing(token))
            if answer.status == 401:
                await self._shared.tokens.discard(self._connection, user, token)
                raise CredentialRejectedError(REJECTED)
        if answer.status == 403:
            raise CredentialRejectedError(missing_scope(route))
        if answer.status == 422:
            raise _FilterError(route.value)
        if answer.status != 200:
            raise unreadable(route, answer)
        return answer

    # -- writing

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
        answer = await self._write(request, _bearing(token), leave_before)
        if not isinstance(answer, HttpAnswer):
            return answer
        if answer.status == 401:
            with contextlib.suppress(TransientError):  # the answer matters; the next reading finds the token dead
                await self._shared.tokens.discard(self._connection, user, token)
        return _reply(request.route, answer)


def _bearing(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.value}"}


def _reply(route: Route, answer: HttpAnswer) -> Answered:
    words = words_of(answer.body) if answer.status >= 400 else ""
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
