"""Each planted bug breaks a promise within the number of seeds that stands with it."""

from __future__ import annotations

import os

import pytest
from simulation.history import play
from simulation.planted import BUGS, Bug, planted

QUICK = 120
"""Bugs that take more seeds than these are looked for in the long run only."""
TRIED = [bug for bug in BUGS if bug.within <= QUICK or os.environ.get("TRELLIS_LONG")]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", TRIED, ids=[bug.name for bug in TRIED])
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with planted(bug):
        found = next((seed for seed in range(bug.within) if play(seed).violations), None)
    assert found is not None, f"{bug.name}: no promise was broken in {bug.within} histories"
