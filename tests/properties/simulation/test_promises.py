"""Histories of the whole system break no promise, and a seed is one history."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest
from simulation.coverage import Met, unmet
from simulation.history import play
from simulation.plan import LEAST_MESSAGES

LONG = bool(os.environ.get("TRELLIS_LONG"))
PARTS, EACH = (50, 2000) if LONG else (4, 100)
"""Fresh histories are played in so many parts of so many each, which go on side by side."""
LEAST, MOST = 150, 500
"""How many known histories are played at least, and at most until all that can be met was met."""


@pytest.mark.timeout(max(EACH, 200))
@pytest.mark.parametrize("part", range(PARTS))
def test_fresh_histories_break_no_promise(part: int) -> None:
    first = random.SystemRandom().randrange(10**9)
    print(f"part {part}: fresh seeds from {first} on")
    for seed in range(first, first + EACH):
        assert play(seed).violations == [], f"replay it with `./dev simulate --seed {seed}`"


@pytest.mark.timeout(600)
def test_known_histories_break_no_promise_are_as_large_as_they_should_be_and_meet_all_that_can_be_met() -> None:
    met = Met()
    for seed in range(MOST):
        outcome = play(seed)
        assert outcome.violations == [], seed
        assert outcome.applications >= 2, seed
        assert outcome.messages >= LEAST_MESSAGES, seed
        assert outcome.crashes >= 1, seed
        met += outcome.met
        if seed % 25 == 0 and seed >= LEAST and not unmet(met):
            return
    assert unmet(met) == set()


def test_a_seed_is_one_history_whatever_the_hashes_of_a_process_are() -> None:
    first = random.SystemRandom().randrange(10**9)
    program = (
        "from simulation.history import play\n"
        f"for seed in range({first}, {first + 15}): print(seed, *play(seed).story, sep='\\n')"
    )
    stories = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": hashes},
        ).stdout
        for hashes in ("1", "2")
    ]  # fmt: skip
    assert stories[0] == stories[1], first
    assert stories[0].count("\n") > 400


def test_the_command_tells_its_figures_in_the_last_line() -> None:
    command = [sys.executable, "-m", "simulation", "--seeds", "3", "--json"]
    told = subprocess.run(command, capture_output=True, text=True)
    figures = json.loads(told.stdout.splitlines()[-1])
    assert set(figures) == {"histories", "violations", "histories_per_second", "seeds_failed", "coverage"}
    assert (figures["histories"], told.returncode) == (3, 1 if figures["violations"] else 0)
