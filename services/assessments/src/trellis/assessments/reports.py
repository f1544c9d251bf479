"""Reads reports: soon when a candidate has finished, slowly for every open invite, and publishes what is ready.

A reading is leased like a ledger row. The result, its message and the end of the reading are one
transaction, so a death before it only makes the report be read again.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from trellis.assessments.adapters.coderbyte import CredentialError, Organization, RawReport
from trellis.assessments.adapters.invite_rows import StoredInvite
from trellis.assessments.adapters.result_store import DueReading
from trellis.assessments.baseline import Baseline
from trellis.assessments.domain.correlation import Progress, must_hold, successor
from trellis.assessments.domain.invites import internal_id
from trellis.assessments.domain.options import InternalIds
from trellis.assessments.domain.polling import NextReading, next_reading
from trellis.assessments.domain.results import (
    Report,
    of_application,
    parse_report,
    pick_attempt,
    to_result,
    visibly_differs,
)
from trellis.assessments.evidence import settle_by_evidence
from trellis.assessments.gateway import VENDOR, Gateway
from trellis.assessments.results import ResultPublisher
from trellis.assessments.stores import Bodies, Organizations, Signals
from trellis.common.backoff import full_jitter
from trellis.common.errors import ConflictError, StoreAwayError, TransientError
from trellis.common.failpoints import failpoint
from trellis.common.ledger.budget import Use
from trellis.common.ledger.states import State
from trellis.common.ledger.store import LedgerStore
from trellis.common.runtime.clock import Clock
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.database import Database
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection
from trellis.common.store.tenancy import serving

log = structlog.get_logger()

LEASE: Final = timedelta(seconds=120)
"""How long a reader may hold a row: two reads of 30 s and the wait for the budget."""
PATIENCE_SECONDS: Final = 20.0
"""How long a reading waits for the rate budget before it is put off."""
PER_ACCOUNT: Final = 10
UNSURE: Final = frozenset({State.UNKNOWN, State.IN_DOUBT})
BODY_GONE: Final = NextReading(wait=timedelta(days=30), step=None, overdue=True)
"""For an attached webhook whose body cannot be read any more."""
NOT_SENT: Final = NextReading(wait=timedelta(minutes=10), step=None)
"""For a row whose invite never left: it may still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a reading brought: the attempts since the invite with the whole report of each."""

    reports: tuple[tuple[Report, RawReport], ...]
    shows_invite: bool


class Reports:
    """The reading loop; any number may run beside each other."""

    def __init__(
        self,
        database: Database,
        ledger: LedgerStore,
        gateway: Gateway,
        baseline: Baseline,
        connections: Organizations,
        publisher: ResultPublisher,
        signals: Signals,
        bodies: Bodies,
        relay: Relay,
        metrics: Metrics,
        clock: Clock,
        *,
        tick_seconds: float = 0.5,
        lease: timedelta = LEASE,
    ) -> None:
        self._lease = lease
        self._database = database
        self._ledger = ledger
        self._gateway = gateway
        self._baseline = baseline
        self._connections = connections
        self._publisher = publisher
        self._invites = publisher.invites
        self._results = publisher.results
        self._signals = signals
        self._bodies = bodies
        self._relay = relay
        self._clock = clock
        self._tick = tick_seconds
        self._wake = asyncio.Event()
        self._counted = 0.0
        self._polls = metrics.counter(
            "report_readings", "Readings of reports, by what they showed", ("account", "outcome")
        )
        self._open = metrics.gauge("invites", "Invites whose result is to come", ("account", "state"))
        self._unmatched = metrics.gauge("unmatched_signals", "Webhooks no invite is known for", ("account",))

    def wake(self) -> None:
        """Look for due readings now; called when a signal was taken in."""
        self._wake.set()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            busy = 0
            try:
                busy = await self.read_due()
                await self._count()
            except (StoreAwayError, ConflictError) as error:
                log.warning("reports.waiting", reason=str(error))
                await asyncio.sleep(1.0)
            if busy:
                continue
            try:
                async with asyncio.timeout(self._tick):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def read_due(self) -> int:
        """Claim due readings and make them; return how many were claimed."""
        claimed = await self._results.claim(lease=self._lease, per_account=PER_ACCOUNT)
        if not claimed:
            return 0
        failpoint("reports.after_claim")
        done = await asyncio.gather(*(self._read(due) for due in claimed), return_exceptions=True)
        for said in done:
            if isinstance(said, ConflictError):
                log.warning("reports.conflict", reason=str(said))  # read again when its lease lapses
            elif isinstance(said, BaseException):
                raise said
        self._relay.wake()
        return len(claimed)

    # -- one reading

    async def _read(self, due: DueReading) -> None:
        with serving(due.account):
            await self._read_and_record(due)

    async def _read_and_record(self, due: DueReading) -> None:
        async with self._database.acquired() as connection:
            invite = await self._invites.find(connection, due.account, due.command_id)
            address = None if invite is None else await self._invites.address(connection, invite)
        organization = await self._connections.load(due.account)
        if invite is not None and address is None and invite.attached_body_id is not None:
            return await self._read_attached(due, invite, invite.attached_body_id)
        if invite is None or address is None:
            async with self._database.transaction() as connection:
                await self._results.stop(connection, due.account, due.command_id)
            return None
        if organization is None:
            return await self._retry(due, timedelta(minutes=1), "no_connection")
        try:
            seen = await self._look(organization, due, invite, address)
            seen = await self._within_window(organization, invite, seen)
        except CredentialError as error:
            return await self._pause(organization, due, error)
        except StoreAwayError:
            raise
        except TransientError as error:
            wait = error.retry_after or full_jitter(5, random.random())  # noqa: S311 - jitter
            return await self._retry(due, wait + timedelta(milliseconds=50), "failed")
        failpoint("reports.after_read")
        outcome = await self._record(organization, due, seen)
        failpoint("reports.after_outcome")
        self._polls.labels(due.account, outcome).inc()
        log.info(
            "report.read", account=due.account, command_id=str(due.command_id), application_id=invite.application_id,
            assessment_id=invite.assessment_id, outcome=outcome,
        )  # fmt: skip
        return None

    async def _read_attached(self, due: DueReading, invite: StoredInvite, body: UUID) -> None:
        """Learn from the attached webhook's body under which address the report is; it is read at once then."""
        try:
            address = await self._bodies.address(due.account, body)
        except TransientError as error:
            return await self._retry(due, error.retry_after or timedelta(seconds=5), "failed")
        async with self._database.transaction() as connection:
            if not await self._results.is_ours(connection, due):
                return None
            if address is not None:
                await self._invites.keep_address(connection, invite, address)
                await self._results.retry_later(connection, due, timedelta())
            elif await self._results.put_off(connection, due, BODY_GONE):
                log.error(
                    "report.overdue", account=due.account, command_id=str(due.command_id),
                    application_id=invite.application_id, assessment_id=invite.assessment_id,
                    remedy="the attached webhook's body has expired: read the report in Coderbyte's dashboard",
                )  # fmt: skip
        self.wake()
        return None

    async def _look(self, organization: Organization, due: DueReading, invite: StoredInvite, address: str) -> _Seen:
        """Read the reports; for an invite in doubt the listing too, since it may settle it."""
        use = Use.PEOPLE if due.awaited else Use.BACKGROUND
        until = time.monotonic() + PATIENCE_SECONDS
        raw = await self._gateway.reports(organization, address, invite.assessment_id, until=until, use=use)
        listed = due.state in UNSURE and invite.assessment_id in await self._gateway.listed(
            organization, address, until=until, use=use
        )
        own = internal_id(invite.application_id, organization.options.internal_ids)
        since = [
            (report, entry)
            for entry in raw
            if not invite.known_attempts.intersection(self._baseline.keys(due.account, report := parse_report(entry)))
        ]
        kept = of_application([report for report, _ in since], own)
        shown = self._baseline.of(due.account, invite.assessment_id, raw, listed=listed)
        return _Seen(
            reports=tuple((report, entry) for report, entry in since if report in kept),
            shows_invite=bool(kept) or (not since and shown.beyond(invite.known_attempts)),
        )

    async def _within_window(self, organization: Organization, invite: StoredInvite, seen: _Seen) -> _Seen:
        """Leave out the attempts that are a later invite's, or whose owner only a person can tell."""
        policy = organization.options.on_collision
        async with self._database.acquired() as connection:
            others = await self._invites.of_person(
                connection, invite.account, invite.address_hash or "", invite.assessment_id
            )
            following = successor(invite.command_id, others, policy)
            later = (
                None
                if following is None
                else await self._invites.find(connection, invite.account, following.command_id)
            )
        by_hand = invite.attached_body_id is not None or organization.options.internal_ids is not InternalIds.OFF
        if must_hold(invite.command_id, others, policy) and not by_hand:
            return replace(seen, reports=())
        if later is None:
            return seen
        kept = tuple(
            (report, entry)
            for report, entry in seen.reports
            if later.known_attempts.intersection(self._baseline.keys(invite.account, report))
        )
        return replace(seen, reports=kept)

    async def _record(self, organization: Organization, due: DueReading, seen: _Seen) -> str:
        async with self._database.transaction() as connection:
            held = await self._ledger.held(connection, due.command_id, due.account)
            if held is None or not await self._results.is_ours(connection, due):
                return "lost_lease"
            await self._ledger.unpause(connection, due.account, VENDOR)
            invite = await self._invites.find(connection, due.account, due.command_id)
            if invite is None:
                return "gone"
            if held.state in (State.SUPERSEDED, State.REFUSED) and not (invite.doubted or invite.attached_body_id):
                await self._results.stop(connection, due.account, due.command_id)
                return "not_sent"
            if held.state in (State.WAITING, State.PARKED) and not (held.attempt > 0 and invite.doubted):
                await self._results.put_off(connection, due, NOT_SENT)
                return "not_sent"
            if seen.shows_invite:
                await settle_by_evidence(connection, self._ledger, held, "Coderbyte shows the invite")
            if seen.reports and await self._invites.advance(connection, due.account, due.command_id, Progress.STARTED):
                await self._publisher.started(connection, invite, self._clock.now())
            return await self._conclude(connection, organization, due, invite, seen)

    async def _conclude(
        self, connection: Connection, organization: Organization, due: DueReading, invite: StoredInvite, seen: _Seen
    ) -> str:
        options = organization.options
        picked = pick_attempt([report for report, _ in seen.reports], options.pick_attempt)
        if picked is not None and picked.is_ready:
            await self._keep(connection, organization, invite, seen, picked)
            await self._results.stop(connection, due.account, due.command_id)
            return "ready"
        finished = picked is not None and picked.is_finished
        if finished:
            await self._invites.advance(connection, due.account, due.command_id, Progress.COMPLETED)
        following = next_reading(
            invite.poll_step, awaited=finished, schedule=options.poll_schedule, interval=options.poll_interval
        )
        if await self._results.put_off(connection, due, following):
            log.error(
                "report.overdue", account=due.account, command_id=str(due.command_id),
                application_id=invite.application_id, assessment_id=invite.assessment_id,
                remedy="look in Coderbyte's dashboard why the report is not ready",
            )  # fmt: skip
        return "grading" if finished else ("underway" if seen.reports else "nothing")

    async def _keep(
        self,
        connection: Connection,
        organization: Organization,
        invite: StoredInvite,
        seen: _Seen,
        picked: Report,
    ) -> None:
        raw = next(entry for report, entry in seen.reports if report is picked)
        result = to_result(
            picked, organization.options, attempt_count=len(seen.reports), time_expired=invite.time_expired
        )
        if invite.attached_body_id is not None:
            await self._invites.disown(connection, invite, self._baseline.keys(invite.account, picked))
        latest = await self._results.latest(connection, invite.account, invite.command_id)
        await self._invites.advance(connection, invite.account, invite.command_id, Progress.GRADED)
        if latest is not None and not visibly_differs(latest.result, result):
            return
        await self._publisher.publish(
            connection,
            invite,
            1 if latest is None else latest.version + 1,
            result,
            raw,
            completed_at=invite.completed_at or self._clock.now(),
            now=self._clock.now(),
        )

    # -- what did not work

    async def _retry(self, due: DueReading, wait: timedelta, outcome: str) -> None:
        self._polls.labels(due.account, outcome).inc()
        async with self._database.transaction() as connection:
            await self._results.retry_later(connection, due, wait)

    async def _pause(self, organization: Organization, due: DueReading, error: CredentialError) -> None:
        retry = organization.options.credential_retry
        self._polls.labels(due.account, "credential").inc()
        async with self._database.transaction() as connection:
            fresh = await self._ledger.pause(connection, due.account, VENDOR, str(error), error.remedy, retry)
            await self._results.retry_later(connection, due, retry)
            await self._results.hold_all(connection, due.account, retry)
        if fresh:
            log.error("connection.paused", account=due.account, vendor=VENDOR, reason=str(error), remedy=error.remedy)

    async def _count(self) -> None:
        if time.monotonic() < self._counted + 10.0:
            return
        self._counted = time.monotonic()
        async with self._database.acquired() as connection:
            counts = await self._invites.counts(connection)
            unmatched = await self._signals.counts(connection)
        self._open.clear()
        for account, states in counts.items():
            for state, count in states.items():
                self._open.labels(account, state).set(count)
        self._unmatched.clear()
        for account, count in unmatched.items():
            self._unmatched.labels(account).set(count)
