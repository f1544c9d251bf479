"""The loop: an input that reaches something new is kept and changed again; one that breaks a promise is shrunk."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from tools.fuzzing.changing import changed
from tools.fuzzing.coverage import Feature, traced

LONGEST: Final = 4096
SECONDS_EACH: Final = 5.0
"""One input may take this long; a parser of ours needs some milliseconds for the longest."""


class Refused(Exception):
    """The parser refused the input as it promises; the text is what it said."""


class Broken(AssertionError):
    """The parser took an input, or refused it, in a way it promises not to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser.

    Attributes:
        name: As people write it.
        run: Reads one input; raises `Refused`, and anything else for a broken promise.
        seeds: Inputs to begin with.
        words: Pieces of the format.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()


@dataclass(slots=True)
class Found:
    """What a run of the loop came to."""

    runs: int = 0
    kept: int = 0
    features: set[Feature] = field(default_factory=set)
    breaks: tuple[bytes, str] | None = None


def fuzz(
    target: Target,
    *,
    seed: int,
    seconds: float,
    most_runs: int | None = None,
    is_ours: Callable[[str], bool] | None = None,
) -> Found:
    """Drive *target* until the time or the runs are used up, or an input breaks a promise.

    Args:
        target: The parser.
        seed: The same seed makes the same inputs, as far as the time allows.
        seconds: Longest time.
        most_runs: Most inputs; None is as many as fit.
        is_ours: See `coverage.traced`.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret is made of it
    found, known, waiting = Found(), list(target.seeds), list(target.seeds)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and (most_runs is None or found.runs < most_runs):
        text = waiting.pop() if waiting else changed(known, target.words, draw, longest=LONGEST)
        found.runs += 1
        features, fault = _tried(target, text, is_ours)
        if fault is not None:
            found.breaks = (_shrunk(target, text, fault, is_ours), fault)
            break
        if features - found.features:
            found.features |= features
            known.append(text)
            found.kept += 1
    return found


def _tried(
    target: Target, text: bytes, is_ours: Callable[[str], bool] | None = None
) -> tuple[set[Feature], str | None]:
    """Return what *text* reached, and the fault it showed."""
    said = ""
    features: set[Feature] = set()

    def run() -> None:
        nonlocal said
        try:
            target.run(text)
        except Refused as refused:
            said = str(refused)

    try:
        with _limited(SECONDS_EACH):
            features = traced(run, is_ours=is_ours)
    except Exception as error:  # noqa: BLE001 - whatever rises is what is looked for
        return set(), f"{type(error).__name__}: {error}"[:500]
    # What is read by compiled code shows no lines; how it is refused tells inputs apart too.
    return features | {("said", re.sub(r"\d+|'[^']*'", "", said)[:80])}, None


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def late(_signal: int, _frame: FrameType | None) -> None:
        raise Broken(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _shrunk(target: Target, text: bytes, fault: str, is_ours: Callable[[str], bool] | None) -> bytes:
    """Return a shorter input with a fault of the same kind.

    *is_ours* is the one of the search: Python keeps unwatched, for later runs too, what is once told to be of others.
    """
    kind = fault.partition(":")[0]
    size, tries = len(text) // 2, 0
    while size and tries < 500:
        start = 0
        while start < len(text) and tries < 500:
            tries += 1
            shorter = text[:start] + text[start + size :]
            other = _tried(target, shorter, is_ours)[1]
            if other is not None and other.partition(":")[0] == kind:
                text = shorter
            else:
                start += size
        size //= 2
    return text
