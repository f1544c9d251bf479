"""A broker that can be reached and does not speak is away, as one that cannot be reached is."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest

from trellis.common.bus.connection import BrokerLink


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(), TimeoutError(), aio_pika.exceptions.AMQPConnectionError(), StopAsyncIteration()],
    ids=repr,
)
async def test_whatever_a_failed_handshake_raises_the_link_tries_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """aiormq raises StopAsyncIteration when the connection ends before the first frame, as before a broker's proxy."""
    tried = asyncio.Semaphore(0)

    async def connect(*_arguments: object, **_more: object) -> None:
        tried.release()
        raise error

    monkeypatch.setattr(aio_pika, "connect", connect)
    running = asyncio.create_task(BrokerLink("amqp://nobody", "test").run())
    try:
        async with asyncio.timeout(10):
            await tried.acquire()
            await tried.acquire()
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
