"""Sending webhooks of both vendors: attempts, redelivery, and the log of what was sent.

What a body says and how it is signed is the vendors' business; this module posts bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import Clock, iso_milliseconds

DELIVERY_LOG_LENGTH = 2000
"""Deliveries remembered an account."""

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Attempt:
    """One try."""

    at: datetime
    event_id: str | None
    status: int | None
    """The receiver's answer; `None` if there was none."""
    error: str | None
    retry_after: str | None = None
    """What the answer's `Retry-After` said."""


@dataclass
class Delivery:
    """One webhook on its way."""

    id: int
    vendor: str
    event: str
    url: str
    body: bytes
    headers: Callable[[int], tuple[Headers, str | None]]
    """Attempt number, from 1 -> the headers and the event id it carries."""
    is_success: Callable[[int], bool]
    """Whether an answer of that status ends the delivery."""
    waits: Sequence[float] = ()
    """Real seconds before the second attempt, the third and so on."""
    timeout_s: float = 5.0
    hook_id: int | None = None
    fault: str | None = None
    state: str = "pending"
    """`pending`, `delivered`, `failed` (attempts used up), `dropped` or `held`."""
    attempts: list[Attempt] = field(default_factory=list)
    first_attempt_done: asyncio.Event = field(default_factory=asyncio.Event)

    def describe(self, *, with_body: bool = False) -> Json:
        """The delivery as JSON; never its headers, which hold the signature."""
        entry: Json = {
            "id": self.id,
            "vendor": self.vendor,
            "event": self.event,
            "url": self.url,
            "hook_id": self.hook_id,
            "state": self.state,
            "fault": self.fault,
            "bytes": len(self.body),
            "attempts": [
                {
                    "at": iso_milliseconds(attempt.at),
                    "event_id": attempt.event_id,
                    "status": attempt.status,
                    "error": attempt.error,
                    "retry_after": attempt.retry_after,
                }
                for attempt in self.attempts
            ],
        }
        if with_body:
            entry["body"] = self.body.decode("utf-8")
        return entry


class DeliveryLog:
    """The last deliveries of one account, and those held back to change their order."""

    def __init__(self) -> None:
        self.entries: deque[Delivery] = deque(maxlen=DELIVERY_LOG_LENGTH)
        self.held: list[Delivery] = []

    def find(self, delivery_id: int | None) -> Delivery | None:
        """The delivery of that id, or the last one that was sent at all."""
        if delivery_id is None:
            sent = [d for d in self.entries if d.attempts and d.event != "ping"]
            return sent[-1] if sent else None
        return next((d for d in self.entries if d.id == delivery_id), None)


class Dispatcher:
    """Posts deliveries, each in a task of its own that ends with the sandbox."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    async def start(self) -> None:
        """Open the client; until then deliveries are only logged."""
        # A connection of its own for each delivery, so that every replica behind the address has its share at once.
        connector = aiohttp.TCPConnector(limit=64, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)

    async def stop(self) -> None:
        """Give up what is still to be sent and close the client."""
        await self.abandon()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def abandon(self) -> None:
        """Give up what is still to be sent."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def last_id(self) -> int:
        """Number of the newest delivery, 0 before the first."""
        return self._count

    @property
    def is_running(self) -> bool:
        """Whether deliveries are sent; otherwise they are only logged."""
        return self._session is not None

    def next_id(self) -> int:
        """A fresh delivery number."""
        self._count += 1
        return self._count

    def send(self, delivery: Delivery, *, delay_s: float = 0.0) -> None:
        """Begin to deliver after *delay_s* real seconds."""
        if self._session is None:
            return
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def follow(self, first: Delivery, later: list[Delivery]) -> None:
        """Begin to deliver *later* once *first* was tried."""
        if self._session is None:
            return
        task = asyncio.get_running_loop().create_task(self._release(first, later))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, first: Delivery, later: list[Delivery]) -> None:
        await first.first_attempt_done.wait()
        for delivery in later:
            self.send(delivery)

    async def _deliver(self, delivery: Delivery, delay_s: float) -> None:
        delivery.state = "pending"
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        for number, wait in enumerate((*delivery.waits, None), start=1):
            attempt = await self._attempt(delivery, number)
            delivered = attempt.status is not None and delivery.is_success(attempt.status)
            if delivered or wait is None:
                delivery.state = "delivered" if delivered else "failed"
            delivery.attempts.append(attempt)
            delivery.first_attempt_done.set()
            if delivered or wait is None:
                return
            await asyncio.sleep(wait)

    async def _attempt(self, delivery: Delivery, number: int) -> Attempt:
        headers, event_id = delivery.headers(number)
        at = self._clock.now()
        session = self._session
        if session is None:
            return Attempt(at, event_id, None, "stopped")
        try:
            timeout = aiohttp.ClientTimeout(total=delivery.timeout_s)
            async with session.post(
                delivery.url, data=delivery.body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                await answer.read()
                return Attempt(at, event_id, answer.status, None, answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Attempt(at, event_id, None, type(error).__name__)
