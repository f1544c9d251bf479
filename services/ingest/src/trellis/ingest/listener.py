"""The HTTP listener: aiohttp's, with bounds on what a stranger may hold open.

aiohttp's server has no time limit on a request's head and none on the number of connections. Here each
connection has a watch: a head that is not whole in time, or too large, ends it. The first middleware tells
the watch that a head is whole, so that nothing of aiohttp's inside is relied on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from trellis.common.runtime.settings import host_and_port

_FIELD_BYTES: Final = 8190
_END_OF_HEAD: Final = b"\r\n\r\n"
_IDLE_SECONDS: Final = 75.0
"""How long a connection may idle between requests; longer than proxies keep theirs (60 s as a rule), since a
request sent on a connection that is just closed is lost."""
_LINGER_SECONDS: Final = 2.0
"""How long the rest of a refused body is read and thrown away, so that the answer arrives."""


def _refusal(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nRetry-After: 60\r\nConnection: close\r\n\r\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a stranger may hold.

    Attributes:
        head_seconds: Longest time from a connection, or a request's first byte, until its head is whole.
        head_bytes: Largest head.
        connections: Most open connections.
    """

    head_seconds: float
    head_bytes: int
    connections: int


class BoundedHandler(web.RequestHandler):
    """One connection with its watch."""

    __slots__ = (
        "_bounds",
        "_clock",
        "_first_byte_at",
        "_head",
        "_in_request",
        "_is_joined",
        "_refused",
        "_server",
        "_watch",
    )

    def __init__(self, server: web.Server, bounds: Bounds, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._server = server
        self._bounds = bounds
        self._clock = loop
        self._watch: asyncio.TimerHandle | None = None
        self._head = bytearray()
        self._first_byte_at: float | None = None
        self._in_request = False
        self._refused = False
        self._is_joined = False

    @property
    def first_byte_at(self) -> float:
        """When the first byte of the present request came, on the loop's clock."""
        return self._clock.time() if self._first_byte_at is None else self._first_byte_at

    def begin_request(self) -> None:
        """A head is whole: called by the first middleware."""
        self._in_request = True
        self._head.clear()
        self._stop_watch()

    def end_request(self) -> None:
        """A request is answered: what comes now belongs to the next one."""
        self._in_request = False
        self._first_byte_at = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it when there are too many."""
        if len(self._server.connections) >= self._bounds.connections:
            self._refuse(transport, "503 Service Unavailable")
            transport.close()
            return
        self._is_joined = True
        super().connection_made(transport)
        self._start_watch()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._stop_watch()
        if self._is_joined:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head that is not whole yet, then pass them on."""
        if self._refused:
            return
        if not self._in_request:
            is_first = self._first_byte_at is None
            if is_first:
                self._first_byte_at = self._clock.time()
            if self._is_whole_at_once(data):
                self._in_request = True
            else:
                if is_first:
                    self._stop_watch()
                    self._start_watch()
                if self._is_head_too_large(data):
                    self._refuse(self.transport, "431 Request Header Fields Too Large")
                    return
        super().data_received(data)

    def _is_whole_at_once(self, data: bytes) -> bool:
        """Whether a head within bounds begins and ends in *data*, as nearly every one does: nothing is to be watched."""
        if self._head or data[:1] in (b"\r", b"\n"):
            return False
        return data.find(_END_OF_HEAD, 0, self._bounds.head_bytes) > 0

    def _is_head_too_large(self, data: bytes) -> bool:
        """Whether the head, as far as it is here, is over the limit; bytes of a body are not counted."""
        self._head += data if self._head else data.lstrip(b"\r\n")
        end = self._head.find(_END_OF_HEAD)
        return (len(self._head) if end < 0 else end + len(_END_OF_HEAD)) > self._bounds.head_bytes

    def _start_watch(self) -> None:
        self._watch = self._clock.call_later(self._bounds.head_seconds, self._give_up)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _give_up(self) -> None:
        self._watch = None
        if not self._in_request:
            self.force_close()

    def _refuse(self, transport: asyncio.BaseTransport | None, status: str) -> None:
        """Answer, then throw away what still comes for a moment, so that the answer is not lost to a reset."""
        self._refused = True
        self._stop_watch()
        if isinstance(transport, asyncio.Transport) and not transport.is_closing():
            transport.write(_refusal(status))
            self._watch = self._clock.call_later(_LINGER_SECONDS, transport.close)


@web.middleware
async def watched(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tell the connection's watch when a request begins and ends; the first of all middlewares.

    A connection on which the rest of a refused body may still come is not used again.
    """
    connection = request.protocol
    if not isinstance(connection, BoundedHandler):
        return await handler(request)
    connection.begin_request()
    response: web.StreamResponse | None = None
    try:
        response = await handler(request)
    except web.HTTPException as answer:
        response = answer
        raise
    finally:
        if request.content.is_eof():
            connection.end_request()
        elif response is not None:
            response.force_close()
    return response


class Listener:
    """Serves one application on one address with bounds.

    Args:
        app: The application; `watched` must be its first middleware.
        listen: `host:port`.
        bounds: What a stranger may hold.
        drain_seconds: How long a stop waits for requests in hand.
    """

    def __init__(self, app: web.Application, listen: str, bounds: Bounds, *, drain_seconds: float = 10.0) -> None:
        self._host, self._port = host_and_port(listen)
        self._bounds = bounds
        # The body is signed as it was sent, so it must not be decompressed before it is read.
        self._options: dict[str, Any] = {
            "auto_decompress": False,
            "access_log": None,
            "keepalive_timeout": _IDLE_SECONDS,
            "lingering_time": _LINGER_SECONDS,
            "max_line_size": min(_FIELD_BYTES, bounds.head_bytes),
            "max_field_size": min(_FIELD_BYTES, bounds.head_bytes),
        }
        self._runner = web.AppRunner(app, shutdown_timeout=drain_seconds, **self._options)
        self._socket: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on; useful when 0 was asked for."""
        if self._socket is None:
            return self._port
        port: int = self._socket.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address cannot be had.
        """
        await self._runner.setup()
        server, loop = self._runner.server, asyncio.get_running_loop()
        if not isinstance(server, web.Server):
            raise RuntimeError("aiohttp's runner has no server after its set-up")

        def connect() -> BoundedHandler:
            return BoundedHandler(server, self._bounds, loop=loop, **self._options)

        self._socket = await loop.create_server(connect, self._host, self._port, backlog=512)

    async def run(self) -> None:
        """Listen until cancelled."""
        await self.start()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Listen no more, finish the requests in hand, close the connections."""
        if self._socket is not None:
            self._socket.close()
        await self._runner.cleanup()
