"""The internal HTTP API: connections, whom to invite, stories, brakes, status. Every route is bound to an account.

Errors are `{"error", "field", "expected", "remedy"}` with 400 (not JSON) or 422 (wrong in itself); 503 while the
database is away. No answer but `candidates-for-invite` holds personal data, and none holds a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.errors import InputError, StoreAwayError, TransientError
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.effects import Blocked, Later, Overtaken
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import guard
from trellis.common.store.postgres import Pool, acquired
from trellis.greenhouse_actions import bodies
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore, Pause
from trellis.greenhouse_actions.connection import VENDOR, Connection
from trellis.greenhouse_actions.domain.invites import Invitable
from trellis.greenhouse_actions.invites import Invites, Verdict
from trellis.greenhouse_actions.observer import Observer

NAME: Final = "greenhouse-actions"
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_PREFIX: Final = "/internal/v1/accounts/{account}"
MOST_BODY_BYTES: Final = 256 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the routes need."""

    pool: Pool
    store: ConnectionStore
    ledger: Ledger
    brakes: Brakes
    invites: Invites
    runner: Runner
    observer: Observer

    async def put_connection(self, request: web.Request) -> web.Response:
        """Make the account's connection what the body states; say what changed."""
        account = _account(request)
        body = await _body(request)
        wanted, dry_run = bodies.connection(account, body)
        changes = await self.store.put(wanted, dry_run=dry_run)
        if changes and not dry_run:
            self.runner.wake()
            self.observer.wake()
        return web.json_response({"changes": changes})

    async def get_connection(self, request: web.Request) -> web.Response:
        """Show the connection without its secrets; 404 when there is none."""
        account = _account(request)
        found = await self.store.get(account)
        if found is None:
            return web.json_response({"error": "this account has no Greenhouse connection"}, status=404)
        return web.json_response(_shown(found) | {"pause": _pause(await self.store.pause_of(account))})

    async def candidates_for_invite(self, request: web.Request) -> web.Response:
        """Say of each application whether its candidate may be invited now, and at which address."""
        account = _account(request)
        answer = await self.invites.judge(account, bodies.asked(await _body(request)))
        return web.json_response(
            {
                "read_age_ms": round(answer.read_age.total_seconds() * 1000),
                "applications": {str(ident): _verdict(said) for ident, said in answer.verdicts.items()},
            }
        )

    async def intents(self, request: web.Request) -> web.Response:
        """Tell the story of each effect on one application."""
        account, ident = _account(request), request.match_info["id"]
        if not _NUMBER.fullmatch(ident):
            raise InputError("id", "the number of an application")
        stories = await self.ledger.stories(account, ApplicationId(int(ident)))
        return _json({"intents": [asdict(story) for story in stories]})

    async def get_brakes(self, request: web.Request) -> web.Response:
        """List the brakes that are on."""
        return await self._brakes(_account(request))

    async def put_brake(self, request: web.Request) -> web.Response:
        """Put a brake on: when this answers, no further attempt of its scope begins."""
        account = _account(request)
        scope, name, reason, by = bodies.brake(await _body(request))
        await self.brakes.put(account, scope, name, reason=reason, by=by)
        return await self._brakes(account)

    async def delete_brake(self, request: web.Request) -> web.Response:
        """Take a brake off."""
        account = _account(request)
        scope, name, _, _ = bodies.brake(await _body(request))
        await self.brakes.release(account, scope, name)
        self.runner.wake()
        return await self._brakes(account)

    async def _brakes(self, account: AccountId) -> web.Response:
        return _json({"brakes": [asdict(brake) for brake in await self.brakes.on(account)]})

    async def status(self, request: web.Request) -> web.Response:
        """Show pause, budget and open work."""
        account = _account(request)
        connection = await self.store.get(account)
        async with acquired(self.pool) as database:
            budget = await database.fetchrow(
                "select window_limit, burst, extract(epoch from greatest(tat - clock_timestamp(), interval '0'))::float8 "
                "as ahead_seconds, updated_at from budget where account_id = $1 and vendor = $2 and isfinite(tat)",
                account,
                VENDOR,
            )
            rows = await database.fetch(
                "select state, count(*) as n from intent where account_id = $1 "
                "and state not in ('done', 'refused', 'superseded') group by 1",
                account,
            )
            questions = await database.fetchval("select count(*) from observation where account_id = $1", account)
        return _json(
            {
                "connected": connection is not None,
                "pause": _pause(await self.store.pause_of(account)),
                "budget": None if budget is None else dict(budget),
                "open_rows": {row["state"]: row["n"] for row in rows},
                "open_questions": questions,
            }
        )


def application(api: Api, keyring: Keyring) -> web.Application:
    """Return the HTTP application; without a service token for us every route answers 401."""
    app = web.Application(middlewares=[guard(keyring, NAME), _errors], client_max_size=MOST_BODY_BYTES)
    app.router.add_put(f"{_PREFIX}/connection", api.put_connection)
    app.router.add_get(f"{_PREFIX}/connection", api.get_connection)
    app.router.add_post(f"{_PREFIX}/candidates-for-invite", api.candidates_for_invite)
    app.router.add_get(f"{_PREFIX}/applications/{{id}}/intents", api.intents)
    app.router.add_get(f"{_PREFIX}/brakes", api.get_brakes)
    app.router.add_put(f"{_PREFIX}/brakes", api.put_brake)
    app.router.add_delete(f"{_PREFIX}/brakes", api.delete_brake)
    app.router.add_get(f"{_PREFIX}/status", api.status)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InputError as error:
        status = 400 if error.field == "body" else 422
        said = {"error": str(error), "field": error.field, "expected": error.expected, "remedy": error.remedy}
        return web.json_response(said, status=status)
    except StoreAwayError as error:
        return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "2"})
    except TransientError as error:
        return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "1"})


def _account(request: web.Request) -> AccountId:
    name = request.match_info["account"]
    if not _ACCOUNT.fullmatch(name):
        raise InputError("account", "a name of a-z, 0-9 and '-'")
    return AccountId(name)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        parsed = json.loads(await request.read())
    except ValueError:
        raise InputError("body", "JSON") from None
    if not isinstance(parsed, dict):
        raise InputError("body", "a JSON object")
    return parsed


def _json(content: object) -> web.Response:
    return web.json_response(text=json.dumps(content, default=_text))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _shown(connection: Connection) -> dict[str, Any]:
    return {
        "api_version": connection.api_version,
        "base_url": connection.base_url,
        "token_url": connection.token_url,
        "service_user_id": connection.service_user_id,
        "settings": connection.settings.stated(),
        "from_stage_space": None if connection.from_space is None else connection.from_space.value,
    }


def _pause(pause: Pause | None) -> dict[str, str] | None:
    if pause is None:
        return None
    return {
        "reason": pause.reason,
        "remedy": pause.remedy,
        "since": pause.since.isoformat(),
        "retry_at": pause.retry_at.isoformat(),
    }


def _verdict(said: Verdict) -> dict[str, Any]:
    match said:
        case Invitable(address=address, candidate_id=candidate, address_count=addresses):
            return {"verdict": "ok", "address": address, "candidate_id": candidate, "address_count": addresses}
        case Overtaken(reason=reason):
            return {"verdict": "overtaken", "reason": reason}
        case Blocked(reason=reason, remedy=remedy, mended_by=mended_by):
            return {"verdict": "blocked", "reason": reason, "remedy": remedy, "mended_by": mended_by}
        case Later(reason=reason, wait=wait):
            return {"verdict": "later", "reason": reason, "wait_seconds": wait.total_seconds()}
