"""Histories of the whole system break no promise, and a seed is one history."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import pytest
from simulation.history import play
from simulation.plan import LEAST_MESSAGES

LONG = bool(os.environ.get("TRELLIS_LONG"))
SECONDS, MOST = (3600.0, 100_000) if LONG else (40.0, 3000)
"""How long fresh seeds are played, and how many at most."""


@pytest.mark.timeout(SECONDS + 300)
def test_fresh_histories_break_no_promise() -> None:
    first, ends = random.SystemRandom().randrange(10**9), time.monotonic() + SECONDS
    print(f"fresh seeds from {first} on")
    for seed in range(first, first + MOST):
        assert play(seed).violations == [], f"replay it with `./dev simulate --seed {seed}`"
        if time.monotonic() > ends:
            break


def test_known_histories_break_no_promise_and_are_as_large_as_they_should_be() -> None:
    for seed in range(1, 150):
        outcome = play(seed)
        assert outcome.violations == [], seed
        assert outcome.applications >= 2, seed
        assert outcome.messages >= LEAST_MESSAGES, seed
        assert outcome.crashes >= 1, seed


def test_a_seed_is_one_history_whatever_the_hashes_of_a_process_are() -> None:
    first = random.SystemRandom().randrange(10**9)
    program = (
        "from simulation.history import play\n"
        f"for seed in range({first}, {first + 40}): print(seed, *play(seed).story, sep='\\n')"
    )
    stories = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": hashes},
        ).stdout
        for hashes in ("1", "2")
    ]  # fmt: skip
    assert stories[0] == stories[1], first
    assert stories[0].count("\n") > 1000


def test_the_command_tells_its_figures_in_the_last_line() -> None:
    command = [sys.executable, "-m", "simulation", "--seeds", "3", "--json"]
    told = subprocess.run(command, capture_output=True, text=True)
    figures = json.loads(told.stdout.splitlines()[-1])
    assert set(figures) == {"histories", "violations", "histories_per_second", "seeds_failed", "coverage"}
    assert (figures["histories"], told.returncode) == (3, 1 if figures["violations"] else 0)
