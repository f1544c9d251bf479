"""The way to Coderbyte for everything in this service: within the rate budget, counted, few at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from trellis.assessments.adapters.coderbyte import Coderbyte, CredentialError, Organization, RawReport
from trellis.assessments.domain.invites import (
    Answered,
    Assessment,
    InviteRequest,
    Lost,
    NeverLeft,
    Seen,
    parse_retry_after,
)
from trellis.common.contracts.identifiers import AccountId, AssessmentId
from trellis.common.errors import TransientError
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.budget import Budgets, Spending, Use
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.metrics import Metrics

VENDOR: Final = "coderbyte"
LIST_SECONDS: Final = 300.0
"""How long a process uses a list of assessments before it reads it again."""

_T = TypeVar("_T")


class Gateway:
    """Calls Coderbyte for all of this service.

    Args:
        coderbyte: The port.
        budgets: Make the rate budget that all replicas share.
        metrics: The service's.
        breakers: Count what comes of calls; while Coderbyte does not answer, they let nothing pass.
    """

    def __init__(self, coderbyte: Coderbyte, budgets: Budgets, metrics: Metrics, breakers: Breakers) -> None:
        self._coderbyte = coderbyte
        self._breakers = breakers
        self._budgets = budgets
        self._slots: dict[AccountId, tuple[int, asyncio.Semaphore]] = {}
        self._lists: dict[AccountId, tuple[int, float, tuple[Assessment, ...]]] = {}
        self._calls = metrics.counter(
            "coderbyte_calls", "Calls of Coderbyte's API, by what came of them", ("account", "route", "outcome")
        )

    # -- reads

    async def assessments(
        self, organization: Organization, *, until: float, fresh: bool = False
    ) -> tuple[Assessment, ...]:
        """Return the organization's assessments, at most five minutes old; with *fresh* as they are now.

        Args:
            organization: The connection.
            until: Monotonic time up to which the budget is waited for.
            fresh: Pass the cache by.
        """
        cached = self._lists.get(organization.account)
        if cached and not fresh and cached[0] == organization.revision and time.monotonic() < cached[1] + LIST_SECONDS:
            return cached[2]
        found = await self._read(
            organization, "assessments", Use.PEOPLE, until, lambda: self._coderbyte.assessments(organization)
        )
        self._lists[organization.account] = (organization.revision, time.monotonic(), found)
        return found

    async def look(self, organization: Organization) -> tuple[Assessment, ...]:
        """Return the organization's assessments as they are now; the budget was taken by `spend`."""
        return await self._called(organization, "assessments", lambda: self._coderbyte.assessments(organization))

    async def listed(
        self, organization: Organization, address: str, *, until: float, use: Use = Use.PEOPLE
    ) -> frozenset[AssessmentId]:
        """Return the assessments listed for *address*."""
        return await self._read(
            organization, "candidate", use, until, lambda: self._coderbyte.listed(organization, address)
        )

    async def reports(
        self,
        organization: Organization,
        address: str,
        assessment_id: AssessmentId,
        *,
        until: float,
        use: Use = Use.PEOPLE,
    ) -> tuple[RawReport, ...]:
        """Return the reports of *address* for one assessment."""
        return await self._read(
            organization, "report", use, until, lambda: self._coderbyte.reports(organization, address, assessment_id)
        )

    async def _read(
        self,
        organization: Organization,
        route: str,
        use: Use,
        until: float,
        call: Callable[[], Awaitable[_T]],
    ) -> _T:
        with self._breakers.reading(organization.account):
            wait = await self.spend(organization, until=until, use=use)
            if wait is not None:
                raise TransientError("the rate budget is used up for now", retry_after=wait)
            return await self._called(organization, route, call)

    async def _called(self, organization: Organization, route: str, call: Callable[[], Awaitable[_T]]) -> _T:
        async with self._semaphore(organization):
            try:
                found = await call()
            except CredentialError:
                self._count(organization, route, "credential")
                raise
            except TransientError as error:
                self._count(organization, route, "failed")
                await self._told(organization, error.retry_after)
                raise
        self._count(organization, route, "ok")
        return found

    # -- the invite

    def held_until(self, organization: Organization) -> datetime | None:
        """Return until when Coderbyte is asked nothing, since it does not answer; None when it may be asked."""
        return self._breakers.held_until(organization.account)

    def takes_writes(self, organization: Organization) -> bool:
        """Whether an invite may leave now; while it may not, only a reading shows that Coderbyte is back."""
        return self._breakers.takes_writes(organization.account)

    async def invite(self, organization: Organization, request: InviteRequest, *, before: float) -> Seen:
        """Make one invite whose budget was taken by `spend`; it must leave before monotonic *before*."""
        slot = self._semaphore(organization)
        try:
            async with asyncio.timeout(max(0.0, min(2.0, before - time.monotonic()))):
                await slot.acquire()
        except TimeoutError:
            return NeverLeft(reason="too many calls of this account are under way")
        try:
            if time.monotonic() > before:
                return NeverLeft(reason="the application was read too long ago")
            if not self._breakers.takes_writes(organization.account):
                return NeverLeft(reason=self._breakers.reason(organization.account))
            seen = await self._coderbyte.invite(organization, request)
        finally:
            slot.release()
        await self._observe(organization, seen)
        return seen

    async def _observe(self, organization: Organization, seen: Seen) -> None:
        if isinstance(seen, Answered) and seen.status < 500:
            self._breakers.answered(organization.account)
        else:
            self._breakers.failed(organization.account)
        match seen:
            case Answered(status=status):
                self._count(organization, "invite", f"{min(max(status // 100, 1), 5)}xx")
                if status in (429, 503):
                    with contextlib.suppress(TransientError):  # the answer matters; the budget is told by the next one
                        await self._told(organization, parse_retry_after(seen.retry_after, utc_now()))
            case Lost():
                self._count(organization, "invite", "lost")
            case NeverLeft():
                self._count(organization, "invite", "never_left")

    # -- budget

    async def spend(self, organization: Organization, *, until: float, use: Use = Use.PEOPLE) -> timedelta | None:
        """Take one call from the budget, waiting for it up to monotonic *until*; else how long it would take."""
        while True:
            wait = await self._budget(organization).spend(organization.account, 1, use)
            if wait is None:
                return None
            if time.monotonic() + wait.total_seconds() > until:
                return wait
            await asyncio.sleep(wait.total_seconds())

    def _budget(self, organization: Organization) -> Spending:
        rate = organization.options.max_per_second
        # The window is a second; below one call a second it is as long as one call may take.
        window = timedelta(seconds=max(1.0, 1.0 / rate))
        return self._budgets(VENDOR, limit=max(rate, 1.0), window=window)

    async def _told(self, organization: Organization, retry_after: timedelta | None) -> None:
        if retry_after is not None:
            await self._budget(organization).told(
                organization.account, limit=None, remaining=None, retry_after=retry_after
            )

    def _semaphore(self, organization: Organization) -> asyncio.Semaphore:
        wanted = organization.options.concurrency
        known = self._slots.get(organization.account)
        if known is None or known[0] != wanted:
            known = (wanted, asyncio.Semaphore(wanted))
            self._slots[organization.account] = known
        return known[1]

    def _count(self, organization: Organization, route: str, outcome: str) -> None:
        self._calls.labels(organization.account, route, outcome).inc()
