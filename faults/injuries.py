"""How each fault is done and undone on a running stage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg

from faults.load import HANG_SECONDS, Tenant
from faults.plan import RARE, SPOOL, Fault
from faults.stage import Stage, freeze, thaw, until

_REACHED_SECONDS = 20.0
"""How long an armed replica is given to come by its failpoint."""
_WRITES = {"invite": "invite", "notes.create": "note", "move": "move"}
_ROUTES = (
    *(*_WRITES, "candidate", "report", "token"),
    *("applications.list", "candidates.list", "application_stages.list", "notes.list"),
)


class Injuries:
    """Does what the plan says.

    Args:
        stage: What is hurt.
        tenants: Whose vendors fail.
        seed: For what the plan leaves open.
    """

    def __init__(self, stage: Stage, tenants: Sequence[Tenant], seed: int) -> None:
        self._stage = stage
        self._tenants = tenants
        self._dice = random.Random(seed)
        self._count = 0
        self.markers: dict[Path, str] = {}
        """The file that a replica makes when it dies at its failpoint -> which failpoint of which service."""

    async def suffer(self, faults: Sequence[Fault]) -> None:
        """Do all of *faults* at once and undo them; what died is started again by the supervisor."""
        await asyncio.gather(*(self._one(fault) for fault in faults))

    def reached(self) -> set[str]:
        """Return the failpoints at which something died."""
        return {place for file, place in self.markers.items() if file.exists()}

    async def _one(self, fault: Fault) -> None:
        ways: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "failpoint": self._failpoint,
            "broker": self._broker,
            "database": self._database,
            "vendor": self._vendor,
        }
        await ways[fault.kind](fault)

    async def _kill(self, fault: Fault) -> None:
        await asyncio.sleep(self._dice.uniform(0, 2))
        self._stage.kill(fault.target)

    async def _freeze(self, fault: Fault) -> None:
        pid = self._stage.system.pid(fault.target)
        freeze(pid)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            thaw(pid)

    async def _failpoint(self, fault: Fault) -> None:
        self._count += 1
        service = fault.target.partition(".")[0]
        died = self._stage.folder / f"died-{self._count}"
        self.markers[died] = f"{fault.failpoint} {service}"
        if fault.failpoint == "ledger.after_lookup":
            for tenant in self._tenants:
                await tenant.fault("notes.create", "cut_after", count=2)
                await tenant.fault("invite", "cut_after")
        for replica in (service, f"{service}.2") if fault.failpoint in RARE else (fault.target,):
            self._stage.kill(replica, {"TRELLIS_FAILPOINT": f"{fault.failpoint}:{fault.nth}@{died}"})
        if fault.failpoint in SPOOL:
            await asyncio.sleep(1)  # the supervisor starts it
            for _ in range(20):
                if await asyncio.to_thread(self._stage.system.ready, fault.target):
                    break
                await asyncio.sleep(0.5)
            self._stage.broker.cut()
            await until(died.exists, 8)
            self._stage.broker.mend()
        await until(died.exists, _REACHED_SECONDS)

    async def _broker(self, fault: Fault) -> None:
        server, relay = self._stage.rabbitmq, self._stage.broker
        match fault.target:
            case "kill" | "stop":
                await asyncio.to_thread(server.kill if fault.target == "kill" else server.stop)
                await asyncio.sleep(fault.seconds)
                await asyncio.to_thread(server.start)
            case "pause":
                await self._paused(server.pid, fault.seconds)
            case "alarm":
                try:
                    await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "absolute", "1MB")
                    await asyncio.sleep(fault.seconds)
                finally:
                    await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "absolute", "1GB")
            case _:
                await self._apart(relay.cut if fault.target == "cut" else relay.silence, relay.mend, fault.seconds)

    async def _database(self, fault: Fault) -> None:
        server, relay = self._stage.postgres, self._stage.database
        match fault.target:
            case "kill" | "stop":
                await asyncio.to_thread(server.kill if fault.target == "kill" else server.stop)
                await asyncio.sleep(fault.seconds)
                await asyncio.to_thread(server.start)
            case "pause":
                await self._paused(server.pid, fault.seconds)
            case "readonly":
                try:
                    await self._readonly("on")
                    await asyncio.sleep(fault.seconds)
                finally:
                    await self._readonly("off")
            case _:
                await self._apart(relay.cut if fault.target == "cut" else relay.silence, relay.mend, fault.seconds)

    async def _vendor(self, fault: Fault) -> None:
        for tenant in self._tenants:
            for route in self._dice.sample(_ROUTES, 4):
                more: dict[str, object] = {"count": self._dice.choice((1, 2, 3)), "nth": self._dice.choice((1, 2))}
                if fault.target.startswith("hang"):
                    more["seconds"] = HANG_SECONDS
                if fault.target == "hang" and route in _WRITES:
                    tenant.hung.add(_WRITES[route])
                if fault.target == "429":
                    more["retry_after"] = self._dice.choice((1, 2))
                await tenant.fault(route, fault.target, **more)
        await asyncio.sleep(fault.seconds)

    async def _readonly(self, word: str) -> None:
        """Let PostgreSQL refuse every write, as a standby does, and nearly as a full disk makes it."""
        connection = await asyncpg.connect(self._stage.postgres.url)
        try:
            await connection.execute("set default_transaction_read_only = off")
            await connection.execute(f"alter system set default_transaction_read_only = {word}")
            await connection.execute("select pg_reload_conf()")
        finally:
            await connection.close()

    @staticmethod
    async def _paused(pid: int | None, seconds: float) -> None:
        freeze(pid)
        try:
            await asyncio.sleep(seconds)
        finally:
            thaw(pid)

    @staticmethod
    async def _apart(begin: Callable[[], None], end: Callable[[], None], seconds: float) -> None:
        begin()
        try:
            await asyncio.sleep(seconds)
        finally:
            end()
