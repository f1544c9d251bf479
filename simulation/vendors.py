"""Greenhouse and Coderbyte behind a bad network: requests that never leave, arrive late, or lose their answer.

The vendors' behaviour is that of the twins which pass the ports' contract suites. A request that has left
is carried out whatever becomes of the process that sent it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from simulation.lines import Line
from simulation.process import Process
from trellis.assessments.adapters.coderbyte import CredentialError, Organization, RawReport
from trellis.assessments.domain import invites as c
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    JobId,
    StageId,
    UserId,
)
from trellis.common.errors import TransientError, VendorAwayError
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.budget import Use
from trellis.greenhouse_actions.adapters.harvest import V1, V3, Capabilities, Connected, CredentialRejectedError
from trellis.greenhouse_actions.adapters.mint import REJECTED
from trellis.greenhouse_actions.connection import Connection
from trellis.greenhouse_actions.domain.outcomes import Answered, Cut, NeverLeft, Reply
from trellis.greenhouse_actions.domain.readings import (
    ApplicationView,
    CandidateView,
    ChangeField,
    JobStage,
    NoteView,
    StageRow,
    Window,
)
from trellis.greenhouse_actions.domain.requests import FromSpace, HarvestRequest, Route

if TYPE_CHECKING:
    from simulation.world import World

_T = TypeVar("_T")
REQUEST_SECONDS = 8.0
"""Longest time one request takes."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """One effect that a vendor carried out: all that the oracle knows of our doing.

    Attributes:
        left_at: When its request left; for an invite, which nothing checks once it was handed over, when it was.
    """

    account: AccountId
    kind: str
    application: ApplicationId
    left_at: float
    detail: str
    stage: StageId | None = None
    assessment: AssessmentId | None = None


def at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of a twin's method, which never waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise RuntimeError("a twin waited")


class SimulatedHarvest:
    """One account's Greenhouse, as one process reaches it; see `Harvest`."""

    def __init__(
        self, world: World, process: Process, account: AccountId, breakers: Breakers, capabilities: Capabilities
    ) -> None:
        self._world = world
        self._process = process
        self._account = account
        self._breakers = breakers
        self._line = world.line(process.name, account, "greenhouse")
        self._twin = world.greenhouses[account]
        self.capabilities = capabilities

    async def _read(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            with self._breakers.reading(self._account):
                await self._process.step("a question to Greenhouse")
                if self._line.is_away or self._world.chance(0.03, "question failed"):
                    self._line.failed()
                    raise VendorAwayError("Greenhouse answered 500 (simulated)")
                if self._account in self._world.rejected:
                    raise CredentialRejectedError(REJECTED)
                await self._world.travel()
                self._twin.capabilities = self.capabilities
                found = at_once(work)
                await self._process.step("Greenhouse's answer")
                self._line.answered()
        finally:
            work.close()
        return found

    async def applications(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, ApplicationView]:
        """See `Harvest.applications`."""
        return await self._read(self._twin.applications(ids))

    async def changed(self, field: ChangeField, window: Window) -> Sequence[ApplicationView]:
        """See `Harvest.changed`; the latest changes may not be in the list yet."""
        found = await self._read(self._twin.changed(field, window))
        shown_until = self._world.now() - timedelta(seconds=self._world.behind_seconds)
        changes = [(view, view.updated_at or view.last_activity_at) for view in found]
        return [view for view, at in changes if at is not None and at <= shown_until]

    async def current_stages(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, StageRow]:
        """See `Harvest.current_stages`."""
        return await self._read(self._twin.current_stages(ids))

    async def stage_history(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, Sequence[StageRow]]:
        """See `Harvest.stage_history`."""
        return await self._read(self._twin.stage_history(ids))

    async def candidates(self, ids: Sequence[CandidateId]) -> Mapping[CandidateId, CandidateView]:
        """See `Harvest.candidates`."""
        return await self._read(self._twin.candidates(ids))

    async def visible_jobs(self, ids: Sequence[JobId]) -> frozenset[JobId]:
        """See `Harvest.visible_jobs`."""
        return await self._read(self._twin.visible_jobs(ids))

    async def stages(self, job: JobId) -> Sequence[JobStage]:
        """See `Harvest.stages`."""
        return await self._read(self._twin.stages(job))

    async def sees_anything(self) -> bool:
        """See `Harvest.sees_anything`."""
        return await self._read(self._twin.sees_anything())

    async def notes(
        self, application: ApplicationId, author: UserId | None, not_before: datetime, *, of_candidate: bool = False
    ) -> list[NoteView]:
        """See `Harvest.notes`."""
        return await self._read(self._twin.notes(application, author, not_before, of_candidate=of_candidate))

    async def allow(self, calls: int) -> None:
        """See `Harvest.allow`."""
        if self._world.chance(0.02, "budget used up"):
            raise TransientError("the rate budget is used up for now", retry_after=timedelta(seconds=2))

    async def reserve(self) -> timedelta | None:
        """See `Harvest.reserve`."""
        return timedelta(seconds=1) if self._world.chance(0.02, "budget used up") else None

    async def send(self, request: HarvestRequest, *, leave_before: float) -> Reply:
        """See `Harvest.send`, and `HttpHarvest` for what is counted."""
        await self._process.step("a write to Greenhouse")
        self._world.wrote_at["greenhouse-actions"] = self._world.loop.time()
        if not self._breakers.takes_writes(self._account):
            return NeverLeft(reason=self._breakers.reason(self._account), wait=self._breakers.wait(self._account))
        self._line.writes()
        reply = await self._send(request, leave_before)
        if isinstance(reply, Answered) and reply.status < 500:
            self._breakers.answered(self._account)
            self._line.answered()
        elif not isinstance(reply, NeverLeft) or reply.wait is None:
            self._breakers.failed(self._account)
            self._line.failed()
        return reply

    async def _send(self, request: HarvestRequest, leave_before: float) -> Reply:
        if self._account in self._world.rejected:
            return Answered(status=401)
        fate = self._world.fate()
        if fate == "write refused" or self._line.takes_no_writes:
            return NeverLeft(reason="connection refused (simulated)")
        if time.monotonic() >= leave_before:
            return NeverLeft(reason="the application was read too long ago", wait=timedelta())
        if fate == "write 429":
            return Answered(status=429, retry_after=timedelta(seconds=3))
        if fate == "fine" and self._world.also_lost(self._account):
            fate = "answer lost"
        if self._world.says_no():
            return Answered(status=422, message="not now (simulated)")
        left_at = self._world.loop.time()
        if request.route is Route.MOVE:
            self._world.moves_left.add((self._account, ApplicationId(int(request.path.split("/")[2]))))
        arrived: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            reply = self._carry_out(request, left_at)
            if not arrived.done():
                arrived.set_result(reply)

        if fate != "write lost":
            asyncio.get_running_loop().call_later(self._world.trip(), arrive)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                reply = await arrived
        except TimeoutError:
            return Cut(reason="no answer in time (simulated)")
        await self._process.step("Greenhouse's answer to a write")
        if fate in ("answer lost", "500 after") and request.route is not Route.STANDING:
            self._world.on_unanswered(self._account, _application_of(request), request.route)
        if fate == "answer lost":
            return Cut(reason="cut (simulated)")
        return Answered(status=500) if fate == "500 after" else reply

    def _carry_out(self, request: HarvestRequest, left_at: float) -> Reply:
        self._twin.capabilities = self.capabilities
        reply = at_once(self._twin.send(request, leave_before=float("inf")))
        if isinstance(reply, Answered) and reply.status < 300 and request.route is not Route.STANDING:
            move = request.route is Route.MOVE
            ident = _application_of(request)
            detail = "" if move else str(request.body["body"]).rsplit("[ref ", 1)[-1]
            stage = StageId(int(request.body["from_stage_id"])) if move else None
            done = Done(
                account=self._account, kind="move" if move else "note", application=ident, left_at=left_at,
                detail=detail, stage=stage,
            )  # fmt: skip
            self._world.did(done)
            if move:
                self._world.moved_by_us(self._account, ident)
        return reply


def _application_of(request: HarvestRequest) -> ApplicationId:
    named = request.path.split("/")[2] if request.route is Route.MOVE else request.body["application_id"]
    return ApplicationId(int(named))


class SimulatedHarvests:
    """See `Harvests`."""

    def __init__(self, world: World, process: Process, breakers: Breakers) -> None:
        self._world = world
        self._known = {
            (account, version): SimulatedHarvest(world, process, account, breakers, capabilities)
            for account in world.greenhouses
            for version, capabilities in (("v1", V1), ("v3", V3))
        }

    async def of(self, account: AccountId, use: Use = Use.PEOPLE) -> Connected:
        """See `Harvests.of`."""
        connection = self._world.connections[account]
        return Connected(connection=connection, harvest=self._known[account, connection.api_version])

    async def remember_space(self, connection: Connection, space: FromSpace) -> None:
        """See `Harvests.remember_space`."""


class SimulatedCoderbyte:
    """All accounts' Coderbyte, as one process reaches it; see `Coderbyte`."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def _read(
        self, organization: Organization, work: Coroutine[Any, Any, _T], delay: Callable[[], float] = lambda: 0.0
    ) -> _T:
        try:
            line = self._world.line(self._process.name, organization.account, "coderbyte")
            await self._process.step("a question to Coderbyte")
            if line.is_away or self._world.chance(0.03, "question failed"):
                line.failed()
                raise VendorAwayError("Coderbyte answered 500 (simulated)")
            if organization.account in self._world.rejected:
                raise CredentialError("Coderbyte answered 401: it rejects the API key")
            await self._world.travel()
            found = at_once(work)
            if (seconds := delay()) > 0:
                await asyncio.sleep(seconds)
            await self._world.travel()
            await self._process.step("Coderbyte's answer")
            line.answered()
        finally:
            work.close()
        return found

    async def assessments(self, organization: Organization) -> tuple[c.Assessment, ...]:
        """See `Coderbyte.assessments`."""
        twin = self._world.coderbytes[organization.account]
        return await self._read(organization, twin.assessments(organization))

    async def listed(self, organization: Organization, address: str) -> frozenset[AssessmentId]:
        """See `Coderbyte.listed`."""
        twin = self._world.coderbytes[organization.account]
        return await self._read(organization, twin.listed(organization, address))

    async def reports(
        self, organization: Organization, address: str, assessment_id: AssessmentId
    ) -> tuple[RawReport, ...]:
        """See `Coderbyte.reports`."""
        twin = self._world.coderbytes[organization.account]
        return await self._read(
            organization, twin.reports(organization, address, assessment_id),
            lambda: self._world.on_reported(organization.account, address),
        )  # fmt: skip

    async def invite(self, organization: Organization, request: c.InviteRequest) -> c.Seen:
        """See `Coderbyte.invite`."""
        line = self._world.line(self._process.name, organization.account, "coderbyte")
        line.writes()
        seen = await self._invite(organization, request, line)
        if isinstance(seen, c.Answered) and seen.status < 500:
            line.answered()
        else:
            line.failed()
        return seen

    async def _invite(self, organization: Organization, request: c.InviteRequest, line: Line) -> c.Seen:
        account, world = organization.account, self._world
        left_at = world.wrote_at["assessments"] = world.loop.time()
        # Frozen between the last check and the first byte is what remains of P3; only `hold` answers for it.
        await self._process.step("an invite to Coderbyte", may_freeze=not world.lists_pending)
        if account in world.rejected:
            return c.Answered(status=401, body=b"{}")
        fate = world.fate()
        if fate == "write refused" or line.takes_no_writes:
            return c.NeverLeft(reason="ClientConnectorError")
        if fate == "write 429":
            return c.Answered(status=429, body=b"", retry_after="3")
        if world.says_no():
            return c.Answered(status=422, body=b'{"error": "not now (simulated)"}')
        arrived: asyncio.Future[c.Seen] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            seen = at_once(world.coderbytes[account].invite(organization, request))
            if isinstance(seen, c.Answered) and seen.status < 300:
                world.invited(account, request, left_at)
            if not arrived.done():
                arrived.set_result(seen)

        if fate != "write lost":
            asyncio.get_running_loop().call_later(world.trip(), arrive)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                seen = await arrived
        except TimeoutError:
            return c.Lost(reason="TimeoutError")
        await self._process.step("Coderbyte's answer to an invite")
        if fate == "answer lost":
            return c.Lost(reason="ServerDisconnectedError")
        return c.Answered(status=500, body=b"<html>") if fate == "500 after" else seen


class SimulatedBudgets:
    """Rate budgets that sometimes are used up; see `Budgets`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, vendor: str, *, limit: float, window: timedelta) -> SimulatedBudgets:
        """See `Budgets`."""
        return self

    async def spend(self, account: AccountId, calls: int = 1, use: Use = Use.PEOPLE) -> timedelta | None:
        """See `Spending.spend`."""
        return timedelta(seconds=1.5) if self._world.chance(0.02, "budget used up") else None

    async def told(
        self, account: AccountId, *, limit: int | None, remaining: int | None, retry_after: timedelta | None = None
    ) -> None:
        """See `Spending.told`."""
