"""Makes new inputs of known ones: by bytes, by words of the format, and by values where they are JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

_ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**63, -(2**63), 10**30, 0.5, 1e308, -1e308, float("nan"), float("inf")),
    *("", " ", "0", "true", "null", "é", "\ud800", "\x00", "@", "2026-11-24T09:00:00Z", "0001-01-01T00:00:00+23:59"),
    *([], {}, [[]], [None], {"": None}, "9" * 400, [0] * 50, {"id": 1}),
)


def changed(known: Sequence[bytes], words: Sequence[bytes], draw: random.Random, *, longest: int) -> bytes:
    """Return a new input: one of *known* after a few changes, at most *longest* bytes.

    Args:
        known: Inputs that reached something new.
        words: Pieces of the format to put in.
        draw: The source of all choices.
        longest: Most bytes.
    """
    text = draw.choice(known)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
        text = _by_value(text, draw) if draw.random() < 0.5 else _by_bytes(text, known, words, draw)
    return text[:longest]


def _by_bytes(text: bytes, known: Sequence[bytes], words: Sequence[bytes], draw: random.Random) -> bytes:
    start = draw.randint(0, len(text))
    end = min(len(text), start + draw.choice((0, 1, 1, 2, 4, 16, 64)))
    match draw.randrange(6):
        case 0:
            middle = draw.randbytes(draw.choice((1, 1, 2, 8)))
        case 1:
            middle = draw.choice(words) if words else b""
        case 2:
            middle = text[start:end] * draw.choice((2, 3, 50))
        case 3:
            other = draw.choice(known)
            cut = draw.randint(0, len(other))
            middle = other[cut : cut + draw.choice((1, 8, 64))]
        case 4 if start < end:
            middle = bytes([text[start] ^ (1 << draw.randrange(8))]) + text[start + 1 : end]
        case _:
            middle = b""
    return text[:start] + middle + text[end:]


def _by_value(text: bytes, draw: random.Random) -> bytes:
    """Change one value or key somewhere in a JSON text; other text stays as it is."""
    try:
        whole = [json.loads(text)]
    except (ValueError, RecursionError):
        return text
    node: Any = whole
    while True:
        place = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        below = node[place]
        if not isinstance(below, dict | list) or not below or draw.random() < 0.2:
            break
        node = below
    match draw.randrange(5):
        case 0 if isinstance(node, dict):
            del node[place]
        case 1 if isinstance(node, dict):
            name = draw.choice(list(node)) + draw.choice(("", "x"))
            node[name] = node.pop(place)
        case 2 if isinstance(node, list) and node is not whole:
            node.insert(place, below)
        case 3:
            node[place] = [below]
        case _:
            node[place] = draw.choice(_ODD)
    try:
        return json.dumps(whole[0] if whole else None).encode()
    except RecursionError:
        return text
