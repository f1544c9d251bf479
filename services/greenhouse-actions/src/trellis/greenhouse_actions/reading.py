"""One complete reading of several applications, and what is proven by one that is not shown."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from trellis.common.contracts.identifiers import ApplicationId, JobId
from trellis.common.ledger.effects import Unauthorized
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError, Harvest
from trellis.greenhouse_actions.domain.readings import ApplicationView, Missing, Readings, StageRow

BLIND: Final = Unauthorized(
    reason="the service user sees nothing in Greenhouse any more: it lost Site Admin",
    remedy="make the service user a Site Admin in Greenhouse, Configure > Users",
)


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
    found = {ident: placed(view, rows.get(ident)) for ident, view in shown.items()}
    absent = {ident: job for ident, job in wanted.items() if ident not in shown}
    return Readings(read_at=read_at, applications=found, missing=await _missing(harvest, absent) if absent else {})


def placed(view: ApplicationView, row: StageRow | None) -> ApplicationView:
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
    return {ident: Missing.GONE if job in visible else Missing.HIDDEN for ident, job in absent.items()}
