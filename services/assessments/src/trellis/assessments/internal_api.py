"""The internal HTTP API: connections, stories, results, brakes, and a person's word on one invite.

Every route is bound to an account. Errors are `{"error", "field", "expected", "remedy"}` with 400 (not
JSON) or 422 (wrong in itself); 503 while the database or Coderbyte is away. No answer holds an address, a
name, a secret or a report; a link is told by `reports/link` for the note that may carry it, and by
`invite-links` for a person.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from trellis.assessments import bodies
from trellis.assessments.adapters.coderbyte import CredentialError, Organization
from trellis.assessments.adapters.connection_store import ConnectionStore, Wanted
from trellis.assessments.adapters.signal_store import SignalStore
from trellis.assessments.domain.results import parse_report
from trellis.assessments.domain.suggesting import Signal, suggest
from trellis.assessments.gateway import VENDOR, Gateway
from trellis.assessments.reports import Reports
from trellis.assessments.results import ResultPublisher
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, Visit
from trellis.common.errors import InputError, TransientError
from trellis.common.ledger.api import LedgerApi
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.http import (
    ACCOUNT_PREFIX,
    MOST_BODY_BYTES,
    account_of,
    answer,
    application_of,
    body_of,
    faults,
    tenancy,
)
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import guard
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Pool, acquired, transaction

NAME: Final = "assessments"
LIST_SECONDS: Final = 8.0
"""How long a picker waits for the rate budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the routes need."""

    pool: Pool
    ledger: Ledger
    brakes: Brakes
    effects: LedgerApi
    connections: ConnectionStore
    publisher: ResultPublisher
    signals: SignalStore
    gateway: Gateway
    runner: Runner
    reports: Reports
    relay: Relay

    # -- the connection

    async def put_connection(self, request: web.Request) -> web.Response:
        """Make the account's connection what the body states; say what changed. It ends a pause.

        A key that replaces another is tried first; one that Coderbyte does not accept changes nothing.
        """
        account = account_of(request)
        wanted, dry_run = bodies.connection(await body_of(request))
        if not dry_run:
            await self._try_before_switch(account, wanted)
        async with transaction(self.pool) as connection:
            changes = await self.connections.put(connection, account, wanted, dry_run=dry_run)
            if changes and not dry_run:
                await self.ledger.unpause(connection, account, VENDOR)
                await self.publisher.results.hurry_all(connection, account)
        self.runner.wake()
        self.reports.wake()
        return web.json_response({"changes": changes})

    async def _try_before_switch(self, account: AccountId, wanted: Wanted) -> None:
        """Refuse *wanted* if Coderbyte does not accept its key and another is in use.

        Raises:
            InputError: It is not accepted, or Coderbyte did not say.
        """
        before = await self.connections.load(account)
        if before is None:
            return
        tried = replace(
            before,
            base_url=wanted.base_url,
            organization_id=wanted.organization_id,
            api_key=wanted.api_key if wanted.api_key is not None else before.api_key,
        )
        if (tried.organization_id, tried.api_key) == (before.organization_id, before.api_key):
            return
        stays = "; the present connection stays in use"
        try:
            await self.gateway.look(tried)
        except CredentialError as error:
            raise InputError("api_key", f"a key that Coderbyte accepts ({error}){stays}", error.remedy) from None
        except TransientError as error:
            expected = f"a key that Coderbyte accepts, and it cannot be asked now ({error}){stays}"
            raise InputError("api_key", expected, "apply it again in a while") from None

    async def get_connection(self, request: web.Request) -> web.Response:
        """Show the connection without its secret; 404 when there is none."""
        account = account_of(request)
        found = await self.connections.load(account)
        if found is None:
            return web.json_response({"error": "this account has no Coderbyte connection"}, status=404)
        return answer(
            {
                "base_url": found.base_url,
                "organization_id": found.organization_id,
                "settings": await self.connections.settings(account),
                "pause": await self._pause(account),
            }
        )

    async def assessments(self, request: web.Request) -> web.Response:
        """List the organization's assessments, for pickers."""
        account = account_of(request)
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
        return answer({"assessments": shown})

    # -- stories

    async def results(self, request: web.Request) -> web.Response:
        """Show the results of one application, without anything of the person."""
        account, application = account_of(request), application_of(request.match_info["id"], "id")
        async with acquired(self.pool) as connection:
            return answer({"results": await self.publisher.results.of_application(connection, account, application)})

    async def invite_links(self, request: web.Request) -> web.Response:
        """Tell the private links of an application's invites, for a person to hand over."""
        account, application = account_of(request), application_of(request.match_info["id"], "id")
        async with acquired(self.pool) as connection:
            found = await self.publisher.invites.links(connection, account, application)
        return answer({"links": [asdict(item) for item in found]})

    async def report_link(self, request: web.Request) -> web.Response:
        """Tell the link of a report; null when the account wants none in notes, or none is known."""
        account = account_of(request)
        application = application_of(request.query.get("application_id", ""), "application_id")
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
        """List webhooks that no invite is known for, newest first, each with whose it may be and why."""
        account = account_of(request)
        async with acquired(self.pool) as connection:
            rows = await self.signals.unmatched(connection, account)
            for row in rows:
                signal = Signal(id=row["id"], received_at=row["received_at"])
                asked = await self.signals.asked(connection, account, signal)
                row["suggestions"] = [asdict(item) for item in suggest(signal, asked)]
        return answer({"unmatched": rows})

    # -- status

    async def status(self, request: web.Request) -> web.Response:
        """Show pause, open work, overdue reports and what matched nothing."""
        account = account_of(request)
        organization = await self.connections.load(account)
        async with acquired(self.pool) as connection:
            invites = await self.publisher.invites.counts(connection)
            unmatched = await self.signals.counts(connection)
        open_rows = {state: count for (owner, state), count in (await self.ledger.counts()).items() if owner == account}
        return answer(
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
    app = web.Application(middlewares=[guard(keyring, NAME), faults, tenancy], client_max_size=MOST_BODY_BYTES)
    api.effects.add_routes(app)
    app.router.add_put(f"{ACCOUNT_PREFIX}/connection", api.put_connection)
    app.router.add_get(f"{ACCOUNT_PREFIX}/connection", api.get_connection)
    app.router.add_get(f"{ACCOUNT_PREFIX}/assessments", api.assessments)
    app.router.add_get(f"{ACCOUNT_PREFIX}/applications/{{id}}/results", api.results)
    app.router.add_get(f"{ACCOUNT_PREFIX}/applications/{{id}}/invite-links", api.invite_links)
    app.router.add_get(f"{ACCOUNT_PREFIX}/reports/link", api.report_link)
    app.router.add_get(f"{ACCOUNT_PREFIX}/unmatched", api.unmatched)
    app.router.add_get(f"{ACCOUNT_PREFIX}/status", api.status)
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
