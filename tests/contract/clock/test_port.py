"""One suite for the machine's clock and the simulated one: aware UTC, never back within a process, in step with waits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulation.loop import SeededLoop
from simulation.patching import EPOCH, installed
from simulation.plan import draw_plan
from simulation.world import World
from tests.fakes.ingest import FixedClock

from trellis.common.runtime.clock import Clock, SystemClock, utc_now

SLACK = timedelta(milliseconds=20)
"""How much the machine's two clocks may be corrected against each other during a test."""


@dataclass
class Time:
    """A clock, and what runs a coroutine while that is the time."""

    clock: Clock
    play: Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["machine", "shells in simulation", "world in simulation"])
def at(request: pytest.FixtureRequest) -> Iterator[Time]:
    if request.param == "machine":
        yield Time(SystemClock(), asyncio.run)
        return
    loop = SeededLoop(random.Random(1))
    world = World(draw_plan(1), loop)
    with installed(world, random.Random(2)):
        clock = SystemClock() if request.param.startswith("shells") else world
        yield Time(clock, loop.play)
    loop.close()


def test_the_time_is_aware_and_utc(at: Time) -> None:
    async def look() -> None:
        assert at.clock.now().utcoffset() == timedelta(0)
        assert at.clock.now().tzinfo is UTC

    at.play(look())


def test_it_never_goes_back_within_a_process_whoever_looks(at: Time) -> None:
    seen: list[datetime] = []

    async def look(pause: float) -> None:
        for _ in range(50):
            seen.append(at.clock.now())
            seen.append(utc_now())
            await asyncio.sleep(pause)

    async def all_look() -> None:
        await asyncio.gather(look(0), look(0.0001), look(0.0003))

    at.play(all_look())
    assert len(seen) == 300
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


def test_it_passes_as_the_seconds_do_that_are_waited_for(at: Time) -> None:
    async def wait() -> None:
        first = time.monotonic()
        began = at.clock.now()
        second = time.monotonic()
        await asyncio.sleep(0.1)
        third = time.monotonic()
        ended = at.clock.now()
        fourth = time.monotonic()
        assert timedelta(seconds=third - second) - SLACK <= ended - began <= timedelta(seconds=fourth - first) + SLACK
        assert third - second >= 0.099

    at.play(wait())


def test_a_deadline_ends_a_wait_when_the_clock_says_so(at: Time) -> None:
    async def wait() -> None:
        began = at.clock.now()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.Event().wait()
        assert at.clock.now() - began >= timedelta(seconds=0.1) - SLACK

    at.play(wait())


def test_the_clock_that_tests_move_tells_aware_utc_too() -> None:
    clock = FixedClock()
    before = clock.now()
    clock.at += timedelta(seconds=1)
    assert before.tzinfo is UTC
    assert clock.now() - before == timedelta(seconds=1)


def test_after_a_history_the_machines_clock_is_back() -> None:
    loop = SeededLoop(random.Random(1))
    before = datetime.now(UTC)
    with installed(World(draw_plan(1), loop), random.Random(2)):
        assert utc_now() == EPOCH
    loop.close()
    assert before <= utc_now() <= datetime.now(UTC)
