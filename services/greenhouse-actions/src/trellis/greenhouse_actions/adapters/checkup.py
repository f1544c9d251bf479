"""Looks at a Greenhouse connection through Harvest v3: token, service user, permissions, stages, rate, clock.

It asks for what can be had and raises only when the look itself could not be made, such as without rate budget.
Source: greenhouse fact sheet, sections 5.1 to 5.4 and 6.1.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp

from trellis.common.contracts.identifiers import JobId, UserId
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.ledger.budget import Use
from trellis.common.runtime.clock import utc_now
from trellis.common.setup.connections import PauseSeen
from trellis.greenhouse_actions.adapters import v3_rows
from trellis.greenhouse_actions.adapters.harvest import MOST_IDS, CredentialRejectedError
from trellis.greenhouse_actions.adapters.harvest_v3 import MOST_ROWS
from trellis.greenhouse_actions.adapters.headers import count, next_cursor, retry_after
from trellis.greenhouse_actions.adapters.http import HttpAnswer, UnansweredError
from trellis.greenhouse_actions.adapters.http_harvest import Allowance, Shared
from trellis.greenhouse_actions.adapters.mint import REJECTED
from trellis.greenhouse_actions.adapters.rows import Row
from trellis.greenhouse_actions.adapters.tokens import Token
from trellis.greenhouse_actions.adapters.v3_rows import RowType, rows_of
from trellis.greenhouse_actions.connection import Connection
from trellis.greenhouse_actions.domain.diagnosis import PERMISSIONS, SIGNED, RateSeen, Signed, UserSeen
from trellis.greenhouse_actions.domain.readings import JobStage
from trellis.greenhouse_actions.domain.requests import Route

MOST_PAGES: Final = 10
"""Pages of stages that are read; an account with more than 5000 has none of its names checked."""
PATIENCE_SECONDS: Final = 10.0
"""How long one call waits for rate budget."""
_PREFIX: Final = "harvest:"
_PROBED: Final = tuple(
    name.removesuffix(":list") for name in PERMISSIONS if name.endswith(":list") and name != "users:list"
)
_USERS: Final = "users"
_WHOLE_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Greenhouse said; the fields are those of `diagnosis.Seen`."""

    signed: Signed = SIGNED
    user: UserSeen | None = None
    asked_user: bool = False
    permissions: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    blind: bool = False
    stages: Sequence[JobStage] | None = None
    rate: RateSeen | None = None
    skew: timedelta | None = None


class _AwayError(Exception):
    """Greenhouse does not answer, or not as Greenhouse."""


class _UsedUpError(Exception):
    """Greenhouse answered 429: the look ends with what it saw."""


