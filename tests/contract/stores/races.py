"""Transactions that meet each other on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from trellis.common.store.database import Database
from trellis.common.store.postgres import Connection


@asynccontextmanager
async def meanwhile(database: Database, *, committed: bool = True) -> AsyncIterator[Connection]:
    """Hold a transaction open over the block and a little longer, then end it: whom it blocks must wait."""
    entered, leave = asyncio.Event(), asyncio.Event()
    opened: list[Connection] = []

    async def hold() -> None:
        try:
            async with database.transaction() as connection:
                opened.append(connection)
                entered.set()
                await leave.wait()
                await asyncio.sleep(0.2)
                if not committed:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    task = asyncio.create_task(hold())
    await entered.wait()
    try:
        yield opened[0]
    finally:
        leave.set()
        await asyncio.wait([task])
        task.result()


async def both(*works: Awaitable[Any]) -> list[type[BaseException] | None]:
    """Run *works* beside each other and return what each raised."""
    said = await asyncio.gather(*works, return_exceptions=True)
    return [None if item is None else type(item) for item in said]
