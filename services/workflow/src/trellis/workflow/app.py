"""The composition root of the workflow service: the only place that builds its adapters."""

from __future__ import annotations

from collections.abc import Mapping

from trellis.common.bus.consumer import Consumer
from trellis.common.bus.topology import WORKFLOW
from trellis.common.runtime.lifecycle import Kit, Parts, serve
from trellis.common.runtime.service import Service
from trellis.common.store.outbox import Relay
from trellis.workflow.adapters.postgres_store import PostgresStore
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
        return Parts(
            http=internal_app(kit.pool, kit.keyring, relay.wake), consumers=[consumer], tasks=[relay.run, timers.run]
        )

    await serve(SERVICE, settings, build)


SERVICE = Service(
    name="workflow",
    schema="workflow",
    migrations=("trellis.common.store", "trellis.workflow.adapters"),
    run=run,
)
