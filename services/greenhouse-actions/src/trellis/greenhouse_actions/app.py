"""The composition root: the only place that builds this service's concrete parts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import aiohttp
import structlog

from trellis.common.bus.consumer import Consumer
from trellis.common.bus.topology import GREENHOUSE_ACTIONS
from trellis.common.dead_letters.parts import dead_letter_parts
from trellis.common.errors import StoreAwayError
from trellis.common.ledger.api import LedgerApi
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.breakers import Breakers
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
from trellis.common.store.postgres import Pool, acquired
from trellis.greenhouse_actions.adapters.candidate_store import CandidateStore
from trellis.greenhouse_actions.adapters.checkup import Checkup
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore
from trellis.greenhouse_actions.adapters.harvest_v1 import HarvestV1
from trellis.greenhouse_actions.adapters.harvests import LiveHarvests
from trellis.greenhouse_actions.adapters.http import HttpClients
from trellis.greenhouse_actions.adapters.http_harvest import Shared
from trellis.greenhouse_actions.adapters.known_store import KnownStore
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.adapters.mint import HttpMint
from trellis.greenhouse_actions.adapters.named_stages import NamedStages
from trellis.greenhouse_actions.adapters.own_moves import LedgerMoves
from trellis.greenhouse_actions.adapters.reconciliation_store import ReconciliationStore
from trellis.greenhouse_actions.adapters.stage_cache import StageCache
from trellis.greenhouse_actions.adapters.standing_store import StandingStore
from trellis.greenhouse_actions.adapters.tokens import Tokens
from trellis.greenhouse_actions.adapters.trial import HttpTrial
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.display import Display
from trellis.greenhouse_actions.examination import Examination
from trellis.greenhouse_actions.handler import Handler
from trellis.greenhouse_actions.internal_api import NAME, Api, application
from trellis.greenhouse_actions.invites import Invites
from trellis.greenhouse_actions.links import AssessmentsLinks
from trellis.greenhouse_actions.moves import MoveEffect
from trellis.greenhouse_actions.notes import NoteEffect
from trellis.greenhouse_actions.observer import SOURCE, Observer
from trellis.greenhouse_actions.pauses import LedgerPauses
from trellis.greenhouse_actions.reading import Reader
from trellis.greenhouse_actions.reconciler import Reconciler
from trellis.greenhouse_actions.settings import GreenhouseActionsSettings

log = structlog.get_logger()

_WATCH_SECONDS: Final = 5.0
_FORGET_EVERY: Final = 60


async def run(environ: Mapping[str, str]) -> None:
    """Run the service with *environ* until it is told to stop."""
    settings = GreenhouseActionsSettings.from_env(environ, NAME)

    async def build(kit: Kit) -> Parts:
        return _build(kit, settings)

    await serve(SERVICE, settings, build)


SERVICE: Final = Service(
    name=NAME,
    schema="greenhouse_actions",
    migrations=(
        "trellis.common.store",
        "trellis.common.setup",
        "trellis.common.ledger",
        "trellis.common.dead_letters",
        "trellis.greenhouse_actions.adapters",
    ),
    run=run,
)


def _build(kit: Kit, settings: GreenhouseActionsSettings) -> Parts:
    http = HttpClients(connections=settings.vendor_connections, write_seconds=settings.request_seconds)
    internal = aiohttp.ClientSession()
    epochs = Epochs(kit.pool)
    epoch = Epoch(epochs, BrokerMarks(kit.publishing, NAME), kit.metrics)
    sealer, ledger, measures = Sealer(kit.keyring), Ledger(kit.pool, SOURCE, epoch), Measures(kit.metrics)
    store = ConnectionStore(kit.pool, sealer, ledger)
    breakers = Breakers(VENDOR, kit.metrics)
    shared = Shared(
        http=http,
        breakers=breakers,
        tokens=Tokens(kit.pool, sealer, HttpMint(http)),
        measures=measures,
        account_calls=settings.account_calls,
    )
    harvests = LiveHarvests(kit.pool, store, shared)
    pauses = LedgerPauses(kit.pool, ledger)
    database, known = PostgresDatabase(kit.pool), KnownStore(kit.pool)
    relay = Relay(database.outbox, kit.publisher, kit.metrics)
    links = AssessmentsLinks(
        InternalClient(internal, settings.assessments_url, audience="assessments", caller=NAME, keyring=kit.keyring)
    )
    seconds, reader = settings.request_seconds, Reader()
    notes = NoteEffect(
        harvests, LedgerMoves(kit.pool), CandidateStore(kit.pool), links, pauses, reader, request_seconds=seconds
    )
    moves = MoveEffect(harvests, StageCache(kit.pool), pauses, reader, request_seconds=seconds)
    lease = timedelta(seconds=settings.lease_seconds)
    runner = Runner(ledger, [notes, moves], relay, kit.metrics, breakers=breakers, lease=lease)
    observer = Observer(known, harvests, pauses, relay, kit.clock)
    reconciliations = ReconciliationStore(kit.pool)
    reconciler = Reconciler(reconciliations, harvests, pauses, relay, measures, lease=10 * lease)
    standings = StandingStore(kit.pool, ledger)
    display = Display(standings, harvests, runner, kit.clock)
    handler = Handler(database, ledger, known, standings, runner, observer, relay)

    def changed() -> None:
        runner.wake()
        relay.wake()

    brakes = Brakes(kit.pool)
    dead = dead_letter_parts(kit, GREENHOUSE_ACTIONS, database, relay.wake)
    examination = Examination(
        store=store,
        checkups=lambda connection: Checkup(connection, harvests.budget(connection), shared),
        workflows=LiveWorkflows(
            InternalClient(internal, settings.workflow_url, audience="workflow", caller=NAME, keyring=kit.keyring)
        ),
        stages=NamedStages(kit.pool),
        reconciliations=reconciliations,
        standings=standings,
        brakes=brakes,
        breakers=breakers,
        part=Part(
            NAME,
            settings.broker_url.get_secret_value(),
            GREENHOUSE_ACTIONS,
            database.outbox,
            epochs,
            letters=dead.letters,
        ),
        clock=kit.clock,
    )
    every = timedelta(seconds=settings.setup_seconds)
    setup = Watch(examination, PostgresFaults(kit.pool), kit.metrics, every=every)
    api = Api(
        pool=kit.pool,
        store=store,
        effects=LedgerApi(kit.pool, ledger, brakes, changed),
        invites=Invites(harvests, store, pauses),
        runner=runner,
        observer=observer,
        reconciliations=reconciliations,
        reconciler=reconciler,
        trial=HttpTrial(HttpMint(http), lambda connection: HarvestV1(connection, harvests.budget(connection), shared)),
    )
    http_api = application(api, kit.keyring)
    add_routes(http_api, setup)
    dead.api.add_routes(http_api)
    return Parts(
        http=http_api,
        consumers=[Consumer(kit.consuming, kit.publisher, GREENHOUSE_ACTIONS, handler.handle, kit.metrics), dead.taker],
        tasks=[
            lambda: after(epoch.first_look, runner.run),
            epoch.run,
            relay.run,
            observer.run,
            reconciler.run,
            lambda: after(epoch.first_look, display.run),
            setup.run,
            dead.watch.run,
            Resealing(kit.pool, kit.keyring, [DATA_KEYS], kit.metrics).run,
            lambda: _watch(kit.pool, store, reconciliations, measures),
        ],
        drains=[runner.drain],
        closing=[http.close, internal.close],
    )


async def _watch(pool: Pool, store: ConnectionStore, reconciliations: ReconciliationStore, measures: Measures) -> None:
    """Show paused connections and the reconciler's progress, and forget old inbox rows, until cancelled."""
    passes = 0
    while True:
        try:
            measures.paused(await store.paused())
            measures.reconciled(await reconciliations.progress())
            if passes % _FORGET_EVERY == 0:
                async with acquired(pool) as database:
                    await inbox.forget_old(database)
        except StoreAwayError as error:
            log.warning("watch.waiting", reason=str(error))
        passes += 1
        await asyncio.sleep(_WATCH_SECONDS)