class Checkup:
    """One look at one connection; make a new one for each.

    Args:
        connection: Whose Greenhouse.
        budget: Its rate budget; only the background's part is spent.
        shared: HTTP clients and tokens.
    """

    def __init__(self, connection: Connection, budget: Allowance, shared: Shared) -> None:
        self._connection = connection
        self._budget = budget
        self._shared = shared
        self._rate: RateSeen | None = None
        self._skew: timedelta | None = None

    async def look(self, jobs: frozenset[JobId] | None, *, stages: bool) -> Seen:
        """Return what Greenhouse says now.

        Args:
            jobs: Whose stages are read; None is every job's.
            stages: Whether any stage or job is named at all.

        Raises:
            TransientError: There is no rate budget for it now, or another replica fetches a token.
        """
        try:
            seen = await self._look(jobs, stages=stages)
        except _AwayError as error:
            seen = Seen(signed=Signed(away=str(error)))
        except _UsedUpError:
            seen = Seen()
        return replace(seen, rate=self._rate, skew=self._skew)

    async def _look(self, jobs: frozenset[JobId] | None, *, stages: bool) -> Seen:
        user = self._connection.acting_user
        try:
            token = await self._token(user)
            status, rows, token = await self._users(user, token)
        except CredentialRejectedError as error:
            refused = Signed(refused=PauseSeen(reason=error.said.reason, remedy=error.said.remedy))
            return await self._unsigned(refused)
        permissions = await self._permissions(token)
        seen = Seen(
            user=None if user is None else _user(rows),
            asked_user=status == 200,
            permissions=permissions,
            refused=frozenset() if status == 200 else frozenset({f"{_USERS}:list"}),
        )
        if permissions is None:
            seen = replace(seen, refused=seen.refused | await self._refused(token))
        if not rows and await self._is_blind(token):
            return replace(seen, blind=True)
        if stages:
            seen = replace(seen, stages=await self._stages(jobs, token))
        return seen

    # -- as whom?

    async def _token(self, user: UserId | None) -> Token:
        try:
            return await self._shared.tokens.bearer(self._connection, user)
        except StoreAwayError:
            raise
        except TransientError as error:
            raise _AwayError(str(error)) from None

    async def _users(self, user: UserId | None, token: Token) -> tuple[int, list[v3_rows.UserRow], Token]:
        """Return the service user's row (of nobody: any row), and the token that was taken."""
        query = {"per_page": "1"} if user is None else {"ids": str(user), "show_service_accounts": "true"}
        answer = await self._read(_USERS, query, token)
        if answer.status == 401:
            token = await self._renewed(user, token)
            answer = await self._read(_USERS, query, token)
            if answer.status == 401:
                raise CredentialRejectedError(REJECTED)
        rows = self._rows(v3_rows.UserRow, answer) if answer.status == 200 else []
        return answer.status, [row for row in rows if user is None or row.id == user], token

    async def _renewed(self, user: UserId | None, token: Token) -> Token:
        try:
            return await self._shared.tokens.renewed(self._connection, user, token)
        except StoreAwayError:
            raise
        except TransientError as error:
            raise _AwayError(str(error)) from None

    async def _unsigned(self, signed: Signed) -> Seen:
        """Ask as the credential's own account, whom nobody disables, what is the matter with the service user."""
        user = self._connection.acting_user
        if user is None:
            return Seen(signed=signed)
        try:
            token = await self._token(None)
            query = {"ids": str(user), "show_service_accounts": "true"}
            answer = await self._read(_USERS, query, token)
            if answer.status != 200:
                return Seen(signed=signed)
            rows = self._rows(v3_rows.UserRow, answer)
            is_blind = not rows and await self._is_blind(token)
        except CredentialRejectedError:
            return Seen(signed=signed)
        return Seen(signed=signed, user=_user(rows), asked_user=not is_blind)

    # -- what is allowed?

    async def _permissions(self, token: Token) -> frozenset[str] | None:
        """Return what the credential may do, as Greenhouse tells of a token; None when it does not."""
        if self._connection.settings.v3_introspect == "off":
            return None
        tokens_url = self._connection.tokens_url
        if not tokens_url.endswith("/token"):
            return None
        basic = aiohttp.encode_basic_auth(self._connection.client_id, self._connection.client_secret)
        try:
            answer = await self._shared.http.post_form(
                f"{tokens_url.removesuffix('/token')}/introspect", {"token": token.value}, basic=basic
            )
        except UnansweredError:
            return None
        said = _object(answer.body) if answer.status == 200 else {}
        words = said.get("scope")
        if said.get("active") is not True or not isinstance(words, str):
            return None
        return frozenset(word.removeprefix(_PREFIX) for word in words.split())

    async def _refused(self, token: Token) -> frozenset[str]:
        """Return the lists that are refused, found by asking for one row of each."""
        refused = set()
        for name in _PROBED:
            answer = await self._read(name, {"per_page": "1"}, token)
            if answer.status == 403:
                refused.add(f"{name}:list")
        return frozenset(refused)

    async def _is_blind(self, token: Token) -> bool:
        """Whether no list shows anything: stages are there in every account that has a job."""
        answer = await self._read(Route.STAGES.value, {"per_page": "1"}, token)
        return answer.status == 200 and not self._rows(Row, answer)

    # -- what is there?

    async def _stages(self, jobs: frozenset[JobId] | None, token: Token) -> list[JobStage] | None:
        """Return the stages of *jobs*, deleted ones included; None when they cannot be read whole."""
        if jobs is None:
            return await self._pages({}, token)
        found: list[JobStage] = []
        wanted = sorted(jobs)
        for start in range(0, len(wanted), MOST_IDS):
            some = await self._pages({"job_ids": ",".join(map(str, wanted[start : start + MOST_IDS]))}, token)
            if some is None:
                return None
            found += some
        return found

    async def _pages(self, query: Mapping[str, str], token: Token) -> list[JobStage] | None:
        found: list[JobStage] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            asked = {"per_page": str(MOST_ROWS), **query} if cursor is None else {"cursor": cursor}
            answer = await self._read(Route.STAGES.value, asked, token)
            if answer.status != 200:
                return None
            found += [row.view() for row in self._rows(v3_rows.StageOfJobRow, answer)]
            cursor = next_cursor(answer.headers)
            if cursor is None:
                return found
        return None

    # -- one call

    async def _read(self, name: str, query: Mapping[str, str], token: Token) -> HttpAnswer:
        """Return an answer of Greenhouse's: 200, 401, 403, 422 or 429.

        Raises:
            _AwayError: Nobody answered, or with an error of a server.
            _UsedUpError: The rate limit is used up.
            TransientError: There is no rate budget.
        """
        await self._spend()
        started = time.monotonic()
        asked_at = utc_now()
        try:
            url, headers = f"{self._connection.harvest_url}/{name}", {"Authorization": f"Bearer {token.value}"}
            answer = await self._shared.http.get(url, query, headers=headers)
        except UnansweredError as error:
            self._shared.measures.called(self._connection.account, name, "cut", time.monotonic() - started)
            raise _AwayError(str(error)) from None
        self._shared.measures.called(self._connection.account, name, str(answer.status), time.monotonic() - started)
        await self._heard(answer, asked_at)
        if answer.status == 429:
            raise _UsedUpError
        if answer.status not in (200, 401, 403, 422):
            raise _AwayError(f"it answered {answer.status} to a reading of {name}")
        return answer

    async def _heard(self, answer: HttpAnswer, asked_at: datetime) -> None:
        limit, remaining = (count(answer.headers, f"X-RateLimit-{word}") for word in ("Limit", "Remaining"))
        is_refused = answer.status == 429
        await self._budget.told(
            self._connection.account,
            limit=limit,
            remaining=remaining,
            retry_after=retry_after(answer.headers) if is_refused else None,
        )
        if limit is not None and remaining is not None:
            before = self._rate
            self._rate = RateSeen(
                limit=limit,
                remaining=remaining if before is None else min(before.remaining, remaining),
                refused=is_refused or (before is not None and before.refused),
            )
        date = _date(answer.headers)
        if date is not None:
            skew = _skew(date, asked_at, utc_now())
            self._skew = skew if self._skew is None else min(self._skew, skew, key=abs)

    async def _spend(self) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            wait = await self._budget.spend(self._connection.account, 1, Use.BACKGROUND)
            if wait is None:
                return
            if time.monotonic() + wait.total_seconds() > give_up:
                raise TransientError("there is no rate budget to look at Greenhouse now", retry_after=wait)
            await asyncio.sleep(wait.total_seconds())

    def _rows(self, kind: type[RowType], answer: HttpAnswer) -> list[RowType]:
        try:
            return rows_of(kind, answer.body)
        except TransientError as error:
            raise _AwayError(str(error)) from None


def _user(rows: Sequence[v3_rows.UserRow]) -> UserSeen | None:
    if not rows:
        return None
    return UserSeen(active=not rows[0].deactivated, site_admin=rows[0].site_admin is not False)


def _skew(date: datetime, asked_at: datetime, answered_at: datetime) -> timedelta:
    """Return how far we are ahead of a server that said *date*, in whole seconds, between the two times."""
    if asked_at > date + _WHOLE_SECOND:
        return asked_at - date
    return min(answered_at - date, timedelta())


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        at = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
