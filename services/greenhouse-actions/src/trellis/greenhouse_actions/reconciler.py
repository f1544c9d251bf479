"""Compares Greenhouse with what we were told and says what it finds as facts (P6).

Every application that changed is told about as Greenhouse shows it; what the log knows already changes nothing
there. Absence is never a fact here: a list that turns empty, a rejected credential, a dead cursor or a filter
that did not work leave the mark where it was.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

import structlog

from trellis.common.backoff import full_jitter
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import ApplicationObserved, FoundBy, PassedStage
from trellis.common.contracts.identifiers import AccountId, ApplicationId, stable_id
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.failpoints import failpoint
from trellis.common.ledger.budget import Use
from trellis.common.store.outbox import Relay
from trellis.common.store.tenancy import serving
from trellis.greenhouse_actions.adapters.harvest import (
    MOST_IDS,
    Connected,
    CredentialRejectedError,
    Harvest,
    Harvests,
    TooLongError,
)
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.domain.readings import ApplicationView, StageRow, Window
from trellis.greenhouse_actions.domain.reconciling import LONGEST, Pace, Step, halved, merged, next_step, passed
from trellis.greenhouse_actions.domain.requests import Permission, Route
from trellis.greenhouse_actions.effects import DEFAULT_RETRY
from trellis.greenhouse_actions.observer import SOURCE, snapshot
from trellis.greenhouse_actions.pauses import Pauses, disproved_by
from trellis.greenhouse_actions.polling import drive
from trellis.greenhouse_actions.reading import BLIND, joined
from trellis.greenhouse_actions.reconciliations import Claim, Reconciliations

log = structlog.get_logger()

LEASE: Final = timedelta(minutes=5)
"""Longer than two lists and 50 stage visits take in a budget that is nearly used up."""
WORKERS: Final = 4
"""Accounts that one replica compares at once, so that one with a slow Greenhouse does not hold up the others."""
_READ: Final = disproved_by(Route.APPLICATIONS, Route.APPLICATION_STAGES, Permission.LIST_APPLICATIONS)


class Reconciler:
    """Compares accounts that are due; any number may run beside each other.

    Args:
        reconciliations: How far each account is.
        harvests: The Greenhouses; the share of the budget that is kept for people is not touched.
        pauses: Put when a credential is rejected, ended when it is not any more.
        relay: Woken when facts were written.
        measures: Counts windows and applications.
        lease: How long a claimed account is nobody else's, from each portion that is told; what a killed worker was
            comparing waits that long.
    """

    def __init__(
        self,
        reconciliations: Reconciliations,
        harvests: Harvests,
        pauses: Pauses,
        relay: Relay,
        measures: Measures,
        *,
        lease: timedelta = LEASE,
    ) -> None:
        self._reconciliations = reconciliations
        self._harvests = harvests
        self._pauses = pauses
        self._relay = relay
        self._measures = measures
        self._lease = lease
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for accounts that are due now."""
        self._wake.set()

    async def run(self) -> None:
        """Compare until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(drive("reconciler", self.step, self._wake))

    async def step(self) -> bool:
        """Compare one window of the account that is due the longest; False when none is due.

        Raises:
            StoreAwayError: The database is away; the window is compared again when the claim is over.
            ConflictError: Another replica took the account over.
        """
        claim = await self._reconciliations.claim(self._lease)
        if claim is None:
            return False
        with serving(claim.account):
            await self._take_up(claim)
        return True

    async def _take_up(self, claim: Claim) -> None:
        retry = DEFAULT_RETRY
        try:
            connected = await self._harvests.of(claim.account, Use.BACKGROUND)
            retry = connected.connection.credential_retry
            await self._compare(claim, connected)
        except CredentialRejectedError as error:
            await self._pauses.put(claim.account, error.said, retry)
            await self._put_off(claim, f"{error.said.reason}; {error.said.remedy}", retry, claim.longest)
        except TooLongError as error:
            await self._put_off(claim, str(error), timedelta(seconds=1), halved(claim.longest or LONGEST))
        except StoreAwayError:
            raise
        except TransientError as error:
            wait = error.retry_after or full_jitter(claim.tries + 1, random.random())  # noqa: S311 - jitter, no secret
            await self._put_off(claim, str(error), wait, claim.longest)

    async def _compare(self, claim: Claim, connected: Connected) -> None:
        pace, harvest = connected.connection.pace, connected.harvest
        mark = claim.mark if claim.mark is not None else claim.now - pace.depth
        step = next_step(mark, claim.now, pace, longest=claim.longest or pace.longest)
        changed = await _changed(harvest, pace, step.window)
        if not changed:
            if not await harvest.sees_anything():
                raise CredentialRejectedError(BLIND)
            # The right to see may have come back after the list: an empty one counts only when it is read after the proof.
            changed = await _changed(harvest, pace, step.window)
        held = claim
        for some in _portions([view for view in changed if not view.prospect]):
            visits = _Visits(harvest)
            rows = await visits.of(some)
            whole = await joined(harvest, {view.id: view for view in some}, rows, visits.present)
            names = {view.stage_id: view.stage_name for view in whole.values()}
            facts = [_fact(claim, view, pace, passed(visits.rows.get(view.id, ()), names)) for view in whole.values()]
            held = await self._reconciliations.tell(held, facts, self._lease)
            failpoint("reconciler.after_portion")
            self._relay.wake()
        await self._reconciliations.advance(held, step.mark, wait=pace.interval if step.is_last else None)
        await self._pauses.mended(claim.account, _READ)
        self._said(claim.account, step, len(changed))

    async def _put_off(self, claim: Claim, reason: str, wait: timedelta, longest: timedelta | None) -> None:
        await self._reconciliations.postpone(claim, reason, wait, longest)
        self._measures.compared(claim.account, "failed", 0)
        log.warning("reconciler.put_off", account=claim.account, reason=reason, seconds=round(wait.total_seconds(), 1))

    def _said(self, account: AccountId, step: Step, count: int) -> None:
        self._measures.compared(account, "read", count)
        log.info("reconciler.compared", account=account, count=count, until=step.window.until.isoformat())


async def _changed(harvest: Harvest, pace: Pace, window: Window) -> list[ApplicationView]:
    return merged([await harvest.changed(field, window) for field in pace.fields])


class _Visits:
    """Stage visits of one portion: `rows` are all of each application's, as they were read last, the newest first."""

    def __init__(self, harvest: Harvest) -> None:
        self._harvest = harvest
        self.rows: dict[ApplicationId, Sequence[StageRow]] = {}

    async def of(self, views: Sequence[ApplicationView]) -> Mapping[ApplicationId, StageRow]:
        """Read all visits; where a present one is missing they count only when read after the proof that all is seen.

        An entry whose time is not known is left to a person.
        """
        ids = [view.id for view in views]
        rows = await self.present(ids)
        placed = {view.id for view in views if view.is_active and view.stage_id is not None}
        if self._harvest.capabilities.stage_history and placed - set(rows):
            if not await self._harvest.sees_anything():
                raise CredentialRejectedError(BLIND)
            rows = await self.present(ids)
        return rows

    async def present(self, ids: Sequence[ApplicationId]) -> Mapping[ApplicationId, StageRow]:
        """Read all visits of these applications, and return the row of each one's present visit."""
        read = await self._harvest.stage_history(ids)
        self.rows |= {ident: read.get(ident, ()) for ident in ids}
        return {ident: row for ident, rows in read.items() for row in reversed(rows) if row.current}


def _fact(claim: Claim, view: ApplicationView, pace: Pace, stays: tuple[PassedStage, ...]) -> Envelope:
    times = (view.updated_at, view.last_activity_at, view.entered_at)
    # Two readings of the same state are one fact, which the inbox drops the second time. Through Harvest v1 neither
    # row nor time tells two visits apart, so the stage does.
    place = view.row_id if view.row_id is not None else view.stage_id
    ident = stable_id("reconciled", claim.account, view.id, place, view.status.value, *times)
    return Envelope(
        id=ident,
        source=SOURCE,
        accountid=claim.account,
        time=claim.now,
        data=ApplicationObserved(
            application_id=view.id,
            application=snapshot(view),
            observed_at=claim.now,
            entered_at=view.entered_at,
            found_by=FoundBy.RECONCILIATION,
            act_within_s=pace.act_within.total_seconds(),
            passed=stays,
        ),
        correlationid=str(ident),
        subject=f"application/{view.id}",
    )


def _portions(views: Sequence[ApplicationView]) -> Iterator[list[ApplicationView]]:
    rest = iter(views)
    while some := list(islice(rest, MOST_IDS)):
        yield some
