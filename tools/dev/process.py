"""Long-running processes of ours: started under a keeper, found again by their pid file, stopped, killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.dev.console import Problem
from tools.dev.keeper import start_time

_KEEPER = Path(__file__).with_name("keeper.py")


class Ended(Problem):
    """A process ended before it was ready."""


def running(pid: int, started: str) -> bool:
    """Say whether *pid* still is the process that was *started* then, and not a dead or a recycled one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] not in {"Z", "X"} and start_time(pid) == started
    except (OSError, IndexError):
        return False


def poll(what: str, ready: Callable[[], bool], *, seconds: float, alive: Callable[[], bool] | None = None) -> None:
    """Return as soon as *ready* answers true.

    Raises:
        Ended: *alive* answered false before that.
        Problem: *seconds* went by before that.
    """
    deadline, pause = time.monotonic() + seconds, 0.02
    while not ready():
        if alive is not None and not alive():
            raise Ended(f"{what}: the process ended")
        if time.monotonic() >= deadline:
            raise Problem(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


class Lease:
    """A share in what runs in a folder; when the last process that holds one ends, however, that stops.

    Held by an open file's lock, which the kernel gives back even after SIGKILL.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "lease"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if self._descriptor is None:
            self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextlib.contextmanager
    def if_unused(self) -> Iterator[bool]:
        """Say whether nobody has a share; if so, nobody gets one meanwhile."""
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield any(self._taken(descriptor) for _ in range(3))
        finally:
            os.close(descriptor)

    @staticmethod
    def _taken(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)  # a keeper that looks whether it is still needed holds it for less than this
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, and how it wants to be stopped."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    helpers: Sequence[Sequence[str]] = ()
    """Programs that run beside it and end with it."""
    afterwards: Sequence[Sequence[str]] = ()
    """What clears away the rest when it has ended."""
    stop_signal: int = signal.SIGTERM
    grace_s: float = 20.0
    """How long it may take to stop before it is killed."""


class Process:
    """One process by name in a folder, whoever started it: this `./dev` or an earlier one."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._pid_file = folder / f"{name}.pid"
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process's id, or `None` when it does not run (or is about to stop)."""
        record = self._record()
        if record is None or record["stopping"] or not running(int(record["pid"]), str(record["started"])):
            return None
        return int(record["pid"])

    def start(self, program: Program, *, lease: Lease | None = None) -> None:
        """Start *program* unless it runs; with a *lease* it stops when nobody holds that any more.

        Raises:
            Problem: It could not even be started; the log says why.
        """
        if self.pid is not None:
            return
        self.wait_until_gone(seconds=30)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._pid_file.unlink(missing_ok=True)
        spec = {
            "argv": list(program.argv),
            "env": dict(program.env),
            "cwd": str(program.cwd),
            "helpers": [list(argv) for argv in program.helpers],
            "afterwards": [list(argv) for argv in program.afterwards],
            "stop_signal": int(program.stop_signal),
            "grace_s": program.grace_s,
            "pid_file": str(self._pid_file),
            "log": str(self.log),
            "lease": str(lease.file) if lease else None,
        }
        # In a file without a name: an argument would show passwords to every user of the machine.
        with tempfile.TemporaryFile("w+") as specification, self.log.open("ab") as log:
            json.dump(spec, specification)
            specification.seek(0)
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_KEEPER)],
                stdin=specification,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        poll(f"start of {self.name} (see {self.log})", self._started, seconds=20)

    def stop(self) -> None:
        """Let the process end in its own way; what is left after its grace period is killed."""
        stop_together([self])

    def kill(self) -> None:
        """Kill the process and all its descendants at once, as a crash of the machine would."""
        self._signal_keeper(signal.SIGUSR1)
        self.wait_until_gone(seconds=30)

    def begin_stop(self) -> None:
        """Tell the process to end, without waiting for it."""
        self._signal_keeper(signal.SIGTERM)

    def wait_until_gone(self, *, seconds: float) -> None:
        """Return when the process and all its descendants are gone.

        Raises:
            Problem: They are not within *seconds*.
        """
        record = self._record()
        if record is not None:
            keeper, started = int(record["keeper"]), str(record["keeper_started"])
            poll(f"end of {self.name}", lambda: self._reaped() or not running(keeper, started), seconds=seconds)

    def _started(self) -> bool:
        return self._record() is not None or (self._keeper is not None and self._keeper.poll() is not None)

    def _record(self) -> dict[str, str | int] | None:
        try:
            record: dict[str, str | int] = json.loads(self._pid_file.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return record

    def _signal_keeper(self, number: int) -> None:
        record = self._record()
        if record is not None and running(int(record["keeper"]), str(record["keeper_started"])):
            os.kill(int(record["keeper"]), number)

    def _reaped(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is not None


def bring_up(
    process: Process,
    program: Callable[[], Program],
    ready: Callable[[], bool],
    *,
    what: str,
    seconds: float,
    lease: Lease | None,
) -> None:
    """Start *process* unless it runs, and return when it is *ready*.

    Raises:
        Ended: It ended before that.
        Problem: It could not be started, or was not ready within *seconds*.
    """
    while True:
        is_ours = process.pid is None
        if is_ours:
            process.start(program(), lease=lease)
        try:
            return poll(what, ready, seconds=seconds, alive=lambda: process.pid is not None)
        except Ended:
            if is_ours:
                raise
            # It was already dying when we looked: a kill takes a moment.


def stop_together(processes: Sequence[Process]) -> None:
    """Let all of *processes* end at the same time; returns when the last is gone."""
    for process in processes:
        process.begin_stop()
    for process in processes:
        process.wait_until_gone(seconds=90)
