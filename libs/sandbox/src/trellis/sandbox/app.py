"""The sandbox as an aiohttp application: both vendors and the control API on one port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from trellis.sandbox import control
from trellis.sandbox.coderbyte import api as coderbyte
from trellis.sandbox.gate import LATE, STOPPING, WORLD, log_calls
from trellis.sandbox.greenhouse import api as greenhouse
from trellis.sandbox.world import World

MAX_BODY_BYTES = 4 * 1024 * 1024


def create_app(world: World | None = None) -> web.Application:
    """An application over *world*, or over an empty new one; it can be mounted by any aiohttp runner."""
    app = web.Application(middlewares=[log_calls], client_max_size=MAX_BODY_BYTES)
    app[WORLD] = world or World()
    app[STOPPING] = asyncio.Event()
    app[LATE] = set()
    app.router.add_get("/health/ready", _ready)
    app.router.add_get("/health/live", _ready)
    greenhouse.add_routes(app)
    coderbyte.add_routes(app)
    control.add_routes(app)
    app.cleanup_ctx.append(_deliveries)
    app.on_shutdown.append(_stop_waiting)
    return app


async def _ready(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ready"})


async def _deliveries(app: web.Application) -> AsyncIterator[None]:
    await app[WORLD].dispatcher.start()
    yield
    await app[WORLD].dispatcher.stop()


async def _stop_waiting(app: web.Application) -> None:
    """Let go of calls that hang on purpose."""
    app[STOPPING].set()
