"""Mutants that change nothing anybody could notice, each with its reason. Keep this list short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EQUIVALENT: Final[Mapping[str, Mapping[str, str]]] = {
    "ingest.signature": {
        "module: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_' -> 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
        "ghijklmnopqrstuvwxyz0123456789-_XX'": "the alphabet is a set, which holds X already",
    },
}
"""By core: the mutant as `./dev mutate` names it, and why no test can notice it."""
