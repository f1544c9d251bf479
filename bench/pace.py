"""How many runs: as many as wanted, fewer on a machine so busy that they would take too long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

LEAST_RUNS = 3
"""A median of fewer says nothing."""


def paced(most: int, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[int]:
    """Give 0, 1, 2, … up to *most* runs; after *seconds* no further one begins, once there were three."""
    end = clock() + seconds
    for number in range(most):
        if number >= LEAST_RUNS and clock() > end:
            return
        yield number
