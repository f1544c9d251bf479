"""The HTTP clients to Greenhouse: one that keeps connections, for reading, and one that never does, for writing.

A kept connection that the server closes in the same moment makes a POST unknown that was most likely never
read; a fresh connection for each write costs a handshake and removes that. Whether a byte left is told by
aiohttp's own trace, not guessed from the exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import aiohttp

from trellis.common.errors import TrellisError

MOST_BYTES: Final = 8 * 1024 * 1024
"""Longest answer that is read; a page of 100 rows is far below."""
WRITE_SECONDS: Final = 20.0
"""Longest time a write may take, connecting included."""
_AGENT: Final = "trellis-greenhouse-actions"


class UnansweredError(TrellisError):
    """No whole answer came back.

    Args:
        reason: The class of the failure; never an address or a body.
        left: Whether the request had left.
    """

    def __init__(self, reason: str, *, left: bool) -> None:
        super().__init__(reason)
        self.left = left


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer that came back whole, or was longer than `MOST_BYTES` and cut there."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(slots=True)
class _Wire:
    """What the trace saw of one request."""

    left: bool = False


class HttpClients:
    """Two client sessions; made inside a running loop, closed by `close`.

    Args:
        connections: Most connections of each.
        answer_seconds: Longest silence while an answer is awaited.
        write_seconds: Longest time one write may take, connecting included.
    """

    def __init__(
        self, *, connections: int = 40, answer_seconds: float = 15.0, write_seconds: float = WRITE_SECONDS
    ) -> None:
        self._answer_seconds = answer_seconds
        self._write_seconds = write_seconds
        self._reads = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections, limit_per_host=connections, keepalive_timeout=15, ttl_dns_cache=10
            ),
            timeout=aiohttp.ClientTimeout(total=25, connect=5, sock_connect=5, sock_read=answer_seconds),
            trace_configs=[_trace()],
            headers={"User-Agent": _AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._writes = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections, limit_per_host=connections, force_close=True, ttl_dns_cache=10
            ),
            timeout=write_timeout(5.0, answer_seconds, write_seconds),
            trace_configs=[_trace()],
            headers={"User-Agent": _AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._reads.close()
        await self._writes.close()

    async def get(self, url: str, query: Mapping[str, str], *, headers: Mapping[str, str]) -> HttpAnswer:
        """Read; aiohttp may repeat it once by itself, which is harmless.

        Raises:
            UnansweredError: No whole answer came back.
        """
        return await _exchange(self._reads, "GET", url, params=dict(query), headers=dict(headers))

    async def write(
        self, method: str, url: str, body: object, *, headers: Mapping[str, str], connect_seconds: float
    ) -> HttpAnswer:
        """Write, once.

        Raises:
            UnansweredError: No whole answer came back.
        """
        return await _exchange(
            self._writes,
            method,
            url,
            json=body,
            headers=dict(headers),
            timeout=write_timeout(connect_seconds, self._answer_seconds, self._write_seconds),
        )

    async def post_form(self, url: str, form: Mapping[str, str], *, basic: str) -> HttpAnswer:
        """Ask the token route.

        Raises:
            UnansweredError: No whole answer came back.
        """
        timeout = aiohttp.ClientTimeout(total=10, connect=4, sock_connect=4, sock_read=8)
        return await _exchange(
            self._writes, "POST", url, data=dict(form), headers={"Authorization": basic}, timeout=timeout
        )


def write_timeout(connect_seconds: float, answer_seconds: float, write_seconds: float) -> aiohttp.ClientTimeout:
    """Return the four limits of a write whose connection must be made within *connect_seconds*."""
    connect = max(0.05, min(connect_seconds, 5.0))
    return aiohttp.ClientTimeout(total=write_seconds, connect=connect, sock_connect=connect, sock_read=answer_seconds)


async def _exchange(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> HttpAnswer:
    wire = _Wire()
    try:
        async with session.request(method, url, allow_redirects=False, trace_request_ctx=wire, **options) as answer:
            return HttpAnswer(answer.status, answer.headers, await _bounded(answer.content))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise UnansweredError(type(error).__name__, left=wire.left) from None


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    parts, length = [], 0
    async for part in content.iter_chunked(65536):
        parts.append(part)
        length += len(part)
        if length > MOST_BYTES:
            break
    return b"".join(parts)[:MOST_BYTES]


def _trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def starts(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        wire = context.trace_request_ctx
        if isinstance(wire, _Wire):
            wire.left = False

    async def leaves(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        wire = context.trace_request_ctx
        if isinstance(wire, _Wire):
            wire.left = True

    trace.on_request_start.append(starts)
    trace.on_request_headers_sent.append(leaves)
    return trace
