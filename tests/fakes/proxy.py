"""A TCP proxy before a real server, by which a test cuts a connection as a network does."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


class Proxy:
    """Stands between a service and a server: passes, swallows what comes, or cuts.

    Args:
        url: The server's address, with credentials.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self.is_swallowing = False
        self._pairs: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Abort every connection and listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._pairs):
            writer.transport.abort()

    @property
    def url(self) -> str:
        """The server's address by way of the proxy."""
        netloc = f"{self._target.username}:{self._target.password}@127.0.0.1:{self.port}"
        return self._target._replace(netloc=netloc).geturl()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._pairs |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer, True), self._pump(far_reader, writer, False))
        self._pairs -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_upward: bool) -> None:
        try:
            while data := await reader.read(65536):
                while self.is_swallowing and is_upward:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
