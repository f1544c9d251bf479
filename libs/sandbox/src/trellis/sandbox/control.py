"""The control API: creating accounts, driving people, breaking things, and counting what happened.

It is for tests and demonstrations, asks for no credential and belongs on a loopback address.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from trellis.sandbox import accounts, effects
from trellis.sandbox.bodies import Body, ControlError, Json
from trellis.sandbox.coderbyte import candidates
from trellis.sandbox.faults import call_fault, webhook_fault
from trellis.sandbox.gate import WORLD
from trellis.sandbox.greenhouse import admins, recruiters
from trellis.sandbox.people import Verb
from trellis.sandbox.webhooks import first_attempts, send_again, sent_since
from trellis.sandbox.world import Account, World

VERBS: dict[str, Verb] = {**recruiters.VERBS, **admins.VERBS, **candidates.VERBS}
"""Everything people can do, by the last part of `/control/accounts/{name}/people/{verb}`."""

Answer = Json | list[Json]
Act = Callable[[World, web.Request, Body], Awaitable[Answer]]
AccountAct = Callable[[Account, web.Request, Body], Awaitable[Answer]]


def add_routes(app: web.Application) -> None:
    """Mount the control API below `/control`."""
    add = app.router.add_route
    add("POST", "/control/reset", _control(reset))
    add("PUT", "/control/time", _control(set_time))
    add("GET", "/control/calls", _control(list_calls))
    add("POST", "/control/resend_webhook", _control(resend_webhook))
    add("GET", "/control/accounts", _control(list_accounts))
    add("POST", "/control/accounts", _control(create_account))
    one = "/control/accounts/{name}"
    add("GET", one, _account(tell_account))
    add("POST", f"{one}/jobs", _account(add_job))
    add("POST", f"{one}/assessments", _account(add_assessment))
    add("GET", f"{one}/webhooks", _account(list_webhooks))
    add("POST", f"{one}/webhooks", _account(add_webhooks))
    add("DELETE", f"{one}/webhooks", _account(delete_webhooks))
    add("PATCH", f"{one}/webhooks/{{id:\\d+}}", _account(edit_webhook))
    add("POST", f"{one}/people/{{verb}}", _account(act))
    add("GET", f"{one}/switches", _account(tell_switches))
    add("PUT", f"{one}/switches", _account(set_switches))
    add("GET", f"{one}/faults", _account(list_faults))
    add("POST", f"{one}/faults", _account(add_faults))
    add("DELETE", f"{one}/faults", _account(clear_faults))
    add("PUT", f"{one}/webhook_faults", _account(put_webhook_faults))
    add("DELETE", f"{one}/webhook_faults", _account(clear_webhook_faults))
    add("GET", f"{one}/effects", _account(tell_effects))
    add("GET", f"{one}/mailbox", _account(tell_mailbox))
    add("GET", f"{one}/applications", _account(list_applications))
    add("GET", f"{one}/applications/{{id:\\d+}}", _account(tell_application))
    add("GET", f"{one}/deliveries", _account(list_deliveries))


# The world ------------------------------------------------------------------------------------------------------


async def reset(world: World, _request: web.Request, _body: Body) -> Answer:
    """Forget everything."""
    await world.reset()
    return {"reset": True}


async def set_time(world: World, _request: web.Request, body: Body) -> Answer:
    """`advance_s` moves the clock; `time_scale` sets `hook.time_scale` of all accounts, also of later ones."""
    world.clock.advance(body.number("advance_s", 0))
    scale = body.optional_number("time_scale")
    if scale is not None:
        world.time_scale = scale
        for account in world.accounts.values():
            account.switches.set("hook.time_scale", scale)
    return {"now": world.clock.now().isoformat(), "time_scale": world.time_scale}


async def list_calls(world: World, request: web.Request, _body: Body) -> Answer:
    """The log of vendor calls; `?account=` and `?route=` narrow it."""
    wanted = {name: request.query[name] for name in ("account", "route") if name in request.query}
    return [c for c in world.calls.entries() if all(c[name] == value for name, value in wanted.items())]


async def resend_webhook(world: World, _request: web.Request, body: Body) -> Answer:
    """Send a delivery's bytes `times` more (default 1): `account`, `delivery_id` (default the last), `event_id`."""
    account = world.account(body.text("account", next(iter(world.accounts), "")))
    delivery = account.deliveries.find(body.optional_integer("delivery_id"))
    if delivery is None:
        raise ControlError("no such delivery", 404)
    is_new = body.text("event_id", "same") == "new"
    again = [send_again(account, delivery, new_event_id=is_new) for _ in range(body.integer("times", 1))]
    if world.dispatcher.is_running:
        await first_attempts(again)
    return [each.describe() for each in again]


async def list_accounts(world: World, request: web.Request, _body: Body) -> Answer:
    """All accounts, as after their creation."""
    return [accounts.tell_account(account, _base(request)) for account in world.accounts.values()]


async def create_account(world: World, request: web.Request, body: Body) -> Answer:
    """A new account; answers with its ids and secrets."""
    return accounts.tell_account(accounts.create_account(world, body), _base(request))


# One account ----------------------------------------------------------------------------------------------------


async def tell_account(account: Account, request: web.Request, _body: Body) -> Answer:
    """The account as after its creation, with what changed since."""
    return accounts.tell_account(account, _base(request))


