"""A process dies at each named place in turn; there is one effect and the story is whole (P1, P2, P3, P5)."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from tests.e2e.conftest import Tenant
from tools.dev.system import System

from trellis.common.failpoints import FAILPOINTS

WHERE = {
    "ingest": ("ingest",),
    "consumer": ("workflow", "assessments", "greenhouse-actions"),
    "workflow": ("workflow",),
    "relay": ("workflow", "assessments", "greenhouse-actions"),
    "ledger": ("assessments", "greenhouse-actions"),
    "reports": ("assessments",),
    "reconciler": ("greenhouse-actions",),
}
SPECIAL = {"ingest.after_spool", "ingest.spool_drain.after_publish"}
"""Reached only while the broker is away: test_outages.py walks these."""
CASES = [(name, service) for name in FAILPOINTS if name not in SPECIAL for service in WHERE[name.split(".")[0]]]


@pytest.mark.parametrize(("name", "service"), CASES, ids=lambda value: value)
@pytest.mark.timeout(180)
async def test_killed_at_a_failpoint_each_effect_is_made_once(
    tenant: Tenant, system: System, tmp_path: Path, name: str, service: str
) -> None:
    died = tmp_path / "died"
    if name == "ledger.after_lookup":
        await tenant.fault("notes.create" if service == "greenhouse-actions" else "invite", "cut_after")
    if name.startswith("reconciler"):
        await tenant.apply(**{"reconcile.interval": 1, "reconcile.delay": 0})
    await tenant.call("PUT", "/time", {"time_scale": 600})  # a redelivery comes after 0.1 s
    await asyncio.to_thread(system.stop, service)
    watch = asyncio.create_task(_bring_back(system, service, died))
    try:
        # It may die before it is ready, of a message left over: then the watch brings it back.
        await asyncio.to_thread(system.start, service, {"TRELLIS_FAILPOINT": f"{name}@{died}"}, wait=False)
        application = await tenant.applies("Ann")
        await tenant.enters(application)
        if (name, service) == ("ledger.after_attempting", "assessments"):
            await held_until_a_person_decides(tenant, application)
        await tenant.until_seen(application, invites=1, seconds=60)
        if (name, service) == ("ledger.after_lookup", "assessments"):
            # Before the candidate does anything that would settle the invite without a look-up.
            await tenant.until_outcome(application, "invite", "parked", seconds=60)
        await tenant.person("submit", email=tenant.email("Ann"), final_score=82)
        await tenant.until_seen(application, notes=1, moves=1, seconds=60)
        await tenant.until_outcome(application, "invite", "done", seconds=60)
        await tenant.until_outcome(application, "note", "done", seconds=60)
        await tenant.until_outcome(application, "move", "done", seconds=60)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await asyncio.to_thread(system.stop, service)
        await asyncio.to_thread(system.start, service)
    assert died.exists(), "the failpoint was never reached, so nothing was tested"
    assert await tenant.seen(application) == {"invites": 1, "notes": 1, "moves": 1}


async def held_until_a_person_decides(tenant: Tenant, application: int) -> None:
    """Killed between the committed attempt and the request: nobody can tell, so nothing is sent until a person says so."""
    await tenant.until_outcome(application, "invite", "parked", seconds=60)
    assert (await tenant.seen(application))["invites"] == 0
    (row,) = json.loads(await tenant.trellis("parked", "list", "--account", tenant.account, "--json"))
    await tenant.trellis("parked", "redrive", row["id"], "--account", tenant.account, "--reason", "no mail arrived")


async def _bring_back(system: System, service: str, died: Path) -> None:
    """Be the supervisor: start the process again after it died."""
    while True:
        await asyncio.sleep(0.2)
        if died.exists():
            await asyncio.to_thread(_ended, system, service)
            await asyncio.to_thread(system.start, service)
            return


def _ended(system: System, service: str) -> None:
    while system.pid(service) is not None:
        time.sleep(0.05)
