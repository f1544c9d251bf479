"""Publishes what nobody can handle, past the services and the relay, and reads what is parked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aio_pika

from faults.kept import Kept
from faults.oracle_of_poison import Listed, Parking
from faults.poison import Poison
from trellis.cli import asking
from trellis.cli.environment import Clients
from trellis.cli.parking import Row
from trellis.common.errors import TransientError

_ANSWER_SECONDS = 10.0
"""How long the broker may take for one message, connection included."""


class Poisoner:
    """Puts messages on queues until the broker has confirmed each; without a confirm the same bytes come again.

    Args:
        messages: What is sent, in order.
        url: Of the broker itself, at each try.
        kept: What the database keeps of them.
    """

    def __init__(self, messages: Sequence[Poison], url: Callable[[], str], kept: Kept) -> None:
        self._messages = messages
        self._url = url
        self._kept = kept
        self._tried: list[Poison] = []
        self._confirmed: list[Poison] = []

    async def run(self, seconds: float) -> None:
        """Send all of them in the course of *seconds*; those whose time the broker was away for, after that."""
        passed = 0.0
        for poison in self._messages:
            await asyncio.sleep(max(0.0, poison.at - passed) * seconds)
            passed = poison.at
            self._tried.append(poison)
            for _ in range(poison.copies):
                await self._insist(poison)
            self._confirmed.append(poison)

    async def parking(self, rows: dict[str | None, list[Row]]) -> Parking:
        """Return what is parked, given the *rows* that the lists show by account."""
        return Parking(
            sent=tuple(self._confirmed),
            unsure=tuple(poison for poison in self._tried if poison not in self._confirmed),
            kept=await self._kept.dead_letters(),
            listed=[
                Listed(id=row.id, service=row.service, account=account, cause=row.cause, remedy=row.remedy)
                for account, several in rows.items()
                for row in several
            ],
        )

    async def _insist(self, poison: Poison) -> None:
        while True:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    return await self._publish(poison)
            except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError, asyncio.InvalidStateError):
                await asyncio.sleep(0.5)

    async def _publish(self, poison: Poison) -> None:
        message = aio_pika.Message(poison.body, type=poison.routing_key, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        connection = await aio_pika.connect(self._url(), timeout=_ANSWER_SECONDS / 2)
        async with connection:
            channel = await connection.channel(publisher_confirms=True)
            await channel.default_exchange.publish(message, poison.queue, mandatory=True)


async def listed(clients: Clients, accounts: Sequence[str]) -> dict[str | None, list[Row]]:
    """Return the messages that `trellis parked list` shows, by account; None is those that do not say whose they are."""
    for _ in range(30):
        try:
            found = {account: await asking.parked(clients, account) for account in (*accounts, None)}
            return {account: [row for row in rows if row.is_message] for account, rows in found.items()}
        except TransientError:
            await asyncio.sleep(1)
    raise RuntimeError("what is parked cannot be had")
