"""Spread and ratios of repeated runs."""

import pytest
from bench.figures import ratios, rounded, spread


def test_a_spread_has_middle_and_ends() -> None:
    found = spread([5.0, 1.0, 3.0, 4.0])
    assert (found.median, found.least, found.most, found.count) == (3.5, 1.0, 5.0, 4)


def test_no_measurement_has_no_spread() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_ratios_are_taken_pair_by_pair_so_that_drift_cancels() -> None:
    assert ratios([100.0, 50.0], [200.0, 100.0]) == [0.5, 0.5]


@pytest.mark.parametrize(("ours", "bare"), [([1.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_what_makes_no_pairs_is_refused(ours: list[float], bare: list[float]) -> None:
    with pytest.raises(ValueError, match="bare"):
        ratios(ours, bare)


def test_four_digits_are_kept() -> None:
    assert (rounded(1234.56), rounded(0.123456)) == (1235.0, 0.1235)
