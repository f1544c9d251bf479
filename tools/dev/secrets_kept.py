"""Secrets of this checkout: random, made the first time they are asked for, readable by their owner only."""

from __future__ import annotations

import secrets
from pathlib import Path

from tools.dev.paths import private_folder


def kept_secret(path: Path) -> str:
    """Return the secret kept in *path*, making one the first time."""
    return kept_text(path, secrets.token_urlsafe(24))


def kept_text(path: Path, first: str) -> str:
    """Return what *path* holds; if there is no such file yet, it is made with *first* in it."""
    if not path.exists():
        private_folder(path.parent)
        partial = path.with_name(f"{path.name}.part")
        partial.touch(mode=0o600)
        partial.write_text(first, "utf-8")
        partial.replace(path)
    return path.read_text("utf-8")
