"""Composition root of `ingest`: the only place that builds its concrete parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog
from aiohttp import web

from trellis.common.bus.consumer import Consumer
from trellis.common.bus.topology import INGEST
from trellis.common.dead_letters.api import DeadLettersApi
from trellis.common.dead_letters.parts import dead_letter_parts
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.runtime.health import Check
from trellis.common.runtime.http import tenancy
from trellis.common.runtime.lifecycle import Kit, Parts, serve
from trellis.common.runtime.resealing import DATA_KEYS, Resealing
from trellis.common.runtime.sealer import Sealer
from trellis.common.runtime.service import Service
from trellis.common.runtime.tokens import guard
from trellis.common.setup.api import add_routes
from trellis.common.setup.faults import PostgresFaults
from trellis.common.setup.part import Part
from trellis.common.setup.watch import Watch
from trellis.common.store import inbox
from trellis.common.store.database import PostgresDatabase
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.ingest.adapters.endpoint_store import SEALED_BY_THE_RING, PostgresEndpointStore
from trellis.ingest.adapters.registry import PostgresRegistry
from trellis.ingest.adapters.sealed_bodies import PostgresSealedBodies
from trellis.ingest.adapters.spool_store import PostgresSpool
from trellis.ingest.delivery import Outlet
from trellis.ingest.endpoints import Endpoints
from trellis.ingest.erasures import Erasures
from trellis.ingest.examination import Examination
from trellis.ingest.internal_api import InternalApi, errors_as_json
from trellis.ingest.listener import Bounds, Listener, watched
from trellis.ingest.receiver import Limits, Receiver
from trellis.ingest.record import Recorder
from trellis.ingest.settings import IngestSettings
from trellis.ingest.spool import Drain, purge_expired
from trellis.ingest.usage import SilenceWatch, Usage

log = structlog.get_logger()

NAME: Final = "ingest"
TIDY_SECONDS: Final = 600.0
"""How often old inbox rows are looked for."""


async def run(environ: Mapping[str, str]) -> None:
    """Run the service with the environment *environ* until it is told to stop.

    Raises:
        SettingsError: Variables are missing or wrong; all of them are named.
    """
    settings = IngestSettings.from_env(environ, NAME)

    async def assemble(kit: Kit) -> Parts:
        return build(kit, settings)

    await serve(SERVICE, settings, assemble)


def build(kit: Kit, settings: IngestSettings) -> Parts:
    """Return the parts of the running service."""
    store = PostgresEndpointStore(kit.pool, kit.keyring)
    spool = PostgresSpool(kit.pool, wait_seconds=settings.spool_seconds)
    bodies = PostgresSealedBodies(
        kit.pool,
        Sealer(kit.keyring),
        keep=timedelta(days=settings.body_keep_days),
        wait_seconds=settings.spool_seconds,
    )
    usage = Usage(store)
    endpoints = Endpoints(
        store,
        cache_seconds=settings.endpoint_cache_seconds,
        wait_seconds=settings.spool_seconds,
        monotonic=time.monotonic,
    )
    receiver = Receiver(
        endpoints=endpoints,
        outlet=Outlet(
            kit.publisher,
            spool,
            confirm_seconds=settings.confirm_seconds,
            bypass_after_count=settings.bypass_after_count,
            bypass_seconds=settings.bypass_seconds,
            monotonic=time.monotonic,
            metrics=kit.metrics,
        ),
        bodies=bodies,
        keyring=kit.keyring,
        clock=kit.clock,
        limits=Limits(
            body_bytes=settings.max_body_bytes,
            read_seconds=settings.read_timeout_seconds,
            in_flight=settings.max_in_flight,
        ),
        recorder=Recorder(kit.metrics, max_accounts=settings.max_accounts),
        note_use=usage.note,
        note_refusal=usage.note_refusal,
    )
    internal = InternalApi(
        registry=PostgresRegistry(kit.pool, kit.keyring),
        bodies=bodies,
        endpoints=endpoints,
        base_url=settings.base_url,
        silences=store.silences,
    )
    database = PostgresDatabase(kit.pool)
    relay = Relay(database.outbox, kit.publisher, kit.metrics)
    dead = dead_letter_parts(kit, INGEST, database, relay.wake)
    part = Part(NAME, settings.broker_url.get_secret_value(), INGEST, database.outbox, letters=dead.letters)
    erasures = Erasures(database, bodies)
    setup = Watch(
        Examination(store, spool, part, kit.clock),
        PostgresFaults(kit.pool),
        kit.metrics,
        every=timedelta(seconds=settings.setup_seconds),
    )
    listener = _listener(kit, settings, receiver, internal, setup, dead.api)
    drain = Drain(spool, kit.publisher, kit.metrics)
    kit.health.checks["database"] = _broker_or_spool(kit)
    return Parts(
        consumers=[Consumer(kit.consuming, kit.publisher, INGEST, erasures.handle_batch, kit.metrics), dead.taker],
        tasks=[
            listener.run,
            drain.run,
            relay.run,
            dead.watch.run,
            usage.run,
            SilenceWatch(store, kit.metrics).run,
            setup.run,
            lambda: purge_expired(bodies),
            lambda: _tidy(kit.pool),
            Resealing(kit.pool, kit.keyring, [DATA_KEYS, *SEALED_BY_THE_RING], kit.metrics).run,
        ],
        closing=[usage.flush, listener.close],
    )


async def _tidy(pool: Pool) -> None:
    """Forget messages taken in longer ago than any redelivery comes."""
    while True:
        try:
            async with transaction(pool) as connection:
                await inbox.forget_old(connection)
        except TransientError as error:
            log.warning("tidy.waiting", reason=str(error))
        await asyncio.sleep(TIDY_SECONDS)


def _listener(
    kit: Kit, settings: IngestSettings, receiver: Receiver, internal: InternalApi, setup: Watch, dead: DeadLettersApi
) -> Listener:
    """Return the HTTP listener; ours and not the lifecycle's, which has no bounds for strangers."""
    app = web.Application(middlewares=[watched])
    receiver.add_routes(app)
    inside = web.Application(middlewares=[guard(kit.keyring, NAME), errors_as_json, tenancy])
    internal.add_routes(inside)
    add_routes(inside, setup, prefix="/v1")
    dead.add_routes(inside, prefix="/v1")
    app.add_subapp("/internal", inside)
    bounds = Bounds(
        head_seconds=settings.read_timeout_seconds,
        head_bytes=settings.max_header_bytes,
        connections=settings.max_connections,
    )
    return Listener(app, settings.listen, bounds, drain_seconds=settings.drain_seconds)


def _broker_or_spool(kit: Kit) -> Check:
    """Return the readiness check: one of the two places a fact can go to is there."""

    async def check() -> str | None:
        if kit.publishing.is_up:
            return None
        try:
            async with acquired(kit.pool) as connection:
                await connection.execute("select 1", timeout=2.0)
        except StoreAwayError:
            return "neither broker nor spool"
        return None

    return check


SERVICE: Final = Service(
    name=NAME,
    schema=NAME,
    migrations=(
        "trellis.common.store",
        "trellis.common.setup",
        "trellis.common.dead_letters",
        "trellis.ingest.adapters",
    ),
    run=run,
)
"""What the `trellis` command finds by entry point."""
