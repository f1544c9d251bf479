"""The routes that every effect service has: stories, parked rows, a person's word on one, brakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import InputError
from trellis.common.ledger.brakes import Brakes, Scope
from trellis.common.ledger.changes import Change
from trellis.common.ledger.epoch import Epochs
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.http import (
    ACCOUNT_PREFIX,
    Body,
    account_of,
    answer,
    application_of,
    body_of,
    parsed_as,
    uuid_of,
)
from trellis.common.store.postgres import Pool, transaction

_ORDERS: Final = {
    "confirm": (Occurrence.CONFIRMED, "a person confirmed that it happened"),
    "redrive": (Occurrence.RESENT, "a person ordered it again"),
    "drop": (Occurrence.DROPPED, "a person gave it up"),
}
_ADDRESS: Final = re.compile(r"\S+@\S+")
_LINK: Final = re.compile(r"\b(?:https?|ftp)://\S+", re.IGNORECASE)
MOST_WORDS: Final = 200


class _Order(Body):
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=500)


class _Brake(_Order):
    scope: Scope
    name: str = Field(default="", max_length=200)


class LedgerApi:
    """Serves them.

    Args:
        pool: The service's database.
        ledger: Its rows.
        brakes: Its brakes.
        changed: Called when a row or a brake changed: wake the runner and the relay.
    """

    def __init__(self, pool: Pool, ledger: Ledger, brakes: Brakes, changed: Callable[[], None]) -> None:
        self._pool = pool
        self._ledger = ledger
        self._brakes = brakes
        self._epochs = Epochs(pool)
        self._changed = changed

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to *app*, whose middleware guards and tells faults."""
        app.router.add_get(f"{ACCOUNT_PREFIX}/applications/{{application}}/intents", self.intents)
        app.router.add_get(f"{ACCOUNT_PREFIX}/parked", self.parked)
        app.router.add_post(f"{ACCOUNT_PREFIX}/intents/{{id}}/{{order:confirm|redrive|drop}}", self.order)
        app.router.add_get(f"{ACCOUNT_PREFIX}/brakes", self.get_brakes)
        app.router.add_put(f"{ACCOUNT_PREFIX}/brakes", self.put_brake)
        app.router.add_delete(f"{ACCOUNT_PREFIX}/brakes", self.delete_brake)
        app.router.add_get("/internal/v1/restoration", self.restoration)
        app.router.add_delete("/internal/v1/restoration", self.end_restoration)

    async def intents(self, request: web.Request) -> web.Response:
        """Tell the story of each effect on one application."""
        account, application = account_of(request), application_of(request.match_info["application"])
        return answer({"intents": [asdict(story) for story in await self._ledger.stories(account, application)]})

    async def parked(self, request: web.Request) -> web.Response:
        """List what waits for a person, the oldest first."""
        return answer({"parked": await self._ledger.parked(account_of(request))})

    async def order(self, request: web.Request) -> web.Response:
        """Confirm, redrive or drop one effect; 404 when the account has none of that id, 409 when it cannot be now."""
        account, word = account_of(request), request.match_info["order"]
        occurrence, words = _ORDERS[word]
        said = parsed_as(_Order, await body_of(request))
        command = uuid_of(request.match_info["id"], "id", "the id of a command")
        reason = (
            words + (f" ({scrub(said.by)})" if said.by else "") + (f": {scrub(said.reason)}" if said.reason else "")
        )
        async with transaction(self._pool) as connection:
            held = await self._ledger.held(connection, command, account)
            if held is None:
                return answer({"error": f"this account has no effect {command}"}, status=404)
            change = Change(occurrence=occurrence, reason=reason, kind="person")
            state = await self._ledger.record(connection, held, held.attempt, change)
        self._changed()
        if state is None:
            shown = "parked" if held.state is State.IN_DOUBT else held.state.value
            return answer(
                {"error": f"an effect that is {shown} cannot be changed by {word}", "state": shown}, status=409
            )
        return answer({"state": state.value})

    async def get_brakes(self, request: web.Request) -> web.Response:
        """List the brakes that are on."""
        return await self._on(account_of(request))

    async def put_brake(self, request: web.Request) -> web.Response:
        """Put a brake on: when this answers, no further attempt of its scope begins."""
        account, brake = account_of(request), _brake(await body_of(request))
        await self._brakes.put(account, brake.scope, brake.name, reason=scrub(brake.reason), by=scrub(brake.by))
        return await self._on(account)

    async def delete_brake(self, request: web.Request) -> web.Response:
        """Take a brake off."""
        account, brake = account_of(request), _brake(await body_of(request))
        await self._brakes.release(account, brake.scope, brake.name)
        self._changed()
        return await self._on(account)

    async def restoration(self, _request: web.Request) -> web.Response:
        """Tell whether the database counts as restored, since when, and how the open effects stand."""
        return await self._restoration()

    async def end_restoration(self, request: web.Request) -> web.Response:
        """End restored mode: this database is the one that works. Answered alike when there is none."""
        said = parsed_as(_Order, await body_of(request))
        await self._epochs.end(scrub(said.by))
        self._changed()
        return await self._restoration()

    async def _restoration(self) -> web.Response:
        found = await self._epochs.restored()
        return answer({"restoration": None if found is None else asdict(found), "open": await self._epochs.doubts()})

    async def _on(self, account: AccountId) -> web.Response:
        return answer({"brakes": [asdict(brake) for brake in await self._brakes.on(account)]})


def _brake(body: dict[str, Any]) -> _Brake:
    brake = parsed_as(_Brake, body)
    if brake.scope is Scope.ACCOUNT:
        return brake.model_copy(update={"name": ""})
    if not brake.name:
        raise InputError("name", f"the name of the {brake.scope.value}")
    return brake


def scrub(text: str) -> str:
    """Return a person's words on one line, at most 200 signs, with addresses and links taken out."""
    cleaned = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(_ADDRESS.sub("[address]", _LINK.sub("[link]", cleaned)).split())[:MOST_WORDS]
