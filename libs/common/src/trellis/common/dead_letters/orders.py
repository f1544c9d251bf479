"""A person's order about one dead letter: at most once, whatever becomes of the answer."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId
from trellis.common.dead_letters.letters import DeadLetter, Order, State
from trellis.common.dead_letters.store import DeadLetterStore
from trellis.common.runtime.ids import uuid7
from trellis.common.store.database import Database
from trellis.common.store.outbox import Returned

BECOMES: Final = {Order.REDRIVE: State.REDRIVEN, Order.DROP: State.DROPPED}


async def give(
    database: Database, letters: DeadLetterStore, account: AccountId | None, ident: UUID, order: Order, *, by: str
) -> DeadLetter | None:
    """Carry out *order* if the dead letter waits, and return it as it was before.

    A redriven message goes out by the outbox of the same transaction, to its own queue alone, with its attempts
    counted anew.

    Args:
        database: The service's.
        letters: The rows in it.
        account: Whose it is; None is one that does not say.
        ident: Its id.
        order: What is to become of it.
        by: Who ordered it.

    Returns:
        The row as it was found; nothing was done unless it waited. None when this account has no such row.

    Raises:
        StoreAwayError: The database is away; it may have been done all the same.
    """
    async with database.transaction() as connection:
        letter = await letters.held(connection, account, ident)
        if letter is None or letter.state is not State.WAITING:
            return letter
        await letters.settle(connection, letter, BECOMES[order], by)
        if order is Order.REDRIVE:
            death = letter.death
            returned = Returned(
                id=uuid7(),
                account=death.account,
                routing_key=death.routing_key,
                queue=death.queue,
                redriven_count=death.redriven_count + 1,
                body=death.body,
            )
            await database.put_back(connection, returned)
        return letter
