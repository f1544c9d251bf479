"""Processes stopped where they are, with all that descends from them."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def freeze(pid: int | None) -> None:
    """Stop *pid* and all its descendants where they are."""
    for each in _tree(pid):
        _signal(each, signal.SIGSTOP)


def thaw(pid: int | None) -> None:
    """Let them go on."""
    for each in _tree(pid):
        _signal(each, signal.SIGCONT)


def is_frozen(pid: int | None) -> bool:
    """Say whether *pid* stands still."""
    if pid is None:
        return False
    with contextlib.suppress(OSError):
        return _fields(Path(f"/proc/{pid}"))[0] == "T"
    return False


def _tree(pid: int | None) -> list[int]:
    if pid is None:
        return []
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            children.setdefault(int(_fields(folder)[1]), []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def _fields(folder: Path) -> list[str]:
    """State, parent and so on, which stand behind the name, of the process whose *folder* in /proc it is."""
    return (folder / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
