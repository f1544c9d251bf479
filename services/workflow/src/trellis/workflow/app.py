"""The composition root of the workflow service: the only place that builds its adapters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from trellis.common.bus.consumer import Consumer
from trellis.common.bus.topology import WORKFLOW
from trellis.common.dead_letters.parts import dead_letter_parts
from trellis.common.runtime.lifecycle import Kit, Parts, serve
from trellis.common.runtime.service import Service
from trellis.common.setup.api import add_routes
from trellis.common.setup.faults import PostgresFaults
from trellis.common.setup.part import Part
from trellis.common.setup.watch import Watch
from trellis.common.store.outbox import Relay
from trellis.workflow.adapters.postgres_store import PostgresStore
from trellis.workflow.examination import Examination
from trellis.workflow.handler import Handler
from trellis.workflow.internal_api import internal_app
from trellis.workflow.settings import WorkflowSettings
from trellis.workflow.timers import Timers


async def run(environ: Mapping[str, str]) -> None:
    """Run the service with the settings in *environ* until it is told to stop."""
    settings = WorkflowSettings.from_env(environ, SERVICE.name)

    async def build(kit: Kit) -> Parts:
        store = PostgresStore(kit.pool)
        relay = Relay(store.outbox, kit.publisher, kit.metrics)
        handler = Handler(store, relay, kit.metrics)
        consumer = Consumer(
            kit.consuming,
            kit.publisher,
            WORKFLOW,
            handler.handle_batch,
            kit.metrics,
            batch_size=settings.batch_size,
            batch_wait_seconds=settings.batch_wait_seconds,
        )
        timers = Timers(store, handler, kit.metrics)
        dead = dead_letter_parts(kit, WORKFLOW, store, relay.wake)
        part = Part(SERVICE.name, settings.broker_url.get_secret_value(), WORKFLOW, store.outbox, letters=dead.letters)
        every = timedelta(seconds=settings.setup_seconds)
        setup = Watch(Examination(store, part), PostgresFaults(kit.pool), kit.metrics, every=every)
        http = internal_app(kit.pool, kit.keyring, relay.wake)
        add_routes(http, setup)
        dead.api.add_routes(http)
        return Parts(
            http=http,
            consumers=[consumer, dead.taker],
            tasks=[relay.run, timers.run, setup.run, dead.watch.run],
        )

    await serve(SERVICE, settings, build)


SERVICE = Service(
    name="workflow",
    schema="workflow",
    migrations=(
        "trellis.common.store",
        "trellis.common.setup",
        "trellis.common.dead_letters",
        "trellis.workflow.adapters",
    ),
    run=run,
)
