"""One complete reading of several applications, and what is proven by one that is not shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from trellis.common.contracts.identifiers import AccountId, ApplicationId, JobId
from trellis.common.errors import TransientError
from trellis.common.ledger.effects import Unauthorized
from trellis.greenhouse_actions.adapters.harvest import Connected, CredentialRejectedError, Harvest
from trellis.greenhouse_actions.domain.readings import ApplicationView, Missing, Readings, StageRow
from trellis.greenhouse_actions.tags import Tags

BLIND: Final = Unauthorized(
    reason="the service user sees nothing in Greenhouse any more: it lost Site Admin",
    remedy="make the service user a Site Admin in Greenhouse, Configure > Users",
)

MOST_ROUNDS: Final = 3
"""Readings of an application that changes while it is read; then it is tried later."""
SHARED_SECONDS: Final = 4.0
"""How long a reading is shared; well below the ten seconds after which nothing may rest on it any more (P4)."""

Visits = Callable[[Sequence[ApplicationId]], Awaitable[Mapping[ApplicationId, StageRow]]]
"""Reads the row of each application's present visit."""
_Shown = ApplicationView | Missing


@dataclass(frozen=True, slots=True)
class _Recent:
    read_at: float
    revision: int
    with_visit: bool
    shown: _Shown


class Reader:
    """Reads applications for the writes of one process; a note and a move of one result share a reading.

    Never for look-ups: those ask what a write has changed since.
    """

    def __init__(self) -> None:
        self._recent: dict[tuple[AccountId, ApplicationId], _Recent] = {}
        self._written: dict[tuple[AccountId, ApplicationId], float] = {}
        self._locks: dict[AccountId, asyncio.Lock] = {}
        self.tags = Tags(SHARED_SECONDS)

    def written(self, account: AccountId, application: ApplicationId) -> None:
        """Share no reading of *application* that began before now: a write of ours leaves."""
        self._recent.pop((account, application), None)
        self._written[account, application] = time.monotonic()

    async def read(
        self,
        connected: Connected,
        wanted: Mapping[ApplicationId, JobId | None],
        *,
        with_visits: bool,
        allow: Callable[[int], Awaitable[None]],
    ) -> Readings:
        """See `read_applications`; *allow* is told how many calls the reading takes, 0 when it is shared."""
        account, revision = connected.connection.account, connected.connection.revision
        async with self._locks.setdefault(account, asyncio.Lock()):
            shared = self._shared(account, revision, wanted, with_visits=with_visits)
            if shared is not None:
                await allow(0)
                return shared
            await allow(connected.harvest.capabilities.calls(len(wanted), with_visits=with_visits))
            readings = await read_applications(connected.harvest, wanted, with_visits=with_visits)
            self._keep(account, revision, readings, with_visits=with_visits)
            return readings

    def _shared(
        self, account: AccountId, revision: int, wanted: Mapping[ApplicationId, JobId | None], *, with_visits: bool
    ) -> Readings | None:
        """Return a reading that is not old, made through the connection as it is now: another version tells less."""
        since = time.monotonic() - SHARED_SECONDS
        found = {ident: self._recent.get((account, ident)) for ident in wanted}
        usable = {
            ident: one
            for ident, one in found.items()
            if one is not None
            and one.read_at >= since
            and one.revision == revision
            and (one.with_visit or not with_visits)
        }
        if not wanted or len(usable) < len(wanted):
            return None
        return Readings(
            read_at=min(one.read_at for one in usable.values()),
            applications={i: one.shown for i, one in usable.items() if isinstance(one.shown, ApplicationView)},
            missing={i: one.shown for i, one in usable.items() if isinstance(one.shown, Missing)},
        )

    def _keep(self, account: AccountId, revision: int, readings: Readings, *, with_visits: bool) -> None:
        since = time.monotonic() - SHARED_SECONDS
        self._recent = {key: one for key, one in self._recent.items() if one.read_at >= since}
        self._written = {key: at for key, at in self._written.items() if at >= since}
        shown: dict[ApplicationId, _Shown] = {**readings.applications, **readings.missing}
        for ident, one in shown.items():
            if self._written.get((account, ident), readings.read_at) <= readings.read_at:
                self._recent[account, ident] = _Recent(readings.read_at, revision, with_visits, one)


