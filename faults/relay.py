"""A TCP relay on a port of its own, which can be cut off and fall silent; before replicas it also spreads load."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence

_CHUNK = 65_536
Ports = Callable[[], Sequence[int]]


class Relay:
    """Passes connections on to one of several ports of 127.0.0.1: in turn, and to the next where one refuses.

    Args:
        targets: Where to; asked anew for each connection, since a restarted server may have moved.
    """

    def __init__(self, targets: Ports) -> None:
        self._targets = targets
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_cut = False
        self.port = 0
        self.hurt_count = 0
        """Connections that were broken or stood still since the last `cut` or `silence`."""

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self._drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection, and each new one at once."""
        self._is_cut = True
        self.hurt_count = len(self._tasks)
        self._drop()

    def silence(self) -> None:
        """Pass nothing on any more, and say so to nobody, as a network does that swallows packets."""
        self._flowing.clear()
        self.hurt_count = len(self._tasks)

    def mend(self) -> None:
        """Let everything pass again."""
        self._is_cut = False
        self._flowing.set()

    def _drop(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: one that asyncio makes of a coroutine complains about being cancelled at the end.
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.hurt_count += self._is_cut or not self._flowing.is_set()
        there: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            found = None if self._is_cut else await self._connect()
            if found is None:
                return
            back, there = found
            self._open.add(there)
            await self._both(self._pump(reader, there), self._pump(back, writer))
        finally:
            for each in (writer, there):
                if each is not None:
                    each.transport.abort()
                    self._open.discard(each)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        ports = list(self._targets())
        self._turn += 1
        for offset in range(len(ports)):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", ports[(self._turn + offset) % len(ports)])
        return None

    @staticmethod
    async def _both(*pumps: Coroutine[None, None, None]) -> None:
        """Run both until they are done, or until one fails: a reset of one side is one of the other."""
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            await self._flowing.wait()
            target.write(data)
            await target.drain()
        await self._flowing.wait()
        if target.can_write_eof():
            target.write_eof()
