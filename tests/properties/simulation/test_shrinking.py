"""A failing history is cut to one that a person can read."""

from __future__ import annotations

from simulation.history import play, play_plan
from simulation.planted import BUGS, planted
from simulation.shrinking import promise_of, shrink


def test_a_planted_bugs_history_is_cut_to_less_than_half_and_still_breaks_the_same_promise() -> None:
    bug = next(bug for bug in BUGS if bug.name == "no answer treated as not executed")
    with planted(bug):
        outcome = next(outcome for outcome in map(play, range(bug.within)) if outcome.violations)
        short = shrink(outcome, seconds=30.0).outcome
        again = play_plan(short.plan)
    assert promise_of(short) == promise_of(outcome)
    assert again.story == short.story
    assert len(short.story) < len(outcome.story) / 2
    assert len(short.plan.lives) == 1
