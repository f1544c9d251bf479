"""Which steps from line to line one run takes in our own files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

Feature = tuple[object, ...]
_OURS: Final = ("/libs/", "/services/")
_TOOL: Final = 4
"""A number for `sys.monitoring` that no debugger, profiler or coverage tool claims."""


def traced(run: Callable[[], None], *, is_ours: Callable[[str], bool] | None = None) -> set[Feature]:
    """Run *run* and return each step it took from one line of ours to another; what it raises rises.

    Args:
        run: What is watched.
        is_ours: Which files count, by name; those of `libs` and `services` without one.
    """
    watch = _Watch(is_ours or _is_ours)
    if sys.version_info >= (3, 12):
        _monitored(run, watch)
    else:
        _settraced(run, watch)
    return watch.steps


class _Watch:
    def __init__(self, is_ours: Callable[[str], bool]) -> None:
        self.steps: set[Feature] = set()
        self._is_ours = is_ours
        self._known: dict[CodeType, str | None] = {}
        self._last: tuple[str, int] = ("", 0)

    def name_of(self, code: CodeType) -> str | None:
        if code not in self._known:
            self._known[code] = Path(code.co_filename).name if self._is_ours(code.co_filename) else None
        return self._known[code]

    def step(self, name: str, line: int) -> None:
        self.steps.add((*self._last, name, line))
        self._last = (name, line)


def _is_ours(filename: str) -> bool:
    return any(part in filename for part in _OURS) and "site-packages" not in filename


def _settraced(run: Callable[[], None], watch: _Watch) -> None:
    def on_line(frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "line":
            watch.step(watch.name_of(frame.f_code) or "", frame.f_lineno)
        return on_line

    def on_call(frame: FrameType, _event: str, _arg: Any) -> Any:
        return on_line if watch.name_of(frame.f_code) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        run()
    finally:
        sys.settrace(before)


def _monitored(run: Callable[[], None], watch: _Watch) -> None:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]

    def on_line(code: CodeType, line: int) -> Any:
        name = watch.name_of(code)
        if name is None:
            return monitoring.DISABLE
        watch.step(name, line)
        return None

    monitoring.use_tool_id(_TOOL, "trellis-fuzz")
    monitoring.register_callback(_TOOL, monitoring.events.LINE, on_line)
    monitoring.set_events(_TOOL, monitoring.events.LINE)
    try:
        run()
    finally:
        monitoring.set_events(_TOOL, 0)
        monitoring.register_callback(_TOOL, monitoring.events.LINE, None)
        monitoring.free_tool_id(_TOOL)
