"""What the machine is, in general terms, and what a process of ours takes of it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def describe(versions: Mapping[str, str]) -> dict[str, object]:
    """Return kind, size and software of this machine; no name, no address, no path."""
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    return {
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **versions,
    }


def resident_mib(pid: int) -> float:
    """Return what the process *pid* holds in memory now; 0 when it is gone."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("ascii", "replace"))
        if found:
            return int(found[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Return the processor time that the process *pid* took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


@contextlib.contextmanager
def watched_memory(pids: Callable[[], Mapping[str, int | None]], peaks: dict[str, float]) -> Iterator[None]:
    """Keep the highest resident size of the processes *pids* in *peaks*, looked at ten times a second."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            for name, pid in pids().items():
                if pid is not None:
                    peaks[name] = max(peaks.get(name, 0.0), resident_mib(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
