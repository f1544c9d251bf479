"""Under which licence a distribution stands, by what it says of itself, and whether we take that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from typing import Final

SHIPPED: Final = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0", "Unlicense", "0BSD"}
)
"""What may be in an image: nothing of it asks more than to be named."""
TOOLS: Final = SHIPPED | {"GPL-2.0-only", "MPL-2.0"}
"""What a tool may stand under besides, which we run and neither change nor pass on."""

_OLD_NAMES: Final = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""How distributions name a licence that do not use its SPDX name, in lower case."""


def installed() -> dict[str, Distribution]:
    """Return the installed distributions by normalised name."""
    return {normalised(found.metadata["Name"]): found for found in distributions()}


def normalised(name: str) -> str:
    """Return a distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_by(roots: Iterable[str], found: Mapping[str, Distribution]) -> set[str]:
    """Return the names of *roots* and of all that they need, as far as it is installed."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in found:
            continue
        seen.add(name)
        wanted = (line for line in found[name].requires or [] if "extra ==" not in line)
        waiting += [normalised(re.split(r"[\s;<>=!~\[(]", line, maxsplit=1)[0]) for line in wanted]
    return seen


def licence_of(distribution: Distribution) -> str:
    """Return what *distribution* stands under as an SPDX expression, `unknown` when it says nothing we know."""
    metadata = distribution.metadata
    for expression in metadata.get_all("License-Expression") or []:
        return str(expression)
    said = metadata.get_all("License") or []
    said += [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License")]
    for words in said:
        name = str(words).strip()
        if name in TOOLS:
            return name
        if name.lower() in _OLD_NAMES:
            return _OLD_NAMES[name.lower()]
    return "unknown"


def is_taken(expression: str, allowed: frozenset[str]) -> bool:
    """Return whether *expression* can be met with *allowed* alone: one side of an OR, both of an AND."""
    words = re.findall(r"[()]|[^\s()]+", expression)
    value, rest = _either(words, allowed)
    return value and not rest


def _either(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _both(words, allowed)
    while rest[:1] == ["OR"]:
        other, rest = _both(rest[1:], allowed)
        value = value or other
    return value, rest


def _both(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _one(words, allowed)
    while rest[:1] == ["AND"]:
        other, rest = _one(rest[1:], allowed)
        value = value and other
    return value, rest


def _one(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    if words[:1] == ["("]:
        value, rest = _either(words[1:], allowed)
        return (value, rest[1:]) if rest[:1] == [")"] else (False, rest)
    return (words[0] in allowed, words[1:]) if words else (False, [])
