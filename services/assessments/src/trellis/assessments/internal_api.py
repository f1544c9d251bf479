"""The internal HTTP API: connections, stories, results, brakes, and a person's word on one invite.

Every route is bound to an account. Errors are `{"error", "field", "expected", "remedy"}` with 400 (not
JSON) or 422 (wrong in itself); 503 while the database or Coderbyte is away. No answer holds an address, a
name, a secret or a report; `reports/link` alone answers with a link, for the note that may carry it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web

from trellis.assessments import bodies
from trellis.assessments.adapters.coderbyte import CredentialError, Organization
from trellis.assessments.adapters.connection_store import ConnectionStore
from trellis.assessments.adapters.signal_store import SignalStore
from trellis.assessments.domain.invites import scrub
from trellis.assessments.domain.results import parse_report
from trellis.assessments.gateway import VENDOR, Gateway
from trellis.assessments.reports import Reports
from trellis.assessments.results import ResultPublisher
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, Visit
from trellis.common.errors import InputError, StoreAwayError, TransientError
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.states import Occurrence
from trellis.common.ledger.table import Change, Ledger
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import guard
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Pool, acquired, transaction

NAME: Final = "assessments"
MOST_BODY_BYTES: Final = 256 * 1024
LIST_SECONDS: Final = 8.0
"""How long a picker waits for the rate budget."""
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_PREFIX: Final = "/internal/v1/accounts/{account}"
_PERSON: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ORDERS: Final = {
    "confirm": (Occurrence.CONFIRMED, "a person confirmed that it arrived"),
    "resend": (Occurrence.RESENT, "a person ordered it again"),
    "drop": (Occurrence.DROPPED, "a person gave it up"),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the routes need."""

    pool: Pool
    ledger: Ledger
    brakes: Brakes
    connections: ConnectionStore
    publisher: ResultPublisher
    signals: SignalStore
    gateway: Gateway
    runner: Runner
    reports: Reports
    relay: Relay

    # -- the connection

    async def put_connection(self, request: web.Request) -> web.Response:
        """Make the account's connection what the body states; say what changed. It ends a pause."""
        account = _account(request)
        wanted, dry_run = bodies.connection(await _body(request))
        async with transaction(self.pool) as connection:
            changes = await self.connections.put(connection, account, wanted, dry_run=dry_run)
            if changes and not dry_run:
                await self.ledger.unpause(connection, account, VENDOR)
                await self.publisher.results.hurry_all(connection, account)
        self.runner.wake()
        self.reports.wake()
        return web.json_response({"changes": changes})

    async def get_connection(self, request: web.Request) -> web.Response:
        """Show the connection without its secret; 404 when there is none."""
        account = _account(request)
        found = await self.connections.load(account)
        if found is None:
            return web.json_response({"error": "this account has no Coderbyte connection"}, status=404)
        return _json(
            {
                "base_url": found.base_url,
                "organization_id": found.organization_id,
                "settings": await self.connections.settings(account),
                "pause": await self._pause(account),
            }
        )

    async def assessments(self, request: web.Request) -> web.Response:
        """List the organization's assessments, for pickers."""
        account = _account(request)
        organization = await self.connections.load(account)
        if organization is None:
            return web.json_response({"error": "this account has no Coderbyte connection"}, status=404)
        fresh = request.query.get("fresh") == "true"
        try:
            found = await self.gateway.assessments(organization, until=time.monotonic() + LIST_SECONDS, fresh=fresh)
        except CredentialError as error:
            return web.json_response({"error": str(error), "remedy": error.remedy}, status=409)
        shown = [
            {"id": item.id, "name": item.name, "closed": item.closed, "invitable": item.public_url is not None}
            for item in found
        ]
        return _json({"assessments": shown})

    # -- stories

    async def intents(self, request: web.Request) -> web.Response:
        """Tell the story of each invite of one application."""
        account, application = _account(request), _application(request.match_info["id"], "id")
        return _json({"intents": [asdict(story) for story in await self.ledger.stories(account, application)]})

    async def results(self, request: web.Request) -> web.Response:
        """Show the results of one application, without anything of the person."""
        account, application = _account(request), _application(request.match_info["id"], "id")
        async with acquired(self.pool) as connection:
            return _json({"results": await self.publisher.results.of_application(connection, account, application)})

    async def report_link(self, request: web.Request) -> web.Response:
        """Tell the link of a report; null when the account wants none in notes, or none is known."""
        account = _account(request)
        application = _application(request.query.get("application_id", ""), "application_id")
        visit, assessment = request.query.get("visit", ""), request.query.get("assessment_id", "")
        if not visit or not assessment:
            raise InputError("visit" if not visit else "assessment_id", "what the command says")
        organization = await self.connections.load(account)
        if organization is None or not organization.options.include_report_link:
            return web.json_response({"link": None})
        link = await self._link(organization, application, Visit(visit), AssessmentId(assessment))
        return web.json_response({"link": link if link and is_shown(link, organization.base_url) else None})

    async def _link(
        self, organization: Organization, application: ApplicationId, visit: Visit, assessment: AssessmentId
    ) -> str | None:
        results = self.publisher.results
        async with acquired(self.pool) as connection:
            found = await results.find(connection, organization.account, application, visit, assessment)
            if found is None:
                return None
            command, candidate, stored = found
            raw = await results.open_report(connection, organization.account, candidate, command, stored)
        return None if raw is None else parse_report(raw).link

    async def unmatched(self, request: web.Request) -> web.Response:
        """List webhooks that no invite is known for, newest first."""
        account = _account(request)
        async with acquired(self.pool) as connection:
            return _json({"unmatched": await self.signals.unmatched(connection, account)})

    # -- a person's word

    async def order(self, request: web.Request) -> web.Response:
        """Confirm, resend or drop one invite; 404 when the account has none of that id, 409 when it cannot be now."""
        account, word = _account(request), request.match_info["order"]
        occurrence, words = _ORDERS[word]
        by, why = bodies.order(await _body(request))
        try:
            command = UUID(request.match_info["id"])
        except ValueError:
            raise InputError("id", "the id of an invite's command") from None
        reason = words + (f" ({by})" if _PERSON.fullmatch(by) else "") + (f": {scrub(why)}" if why.strip() else "")
        async with transaction(self.pool) as connection:
            held = await self.ledger.held(connection, command, account)
            if held is None:
                return web.json_response({"error": "this account has no such invite"}, status=404)
            state = await self.ledger.record(
                connection, held, held.attempt, Change(occurrence=occurrence, reason=reason, kind="person")
            )
        self.runner.wake()
        self.relay.wake()
        if state is None:
            said = {"error": f"an invite that is {held.state.value} cannot be changed so", "state": held.state.value}
            return web.json_response(said, status=409)
        return web.json_response({"state": state.value})

    # -- brakes and status

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
        """Show pause, open work, overdue reports and what matched nothing."""
        account = _account(request)
        organization = await self.connections.load(account)
        async with acquired(self.pool) as connection:
            invites = await self.publisher.invites.counts(connection)
            unmatched = await self.signals.counts(connection)
        open_rows = {state: count for (owner, state), count in (await self.ledger.counts()).items() if owner == account}
        return _json(
            {
                "connected": organization is not None,
                "pause": await self._pause(account),
                "open_rows": open_rows,
                "invites": invites.get(account, {"open": 0, "awaited": 0, "overdue": 0}),
                "unmatched": unmatched.get(account, 0),
                "brakes": [asdict(brake) for brake in await self.brakes.on(account)],
            }
        )

    async def _pause(self, account: AccountId) -> dict[str, Any] | None:
        return await self.connections.pause(account)


