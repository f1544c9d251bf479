"""Whether a request left: a scripted TCP server against aiohttp, case by case (patterns, section 7)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from trellis.greenhouse_actions.adapters.http import HttpClients, UnansweredError

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


class Server:
    """Counts connections and whole requests, then does what its script says."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.requests = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if length:
            await reader.readexactly(int(length[0].split(b":")[1]))
        self.requests += 1


@asynccontextmanager
async def scripted(make: Callable[[Server], Script]) -> AsyncIterator[Server]:
    async def nothing(_r: asyncio.StreamReader, _w: asyncio.StreamWriter) -> None:
        return None

    server = Server(nothing)
    server.script = make(server)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


@pytest.fixture
async def clients() -> AsyncIterator[HttpClients]:
    made = HttpClients(answer_seconds=0.5)
    yield made
    await made.close()


async def write(clients: HttpClients, url: str) -> UnansweredError:
    with pytest.raises(UnansweredError) as caught:
        await clients.write(
            "POST", url, {"body": "secret text"}, headers={"Authorization": "Bearer secret-token"}, connect_seconds=1.0
        )
    assert "secret" not in str(caught.value) and "127.0.0.1" not in str(caught.value)
    return caught.value


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def closes_after_reading(server: Server) -> Script:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await server.read(reader)

    return script


def resets_after_reading(server: Server) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        reset(writer)

    return script


def hangs(server: Server) -> Script:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        await asyncio.sleep(2)

    return script


def talks_nonsense(server: Server) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(b"NONSENSE\r\n\r\n")
        await writer.drain()

    return script


def stops_in_the_body(server: Server) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()

    return script


def trickles(server: Server) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        await asyncio.sleep(2)

    return script


@pytest.mark.parametrize(
    "make",
    [closes_after_reading, resets_after_reading, hangs, talks_nonsense, stops_in_the_body, trickles],
    ids=lambda make: make.__name__,
)
async def test_a_write_that_was_read_may_have_happened_and_is_sent_once(
    clients: HttpClients, make: Callable[[Server], Script]
) -> None:
    async with scripted(make) as server:
        assert (await write(clients, server.url)).left
        assert (server.connections, server.requests) == (1, 1)


async def test_a_refused_connection_means_that_nothing_left(clients: HttpClients) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert not (await write(clients, f"http://127.0.0.1:{taken.getsockname()[1]}")).left


async def test_a_name_that_is_not_found_means_that_nothing_left(clients: HttpClients) -> None:
    assert not (await write(clients, "https://harvest.invalid/v3/notes")).left


async def test_an_address_that_is_none_means_that_nothing_left(clients: HttpClients) -> None:
    assert not (await write(clients, "not an address")).left


async def test_a_failed_tls_handshake_means_that_nothing_left(clients: HttpClients) -> None:
    def in_the_clear(_server: Server) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        return script

    async with scripted(in_the_clear) as server:
        assert not (await write(clients, server.url.replace("http:", "https:"))).left


async def test_a_connection_that_does_not_come_about_means_that_nothing_left(clients: HttpClients) -> None:
    with socket.socket() as full:  # a listener whose queue is full answers no handshake
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for other in waiting:
                other.setblocking(False)
                other.connect_ex(("127.0.0.1", port))
            with pytest.raises(UnansweredError) as caught:
                await clients.write("POST", f"http://127.0.0.1:{port}", {}, headers={}, connect_seconds=0.3)
        finally:
            for other in waiting:
                other.close()
    assert not caught.value.left


async def test_each_write_has_a_connection_of_its_own(clients: HttpClients) -> None:
    def answers(server: Server) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await server.read(reader)
                writer.write(OK)
                await writer.drain()

        return script

    async with scripted(answers) as server:
        for _ in range(3):
            await clients.write("POST", server.url, {}, headers={}, connect_seconds=1.0)
        assert server.connections == 3
        for _ in range(3):
            await clients.get(server.url, {}, headers={})
        assert server.connections == 4


async def test_a_redirect_is_not_followed_and_takes_no_token_with_it(clients: HttpClients) -> None:
    def redirects(server: Server) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(f"HTTP/1.1 307 See\r\nLocation: {server.url}/other\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

        return script

    async with scripted(redirects) as server:
        answer = await clients.write("POST", server.url, {}, headers={}, connect_seconds=1.0)
        assert (answer.status, server.requests) == (307, 1)
        assert (await clients.get(server.url, {}, headers={})).status == 307


async def test_an_endless_answer_is_cut(clients: HttpClients) -> None:
    def floods(server: Server) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(20):
                writer.write(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
                await writer.drain()

        return script

    async with scripted(floods) as server:
        assert len((await clients.get(server.url, {}, headers={})).body) <= 8 * 1024 * 1024
