"""A fault is counted only where it is seen to have come about."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faults.disk import refusals
from faults.logs import is_dated
from faults.processes import freeze, is_frozen, thaw

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def line(at: datetime) -> str:
    return json.dumps({"event": "message.handled", "timestamp": at.isoformat().replace("+00:00", "Z")})


def test_a_log_tells_whether_its_process_lived_at_another_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(["Traceback: {", "[]", line(NOW - timedelta(seconds=302)), line(NOW)]))
    assert is_dated(log, NOW - timedelta(seconds=300), within=5)
    assert not is_dated(log, NOW - timedelta(seconds=300), within=1)
    assert not is_dated(log, NOW + timedelta(seconds=300), within=5)


def test_the_databases_log_tells_how_often_it_had_no_space(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert refusals(log) == 0
    log.write_text('ERROR:  could not extend file "x": No space left on device\nLOG:  checkpoint\n' * 2)
    assert refusals(log) == 2


def test_a_frozen_process_stands_still_until_it_is_thawed() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            assert not is_frozen(process.pid)
            freeze(process.pid)
            end = time.monotonic() + 10
            while not is_frozen(process.pid) and time.monotonic() < end:
                time.sleep(0.01)
            assert is_frozen(process.pid)
            thaw(process.pid)
            while is_frozen(process.pid) and time.monotonic() < end:
                time.sleep(0.01)
            assert not is_frozen(process.pid)
        finally:
            process.kill()
    assert not is_frozen(process.pid)


def test_what_is_mounted_in_a_view_of_our_own_can_be_full_and_nobody_else_sees_it(tmp_path: Path) -> None:
    program = """
import errno, os, sys
from pathlib import Path
from faults import mounts
folder = Path(sys.argv[1])
reason = mounts.own_view(folder)
if reason:
    sys.exit(f"refused: {reason}")
mounts.mount_tmpfs(folder, 64)
try:
    (folder / "ballast").write_bytes(bytes(100_000))
except OSError as error:
    assert error.errno == errno.ENOSPC, error
else:
    sys.exit("it was never full")
print(os.getuid(), input())
mounts.unmount(folder)
assert not (folder / "ballast").exists()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        _, errors = process.communicate("went on")
    assert not list(tmp_path.iterdir())
    assert process.returncode == 0 or errors.startswith("refused: "), errors
