"""Harvest v1's routes, and what all of them share: key, permission, rate window, faults, and its end.

What answers when v1 has ended is the switch `v1.state`. Source: greenhouse.md section 4.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

from aiohttp import web

from trellis.sandbox.faults import Fault
from trellis.sandbox.gate import TRACE, WORLD, admit, carry_out, cut_connection
from trellis.sandbox.greenhouse import v1_lists as lists
from trellis.sandbox.greenhouse import v1_writes as writes
from trellis.sandbox.greenhouse.rate import Spent
from trellis.sandbox.greenhouse.updates import update_through_v1
from trellis.sandbox.greenhouse.v1_answers import V1Refusal, bad_key, not_found, not_ticked
from trellis.sandbox.world import Account

WINDOW_S = 10
"""Length of the rate window. Source: greenhouse.md section 4."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reading = Callable[[Account, web.Request, Fault | None], web.Response]
Write = Callable[[Account, web.Request, bytes, Fault | None], web.Response]

READINGS: tuple[tuple[str, str, Reading], ...] = (
    ("applications", "applications.list", lists.list_applications),
    (r"applications/{id:\d+}", "applications.retrieve", lists.get_application),
    ("candidates", "candidates.list", lists.list_candidates),
    (r"candidates/{id:\d+}", "candidates.retrieve", lists.get_candidate),
    (r"candidates/{id:\d+}/activity_feed", "activity_feed.retrieve", lists.get_activity_feed),
    ("jobs", "jobs.list", lists.list_jobs),
    (r"jobs/{id:\d+}", "jobs.retrieve", lists.get_job),
    (r"jobs/{id:\d+}/stages", "job_stages.list_for_job", lists.list_job_stages),
    ("job_stages", "job_stages.list", lists.list_stages),
    (r"users/{id:\d+}", "users.retrieve", lists.get_user),
)
WRITES: tuple[tuple[str, str, Write], ...] = (
    (r"applications/{id:\d+}/move", "applications.move", writes.move),
    (r"applications/{id:\d+}/advance", "applications.advance", writes.advance),
    (r"applications/{id:\d+}/transfer_to_job", "applications.transfer_to_job", writes.transfer),
    (r"candidates/{id:\d+}/activity_feed/notes", "notes.create", writes.create_note),
)


def add_routes(app: web.Application) -> None:
    """Mount Harvest v1 below `/greenhouse/v1`."""
    for path, permission, reading in READINGS:
        handler = _guarded(permission, _read(reading))
        app.router.add_get(f"/greenhouse/v1/{path}", handler, allow_head=False)
    for path, permission, write in WRITES:
        app.router.add_post(f"/greenhouse/v1/{path}", _guarded(permission, write))
    update = _guarded("applications.update", update_through_v1)
    app.router.add_patch(r"/greenhouse/v1/applications/{id:\d+}", update)
    app.router.add_route("*", "/greenhouse/v1/{rest:.*}", _guarded("", _no_such_route))


def _guarded(permission: str, effect: Write) -> Handler:
    """Guard *effect*: it runs only for a known key with *permission*, inside the rate window, while v1 is on."""
    name = f"v1.{permission or 'unknown'}"

    async def handle(request: web.Request) -> web.StreamResponse:
        request[TRACE].route = name
        body = await request.read()
        account = _account(request)
        state = _state(request, account)
        if state == "refused":
            return cut_connection(request)
        if state != "on":
            return V1Refusal(int(state), {"message": "Harvest v1 has ended"}).response()
        if account is None:
            return bad_key().response()
        spent = _spend(account)
        fault = admit(request, account, name, over_limit=spent.retry_after is not None)

        def respond() -> web.Response:
            try:
                if fault is not None and fault.kind == "token_revoked":
                    raise bad_key()
                if permission and permission not in account.greenhouse.harvest_key.permissions:
                    raise not_ticked()
                return effect(account, request, body, fault)
            except V1Refusal as refusal:
                return refusal.response()

        if spent.retry_after is not None:
            response = V1Refusal(429, {"message": "Rate limit exceeded"}).response()
        else:
            response = await carry_out(request, fault, respond)
        headers = spent.headers()
        if spent.retry_after is None:
            del headers["X-RateLimit-Reset"]
        for header, value in headers.items():
            response.headers.setdefault(header, value)
        return response

    return handle


def _read(reading: Reading) -> Write:
    def effect(account: Account, request: web.Request, body: bytes, fault: Fault | None) -> web.Response:
        if body:
            raise not_ticked()
        return reading(account, request, fault)

    return effect


def _account(request: web.Request) -> Account | None:
    """Whose key the request carries: the user of Basic authentication, with an empty password."""
    values = request.headers.getall("Authorization", [])
    scheme, _, encoded = (values[0] if len(values) == 1 else "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return None if password else request.app[WORLD].by_harvest_key(key)


def _state(request: web.Request, account: Account | None) -> str:
    """Whether v1 still answers; for a key that belongs to nobody, any account that moved the switch decides."""
    if account is not None:
        return account.switches.text("v1.state")
    states = [known.switches.text("v1.state") for known in request.app[WORLD].accounts.values()]
    return next((state for state in states if state != "on"), "on")


def _spend(account: Account) -> Spent:
    spent = account.greenhouse.harvest_key.window.spend(
        account.greenhouse.clock.now(),
        limit=account.switches.integer("rate.v1_limit"),
        length_s=WINDOW_S / max(account.switches.number("rate.time_scale"), 1e-9),
        reset_style="window_end",
    )
    account.counts.max_in_window = max(account.counts.max_in_window, spent.calls_in_window)
    return spent


def _no_such_route(_account: Account, _request: web.Request, _body: bytes, _fault: Fault | None) -> web.Response:
    raise not_found()
