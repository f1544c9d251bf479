"""Known vulnerabilities of what is installed, as pip-audit finds them in the OSV database.

pip-audit is installed apart from the environment it looks at, from a pinned file of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tools.dev.bootstrap import installed_apart
from tools.dev.console import Problem

_PINNED: Final = Path(__file__).parents[1] / "dev/audit-requirements.txt"
_SECONDS: Final = 300


def known(versions: Mapping[str, str]) -> list[str]:
    """Return a line for each known vulnerability of *versions*, name by name.

    Raises:
        Problem: pip-audit cannot be had, or its source of vulnerabilities cannot be reached.
    """
    tool = installed_apart(_PINNED)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as wanted:
        wanted.write("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))
        wanted.flush()
        flags = ["--disable-pip", "--no-deps", "--vulnerability-service", "osv", "--progress-spinner", "off"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip_audit", *flags, "--format", "json", "--requirement", wanted.name],
                env={**os.environ, "PYTHONPATH": str(tool)},
                capture_output=True, text=True, check=False, timeout=_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Problem(f"vulnerabilities: the database did not answer within {_SECONDS} s") from None
    return found_in(done.stdout, done.stderr, versions)


def found_in(output: str, errors: str, wanted: Iterable[str]) -> list[str]:
    """Return the vulnerabilities in pip-audit's *output*.

    Raises:
        Problem: It is no report, or a report that leaves out some of *wanted*; the last line of *errors* is told.
    """
    try:
        rows = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        raise Problem(f"vulnerabilities: the database cannot be reached ({last.partition(':')[0][:80]})") from None
    missing = set(wanted) - {row["name"] for row in rows if "skip_reason" not in row}
    if missing:
        raise Problem(f"vulnerabilities: nothing was said of {', '.join(sorted(missing))}")
    return [
        f"{row['name']} {row['version']}: {found['id']}"
        + (f", mended in {' or '.join(found['fix_versions'])}" if found.get("fix_versions") else "")
        for row in rows
        for found in row["vulns"]
    ]