async def read_applications(
    harvest: Harvest, wanted: Mapping[ApplicationId, JobId | None], *, with_visits: bool
) -> Readings:
    """Read the applications in *wanted* now; their jobs, where known, tell a deleted one from a hidden one.

    Args:
        harvest: The account's Greenhouse.
        wanted: Applications and the jobs they are believed to be on.
        with_visits: Read their present stage visits too: when they began, and the ids of their rows.

    Raises:
        TransientError: Greenhouse cannot be read now.
        CredentialRejectedError: It says no, or shows nothing at all.
    """
    read_at = time.monotonic()
    shown = await harvest.applications(list(wanted))
    unplaced = [view.id for view in shown.values() if view.is_active and view.stage_id is None]
    asked = [ident for ident, view in shown.items() if not view.prospect] if with_visits else unplaced
    rows = await harvest.current_stages(asked) if asked else {}
    found = await joined(harvest, shown, rows, harvest.current_stages)
    absent = {ident: job for ident, job in wanted.items() if ident not in shown}
    return Readings(read_at=read_at, applications=found, missing=await _missing(harvest, absent) if absent else {})


async def joined(
    harvest: Harvest,
    shown: Mapping[ApplicationId, ApplicationView],
    rows: Mapping[ApplicationId, StageRow],
    visits: Visits,
) -> dict[ApplicationId, ApplicationView]:
    """Return the applications in *shown* with the *rows* of their present visits, which were read after them.

    Args:
        harvest: The account's Greenhouse.
        shown: The applications.
        rows: What *visits* returned.
        visits: Reads present visits again where an application changed meanwhile.

    Raises:
        TransientError: One changes faster than it can be read.
    """
    torn = [ident for ident, row in rows.items() if _is_torn(shown[ident], row)]
    if torn:
        shown, rows = await _read_whole(harvest, torn, dict(shown), dict(rows), visits)
    return {ident: _placed(view, rows.get(ident)) for ident, view in shown.items()}


async def _read_whole(
    harvest: Harvest,
    torn: list[ApplicationId],
    shown: dict[ApplicationId, ApplicationView],
    rows: dict[ApplicationId, StageRow],
    visits: Visits,
) -> tuple[dict[ApplicationId, ApplicationView], dict[ApplicationId, StageRow]]:
    """Read what changed between the two calls until both show one moment.

    A stage of one moment with the name, the status or the time of another is nothing that ever was.
    """
    for _ in range(MOST_ROUNDS):
        again = await harvest.applications(torn)
        shown |= again
        moved = [
            ident for ident in torn if ident in again and again[ident].stage_id not in (None, rows[ident].stage_id)
        ]
        if not moved:
            return shown, rows
        rows |= await visits(moved)
        torn = [ident for ident in moved if shown[ident].stage_id != rows[ident].stage_id]
        if not torn:
            return shown, rows
    raise TransientError("an application changes faster than it can be read", retry_after=timedelta(seconds=5))


def _is_torn(view: ApplicationView, row: StageRow) -> bool:
    """Whether the application changed between its reading and its row's: entering a stage is an activity."""
    if view.stage_id not in (None, row.stage_id):
        return True
    if view.last_activity_at is None or row.entered_at is None:
        return False
    return row.entered_at > view.last_activity_at


def _placed(view: ApplicationView, row: StageRow | None) -> ApplicationView:
    """Return *view* with its visit's *row*; the row was read later, so it knows better."""
    if row is None:
        return view
    name = view.stage_name if view.stage_id in (None, row.stage_id) else None
    return replace(view, stage_id=row.stage_id, stage_name=name, row_id=row.id, entered_at=row.entered_at)


async def _missing(harvest: Harvest, absent: Mapping[ApplicationId, JobId | None]) -> Mapping[ApplicationId, Missing]:
    if not await harvest.sees_anything():
        raise CredentialRejectedError(BLIND)
    jobs = [job for job in absent.values() if job is not None]
    try:
        visible = await harvest.visible_jobs(jobs) if jobs else frozenset()
    except CredentialRejectedError:  # jobs may not be listed: then nothing proves that the application is gone
        visible = frozenset()
    if await harvest.applications(list(absent)):  # the right to see it may have come back after the first list
        raise TransientError("an application was hidden while it was read", retry_after=timedelta(seconds=1))
    return {ident: Missing.GONE if job in visible else Missing.HIDDEN for ident, job in absent.items()}
