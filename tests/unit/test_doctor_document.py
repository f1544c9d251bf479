"""docs/doctor.md names every check there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECK = re.compile(r'(?:check=|check, fault = |_user\(\s*|_finding\(\s*)"([a-z]+(?:-[a-z]+)+)"')


def test_the_table_has_each_check_once() -> None:
    modules = [path for part in ("libs", "services") for path in (ROOT / part).rglob("src/**/*.py")]
    judging = [path for path in modules if path.name in ("diagnosis.py", "naming.py", "plumbing.py", "connections.py")]
    checks = {name for path in judging for name in CHECK.findall(path.read_text())}
    named = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(checks)
