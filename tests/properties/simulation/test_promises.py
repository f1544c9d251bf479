"""Fresh histories of the whole system break no promise, and a seed is one history."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import pytest
from simulation.history import play
from simulation.patching import silence

LONG = bool(os.environ.get("TRELLIS_LONG"))
SECONDS = 900.0
MOST = 100_000


def test_known_histories_break_no_promise() -> None:
    """The same histories each time, with a fixed hash seed as `./dev simulate` has."""
    command = [sys.executable, "-m", "simulation", "--first", "1", "--seeds", "120", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    assert json.loads(told.stdout.splitlines()[-1])["violations"] == 0, told.stdout


@pytest.mark.skipif(not LONG, reason="`./dev test all` plays fresh seeds")
@pytest.mark.timeout(1200)
def test_fresh_histories_break_no_promise() -> None:
    silence()
    first, ends = random.SystemRandom().randrange(10**9), time.monotonic() + SECONDS
    for seed in range(first, first + MOST):
        outcome = play(seed)
        assert outcome.violations == [], f"replay it with `./dev simulate --seed {seed}`"
        if time.monotonic() > ends:
            break


def test_a_seed_is_one_history() -> None:
    silence()
    seed = random.SystemRandom().randrange(10**9)
    assert play(seed).story == play(seed).story, seed


def test_the_command_tells_its_figures_in_the_last_line() -> None:
    command = [sys.executable, "-m", "simulation", "--seeds", "3", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    figures = json.loads(told.stdout.splitlines()[-1])
    assert set(figures) == {"histories", "violations", "histories_per_second", "seeds_failed", "coverage"}
    assert (figures["histories"], told.returncode) == (3, 1 if figures["violations"] else 0)