async def add_job(account: Account, _request: web.Request, body: Body) -> Answer:
    """A further job."""
    return accounts.add_job(account, body)


async def add_assessment(account: Account, _request: web.Request, body: Body) -> Answer:
    """A further assessment."""
    return accounts.add_assessment(account, body)


async def list_webhooks(account: Account, _request: web.Request, _body: Body) -> Answer:
    """The registered webhooks."""
    return accounts.tell_webhooks(account)


async def add_webhooks(account: Account, _request: web.Request, body: Body) -> Answer:
    """Register webhooks; Greenhouse's are pinged."""
    return await accounts.add_webhooks(account, body)


async def delete_webhooks(account: Account, _request: web.Request, _body: Body) -> Answer:
    """Remove all webhooks of both vendors."""
    account.greenhouse.hooks.clear()
    account.coderbyte.webhook_urls.clear()
    return []


async def edit_webhook(account: Account, request: web.Request, body: Body) -> Answer:
    """Change `url`, `secret` or `enabled` of a Greenhouse webhook; saving pings it."""
    hook = account.greenhouse.hooks.get(int(request.match_info["id"]))
    if hook is None:
        raise ControlError("no such webhook", 404)
    hook.url, hook.secret = body.text("url", hook.url), body.text("secret", hook.secret)
    await accounts.ping(account, [hook])
    hook.enabled = hook.enabled and body.flag("enabled", True)
    return accounts.tell_hook(hook)


async def act(account: Account, request: web.Request, body: Body) -> Answer:
    """A person does something; unless `?wait=0`, the answer comes after the first try of each webhook it fires."""
    verb = VERBS.get(request.match_info["verb"])
    if verb is None:
        raise ControlError(f"unknown verb; known: {', '.join(sorted(VERBS))}", 404)
    before = account.world.dispatcher.last_id
    result = verb(account, body)
    sent = sent_since(account, before)
    if request.query.get("wait", "1") != "0" and account.world.dispatcher.is_running:
        await first_attempts(sent)
    return {**result, "deliveries": [delivery.describe() for delivery in sent]}


async def tell_switches(account: Account, _request: web.Request, _body: Body) -> Answer:
    """Every switch and its position."""
    return dict(account.switches.positions())


async def set_switches(account: Account, _request: web.Request, body: Body) -> Answer:
    """Set the switches named; null puts one back."""
    accounts.set_switches(account, body)
    return dict(account.switches.positions())


async def list_faults(account: Account, _request: web.Request, _body: Body) -> Answer:
    """The faults that wait for calls and for webhooks."""
    return {"calls": account.faults.describe(), "webhooks": account.webhook_faults.describe()}


async def add_faults(account: Account, _request: web.Request, body: Body) -> Answer:
    """Queue a fault, or several in `faults`."""
    faults = [call_fault(each) for each in _several(body)]
    for fault in faults:
        account.faults.add(fault)
    return account.faults.describe()


async def clear_faults(account: Account, _request: web.Request, _body: Body) -> Answer:
    """Forget the faults that wait for calls."""
    account.faults.clear()
    return []


async def put_webhook_faults(account: Account, _request: web.Request, body: Body) -> Answer:
    """Replace the faults that wait for webhooks."""
    faults = [webhook_fault(each) for each in _several(body)]
    account.webhook_faults.clear()
    for fault in faults:
        account.webhook_faults.add(fault)
    return account.webhook_faults.describe()


async def clear_webhook_faults(account: Account, _request: web.Request, _body: Body) -> Answer:
    """Forget the faults that wait for webhooks."""
    account.webhook_faults.clear()
    return []


async def tell_effects(account: Account, _request: web.Request, _body: Body) -> Answer:
    """What really happened."""
    return effects.tell_effects(account)


async def tell_mailbox(account: Account, _request: web.Request, _body: Body) -> Answer:
    """The invites that arrived at candidates."""
    return account.coderbyte.mailbox


async def list_applications(account: Account, _request: web.Request, _body: Body) -> Answer:
    """Every application in a few words."""
    return effects.tell_applications(account)


async def tell_application(account: Account, request: web.Request, _body: Body) -> Answer:
    """One application in full."""
    return effects.tell_state(account, int(request.match_info["id"]))


async def list_deliveries(account: Account, request: web.Request, _body: Body) -> Answer:
    """The webhook delivery log; `?bodies=1` adds the bodies."""
    with_body = request.query.get("bodies", "0") == "1"
    return [d.describe(with_body=with_body) for d in account.deliveries.entries]


# Plumbing -------------------------------------------------------------------------------------------------------


def _control(act_on: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            answer = await act_on(request.app[WORLD], request, await _body(request))
        except ControlError as error:
            return web.json_response({"error": error.message}, status=error.status)
        return web.json_response(answer)

    return handle


def _account(act_on: AccountAct) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def on_world(world: World, request: web.Request, body: Body) -> Answer:
        return await act_on(world.account(request.match_info["name"]), request, body)

    return _control(on_world)


async def _body(request: web.Request) -> Body:
    raw = await request.read()
    if not raw:
        return Body()
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise ControlError("the body is not JSON", 400) from error
    return Body({"faults": value}) if isinstance(value, list) else Body.of(value)


def _several(body: Body) -> list[Body]:
    found = body.items("faults")
    return [body] if found is None else [Body.of(item) for item in found]


def _base(request: web.Request) -> str:
    return str(request.url.origin())
