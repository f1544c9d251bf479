"""Planted bugs of messages that could not be handled; see `planted.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trellis.common.dead_letters import orders
from trellis.common.dead_letters.letters import Order
from trellis.common.dead_letters.taker import DeadLetters

_Put = Callable[[Any, str, Any], None]


def letter_acknowledged_first(put: _Put) -> None:
    """A dead letter leaves the broker before its row is committed."""
    real = DeadLetters._settle

    async def settle(self: DeadLetters, messages: Any) -> None:
        for message in messages:
            await message.ack()
            message.ack = _nothing
        await real(self, messages)

    put(DeadLetters, "_settle", settle)


async def _nothing() -> None:
    """Acknowledge nothing."""


def put_back_after_commit(put: _Put) -> None:
    """A redrive is noted first, and the message put back in a transaction of its own."""
    real = orders.give

    async def give(database: Any, letters: Any, account: Any, ident: Any, order: Order, *, by: str) -> Any:
        kept = []

        class Without:
            transaction = staticmethod(database.transaction)

            async def put_back(self, connection: Any, returned: Any) -> None:
                kept.append(returned)

        found = await real(Without(), letters, account, ident, order, by=by)  # type: ignore[arg-type]
        for returned in kept:
            async with database.transaction() as connection:
                await database.put_back(connection, returned)
        return found

    put(orders, "give", give)
