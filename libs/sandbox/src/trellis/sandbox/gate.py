"""The way into every vendor route: counts, the call log, and faults around the effect.

A handler is given as a function that makes the effect and returns the answer; this module decides whether it runs
before, after or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from trellis.sandbox.faults import Fault
from trellis.sandbox.world import Account, World

WORLD = web.AppKey("world", World)
STOPPING = web.AppKey("stopping", asyncio.Event)
LATE: web.AppKey[set[asyncio.Future[web.Response]]] = web.AppKey("late", set)
"""Calls that hang and whose effect is still to come."""

Respond = Callable[[], web.Response]

_HTML = "<html><head><title>{0}</title></head><body><h1>{0} Server Error</h1></body></html>"
_PRE = {"429", "500", "502", "503", "cut_before", "204_without_effect", "hang_cut"}


@dataclass
class Trace:
    """What the call log says of a request; handlers fill it in."""

    request_id: str
    account: Account | None = None
    route: str = "unknown"
    fault: str | None = None
    cut: bool = False
    """Whether the connection was cut instead of an answer."""


TRACE = web.RequestKey("trace", Trace)


@web.middleware
async def log_calls(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give each vendor answer an `X-Request-Id`, and count and log the call."""
    if request.path.startswith("/control") or request.path.startswith("/health"):
        return await handler(request)
    world = request.app[WORLD]
    trace = Trace(world.calls.request_id())
    request[TRACE] = trace
    at = world.clock.now()
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.json_response({"message": error.reason}, status=error.status)
    if not response.prepared:
        response.headers["X-Request-Id"] = trace.request_id
    status = "cut" if trace.cut else str(response.status)
    if trace.account is not None:
        trace.account.counts.by_status[status] += 1
    world.calls.add(
        at=at,
        account=trace.account.name if trace.account else None,
        route=trace.route,
        method=request.method,
        path=request.path_qs,
        status=status,
        request_id=trace.request_id,
        fault=trace.fault,
    )
    return response


def admit(request: web.Request, account: Account, route: str, *, over_limit: bool = False) -> Fault | None:
    """Count a call of *route* for *account* and take the fault that is due for it.

    A call over the rate limit never reaches the route, so it uses up no fault.
    """
    account.counts.by_route[route] += 1
    fault = None if over_limit else account.faults.take(route)
    trace = request[TRACE]
    trace.account, trace.route, trace.fault = account, route, fault.kind if fault else None
    return fault


async def carry_out(request: web.Request, fault: Fault | None, respond: Respond) -> web.Response:
    """Run *respond*, with *fault* in its way.

    Args:
        request: The call.
        fault: What `admit` returned. Kinds that only the handler understands are left to it.
        respond: Makes the effect and builds the answer; it does not wait, so an effect is never half done.
    """
    if fault is None:
        return respond()
    if fault.kind in _PRE:
        return await _without_effect(request, fault)
    if fault.kind == "hang":
        # Shielded, because the effect comes late but comes, also when the caller has given up by then.
        late = asyncio.ensure_future(_late(request, fault.seconds, respond))
        request.app[LATE].add(late)
        late.add_done_callback(request.app[LATE].discard)
        return await asyncio.shield(late)
    response = respond()
    match fault.kind:
        case "500_after":
            return _html(500)
        case "502_after":
            return _html(502)
        case "hang_after":
            await _wait(request, fault.seconds)
        case "cut_after":
            return _cut(request)
        case "truncated_json":
            return _truncated(response)
        case _:
            pass
    return response


async def _without_effect(request: web.Request, fault: Fault) -> web.Response:
    match fault.kind:
        case "429":
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return web.json_response({"message": "Too Many Requests"}, status=429, headers=headers)
        case "503":
            headers = {"Retry-After": str(fault.retry_after or 1)}
            return web.json_response({"message": "Service Unavailable"}, status=503, headers=headers)
        case "500" | "502":
            return _html(int(fault.kind))
        case "204_without_effect":
            return web.Response(status=204)
        case "hang_cut":
            await _wait(request, fault.seconds)
            return _cut(request)
        case _:
            return _cut(request)


async def _late(request: web.Request, seconds: float, respond: Respond) -> web.Response:
    await _wait(request, seconds)
    return respond()


async def _wait(request: web.Request, seconds: float) -> None:
    """Wait, but not beyond the end of the sandbox."""
    try:
        async with asyncio.timeout(seconds):
            await request.app[STOPPING].wait()
    except TimeoutError:
        return


def cut_connection(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    return _cut(request)


def _cut(request: web.Request) -> web.Response:
    request[TRACE].cut = True
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _html(status: int) -> web.Response:
    return web.Response(status=status, text=_HTML.format(status), content_type="text/html")


def _truncated(response: web.Response) -> web.Response:
    body = response.body if isinstance(response.body, bytes) and response.body else b'{"id": 1'
    status = response.status if response.status != 204 else 200
    return web.Response(status=status, body=body[: max(1, len(body) // 2)], content_type="application/json")
