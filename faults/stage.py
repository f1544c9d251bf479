"""The system to be hurt: servers of its own, two replicas of each service, relays between, and a supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from tools.dev.console import Problem
from tools.dev.environment import variable_prefix
from tools.dev.identity import remove_elsewhere
from tools.dev.paths import SERVICES
from tools.dev.postgres import PostgresServer
from tools.dev.process import Lease
from tools.dev.rabbitmq import RabbitServer
from tools.dev.system import System

from faults import planted
from faults.disk import Disk
from faults.processes import thaw
from faults.relay import Relay

LEASE_SECONDS = 6.0
"""Half a minute in earnest: short, so that what died is taken up soon, and longer than preparing takes on a busy machine."""
REQUEST_SECONDS = 4.0
_WATCH_SECONDS = 0.3


class Stage:
    """One whole system with everything that a fault needs a grip on.

    The vendors' webhooks and the internal calls go to a relay before the two replicas of the service, in turn for
    each connection and to the other one where one refuses, as a Kubernetes service does; broker and database are
    reached through a relay that can be cut.

    Args:
        folder: What it writes goes below it.
        lease: Its processes end with the last holder of this.
        disk: What ingest's spool lies on.
        mistake: The mistake that is planted in every replica; none where it is empty.
    """

    def __init__(self, folder: Path, lease: Lease, disk: Disk, mistake: str = "") -> None:
        self.postgres = PostgresServer(folder / "postgres", lease=lease)
        self.rabbitmq = RabbitServer(folder / "rabbitmq", lease=lease)
        self.broker = Relay(lambda: [self.rabbitmq.port])
        self.database = Relay(lambda: [self.postgres.port])
        self.folder = folder
        self.disk = disk
        self.replicas = tuple(f"{name}{number}" for name in SERVICES for number in ("", ".2"))
        self._lease = lease
        self._mistake = mistake
        self._fronts: dict[str, Relay] = {}
        self._armed: dict[str, dict[str, str]] = {}
        self._down: set[str] = set()
        self.unexpected: list[str] = []
        """Replicas that ended though nothing was done to them."""
        self.system = System(folder / "system", self.postgres, self.rabbitmq)

    async def start(self) -> None:
        """Start all of it, with the relays between."""
        await asyncio.gather(asyncio.to_thread(self.rabbitmq.start), asyncio.to_thread(self.postgres.start))
        for relay in (self.broker, self.database):
            await relay.start()
        first = System(self.folder / "system", self.postgres, self.rabbitmq, lease=self._lease, replicas=2)
        for service in SERVICES:
            ports = tuple(int(first.url(name).rpartition(":")[2]) for name in (service, f"{service}.2"))
            for name in (service, f"{service}.2"):
                first.admin_url(name)  # chooses the port while nobody else does
            self._fronts[service] = Relay(lambda ports=ports: ports)  # type: ignore[misc]
            await self._fronts[service].start()
        self.system = System(
            self.folder / "system",
            self.postgres,
            self.rabbitmq,
            lease=self._lease,
            replicas=2,
            settings=self._settings(first.variables()),
            programs=planted.programs(self._mistake, self.replicas) if self._mistake else None,
        )
        await asyncio.to_thread(self.system.prepare)
        await self.disk.prepare(self.postgres, self.system.database)
        for name in self.system.names:
            await asyncio.to_thread(self.system.start, name, self._extra(name), wait=False)
        for name in self.system.names:
            await asyncio.to_thread(self.system.wait_ready, name)

    def _settings(self, direct: Mapping[str, str]) -> dict[str, str]:
        told = {"TRELLIS_LEASE_SECONDS": f"{LEASE_SECONDS:g}", "TRELLIS_REQUEST_SECONDS": f"{REQUEST_SECONDS:g}"}
        told["TRELLIS_BROKER_URL"] = _moved(direct["TRELLIS_BROKER_URL"], self.rabbitmq.port, self.broker.port)
        for service in SERVICES:
            prefix = variable_prefix(service)
            url = direct[f"{prefix}_DATABASE_URL"]
            told[f"{prefix}_DATABASE_URL"] = _moved(url, self.postgres.port, self.database.port)
            told[f"{prefix}_URL"] = f"http://127.0.0.1:{self._fronts[service].port}"
        told["TRELLIS_INGEST_PUBLIC_URL"] = told["TRELLIS_INGEST_URL"]
        return told

    async def stop(self) -> None:
        """Kill all of it, also what a thread is just starting; no thread can be had afterwards."""
        self._kill()
        await asyncio.get_running_loop().shutdown_default_executor()
        self._kill()
        for relay in (self.broker, self.database, *self._fronts.values()):
            await relay.stop()
        self.disk.remove()

    def _kill(self) -> None:
        for pid in (*map(self.system.pid, self.system.names), self.postgres.pid, self.rabbitmq.pid):
            thaw(pid)
        self.system.kill_all()
        self.rabbitmq.kill()
        self.postgres.kill()

    async def supervise(self, say: Callable[[str], None]) -> None:
        """Start again whatever died, until cancelled."""
        while True:
            for replica in self.replicas:
                if self.system.pid(replica) is not None:
                    continue
                if replica in self._down:
                    self._down.discard(replica)
                else:
                    self.unexpected.append(replica)
                    say(f"{replica} ended by itself")
                extra = self._armed.pop(replica, None)
                try:
                    await asyncio.to_thread(
                        self.system.start, replica, {**self._extra(replica), **(extra or {})}, wait=False
                    )
                except Problem as problem:
                    self._down.add(replica)
                    say(str(problem))
                if extra:
                    self._down.add(replica)  # it is to die
            await asyncio.sleep(_WATCH_SECONDS)

    def kill(self, replica: str, extra: Mapping[str, str] | None = None) -> bool:
        """Kill *replica* as `kill -9` does and return whether it ran.

        The supervisor starts it again, with *extra* in its environment.
        """
        if extra:
            self._armed[replica] = dict(extra)
        pid = self.system.pid(replica)
        self._down.add(replica)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def step_clock(self, replica: str, ahead_seconds: float) -> None:
        """Let the clock of *replica* be wrong by so much from now on; the database's and the vendors' stay right."""
        file = self._clock_file(replica)
        partial = file.with_suffix(".part")
        partial.write_text(f"{ahead_seconds:g}", "ascii")
        partial.replace(file)

    def _extra(self, name: str) -> dict[str, str]:
        more = planted.environment() if self._mistake else {}
        return {"TRELLIS_CLOCK_OFFSET_FILE": str(self._clock_file(name)), **more}

    def _clock_file(self, replica: str) -> Path:
        return self.folder / f"clock-{replica}.seconds"

    async def ready(self) -> bool:
        """Say whether every replica is."""
        answers = await asyncio.gather(*(asyncio.to_thread(self.system.ready, replica) for replica in self.replicas))
        return all(answers)


@contextlib.asynccontextmanager
async def set_up(folder: Path, disk: Disk, mistake: str = "") -> AsyncIterator[Stage]:
    """Give a fresh, running stage in *folder*; all its processes end with this one, however it ends.

    At the end the folder is removed, unless this process is killed; then the next run removes it.
    """
    remove(folder)
    try:
        with Lease(folder) as lease:
            stage = Stage(folder, lease, disk, mistake)
            try:
                await stage.start()
                yield stage
            finally:
                await stage.stop()
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove *folder* with what its servers keep in other places."""
    if folder.exists():
        remove_elsewhere(folder)
        shutil.rmtree(folder)


async def until(check: Callable[[], bool], seconds: float) -> bool:
    """Return whether *check* came true within *seconds*."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.2)
    return True


def _moved(url: str, old: int, new: int) -> str:
    return url.replace(f"@127.0.0.1:{old}/", f"@127.0.0.1:{new}/")
