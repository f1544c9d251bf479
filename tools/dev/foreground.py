"""Programs a command runs and waits for; they end with it, however it ends."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from tools.dev.paths import ROOT

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def run(argv: Sequence[str], environment: Mapping[str, str], *, cwd: Path = ROOT) -> int:
    """Run *argv* with our terminal and return its exit code, 128 and more for a signal as in a shell.

    An interrupt reaches it from the terminal itself; it is given time to end before we go on.
    """
    with subprocess.Popen(argv, env=dict(environment), cwd=cwd, preexec_fn=_end_with_parent) as child:
        try:
            code = child.wait()
        except BaseException as reason:
            if not isinstance(reason, KeyboardInterrupt):
                child.send_signal(signal.SIGINT)  # the terminal's Ctrl-C reached it already; twice is too hasty
            try:
                child.wait(timeout=20)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                child.kill()
            raise
    return code if code >= 0 else 128 - code


def end_orderly_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this program the way Ctrl-C does, so that everything is cleared away."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    # A shell starts what runs in its background with Ctrl-C ignored, and our programs would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
