"""The routes by which a person sees and settles dead letters: of one account, and of none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from trellis.common.contracts.identifiers import AccountId
from trellis.common.dead_letters.letters import DeadLetter, Order, State, remedy_of
from trellis.common.dead_letters.orders import BECOMES, give
from trellis.common.dead_letters.store import DeadLetterStore
from trellis.common.ledger.api import scrub
from trellis.common.runtime.http import Body, account_of, answer, body_of, parsed_as, uuid_of
from trellis.common.store.database import Database

_ACCOUNT: Final = "/accounts/{account:[a-z0-9][a-z0-9-]{0,62}}"


class _LetterOrder(Body):
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=500)


class DeadLettersApi:
    """Serves them.

    Args:
        database: The service's.
        letters: The rows in it.
        wake: Called when something is to be published.
    """

    def __init__(self, database: Database, letters: DeadLetterStore, wake: Callable[[], None]) -> None:
        self._database = database
        self._letters = letters
        self._wake = wake

    def add_routes(self, app: web.Application, *, prefix: str = "/internal/v1") -> None:
        """Add the routes to *app*, whose middleware guards and tells faults; *prefix* is where *app* sees them."""
        for base in (f"{prefix}{_ACCOUNT}", prefix):
            app.router.add_get(f"{base}/dead-letters", self.waiting)
            app.router.add_post(f"{base}/dead-letters/{{id}}/{{order:redrive|drop}}", self.order)

    async def waiting(self, request: web.Request) -> web.Response:
        """List the messages that could not be handled, the oldest first.

        Those of one account, or those that do not say whose they are.
        """
        letters = await self._letters.waiting(_whose(request), subject=request.query.get("subject"))
        return answer({"dead_letters": [_shown(letter) for letter in letters]})

    async def order(self, request: web.Request) -> web.Response:
        """Redrive or drop one message; 404 when there is none of that id here, 409 when it waits no more."""
        account, order = _whose(request), Order(request.match_info["order"])
        said = parsed_as(_LetterOrder, await body_of(request))
        ident = uuid_of(request.match_info["id"], "id", "the id of a message")
        by = scrub(": ".join(part for part in (said.by, said.reason) if part))
        letter = await give(self._database, self._letters, account, ident, order, by=by)
        if letter is None:
            return answer({"error": f"no message {ident} is parked here"}, status=404)
        if letter.state is not State.WAITING:
            told = f"a message that is {letter.state.value} cannot be changed by {order.value}"
            return answer({"error": told, "state": letter.state.value}, status=409)
        self._wake()
        return answer({"state": BECOMES[order].value})


def _whose(request: web.Request) -> AccountId | None:
    return account_of(request) if "account" in request.match_info else None


def _shown(letter: DeadLetter) -> dict[str, Any]:
    death = letter.death
    return {
        "id": death.id,
        "queue": death.queue,
        "type": death.type,
        "subject": death.subject,
        "correlation_id": death.correlation_id,
        "cause": death.reason,
        "remedy": remedy_of(death),
        "ends_process": death.ends_process,
        "attempts": death.attempts,
        "redriven_count": death.redriven_count,
        "since": letter.dead_at,
    }
