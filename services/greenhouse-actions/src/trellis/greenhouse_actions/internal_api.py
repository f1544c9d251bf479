"""The internal HTTP API: connections, whom to invite, stories, brakes, status. Every route is bound to an account.

Errors are `{"error", "field", "expected", "remedy"}` with 400 (not JSON) or 422 (wrong in itself); 503 while the
database is away. No answer but `candidates-for-invite` holds personal data, and none holds a secret.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from aiohttp import web

from trellis.common.ledger.api import LedgerApi
from trellis.common.ledger.effects import Blocked, Later, Overtaken
from trellis.common.ledger.runner import Runner
from trellis.common.runtime.http import ACCOUNT_PREFIX, MOST_BODY_BYTES, account_of, answer, body_of, faults, tenancy
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import guard
from trellis.common.store.postgres import Pool, acquired
from trellis.greenhouse_actions import bodies
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore, Pause
from trellis.greenhouse_actions.adapters.trial import Trial, try_before_switch
from trellis.greenhouse_actions.connection import VENDOR, Connection
from trellis.greenhouse_actions.domain.invites import Invitable
from trellis.greenhouse_actions.invites import Invites, Verdict
from trellis.greenhouse_actions.observer import Observer
from trellis.greenhouse_actions.reconciler import Reconciler
from trellis.greenhouse_actions.reconciliations import Reconciliations

NAME: Final = "greenhouse-actions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the routes need."""

    pool: Pool
    store: ConnectionStore
    effects: LedgerApi
    invites: Invites
    runner: Runner
    observer: Observer
    reconciliations: Reconciliations
    reconciler: Reconciler
    trial: Trial

    async def put_connection(self, request: web.Request) -> web.Response:
        """Make the account's connection what the body states; say what changed.

        A credential that replaces another is tried first; one that Greenhouse does not accept changes nothing.
        """
        account = account_of(request)
        body = await body_of(request)
        wanted, dry_run = bodies.connection(account, body)
        if not dry_run:
            await try_before_switch(self.trial, await self.store.get(account), wanted)
        changes = await self.store.put(wanted, dry_run=dry_run)
        if changes and not dry_run:
            await self.reconciliations.hurry(account)
            self.runner.wake()
            self.observer.wake()
            self.reconciler.wake()
        return web.json_response({"changes": changes})

    async def get_connection(self, request: web.Request) -> web.Response:
        """Show the connection without its secrets; 404 when there is none."""
        account = account_of(request)
        found = await self.store.get(account)
        if found is None:
            return web.json_response({"error": "this account has no Greenhouse connection"}, status=404)
        return web.json_response(_shown(found) | {"pause": _pause(await self.store.pause_of(account))})

    async def candidates_for_invite(self, request: web.Request) -> web.Response:
        """Say of each application whether its candidate may be invited now, and at which address."""
        account = account_of(request)
        judged = await self.invites.judge(account, bodies.asked(await body_of(request)))
        return web.json_response(
            {
                "read_age_ms": round(judged.read_age.total_seconds() * 1000),
                "applications": {str(ident): _verdict(said) for ident, said in judged.verdicts.items()},
            }
        )

    async def status(self, request: web.Request) -> web.Response:
        """Show pause, budget and open work."""
        account = account_of(request)
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
        return answer(
            {
                "connected": connection is not None,
                "pause": _pause(await self.store.pause_of(account)),
                "budget": None if budget is None else dict(budget),
                "open_rows": {row["state"]: row["n"] for row in rows},
                "open_questions": questions,
            }
        )

    async def reconciliation(self, request: web.Request) -> web.Response:
        """Show how far the account was compared with Greenhouse; 404 before its connection was ever compared."""
        found = await self.reconciliations.progress(account_of(request))
        if not found:
            said = "this account was not compared with Greenhouse yet"
            remedy = "it is within a minute of its connection being applied (`trellis apply`)"
            return web.json_response({"error": said, "remedy": remedy}, status=404)
        return answer(asdict(found[0]))

    async def all_reconciliations(self, _request: web.Request) -> web.Response:
        """Tell of every account how far it was reconciled: whether a restored database has caught up."""
        return answer({"reconciliations": [asdict(found) for found in await self.reconciliations.progress()]})

    async def reconcile_again(self, request: web.Request) -> web.Response:
        """Compare again from the time in the body (`since`); what is found is judged by its age as ever."""
        account = account_of(request)
        since = bodies.since(await body_of(request))
        set_back = await self.reconciliations.set_back(account, since)
        self.reconciler.wake()
        return web.json_response({"set_back": set_back})


def application(api: Api, keyring: Keyring) -> web.Application:
    """Return the HTTP application; without a service token for us every route answers 401."""
    app = web.Application(middlewares=[guard(keyring, NAME), faults, tenancy], client_max_size=MOST_BODY_BYTES)
    api.effects.add_routes(app)
    app.router.add_put(f"{ACCOUNT_PREFIX}/connection", api.put_connection)
    app.router.add_get(f"{ACCOUNT_PREFIX}/connection", api.get_connection)
    app.router.add_post(f"{ACCOUNT_PREFIX}/candidates-for-invite", api.candidates_for_invite)
    app.router.add_get(f"{ACCOUNT_PREFIX}/status", api.status)
    app.router.add_get(f"{ACCOUNT_PREFIX}/reconciliation", api.reconciliation)
    app.router.add_post(f"{ACCOUNT_PREFIX}/reconciliation", api.reconcile_again)
    app.router.add_get("/internal/v1/reconciliations", api.all_reconciliations)
    return app


def _shown(connection: Connection) -> dict[str, Any]:
    return {
        "api_version": connection.api_version,
        "base_url": connection.base_url,
        "token_url": connection.token_url or None,
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
