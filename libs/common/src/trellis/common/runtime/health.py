"""Liveness, readiness and metrics, on an address of their own that is never exposed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from trellis.common.runtime.metrics import Metrics

Check = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else what is missing."""


@dataclass(slots=True)
class Health:
    """What readiness depends on; empty and not draining means ready."""

    checks: dict[str, Check] = field(default_factory=dict)
    starting: str | None = "starting"
    draining: bool = False

    async def missing(self) -> dict[str, str]:
        """Return what keeps the service from being ready: name of the check -> what is missing."""
        if self.draining:
            return {"stop": "draining"}
        if self.starting is not None:
            return {"start": self.starting}
        found = {}
        for name, check in self.checks.items():
            said = await check()
            if said is not None:
                found[name] = said
        return found


def admin_app(health: Health, metrics: Metrics) -> web.Application:
    """Return the application that serves `/health/live`, `/health/ready` and `/metrics`."""

    async def live(_request: web.Request) -> web.Response:
        """Answer while the event loop turns."""
        return web.json_response({"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        """Tell whether work can be done, and what is missing; 503 if anything is."""
        missing = await health.missing()
        status = 503 if missing else 200
        return web.json_response({"status": "not ready" if missing else "ready", "missing": missing}, status=status)

    async def exposition(request: web.Request) -> web.Response:
        """Tell the metrics, as OpenMetrics where that is accepted."""
        openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
        kind = (
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
            if openmetrics
            else "text/plain; version=0.0.4; charset=utf-8"
        )
        return web.Response(body=metrics.expose(openmetrics=openmetrics), headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", exposition)
    return app
