"""What the person at the terminal is told, and how a command ends when something is missing."""

from __future__ import annotations

import sys


class Problem(Exception):
    """Something `./dev` cannot do, said in one line together with its remedy."""


def say(message: str) -> None:
    """Report progress on standard error, so that standard output carries only results."""
    print(f"dev: {message}", file=sys.stderr, flush=True)
