"""What the adapters of both versions of Harvest share: rate budget, calls at once, measures, one read, one write.

Nothing here knows a route's path or how a call proves who it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from trellis.common.contracts.identifiers import AccountId, UserId
from trellis.common.errors import TransientError, VendorAwayError
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.budget import Use
from trellis.greenhouse_actions.adapters.headers import count, retry_after
from trellis.greenhouse_actions.adapters.http import HttpAnswer, HttpClients, UnansweredError
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.adapters.tokens import Token
from trellis.greenhouse_actions.connection import Connection
from trellis.greenhouse_actions.domain.outcomes import Cut, NeverLeft
from trellis.greenhouse_actions.domain.requests import HarvestRequest, Route

PATIENCE_SECONDS: Final = {Use.PEOPLE: 2.0, Use.BACKGROUND: 60.0}
"""How long a reading that turned out to be needed waits for budget before all is put off."""
_NO_BUDGET: Final = "the rate budget of the Greenhouse connection is used up for now"


class Allowance(Protocol):
    """The rate budget; see `trellis.common.ledger.budget.Budget`."""

    async def spend(self, account: AccountId, calls: int = 1, use: Use = Use.PEOPLE) -> timedelta | None:
        """Take *calls*, or say how long to wait."""

    async def told(
        self, account: AccountId, *, limit: int | None, remaining: int | None, retry_after: timedelta | None = None
    ) -> None:
        """Follow an answer's headers."""


class Bearers(Protocol):
    """The shared tokens of Harvest v3; see `Tokens`."""

    async def bearer(self, connection: Connection, user: UserId | None) -> Token:
        """Return a living token."""

    async def renewed(self, connection: Connection, user: UserId | None, rejected: Token) -> Token:
        """Return a newer token than *rejected*."""

    async def discard(self, connection: Connection, user: UserId | None, rejected: Token) -> None:
        """Let the next caller fetch one."""


class UnreachableError(VendorAwayError):
    """No whole answer came to a reading."""


def unreadable(route: Route, answer: HttpAnswer) -> TransientError:
    """Return what is to be raised for an answer to a reading that is none: 429, 5xx, or what nobody expects."""
    kind = VendorAwayError if answer.status >= 500 else TransientError
    reason = f"Greenhouse answered {answer.status} to a reading of {route.value}"
    return kind(reason, retry_after=retry_after(answer.headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the connections of one process share.

    Attributes:
        breakers: Count what comes of calls; while Greenhouse does not answer, they let nothing pass.
        spellings: Which spelling of a time range each account's Greenhouse took: pipe, bracket or none.
        gates: How many calls of one account may be under way.
    """

    http: HttpClients
    breakers: Breakers
    tokens: Bearers
    measures: Measures
    account_calls: int = 8
    spellings: dict[AccountId, str] = field(default_factory=dict)
    gates: dict[AccountId, asyncio.Semaphore] = field(default_factory=dict)

    def gate(self, account: AccountId) -> asyncio.Semaphore:
        """Return the gate of *account*."""
        return self.gates.setdefault(account, asyncio.Semaphore(self.account_calls))


class HttpHarvest:
    """One account's Harvest over HTTP, whichever version.

    Args:
        connection: The account's.
        budget: Its rate budget.
        shared: What the process shares.
        use: Whose share of the budget is spent.
    """

    def __init__(self, connection: Connection, budget: Allowance, shared: Shared, use: Use = Use.PEOPLE) -> None:
        self._connection = connection
        self._budget = budget
        self._shared = shared
        self._use = use
        self._allowed = 0

    async def allow(self, calls: int) -> None:
        """See `Harvest.allow`; what is left over when this object goes is not given back."""
        wait = await self._budget.spend(self._connection.account, calls, self._use)
        if wait is not None:
            raise TransientError(_NO_BUDGET, retry_after=wait)
        self._allowed += calls

    async def reserve(self) -> timedelta | None:
        """See `Harvest.reserve`."""
        return await self._budget.spend(self._connection.account, 1, self._use)

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

    async def _read(self, route: Route, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
        """Make one reading.

        Raises:
            UnreachableError: No whole answer came.
            TransientError: There is no budget for it.
        """
        await self._spend()
        async with self._shared.gate(self._connection.account):
            started = time.monotonic()
            try:
                answer = await self._shared.http.get(self._connection.harvest_url + path, query, headers=headers)
            except UnansweredError as error:
                self._count(route, "cut" if error.left else "never_left", started)
                raise UnreachableError(f"Greenhouse cannot be read ({error})") from None
        await self._told(route, answer, started)
        return answer

    async def _write(
        self, request: HarvestRequest, headers: Mapping[str, str], leave_before: float
    ) -> HttpAnswer | NeverLeft | Cut:
        """Make one write, once, unless its time is over or Greenhouse does not answer."""
        account, breakers = self._connection.account, self._shared.breakers
        async with self._shared.gate(account):
            started = time.monotonic()
            if started >= leave_before:
                return NeverLeft(reason="the application was read too long ago", wait=timedelta())
            if not breakers.takes_writes(account):
                return NeverLeft(reason=breakers.reason(account), wait=breakers.wait(account))
            try:
                answer = await self._shared.http.write(
                    request.method,
                    self._connection.harvest_url + request.path,
                    request.body,
                    headers=headers,
                    connect_seconds=leave_before - started,
                )
            except UnansweredError as error:
                breakers.failed(account)
                self._count(request.route, "cut" if error.left else "never_left", started)
                if error.left:
                    return Cut(reason=f"the connection to Greenhouse broke before its answer ({error})")
                return NeverLeft(reason=f"Greenhouse cannot be reached ({error})")
            (breakers.failed if answer.status >= 500 else breakers.answered)(account)
            with contextlib.suppress(TransientError):  # the answer matters; the budget is told by the next one
                await self._told(request.route, answer, started)
            return answer

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
