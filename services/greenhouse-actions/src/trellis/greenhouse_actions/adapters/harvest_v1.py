"""Harvest v1 over HTTP: key, pages, the activity feed, its missing answers and its end behind the port.

It was announced to end on 31 August 2026; what it answers since is not known, so anything that it never answered
before is taken for its end and pauses the connection with what to do.

Source: greenhouse fact sheet, sections 4 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import aiohttp
from pydantic import TypeAdapter

from trellis.common.contracts.identifiers import ApplicationId, CandidateId, JobId, UserId
from trellis.common.errors import TransientError, VendorAwayError
from trellis.common.ledger.budget import Use
from trellis.common.ledger.effects import Unauthorized
from trellis.greenhouse_actions.adapters import v1_rows
from trellis.greenhouse_actions.adapters.harvest import (
    MOST_IDS,
    V1,
    CredentialRejectedError,
    NotShownError,
    TooLongError,
)
from trellis.greenhouse_actions.adapters.headers import next_query, retry_after
from trellis.greenhouse_actions.adapters.http import MOST_BYTES, HttpAnswer
from trellis.greenhouse_actions.adapters.http_harvest import (
    Allowance,
    HttpHarvest,
    Shared,
    UnreachableError,
    unreadable,
)
from trellis.greenhouse_actions.adapters.rows import Row, parsed, words_of
from trellis.greenhouse_actions.connection import Connection
from trellis.greenhouse_actions.domain.outcomes import Answered, Reply, missing_permission
from trellis.greenhouse_actions.domain.readings import (
    ApplicationView,
    CandidateView,
    ChangeField,
    JobStage,
    NoteView,
    StageRow,
    Window,
)
from trellis.greenhouse_actions.domain.requests import HarvestRequest, Permission, Route, as_v1

MOST_PAGES: Final = 200
"""Pages of one list that are read: its filter has no end, so a list reaches to the present."""
MOST_ROWS: Final = 500
"""Rows of one page (greenhouse fact sheet, section 4)."""
_ROUNDING: Final = timedelta(seconds=1)
_SWITCH: Final = (
    "connect with Harvest v3: api_version: v3 with an OAuth credential in the account's file, then "
    "`trellis apply -f trellis.yaml`; what is under way goes on"
)

ENDED: Final = Unauthorized(reason="Harvest v1 has ended for this account", remedy=_SWITCH)
UNREACHED: Final = Unauthorized(reason="Harvest v1 cannot be reached any more", remedy=_SWITCH)
KEY_REJECTED: Final = Unauthorized(
    reason="Harvest v1 does not accept the API key: it has ended, or the key is not the present one",
    remedy=f"{_SWITCH}; if Harvest v1 is still on for this account, put its present API key instead",
)
ALL_MENDED: Final = frozenset(said.reason for said in (ENDED, UNREACHED, KEY_REJECTED))
"""Reasons of a pause that any complete reading through v1 shows to be mended."""

RowType = TypeVar("RowType", bound=Row)


def unknown_user(user: UserId | None) -> Unauthorized:
    """Return the verdict that writes cannot be made on behalf of *user*."""
    return Unauthorized(
        reason=f"Greenhouse knows no user {user}, on whose behalf notes and moves are to be made",
        remedy="put the id of an active user as service_user_id in the account's file and apply it (`trellis apply`)",
    )


class HarvestV1(HttpHarvest):
    """One account's Harvest v1; see `Harvest` for what each method promises, and `V1` for what it cannot."""

    capabilities = V1

    def __init__(self, connection: Connection, budget: Allowance, shared: Shared, use: Use = Use.PEOPLE) -> None:
        super().__init__(connection, budget, shared, use)
        self._headers = {"Authorization": aiohttp.encode_basic_auth(connection.api_key, "")}
        self._is_on = False

    # -- reading

    async def applications(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, ApplicationView]:
        """See `Harvest.applications`; one call each."""
        found: dict[ApplicationId, ApplicationView] = {}
        for ident in dict.fromkeys(ids):
            path = f"/applications/{int(ident)}"
            body = await self._item(Route.APPLICATIONS, Permission.RETRIEVE_APPLICATION, path)
            if body is not None:
                found[ident] = parsed(v1_rows.APPLICATION, body).view()
                if found[ident].id != ident:
                    raise TransientError("Greenhouse answered with another application")
        return found

    async def changed(self, field: ChangeField, window: Window) -> Sequence[ApplicationView]:
        """See `Harvest.changed`; only by `last_activity_at`, by a filter without an end."""
        if field is not ChangeField.LAST_ACTIVITY_AT:
            raise TransientError(f"Harvest v1 has no list of applications by {field.value}")
        since = window.since - _ROUNDING  # whether the filter takes its own instant too is not known
        query = {"last_activity_after": _instant(since)}
        rows = await self._pages(
            Route.APPLICATIONS, Permission.LIST_APPLICATIONS, "/applications", query, v1_rows.APPLICATIONS
        )
        views = {row.id: row.view() for row in rows}.values()
        if any(view.last_activity_at is not None and view.last_activity_at < since - _ROUNDING for view in views):
            raise TransientError(f"Greenhouse does not narrow the list of applications by {field.value}")
        return [
            view
            for view in views
            if view.last_activity_at is None or window.since <= view.last_activity_at <= window.until
        ]

    async def current_stages(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, StageRow]:
        """See `Harvest.current_stages`: v1 knows no visits."""
        return {}

    async def stage_history(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, Sequence[StageRow]]:
        """See `Harvest.stage_history`: v1 knows no visits."""
        return {}

    async def candidates(self, ids: Sequence[CandidateId]) -> Mapping[CandidateId, CandidateView]:
        """See `Harvest.candidates`."""
        found: dict[CandidateId, CandidateView] = {}
        wanted = list(dict.fromkeys(ids))
        for first in range(0, len(wanted), MOST_IDS):
            some = wanted[first : first + MOST_IDS]
            query = {"candidate_ids": ",".join(str(ident) for ident in some)}
            rows = await self._pages(
                Route.CANDIDATES, Permission.LIST_CANDIDATES, "/candidates", query, v1_rows.CANDIDATES
            )
            if {row.id for row in rows} - set(some):
                raise TransientError("Greenhouse ignored the filter of candidates")
            found |= {CandidateId(row.id): row.view() for row in rows}
        return found

    async def visible_jobs(self, ids: Sequence[JobId]) -> frozenset[JobId]:
        """See `Harvest.visible_jobs`; one call each."""
        found = set()
        for ident in dict.fromkeys(ids):
            if await self._item(Route.JOBS, Permission.RETRIEVE_JOB, f"/jobs/{int(ident)}") is not None:
                found.add(ident)
        return frozenset(found)

    async def stages(self, job: JobId) -> Sequence[JobStage]:
        """See `Harvest.stages`: from the job's own list, or where that is not ticked from the list of all stages."""
        try:
            answer = await self._get(Route.STAGES, Permission.LIST_STAGES_OF_JOB, f"/jobs/{int(job)}/stages", _FIRST)
        except CredentialRejectedError as error:
            if error.said != missing_permission(Permission.LIST_STAGES_OF_JOB):
                raise
            rows = await self._pages(Route.STAGES, Permission.LIST_STAGES, "/job_stages", {}, v1_rows.STAGES)
        else:
            if answer.status == 404:
                await self._prove_on()
                return []
            rows = await self._rest(answer, Route.STAGES, Permission.LIST_STAGES_OF_JOB, f"/jobs/{int(job)}/stages")
        return [row.view() for row in rows if row.job_id == job]

    async def _rest(
        self, first: HttpAnswer, route: Route, permission: Permission, path: str
    ) -> list[v1_rows.StageOfJobRow]:
        rows, query = parsed(v1_rows.STAGES, first.body), next_query(first.headers)
        if query:
            rows += await self._pages(route, permission, path, query, v1_rows.STAGES)
        return rows

    async def sees_anything(self) -> bool:
        """See `Harvest.sees_anything`: a key sees the jobs of every account that has one."""
        answer = await self._get(Route.JOBS, Permission.LIST_JOBS, "/jobs", {"per_page": "1", "skip_count": "true"})
        if answer.status == 404:
            raise CredentialRejectedError(ENDED)
        return bool(parsed(v1_rows.ROWS, answer.body))

    async def notes(
        self, application: ApplicationId, author: UserId | None, not_before: datetime, *, of_candidate: bool = False
    ) -> list[NoteView]:
        """See `Harvest.notes`: the activity feed of the application's candidate, which comes whole."""
        view = (await self.applications([application])).get(application)
        if view is None:
            return []
        path = f"/candidates/{int(view.candidate_id)}/activity_feed"
        body = await self._item(Route.NOTES, Permission.RETRIEVE_ACTIVITY_FEED, path)
        if body is None:
            raise NotShownError("Greenhouse shows the application and not the activity feed of its candidate")
        if len(body) >= MOST_BYTES:
            raise TooLongError("the candidate's activity feed is longer than is read")
        notes = [row.view() for row in parsed(v1_rows.FEED, body).notes]
        return [note for note in notes if note.created_at >= not_before and author in (None, note.user_id)]

    async def _item(self, route: Route, permission: Permission, path: str) -> bytes | None:
        """Return one record; None when it is not there, which a living v1 must have said."""
        answer = await self._get(route, permission, path, {})
        if answer.status != 404:
            return answer.body
        await self._prove_on()
        return None

    async def _prove_on(self) -> None:
        """Let a 404 mean that a record is not there: only while v1 is on, and then its lists do not answer 404.

        Raises:
            CredentialRejectedError: It has ended.
        """
        if self._is_on:
            return
        try:
            await self.sees_anything()
        except CredentialRejectedError as error:
            if error.said != missing_permission(Permission.LIST_JOBS):
                raise
        self._is_on = True

    async def _pages(
        self,
        route: Route,
        permission: Permission,
        path: str,
        query: Mapping[str, str],
        adapter: TypeAdapter[list[RowType]],
    ) -> list[RowType]:
        rows: list[RowType] = []
        asked: Mapping[str, str] = {**_FIRST, **query}
        for _ in range(MOST_PAGES):
            answer = await self._get(route, permission, path, asked)
            if answer.status == 404:
                raise CredentialRejectedError(ENDED)
            page: list[RowType] = parsed(adapter, answer.body)
            rows += page
            asked = next_query(answer.headers)
            if not asked:
                return rows
        raise TransientError(f"Greenhouse's list {path} does not end within {MOST_PAGES} pages")

    async def _get(self, route: Route, permission: Permission, path: str, query: Mapping[str, str]) -> HttpAnswer:
        """Read, and return an answer that is 200 or 404."""
        with self._shared.breakers.reading(self._connection.account):
            return await self._answer(route, permission, path, query)

    async def _answer(self, route: Route, permission: Permission, path: str, query: Mapping[str, str]) -> HttpAnswer:
        try:
            answer = await self._read(route, path, query, self._headers)
        except UnreachableError as error:
            if self._connection.settings.v1_unreachable == "ended":
                raise CredentialRejectedError(UNREACHED) from None
            raise VendorAwayError(f"{error}; if that stays so, Harvest v1 has ended: {_SWITCH}") from None
        if answer.status == 401:
            raise CredentialRejectedError(KEY_REJECTED)
        if answer.status == 403:
            raise CredentialRejectedError(missing_permission(permission))
        if answer.status == 410:
            raise CredentialRejectedError(ENDED)
        if answer.status not in (200, 404):
            raise unreadable(route, answer)
        return answer

    # -- writing

    async def send(self, request: HarvestRequest, *, leave_before: float) -> Reply:
        """See `Harvest.send`; made on behalf of the service user."""
        headers = self._headers | {"On-Behalf-Of": str(self._connection.acting_user)}
        answer = await self._write(as_v1(request), headers, leave_before)
        if not isinstance(answer, HttpAnswer):
            return answer
        match answer.status:
            case 401:
                raise CredentialRejectedError(KEY_REJECTED)
            case 410:
                raise CredentialRejectedError(ENDED)
            case 404:
                await self._why_not_found()
        return _reply(request.route, answer)

    async def _why_not_found(self) -> None:
        """Tell the three meanings of a write's 404 apart: v1 has ended, nobody is acted for, or no such record.

        All prove that nothing was done. Where the reason cannot be read, the record is the likeliest.

        Raises:
            CredentialRejectedError: It is one of the former two.
        """
        try:
            await self._prove_on()
            user = self._connection.acting_user
            answer = await self._read(Route.USERS, f"/users/{user}", {}, self._headers)
        except TransientError:
            return
        if answer.status == 404:
            raise CredentialRejectedError(unknown_user(user))


_FIRST: Final = {"per_page": str(MOST_ROWS), "skip_count": "true"}
_PERMISSIONS: Final = {
    Route.MOVE: Permission.MOVE_APPLICATION,
    Route.NOTE: Permission.ADD_NOTE,
    Route.STANDING: Permission.UPDATE_APPLICATION,
}


def _reply(route: Route, answer: HttpAnswer) -> Answered:
    note_id = None
    if route is Route.NOTE and answer.status < 300:
        try:
            note_id = parsed(v1_rows.NOTE, answer.body).id
        except TransientError:  # a yes without the note: it is looked for
            note_id = None
    return Answered(
        status=answer.status,
        retry_after=retry_after(answer.headers),
        request_id=answer.headers.get("X-Request-Id", "")[:100] or None,
        note_id=note_id,
        message=words_of(answer.body) if route is Route.MOVE and answer.status >= 400 else "",
        denied=missing_permission(_PERMISSIONS[route]) if answer.status == 403 else None,
    )


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
