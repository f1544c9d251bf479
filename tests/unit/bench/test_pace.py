"""The number of runs is bounded by time, but never below what has a median."""

from bench.pace import LEAST_RUNS, paced


def test_all_runs_are_made_while_there_is_time() -> None:
    assert list(paced(5, seconds=1, clock=lambda: 0.0)) == [0, 1, 2, 3, 4]


def test_a_slow_machine_makes_fewer_but_at_least_three() -> None:
    clock = iter(range(0, 1000, 10))
    assert len(list(paced(50, seconds=1, clock=lambda: float(next(clock))))) == LEAST_RUNS


def test_runs_end_when_the_time_is_over() -> None:
    clock = iter(range(100))
    assert len(list(paced(50, seconds=4, clock=lambda: float(next(clock))))) == 7
