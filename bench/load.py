"""The client of both receivers, one process: a fixed count of requests over keep-alive connections.

It reads what to do as JSON on standard input and prints what came of it. Requests are complete byte strings
before the clock starts and answers are scarcely parsed, so that it takes little of the machine from the receiver.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import cast
from urllib.parse import urlsplit

import uvloop

from bench.bodies import signature, stage_changes


def requests(url: str, secret: str, *, count: int, first: int) -> list[bytes]:
    """Return *count* whole requests."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    return [
        (
            f"{head}Signature: {signature(body, secret)}\r\nGreenhouse-Event-ID: {first + number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for number, body in enumerate(stage_changes(count, first=first))
    ]


class _Connection(asyncio.Protocol):
    """Sends one request after the other and counts the statuses."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._answer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def begin(self) -> None:
        if not self._run.left:
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.left.pop())

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length or b"0"):
            return
        self._answer = b""
        self._run.answered(int(head[9:12]), time.perf_counter() - self._sent_at)
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(exc)


class _Run:
    def __init__(self, left: list[bytes]) -> None:
        self.left = left
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self._open_count = len(left)
        self.done = asyncio.get_running_loop().create_future()

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)
        self._open_count -= 1
        if not self._open_count and not self.done.done():
            self.done.set_result(None)

    def lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the receiver closed a connection ({error})"))


async def run(url: str, prepared: list[bytes], *, connections: int) -> dict[str, object]:
    """Send *prepared* and return how long it took and what was answered."""
    parts = urlsplit(url)
    loop, load = asyncio.get_running_loop(), _Run(prepared)
    opened = [
        (await loop.create_connection(lambda: _Connection(load), parts.hostname or "", parts.port or 0))[1]
        for _ in range(connections)
    ]
    started = time.perf_counter()
    for connection in opened:
        connection.begin()
    async with asyncio.timeout(60):
        await load.done
    seconds = time.perf_counter() - started
    for connection in opened:
        connection.close()
    waits = sorted(load.seconds)
    return {
        "seconds": seconds,
        "statuses": {str(status): count for status, count in load.statuses.items()},
        "median_ms": waits[len(waits) // 2] * 1000,
        "p99_ms": waits[len(waits) * 99 // 100] * 1000,
    }


def main() -> None:
    """Do what standard input says."""
    wanted = json.load(sys.stdin)
    prepared = requests(wanted["url"], wanted["secret"], count=wanted["count"], first=wanted["first"])
    print(json.dumps(uvloop.run(run(wanted["url"], prepared, connections=wanted["connections"]))))


if __name__ == "__main__":
    main()
