"""How a batch forms: by size, by a few milliseconds, and at once for a message that is alone."""

import asyncio
import time
from typing import Any

import pytest

from trellis.common.bus.consumer import Consumer
from trellis.common.bus.topology import WORKFLOW
from trellis.common.runtime.metrics import Metrics


def consumer(wait_seconds: float, size: int = 10) -> Any:
    nothing: Any = None
    return Consumer(
        nothing, nothing, WORKFLOW, nothing, Metrics("test"), batch_size=size, batch_wait_seconds=wait_seconds
    )


async def test_a_message_alone_is_not_made_to_wait() -> None:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    inbox.put_nowait("one")
    started = time.monotonic()
    assert await consumer(wait_seconds=5)._gather(inbox) == ["one"]
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("size", [3, 10])
async def test_messages_that_come_together_are_a_batch_up_to_its_size(size: int) -> None:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    for number in range(5):
        inbox.put_nowait(number)
    assert await consumer(wait_seconds=0.01, size=size)._gather(inbox) == list(range(min(size, 5)))


async def test_in_a_crowd_the_next_message_is_waited_for() -> None:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    inbox.put_nowait("one")
    inbox.put_nowait("two")
    asyncio.get_running_loop().call_later(0.02, inbox.put_nowait, "three")
    assert await consumer(wait_seconds=5, size=3)._gather(inbox) == ["one", "two", "three"]


async def test_a_stop_ends_the_batch() -> None:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    for item in ("one", "two", None):
        inbox.put_nowait(item)
    assert await consumer(wait_seconds=5)._gather(inbox) == ["one", "two"]
