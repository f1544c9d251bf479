"""`./dev lock`: the one lock file, `requirements.lock`, made by uv's resolver.

uv's own lock file names the registry's hosts, so it is made in a scratch folder and only its export is kept.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.dev.bootstrap import LOCK_FILE, members, pinned, run_uv
from tools.dev.console import Problem, say
from tools.dev.paths import ROOT, dev_folder

_EXPORT = ("--all-packages", "--all-groups", "--no-emit-workspace", "--frozen", "--no-annotate", "--no-header")
_MOST_CONFLICTS = 20


def refresh_lock(*, upgrade: bool) -> None:
    """Write `requirements.lock` anew from what the members want.

    Args:
        upgrade: Take the newest versions; otherwise those of the present file stay where they still fit.

    Raises:
        Problem: The members' wishes contradict each other, or no package index can be reached.
    """
    pins = [] if upgrade or not LOCK_FILE.exists() else pinned(LOCK_FILE.read_text("utf-8"))
    with tempfile.TemporaryDirectory(dir=dev_folder(), prefix="lock-") as folder:
        workspace = Path(folder)
        for member in members():
            (workspace / member).mkdir(parents=True)
            shutil.copy(ROOT / member / "pyproject.toml", workspace / member)
        _resolve(workspace, pins)
        exported = workspace / "requirements.lock"
        run_uv(["export", "--quiet", *_EXPORT, "--output-file", str(exported)], cwd=workspace)
        exported.replace(LOCK_FILE)


def _resolve(workspace: Path, pins: Sequence[str]) -> None:
    for _ in range(_MOST_CONFLICTS):
        project = (ROOT / "pyproject.toml").read_text("utf-8")
        constraints = f"\n[tool.uv]\nconstraint-dependencies = {json.dumps(pins)}\n"
        (workspace / "pyproject.toml").write_text(project + constraints, "utf-8")
        try:
            return run_uv(["lock", "--quiet"], cwd=workspace)
        except Problem as problem:
            kept = without_mentioned(pins, str(problem))
            if len(kept) == len(pins):
                raise
            say(f"{len(pins) - len(kept)} present versions do not fit any more")
            pins = kept
    raise Problem("the present versions fit too badly; ./dev lock --upgrade takes new ones")


def without_mentioned(pins: Sequence[str], message: str) -> list[str]:
    """Return the `name==version` lines of *pins* whose name the resolver's *message* of a conflict leaves out."""
    mentioned = set(re.findall(r"[a-z0-9][a-z0-9._-]*[a-z0-9]", message.lower()))
    return [pin for pin in pins if pin.partition("==")[0].lower() not in mentioned]
