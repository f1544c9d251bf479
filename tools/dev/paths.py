"""Where `./dev` keeps things: in the checkout's ignored `.dev` folder and in one cache per user."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

DEV = ROOT / ".dev"
"""Everything this checkout's servers and systems write."""

VENV = ROOT / ".venv"
"""The Python environment built from `requirements.lock`."""

SERVICES = ("ingest", "workflow", "greenhouse-actions", "assessments")
"""The services, in the order in which they are started."""

MEMBERS = ("libs/common", "libs/cli", "libs/sandbox", *(f"services/{name}" for name in SERVICES))
"""The installable members of the workspace, those others import first."""


def private_folder(path: Path) -> Path:
    """Return *path* as a folder only its owner can look into, made where it is missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def dev_folder() -> Path:
    """Return the checkout's `.dev`, made where it is missing; secrets lie in it, so it is private."""
    return private_folder(DEV)


def cache_folder() -> Path:
    """Return the folder unpacked packages are kept in.

    It is one per user, so that a second checkout need not download again; where the home folder cannot
    be written to, it is the checkout's own.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME", "") + "/.cache"
    shared = Path(base) / "trellis-dev"
    try:
        shared.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=shared):
            return shared
    except OSError:
        return private_folder(dev_folder() / "cache")


def folder_id(folder: Path) -> str:
    """Return ten characters that tell this user's *folder* from every other on the machine."""
    return hashlib.sha256(f"{os.getuid()}:{folder.resolve()}".encode()).hexdigest()[:10]
