"""A small parent for one server: it leaves none of that server's processes behind.

Run as a program (`python -I -S keeper.py`, a specification as JSON on standard input); imported by nobody.
A server may start daemons and groups of its own (RabbitMQ: epmd, erl_child_setup; PostgreSQL: a session a
connection), which no signal to one process or group reaches. The keeper is therefore the "subreaper" of all
of them (prctl(2)): whatever is orphaned becomes its child, and at the end it kills every child it has.

Signals: SIGTERM stops the server in its own way and kills what is left after the grace period; SIGUSR1 kills
everything at once. With a `lease` the keeper stops by itself as soon as no process holds that file's lock,
however its holders ended. If the keeper itself is killed, the kernel kills its children (PR_SET_PDEATHSIG).
"""

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PERIOD_S = 0.25
_AWAITED = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1})


def start_time(pid: int) -> str:
    """Return when *pid* was started, in the kernel's clock ticks: with the pid it names one process for ever."""
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    return stat.rpartition(")")[2].split()[19]


class Keeper:
    """One server under supervision, from the fork to the end of its last descendant."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._pid_file = Path(spec["pid_file"])
        self._stop_at: float | None = None
        self._server = 0
        self._lease: int | None = None

    def run(self) -> int:
        """Start the server and stay until all its processes are gone; returns its exit code."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
        if self._spec["lease"]:
            self._lease = os.open(self._spec["lease"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        log = os.open(self._spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        for argv in self._spec["helpers"]:
            self._spawn(argv, log)
        self._server = self._spawn(self._spec["argv"], log)
        self._write_pid_file()
        code = self._wait()
        _kill_children()
        for argv in self._spec["afterwards"]:
            os.waitpid(self._spawn(argv, log), 0)
        self._pid_file.unlink(missing_ok=True)
        return code

    def _spawn(self, argv: list[str], log: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.umask(0o077)
            os.chdir(self._spec["cwd"])
            os.execvpe(argv[0], argv, self._spec["env"])  # noqa: S606 - no shell is wanted
        except OSError as error:
            os.write(2, f"{argv[0]}: {error}\n".encode())
        finally:
            os._exit(127)

    def _write_pid_file(self) -> None:
        record: dict[str, Any] = {"keeper": os.getpid(), "keeper_started": start_time(os.getpid())}
        record |= {"pid": self._server, "started": start_time(self._server)}
        record["stopping"] = self._stop_at is not None
        partial = self._pid_file.with_suffix(".part")
        partial.write_text(json.dumps(record), "utf-8")
        partial.replace(self._pid_file)

    def _wait(self) -> int:
        next_look = 0.0
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == self._server:
                return os.waitstatus_to_exitcode(status)
            now = time.monotonic()
            if self._stop_at is not None and now >= self._stop_at:
                return -signal.SIGKILL
            if self._stop_at is None and now >= next_look:
                next_look = now + _PERIOD_S
                self._stop_if_nobody_holds_the_lease()
            if pid:
                continue
            received = signal.sigtimedwait(_AWAITED, _PERIOD_S)
            if received and received.si_signo == signal.SIGUSR1:
                return -signal.SIGKILL
            if received and received.si_signo == signal.SIGTERM and self._stop_at is None:
                self._begin_stop()

    def _stop_if_nobody_holds_the_lease(self) -> None:
        if self._lease is None:
            return
        try:
            fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        # Under the lock, so that whoever takes the lease next already reads that this server is stopping.
        self._begin_stop()
        fcntl.flock(self._lease, fcntl.LOCK_UN)

    def _begin_stop(self) -> None:
        self._stop_at = time.monotonic() + float(self._spec["grace_s"])
        self._write_pid_file()
        os.kill(self._server, int(self._spec["stop_signal"]))


def _kill_children() -> None:
    """Kill every child until none is left; what a killed child leaves behind becomes our child in turn."""
    while True:
        for child in _children():
            os.kill(child, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
        except ChildProcessError:
            return


def _children() -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text("utf-8", errors="replace")
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == os.getpid():
            found.append(int(folder.name))
    return found


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    sys.exit(max(0, Keeper(json.load(sys.stdin)).run()))
