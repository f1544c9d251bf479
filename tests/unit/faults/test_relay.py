"""The relay passes on, spreads, breaks and falls silent; the end of one side is the end of the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest
from faults.relay import Relay


class Echo:
    """A server that answers what it got, after its own name."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.port = 0
        self.ended = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(self.name + data)
        except OSError:
            pass
        finally:
            self.ended.set()
            writer.close()


@pytest.fixture
async def echoes() -> AsyncIterator[tuple[Echo, Echo]]:
    pair = (Echo(b"a:"), Echo(b"b:"))
    for echo in pair:
        await echo.start()
    yield pair
    for echo in pair:
        echo.stop()


@pytest.fixture
async def relay(echoes: tuple[Echo, Echo]) -> AsyncIterator[Relay]:
    made = Relay(lambda: [echo.port for echo in echoes])
    await made.start()
    yield made
    await made.stop()


async def ask(relay: Relay) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        writer.write(b"x")
        async with asyncio.timeout(5):
            return await reader.read(100)
    finally:
        writer.close()


async def nothing(answer: Awaitable[bytes]) -> bool:
    """Say whether the connection ended or broke without an answer."""
    try:
        return await answer == b""
    except OSError:
        return True


async def test_connections_go_to_the_targets_in_turn(relay: Relay) -> None:
    assert {await ask(relay), await ask(relay)} == {b"a:x", b"b:x"}


async def test_where_one_target_refuses_the_other_is_asked(relay: Relay, echoes: tuple[Echo, Echo]) -> None:
    echoes[0].stop()
    assert [await ask(relay) for _ in range(3)] == [b"b:x"] * 3


@pytest.mark.parametrize("is_reset", [True, False])
async def test_the_end_of_the_client_is_the_end_of_the_connection_behind(
    relay: Relay, echoes: tuple[Echo, Echo], is_reset: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"x")
    await reader.read(100)
    if is_reset:
        writer.transport.abort()
    else:
        writer.close()
    async with asyncio.timeout(5):
        await asyncio.wait([asyncio.create_task(echo.ended.wait()) for echo in echoes], return_when="FIRST_COMPLETED")


async def test_cut_off_it_breaks_what_is_there_and_what_comes_until_it_is_mended(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"x")
    await reader.read(100)
    relay.cut()
    assert relay.hurt_count == 1
    assert await nothing(reader.read(100))
    assert await nothing(ask(relay))
    assert relay.hurt_count == 2
    relay.mend()
    assert (await ask(relay)).endswith(b":x")


async def test_silent_it_passes_nothing_and_forgets_nothing(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    assert relay.hurt_count == 0
    relay.silence()
    assert relay.hurt_count == 1
    writer.write(b"x")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read(100)
    relay.mend()
    async with asyncio.timeout(5):
        assert (await reader.read(100)).endswith(b":x")
