"""The composition root of assessments: the only place that builds concrete adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import aiohttp
import structlog

from trellis.assessments import internal_api
from trellis.assessments.adapters import tombstones
from trellis.assessments.adapters.coderbyte import HttpCoderbyte
from trellis.assessments.adapters.connection_store import API_KEYS, ConnectionStore
from trellis.assessments.adapters.erasure_journal import ErasureJournal
from trellis.assessments.adapters.gatekeeper import GreenhouseGatekeeper
from trellis.assessments.adapters.invite_store import InviteStore
from trellis.assessments.adapters.people_store import PeopleStore
from trellis.assessments.adapters.result_store import ResultStore
from trellis.assessments.adapters.sealed_bodies import IngestBodies
from trellis.assessments.adapters.signal_store import SignalStore
from trellis.assessments.baseline import Baseline
from trellis.assessments.erasing import Erasing
from trellis.assessments.erasure_api import ErasureApi
from trellis.assessments.examination import Examination
from trellis.assessments.gateway import VENDOR, Gateway
from trellis.assessments.handler import Handler
from trellis.assessments.inviting import InviteEffect
from trellis.assessments.reports import Reports
from trellis.assessments.results import SOURCE, ResultPublisher
from trellis.assessments.settings import AssessmentsSettings
from trellis.common.bus.consumer import Consumer
from trellis.common.bus.topology import ASSESSMENTS
from trellis.common.dead_letters.parts import dead_letter_parts
from trellis.common.errors import TransientError
from trellis.common.ledger.api import LedgerApi
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.budget import PostgresBudgets
from trellis.common.ledger.epoch import BrokerMarks, Epoch, Epochs
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.internal import InternalClient
from trellis.common.runtime.lifecycle import Kit, Parts, after, serve
from trellis.common.runtime.resealing import DATA_KEYS, Resealing
from trellis.common.runtime.sealer import Sealer
from trellis.common.runtime.service import Service
from trellis.common.setup.api import add_routes
from trellis.common.setup.faults import PostgresFaults
from trellis.common.setup.part import Part
from trellis.common.setup.watch import Watch
from trellis.common.setup.workflows import LiveWorkflows
from trellis.common.store import inbox
from trellis.common.store.database import PostgresDatabase
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Pool, transaction

log = structlog.get_logger()

NAME = "assessments"
TIDY_SECONDS = 600.0
"""How often old inbox rows are looked for."""


async def run(environ: Mapping[str, str]) -> None:
    """Run the service with *environ* until it is told to stop."""
    settings = AssessmentsSettings.from_env(environ, NAME)

    async def build(kit: Kit) -> Parts:
        return assemble(kit, settings)

    await serve(SERVICE, settings, build)


SERVICE = Service(
    name=NAME,
    schema="assessments",
    migrations=(
        "trellis.common.store",
        "trellis.common.setup",
        "trellis.common.ledger",
        "trellis.common.dead_letters",
        "trellis.assessments.adapters",
    ),
    run=run,
)


def assemble(kit: Kit, settings: AssessmentsSettings) -> Parts:
    """Return what the service consists of."""
    epochs = Epochs(kit.pool)
    epoch = Epoch(epochs, BrokerMarks(kit.publishing, NAME), kit.metrics)
    database, ledger, sealer = (
        PostgresDatabase(kit.pool),
        Ledger(kit.pool, SOURCE, epoch),
        Sealer(kit.keyring),
    )
    connections = ConnectionStore(kit.pool, kit.keyring)
    publisher = ResultPublisher(
        database=database, ledger=ledger, invites=InviteStore(sealer), results=ResultStore(kit.pool, sealer)
    )
    signals, relay = SignalStore(), Relay(database.outbox, kit.publisher, kit.metrics)
    coderbyte, internal = HttpCoderbyte.open(request_seconds=settings.request_seconds), aiohttp.ClientSession()
    breakers = Breakers(VENDOR, kit.metrics)
    gateway = Gateway(coderbyte, PostgresBudgets(kit.pool), kit.metrics, breakers)
    gatekeeper = GreenhouseGatekeeper(
        InternalClient(
            internal,
            settings.greenhouse_actions_url,
            audience="greenhouse-actions",
            caller=NAME,
            keyring=kit.keyring,
        ),
        seconds=settings.internal_seconds,
    )
    effect = InviteEffect(
        database, ledger, gateway, gatekeeper, connections, publisher, kit.keyring, kit.clock,
        request_seconds=settings.request_seconds,
    )  # fmt: skip
    runner = Runner(
        ledger, [effect], relay, kit.metrics, breakers=breakers, lease=timedelta(seconds=settings.lease_seconds)
    )
    reports = Reports(
        database, ledger, gateway, Baseline(gateway, kit.keyring), connections, publisher, signals,
        IngestBodies(
            InternalClient(internal, settings.ingest_url, audience="ingest", caller=NAME, keyring=kit.keyring),
            seconds=settings.internal_seconds,
        ),
        relay, kit.metrics, kit.clock, tick_seconds=settings.tick_seconds,
        lease=timedelta(seconds=2 * (settings.request_seconds + settings.lease_seconds)),
    )  # fmt: skip
    erasing = Erasing(database=database, ledger=ledger, people=PeopleStore(sealer), source=SOURCE)
    handler = Handler(database, ledger, connections, publisher, signals, erasing, runner, reports, relay, kit.metrics)
    brakes = Brakes(kit.pool)

    def changed() -> None:
        runner.wake()
        relay.wake()

    api = internal_api.Api(
        pool=kit.pool, ledger=ledger, brakes=brakes, effects=LedgerApi(kit.pool, ledger, brakes, changed), connections=connections, publisher=publisher,
        signals=signals, gateway=gateway, runner=runner, reports=reports, relay=relay,
    )  # fmt: skip
    dead = dead_letter_parts(kit, ASSESSMENTS, database, relay.wake)
    examination = Examination(
        store=connections,
        gateway=gateway,
        workflows=LiveWorkflows(
            InternalClient(internal, settings.workflow_url, audience="workflow", caller=NAME, keyring=kit.keyring)
        ),
        brakes=brakes,
        part=Part(
            NAME, settings.broker_url.get_secret_value(), ASSESSMENTS, database.outbox, epochs, letters=dead.letters
        ),
        clock=kit.clock,
    )
    every = timedelta(seconds=settings.setup_seconds)
    setup = Watch(examination, PostgresFaults(kit.pool), kit.metrics, every=every)
    http = internal_api.application(api, kit.keyring)
    add_routes(http, setup)
    dead.api.add_routes(http)
    ErasureApi(database=database, journal=ErasureJournal(), relay=relay).add_routes(http)
    return Parts(
        http=http,
        consumers=[Consumer(kit.consuming, kit.publisher, ASSESSMENTS, handler.handle_batch, kit.metrics), dead.taker],
        tasks=[
            lambda: after(epoch.first_look, runner.run),
            epoch.run,
            reports.run,
            relay.run,
            setup.run,
            dead.watch.run,
            lambda: _tidy(kit.pool),
            Resealing(kit.pool, kit.keyring, [DATA_KEYS, API_KEYS], kit.metrics).run,
        ],
        drains=[runner.drain],
        closing=[coderbyte.close, internal.close],
    )


async def _tidy(pool: Pool) -> None:
    """Forget messages taken in longer ago than any redelivery comes."""
    while True:
        try:
            async with transaction(pool) as connection:
                await inbox.forget_old(connection)
                await tombstones.forget_old(connection)
        except TransientError as error:
            log.warning("tidy.waiting", reason=str(error))
        await asyncio.sleep(TIDY_SECONDS)
