"""Start, drain and stop of a service process.

Start: logs, key ring, admin address at once; then the pool and the schema, awaited and not required
at once; then the service's own parts. Stop on SIGTERM or SIGINT: not ready, consumers finish what is
in hand, HTTP servers finish their requests, tasks are cancelled, the pool is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import structlog
from aiohttp import web

from trellis.common.bus.connection import BrokerLink
from trellis.common.bus.publisher import BrokerPublisher
from trellis.common.bus.taking import Taker
from trellis.common.errors import StoreAwayError
from trellis.common.runtime import logs
from trellis.common.runtime.clock import SystemClock
from trellis.common.runtime.health import Health, admin_app
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.metrics import Metrics
from trellis.common.runtime.service import Service
from trellis.common.runtime.settings import Settings, host_and_port
from trellis.common.store import migrate
from trellis.common.store.postgres import Pool, acquired, open_pool

log = structlog.get_logger()

YOUNG_OBJECTS = 10_000
"""New objects after which the collector looks for cycles; at Python's 700 it looks several times a message."""


@dataclass(slots=True, kw_only=True)
class Kit:
    """What a composition root builds its parts from."""

    pool: Pool
    keyring: Keyring
    metrics: Metrics
    health: Health
    clock: SystemClock
    publishing: BrokerLink
    consuming: BrokerLink
    publisher: BrokerPublisher


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a service consists of when it runs.

    Attributes:
        http: Its HTTP API, if it has one.
        consumers: Consumers of the broker; stopped first and waited for.
        tasks: Endless coroutines, cancelled at the stop; one that fails stops the process.
        drains: Awaited at the stop, for at most `drain_seconds`, so that what is under way is recorded.
        closing: Run last, such as closing client sessions.
        http_options: Passed to aiohttp's runner.
    """

    http: web.Application | None = None
    consumers: list[Taker] = field(default_factory=list)
    tasks: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    drains: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    http_options: dict[str, Any] = field(default_factory=dict)


Build = Callable[[Kit], Awaitable[Parts]]


async def serve(service: Service, settings: Settings, build: Build) -> None:
    """Run *service* until it is told to stop; raises what made a task of it fail."""
    logs.configure(service.name, version("trellis-common"), settings.log_level)
    keyring = Keyring.load(settings.keyring_file)
    metrics, health = Metrics(service.name), Health()
    metrics.gauge("build_info", "Version of the running code", ("version",)).labels(version("trellis-common")).set(1)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_listening(admin_app(health, metrics), settings.admin_listen, {}))
        pool = await open_pool(
            settings.database_url.get_secret_value(),
            name=f"trellis-{service.name}",
            size=settings.pool_size,
            schema=service.schema,
        )
        stack.push_async_callback(_close_pool, pool)
        if not await _schema_fits(service, pool, health, stop):
            return
        url = settings.broker_url.get_secret_value()
        publishing = BrokerLink(url, f"trellis-{service.name}-publish")
        consuming = BrokerLink(url, f"trellis-{service.name}-consume")
        kit = Kit(
            pool=pool,
            keyring=keyring,
            metrics=metrics,
            health=health,
            clock=SystemClock(),
            publishing=publishing,
            consuming=consuming,
            publisher=BrokerPublisher(publishing),
        )
        parts = await build(kit)
        health.checks.setdefault("database", lambda: _database_answers(pool))
        await _run_parts(parts, kit, settings, stop)


async def _run_parts(parts: Parts, kit: Kit, settings: Settings, stop: asyncio.Event) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for close in parts.closing:
            stack.push_async_callback(close)
        background = [
            asyncio.ensure_future(coroutine)
            for coroutine in (
                kit.publishing.run(),
                kit.consuming.run(),
                *(task() for task in parts.tasks),
                _watch_loop(kit.metrics),
            )
        ]
        consuming = [asyncio.ensure_future(consumer.run()) for consumer in parts.consumers]
        stopping = asyncio.ensure_future(stop.wait())
        if parts.http is not None:
            await stack.enter_async_context(_listening(parts.http, settings.listen, parts.http_options))
        kit.health.starting = None
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 20)
        log.info("service.started")
        done, _ = await asyncio.wait({stopping, *background, *consuming}, return_when=asyncio.FIRST_COMPLETED)
        kit.health.draining = True
        log.info("service.stopping")
        for consumer in parts.consumers:
            consumer.stop()
        draining = [asyncio.ensure_future(drain()) for drain in parts.drains]
        if consuming or draining:
            await asyncio.wait([*consuming, *draining], timeout=settings.drain_seconds)
        await stack.aclose()  # HTTP servers and client sessions, before the tasks they may wake
        for task in (*background, *consuming, *draining, stopping):
            task.cancel()
        await asyncio.gather(*background, *consuming, *draining, stopping, return_exceptions=True)
        for task in done:
            if task is not stopping and not task.cancelled() and (error := task.exception()) is not None:
                log.error("service.failed", exc_info=error)
                raise error


async def after(first: Callable[[], Awaitable[None]], task: Callable[[], Awaitable[None]]) -> None:
    """Run *task* once *first* is over: for what may not begin before something is known."""
    await first()
    await task()


@contextlib.asynccontextmanager
async def _listening(app: web.Application, listen: str, options: dict[str, Any]) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, **({"keepalive_timeout": 75.0, "shutdown_timeout": 10.0} | options))
    await runner.setup()
    host, port = host_and_port(listen)
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


async def _close_pool(pool: Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def _database_answers(pool: Pool) -> str | None:
    try:
        async with asyncio.timeout(2), acquired(pool) as connection:
            await connection.execute("select 1")
    except (StoreAwayError, TimeoutError):
        return "no answer"
    return None


async def _schema_fits(service: Service, pool: Pool, health: Health, stop: asyncio.Event) -> bool:
    """Wait until the schema has what this code needs; False when told to stop meanwhile."""
    said = None
    while not stop.is_set():
        try:
            async with acquired(pool) as connection:
                missing = await migrate.pending(connection, service.schema, service.migrations)  # type: ignore[arg-type]
                bound = not await connection.fetchval(
                    "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
                )
            if not missing:
                if not bound:
                    log.warning("service.role_passes_policies_by", reason="the login role is a superuser or BYPASSRLS")
                return True
            health.starting = f"waiting for migrations: {', '.join(missing)} (run `trellis migrate`)"
        except StoreAwayError as error:
            health.starting = str(error)
        if health.starting != said:
            said = health.starting
            log.warning("service.waiting", reason=said)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await stop.wait()
    return False


async def _watch_loop(metrics: Metrics) -> None:
    """Measure how late the event loop runs what is due."""
    lag = metrics.gauge("loop_lag_seconds", "How late the event loop ran its last check")
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.5
        await asyncio.sleep(0.5)
        lag.set(max(0.0, loop.time() - due))
