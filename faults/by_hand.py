"""A person at the command line of one account, who orders everything twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from faults.seen import Ordered
from trellis.cli import asking, environment
from trellis.cli.environment import Clients
from trellis.common.errors import TrellisError

_PATIENCE_SECONDS = 45.0
_OVERLAP_SECONDS = 3600.0
"""Longer than a run: what the vendor signed before is delivered again and again."""
_Answer = TypeVar("_Answer")


class ByHand:
    """Gives orders by the code of the administrator's commands, again until they are taken.

    Args:
        account: Whose.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self.orders: list[Ordered] = []

    async def order(
        self, application: int, word: str, *, assessment: str | None = None, signal: UUID | None = None
    ) -> bool:
        """Give one order twice and return whether it was taken; what is not known of it yet is waited for."""
        about = str(signal) if signal else None
        taken = 0
        for _ in range(2):
            said = await self._insist(
                lambda clients: asking.order(
                    clients, self._account, application, word, assessment=assessment, signal=about
                )
            )
            taken += said is not None
        if taken:
            self.orders.append(Ordered(application, word, taken))
        return taken > 0

    async def erase(self, candidate: int) -> datetime | None:
        """Erase a candidate twice and return when the order was taken first; None if it never was."""
        path = f"/internal/v1/accounts/{self._account}/candidates/{candidate}/erase"
        at = None
        for _ in range(2):
            said = await self._insist(lambda clients: _done(clients["assessments"].call("POST", path)))
            at = at or (datetime.now(UTC) if said else None)
        return at

    async def accept_offers(self) -> None:
        """Say yes to every entry that is offered, twice."""
        offers = await self._insist(lambda clients: asking.offers(clients, self._account)) or []
        applications = [int(offer["application_id"]) for offer in offers]
        for _ in range(2 if applications else 0):
            await self._insist(lambda clients: asking.accept(clients, self._account, applications))

    async def rotate(self) -> str | None:
        """Make a new webhook secret beside the old one and return it.

        It is shown once; when that answer is lost another is made.
        """
        for _ in range(10):
            await self._insist(lambda clients: asking.rotate(clients, self._account, _OVERLAP_SECONDS))
            shown = await self._insist(lambda clients: asking.endpoints(clients, self._account)) or []
            for endpoint in shown:
                if endpoint["vendor"] == "greenhouse" and endpoint["secret"]:
                    return str(endpoint["secret"])
        return None

    async def _insist(self, question: Callable[[Clients], Awaitable[_Answer]]) -> _Answer | None:
        """Ask until there is an answer, and return None when there is none for long."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            try:
                async with environment.clients() as clients:
                    return await question(clients)
            except TrellisError:
                await asyncio.sleep(0.7)
        return None


async def _done(call: Awaitable[object]) -> bool:
    await call
    return True