def application(api: Api, keyring: Keyring) -> web.Application:
    """Return the HTTP application; without a service token for us every route answers 401."""
    app = web.Application(middlewares=[guard(keyring, NAME), _errors], client_max_size=MOST_BODY_BYTES)
    app.router.add_put(f"{_PREFIX}/connection", api.put_connection)
    app.router.add_get(f"{_PREFIX}/connection", api.get_connection)
    app.router.add_get(f"{_PREFIX}/assessments", api.assessments)
    app.router.add_get(f"{_PREFIX}/applications/{{id}}/intents", api.intents)
    app.router.add_get(f"{_PREFIX}/applications/{{id}}/results", api.results)
    app.router.add_get(f"{_PREFIX}/reports/link", api.report_link)
    app.router.add_get(f"{_PREFIX}/unmatched", api.unmatched)
    app.router.add_post(f"{_PREFIX}/intents/{{id}}/{{order:confirm|resend|drop}}", api.order)
    app.router.add_get(f"{_PREFIX}/brakes", api.get_brakes)
    app.router.add_put(f"{_PREFIX}/brakes", api.put_brake)
    app.router.add_delete(f"{_PREFIX}/brakes", api.delete_brake)
    app.router.add_get(f"{_PREFIX}/status", api.status)
    return app


def is_shown(link: str, base_url: str) -> bool:
    """Return whether a report's link leads to Coderbyte, or to the connection's own host, and may be shown."""
    try:
        parts, own = urlsplit(link), urlsplit(base_url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return False
    if parts.username is not None or any(sign.isspace() or not sign.isprintable() for sign in link):
        return False
    if parts.scheme == "https" and (host == "coderbyte.com" or host.endswith(".coderbyte.com")):
        return True
    return parts.scheme in ("http", "https") and host == (own.hostname or "").lower() != ""


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


def _application(text: str, field: str) -> ApplicationId:
    if not _NUMBER.fullmatch(text):
        raise InputError(field, "the number of an application")
    return ApplicationId(int(text))


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
