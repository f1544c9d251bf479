"""Harvest v3's routes (v1's are in `v1.py`), and what all of them share: token, rate window, scope, faults, error bodies.

Source: greenhouse.md sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime

from aiohttp import web

from trellis.sandbox.faults import Fault
from trellis.sandbox.gate import TRACE, WORLD, admit, carry_out
from trellis.sandbox.greenhouse import v1
from trellis.sandbox.greenhouse.answers import REVOKED, Refusal, no_route, unauthorized
from trellis.sandbox.greenhouse.auth import Access, identify, post_introspect, post_token
from trellis.sandbox.greenhouse.lists import LISTS
from trellis.sandbox.greenhouse.model import User
from trellis.sandbox.greenhouse.rate import Spent
from trellis.sandbox.greenhouse.reads import answer_list
from trellis.sandbox.greenhouse.updates import update_application
from trellis.sandbox.greenhouse.writes import create_note, move_application
from trellis.sandbox.world import Account

WINDOW_S = 30
"""Length of the rate window. Source: greenhouse.md section 5.3."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Effect = Callable[[Account, User, web.Request, bytes, Fault | None], web.Response]


def add_routes(app: web.Application) -> None:
    """Mount token, introspection and Harvest below `/greenhouse`."""
    app.router.add_post("/greenhouse/token", post_token)
    app.router.add_post("/greenhouse/introspect", post_introspect)
    for route in LISTS:
        name = f"{route.resource}.list"
        effect = _list_effect(route.resource)
        handler = harvest(name, f"harvest:{route.resource}:list", effect)
        app.router.add_get(f"/greenhouse/v3/{route.resource}", handler, allow_head=False)
    app.router.add_post("/greenhouse/v3/notes", harvest("notes.create", "harvest:notes:create", create_note))
    move = harvest("move", "harvest:applications:move", move_application)
    app.router.add_post(r"/greenhouse/v3/applications/{id:\d+}/move", move)
    update = harvest("applications.update", "harvest:applications:update", update_application)
    app.router.add_patch(r"/greenhouse/v3/applications/{id:\d+}", update)
    app.router.add_route("*", "/greenhouse/v3/{rest:.*}", harvest("unknown", "", _no_such_route))
    v1.add_routes(app)


def harvest(name: str, scope: str, effect: Effect) -> Handler:
    """Guard *effect*: it runs only for a living token with *scope* inside the rate window."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request[TRACE].route = name
        body = await request.read()
        try:
            access = identify(request.app[WORLD], request)
        except Refusal as refusal:
            return refusal.response()
        spent = _spend(access)
        fault = admit(request, access.account, name, over_limit=spent.retry_after is not None)

        def respond() -> web.Response:
            try:
                if fault is not None and fault.kind == "token_revoked":
                    access.token.revoked = True
                    raise unauthorized(REVOKED)
                return effect(access.account, access.check(scope) if scope else _anyone(access), request, body, fault)
            except Refusal as refusal:
                return refusal.response()

        if spent.retry_after is not None:
            response = Refusal(429, "Too Many Requests").response()
        else:
            response = await carry_out(request, fault, respond)
        for header, value in spent.headers().items():
            response.headers.setdefault(header, value)
        response.headers.setdefault("Date", _date(access.account))
        return response

    return handle


def _date(account: Account) -> str:
    """The present by Greenhouse's own clock, as every answer's head says it (RFC 9110, 6.6.1)."""
    at = account.greenhouse.clock.now() + timedelta(seconds=account.switches.number("clock.skew_s"))
    return format_datetime(at.replace(microsecond=0), usegmt=True)


def _anyone(access: Access) -> User:
    return access.account.greenhouse.users[access.token.sub]


def _spend(access: Access) -> Spent:
    switches = access.account.switches
    limit = access.credential.rate_limit
    spent = access.credential.window.spend(
        access.account.greenhouse.clock.now(),
        limit=switches.integer("rate.limit") if limit is None else limit,
        length_s=WINDOW_S / max(switches.number("rate.time_scale"), 1e-9),
        reset_style=switches.text("rate.reset_style"),
    )
    counts = access.account.counts
    counts.max_in_window = max(counts.max_in_window, spent.calls_in_window)
    return spent


def _list_effect(resource: str) -> Effect:
    def effect(account: Account, user: User, request: web.Request, _body: bytes, fault: Fault | None) -> web.Response:
        return answer_list(account, user, request, resource, fault)

    return effect


def _no_such_route(
    _account: Account, _user: User, _request: web.Request, _body: bytes, _fault: Fault | None
) -> web.Response:
    raise no_route()
