"""The breaker's machine: every sequence of occurrences up to a length, and what each phase lets pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from trellis.common.ledger import breaker as b
from trellis.common.ledger.breaker import Breaker, Phase

Occurrence = Callable[[Breaker, float], Breaker]
OCCURRENCES: dict[str, Occurrence] = {
    "failed": lambda breaker, now: b.failed(breaker, now, 0.5),
    "answered": b.answered,
    "admitted": lambda breaker, now: b.admitted(breaker, now) or breaker,
    "released": b.released,
}
WAITS = (0.0, 1000.0)
"""Seconds between two occurrences: none, or more than any breaker stays open."""


def failing(count: int = b.FAILURES, breaker: Breaker | None = None, now: float = 0.0) -> Breaker:
    breaker = breaker or Breaker()
    for _ in range(count):
        breaker = b.failed(breaker, now, 1.0)
    return breaker


def admitted(breaker: Breaker, now: float) -> Breaker:
    after = b.admitted(breaker, now)
    assert after is not None
    return after


def ramping(answers: int) -> Breaker:
    breaker = b.answered(admitted(failing(), 100.0), 100.0)
    for _ in range(answers):
        breaker = b.answered(breaker, 100.0)
    return breaker


def test_whatever_happens_a_write_never_leaves_before_a_reading_was_answered_and_a_reading_passes_in_time() -> None:
    steps = list(itertools.product(OCCURRENCES, WAITS))
    for start in (Breaker(), failing(b.FAILURES - 1), failing(), ramping(0), ramping(4)):
        for sequence in itertools.product(steps, repeat=4):
            breaker, now = start, 0.0
            for name, wait in sequence:
                now += wait
                before, breaker = breaker, OCCURRENCES[name](breaker, now)
                if not b.takes_writes(before) and b.takes_writes(breaker):
                    assert (name, before.phase, breaker.phase) == ("answered", Phase.HALF_OPEN, Phase.RAMPING)
                    assert b.most_rows(breaker, now) == 1
                rows = b.most_rows(breaker, now)
                assert (rows is None) == (breaker.phase is Phase.CLOSED)
                assert rows is None or 0 <= rows < b.FULL
                assert 0 <= b.seconds_left(breaker, now) <= b.LONGEST_SECONDS
                assert b.admitted(breaker, now + b.LONGEST_SECONDS) is not None
                if rows == 0:
                    assert b.admitted(breaker, now) is None


def test_only_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker = b.answered(failing(b.FAILURES - 1, breaker), 0.0)
    assert breaker == Breaker()
    assert failing().phase is Phase.OPEN


def test_while_open_nothing_passes_and_then_one_reading() -> None:
    opened = failing(now=10.0)
    assert b.admitted(opened, 10.0) is None
    assert b.most_rows(opened, 10.0) == 0
    assert b.most_rows(opened, opened.until) == 1
    probing = admitted(opened, opened.until)
    assert probing.phase is Phase.HALF_OPEN
    assert b.admitted(probing, opened.until) is None
    assert not b.takes_writes(probing)


def test_late_answers_and_failures_of_what_left_before_change_nothing() -> None:
    opened = failing()
    assert b.answered(opened, 1.0) == opened
    assert failing(3, opened) == opened


def test_a_failed_probe_opens_it_for_longer_each_time_but_never_longer_than_the_longest() -> None:
    breaker, now, waits = failing(), 0.0, []
    for _ in range(12):
        waits.append(breaker.until - now)
        now = breaker.until
        breaker = b.failed(admitted(breaker, now), now, 1.0)
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == b.LONGEST_SECONDS
    assert waits == sorted(waits)


def test_replicas_do_not_probe_at_once() -> None:
    opened = [b.failed(failing(b.FAILURES - 1), 0.0, fraction) for fraction in (0.0, 0.999)]
    assert [round(breaker.until, 1) for breaker in opened] == [1.0, 2.0]


def test_a_probe_that_died_lets_another_pass_and_one_that_asked_nothing_at_once() -> None:
    probing = admitted(failing(), 100.0)
    assert b.admitted(probing, 100.0 + b.PROBE_SECONDS - 1) is None
    assert b.admitted(probing, 100.0 + b.PROBE_SECONDS) is not None
    assert b.admitted(b.released(probing, 101.0), 101.0) is not None


def test_after_the_probe_was_answered_twice_as_many_pass_each_time_until_it_is_closed() -> None:
    breaker, allowed = ramping(0), []
    while breaker.phase is Phase.RAMPING:
        allowed.append(breaker.allowance)
        for _ in range(breaker.allowance):
            breaker = b.answered(breaker, 100.0)
    assert allowed == [1, 2, 4, 8, 16]
    assert breaker == Breaker()


def test_a_failure_while_ramping_halves_and_at_the_lowest_opens_it_for_longer_than_the_first_time() -> None:
    breaker = ramping(7)
    assert breaker.allowance == 8
    for allowance in (4, 2, 1):
        breaker = b.failed(breaker, 100.0, 1.0)
        assert breaker.allowance == allowance
    breaker = b.failed(breaker, 100.0, 1.0)
    assert (breaker.phase, breaker.until) == (Phase.OPEN, 104.0)


@pytest.mark.parametrize("breaker", [Breaker(), failing(), ramping(3)])
def test_what_said_nothing_of_the_vendor_is_not_counted(breaker: Breaker) -> None:
    assert b.released(breaker, 500.0) == breaker
