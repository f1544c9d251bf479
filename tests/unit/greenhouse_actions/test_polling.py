"""The loop of those who look for due work outlives a database that is away, also beside other work of the same step."""

from __future__ import annotations

import asyncio

import pytest

from trellis.common.errors import ConflictError, StoreAwayError
from trellis.greenhouse_actions import polling


@pytest.mark.parametrize(
    "error",
    [
        StoreAwayError("away"),
        ConflictError("lost"),
        ExceptionGroup("of a task group", [StoreAwayError("away"), ConflictError("lost")]),
    ],
)
async def test_a_step_that_meets_an_outage_is_done_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    steps = 0

    async def no_wait(seconds: float) -> None:
        waits.append(seconds)

    async def step() -> int:
        nonlocal steps
        steps += 1
        if steps == 1:
            raise error
        raise ZeroDivisionError

    monkeypatch.setattr(polling.asyncio, "sleep", no_wait)
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.01)
    with pytest.raises((ZeroDivisionError, ExceptionGroup)):
        await polling.drive("test", step, asyncio.Event())
    assert (steps, waits) == (2, [1.0])


async def test_an_error_that_is_no_outage_ends_the_loop() -> None:
    async def step() -> int:
        raise ExceptionGroup("of a task group", [StoreAwayError("away"), ZeroDivisionError()])

    with pytest.raises(ExceptionGroup) as caught:
        await polling.drive("test", step, asyncio.Event())
    assert caught.group_contains(ZeroDivisionError)
    assert not caught.group_contains(StoreAwayError)
