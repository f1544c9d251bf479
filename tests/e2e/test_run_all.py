"""`trellis run all`: one process of each service, started again when one dies, all gone after a stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tools.dev.paths import VENV
from tools.dev.process import Lease
from tools.dev.servers import Servers
from tools.dev.system import System

NAMES = ("ingest", "workflow", "greenhouse-actions", "assessments")


@pytest.fixture
def prepared(servers: Servers, tmp_path: Path) -> Iterator[System]:
    name = f"all_{os.getpid()}"
    with Lease(tmp_path) as lease:
        system = System(tmp_path / "s", servers.postgres, servers.rabbitmq, database=name, vhost=name, lease=lease)
        system.prepare()
        yield system
        system.drop()


def wait(check: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def children(pid: int) -> set[int]:
    try:
        return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except FileNotFoundError:
        return set()


def test_all_services_run_come_back_and_stop_together(prepared: System) -> None:
    log = (prepared.folder / "all.log").open("wb")
    command = [str(VENV / "bin/trellis"), "run", "all"]
    supervisor = subprocess.Popen(command, env=prepared.environment(), stdout=log, stderr=log)
    try:
        wait(lambda: all(prepared.ready(name) for name in NAMES), "everything is ready")
        before = children(supervisor.pid)
        assert len(before) == len(NAMES)
        os.kill(min(before), signal.SIGKILL)
        wait(lambda: len(children(supervisor.pid)) == len(NAMES) and children(supervisor.pid) != before, "it came back")
        wait(lambda: all(prepared.ready(name) for name in NAMES), "everything is ready again")
        last = children(supervisor.pid)
        supervisor.terminate()
        assert supervisor.wait(40) == 0
        for pid in last:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            for pid in children(supervisor.pid):
                os.kill(pid, signal.SIGKILL)
            supervisor.kill()
            supervisor.wait()
        log.close()
