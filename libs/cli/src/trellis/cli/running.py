"""`trellis run`, `migrate` and `apply-topology`: what starts an installation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import asyncpg
import uvloop

from trellis.cli.services import installed, load
from trellis.common.errors import PermanentError
from trellis.common.store import migrate as migrations
from trellis.common.store.postgres import translated

RESTART_SECONDS = 1.0
STOP_SECONDS = 45.0


def run(name: str) -> None:
    """Run one service in this process until it is told to stop."""
    service = load(name)
    uvloop.run(service.run(os.environ))  # type: ignore[arg-type]


def environment_of_all(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* with an address of its own on this machine for each service that has none.

    The HTTP APIs take the ports from 8080 up in the order of *names*, health and metrics those from 9090 up.
    """
    made = dict(environ)
    for number, name in enumerate(names):
        prefix = f"TRELLIS_{name.upper().replace('-', '_')}"
        listen = made.setdefault(f"{prefix}_LISTEN", f"127.0.0.1:{8080 + number}")
        made.setdefault(f"{prefix}_ADMIN_LISTEN", f"127.0.0.1:{9090 + number}")
        made.setdefault(f"{prefix}_URL", f"http://{listen}")
    return made


def run_all() -> int:
    """Supervise one process of each service: one that dies is started again; a stop stops all."""
    environ = environment_of_all(installed(), os.environ)
    stopping = False
    processes: dict[str, subprocess.Popen[bytes]] = {}

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for process in processes.values():
            if process.poll() is None:
                process.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping:
        for name in installed():
            process = processes.get(name)
            if process is None or process.poll() is not None:
                if process is not None:
                    print(f"trellis: {name} ended with {process.returncode}; starting it again", file=sys.stderr)
                processes[name] = subprocess.Popen(  # noqa: S603 - our own command
                    [sys.executable, "-m", "trellis.cli", "run", name], env=environ
                )
        time.sleep(RESTART_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes.values():
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    return 0


async def migrate(*, check: bool, phase: migrations.Phase) -> list[str]:
    """Bring every installed service's schema up to date; with *check*, only name what is missing.

    Returns:
        The migrations applied, or those missing.

    Raises:
        PermanentError: `TRELLIS_MIGRATE_DATABASE_URL` is not set, or a file was changed after it was applied.
        StoreAwayError: The database cannot be reached.
    """
    url = os.environ.get("TRELLIS_MIGRATE_DATABASE_URL")
    if not url:
        raise PermanentError("TRELLIS_MIGRATE_DATABASE_URL is not set: the database's address as its owner")
    names: list[str] = []
    for name in installed():
        service = load(name)
        if check:
            async with translated():
                connection = await asyncpg.connect(url, timeout=10)
            try:
                missing = await migrations.pending(connection, service.schema, service.migrations, phase)
            finally:
                await connection.close()
            names += [f"{service.schema}: {item}" for item in missing]
            continue
        role_url = os.environ.get(f"TRELLIS_{name.upper().replace('-', '_')}_DATABASE_URL")
        done = await migrations.migrate(url, service.schema, service.migrations, role_url=role_url, phase=phase)
        names += [f"{service.schema}: {item}" for item in done]
    return names
