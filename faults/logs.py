"""What a process's log says of its clock."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

_TAIL_BYTES = 32_768


def is_dated(log: Path, at: datetime, *, within: float) -> bool:
    """Say whether one of the last lines of *log* was written at most *within* seconds before *at*, by its own clock."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return any(0 <= (at - moment).total_seconds() <= within for moment in _moments(lines))


def _moments(lines: Iterable[str]) -> Iterable[datetime]:
    for line in lines:
        try:
            yield datetime.fromisoformat(json.loads(line)["timestamp"])
        except (ValueError, KeyError, TypeError):
            continue  # a trace, or a line cut by where we began
