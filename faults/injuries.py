"""How each fault is done and undone on a running stage, and whether it truly came about."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faults.load import HANG_SECONDS, Tenant
from faults.logs import is_dated
from faults.outages import Outages
from faults.plan import RARE, SPOOL, Fault
from faults.processes import freeze, is_frozen, thaw
from faults.stage import Stage, until

_REACHED_SECONDS = 20.0
"""How long an armed replica is given to come by its failpoint."""
_WRITES = {
    **{"invite": "invite", "notes.create": "note", "move": "move"},
    **{"v1.notes.create": "note", "v1.applications.move": "move"},
}
_CODERBYTE = ("invite", "candidate", "report")
_ROUTES = {
    "v3": (
        *(*_CODERBYTE, "notes.create", "move", "applications.update", "token"),
        *("applications.list", "candidates.list", "application_stages.list", "notes.list"),
    ),
    "v1": (
        *(*_CODERBYTE, "v1.notes.create", "v1.applications.move", "v1.applications.update"),
        *("v1.applications.retrieve", "v1.applications.list", "v1.candidates.retrieve", "v1.activity_feed.retrieve"),
    ),
}


class Injuries:
    """Does what the plan says.

    Args:
        stage: What is hurt.
        tenants: Whose vendors fail.
        seed: For what the plan leaves open.
    """

    def __init__(self, stage: Stage, tenants: Sequence[Tenant], seed: int) -> None:
        self._stage = stage
        self._outages = Outages(stage)
        self._tenants = tenants
        self._dice = random.Random(seed)
        self._markers: list[tuple[Path, Fault]] = []
        """The file that a replica makes when it dies at its failpoint, perhaps long after the round."""

    async def suffer(self, faults: Sequence[Fault]) -> list[tuple[Fault, bool]]:
        """Do all of *faults* at once and undo them; return for each whether it came about.

        What died is started again by the supervisor.
        """
        return list(zip(faults, await asyncio.gather(*map(self._one, faults)), strict=True))

    def killed(self) -> list[str]:
        """Return the failpoints at which a process died, each as often."""
        return [fault.failpoint for file, fault in self._markers if file.exists()]

    async def _one(self, fault: Fault) -> bool:
        ways: dict[str, Callable[[Fault], Awaitable[bool]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "clock": self._clock,
            "failpoint": self._failpoint,
            "broker": lambda fault: self._outages.broker(fault.target, fault.seconds),
            "database": lambda fault: self._outages.database(fault.target, fault.seconds),
            "disk": lambda fault: self._outages.disk(fault.seconds),
            "vendor": self._vendor,
        }
        return await ways[fault.kind](fault)

    async def _kill(self, fault: Fault) -> bool:
        await asyncio.sleep(self._dice.uniform(0, 2))
        return self._stage.kill(fault.target)

    async def _freeze(self, fault: Fault) -> bool:
        pid = self._stage.system.pid(fault.target)
        freeze(pid)
        try:
            await asyncio.sleep(fault.seconds)
            return is_frozen(pid)
        finally:
            thaw(pid)

    async def _clock(self, fault: Fault) -> bool:
        """Step the replica's clock one way, then as far the other way, then right again, all while it works."""
        is_wrong = False
        try:
            for seconds in (fault.ahead, -fault.ahead):
                self._stage.step_clock(fault.target, seconds)
                await asyncio.sleep(fault.seconds / 2)
                at = datetime.now(UTC) + timedelta(seconds=seconds)
                is_wrong |= is_dated(self._stage.system.log(fault.target), at, within=fault.seconds / 2)
        finally:
            self._stage.step_clock(fault.target, 0.0)
        return is_wrong

    async def _failpoint(self, fault: Fault) -> bool:
        service = fault.target.partition(".")[0]
        died = self._stage.folder / f"died-{len(self._markers)}"
        self._markers.append((died, fault))
        if fault.failpoint == "ledger.after_lookup":
            for tenant in self._tenants:
                notes = "notes.create" if tenant.api_version == "v3" else "v1.notes.create"
                await tenant.fault(notes, "cut_after", count=2)
                await tenant.fault("invite", "cut_after")
        for replica in (service, f"{service}.2") if fault.failpoint in RARE else (fault.target,):
            self._stage.kill(replica, {"TRELLIS_FAILPOINT": f"{fault.failpoint}:{fault.nth}@{died}"})
        if fault.failpoint in SPOOL:
            await self._broker_away_once_ready(fault.target, died)
        return await until(died.exists, _REACHED_SECONDS)

    async def _broker_away_once_ready(self, replica: str, died: Path) -> None:
        await asyncio.sleep(1)  # the supervisor starts it
        for _ in range(20):
            if await asyncio.to_thread(self._stage.system.ready, replica):
                break
            await asyncio.sleep(0.5)
        self._stage.broker.cut()
        try:
            await until(died.exists, 8)
        finally:
            self._stage.broker.mend()

    async def _vendor(self, fault: Fault) -> bool:
        for tenant in self._tenants:
            for route in self._dice.sample(_ROUTES[tenant.api_version], 4):
                more: dict[str, object] = {"count": self._dice.choice((1, 2, 3)), "nth": self._dice.choice((1, 2))}
                if fault.target.startswith("hang"):
                    more["seconds"] = HANG_SECONDS
                if fault.target == "hang" and route in _WRITES:
                    tenant.hung.add(_WRITES[route])
                if fault.target == "429":
                    more["retry_after"] = self._dice.choice((1, 2))
                await tenant.fault(route, fault.target, **more)
        await asyncio.sleep(fault.seconds)
        return True
