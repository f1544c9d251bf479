"""Builds the services as their `app.py` do, on twins: every shell and core is the real one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from aiohttp import web

from simulation.calls import asked
from simulation.definitions import definition
from simulation.epochs import once_looked, watch, works_of
from simulation.metrics import METRICS
from simulation.poison import sickened, taking
from simulation.process import KilledError, Process
from simulation.twins import assessments as at
from simulation.twins import greenhouse_actions as gt
from simulation.twins import ingest as it
from simulation.twins.broker import Link, MemoryPublisher
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Session
from simulation.twins.people import MemoryPeople
from simulation.twins.standings import MemoryStandings
from simulation.twins.workflow import MemoryStore
from simulation.vendors import REQUEST_SECONDS, SimulatedBudgets, SimulatedCoderbyte, SimulatedHarvests
from trellis.assessments.adapters.gatekeeper import Clearance, stage_of
from trellis.assessments.baseline import Baseline
from trellis.assessments.domain import invites as ours
from trellis.assessments.erasing import Erasing
from trellis.assessments.gateway import Gateway
from trellis.assessments.handler import Handler as AssessmentsHandler
from trellis.assessments.inviting import InviteEffect
from trellis.assessments.reports import Reports
from trellis.assessments.results import SOURCE as ASSESSMENTS_SOURCE
from trellis.assessments.results import ResultPublisher
from trellis.common.bus.consumer import Consumer
from trellis.common.bus.topology import ASSESSMENTS, GREENHOUSE_ACTIONS, INGEST, WORKFLOW
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, CommandId, StageId, Visit
from trellis.common.errors import TransientError
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.runner import Runner
from trellis.common.runtime.clock import SystemClock
from trellis.common.store.outbox import Relay
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.display import Display
from trellis.greenhouse_actions.domain.invites import Asked, Invitable
from trellis.greenhouse_actions.handler import Handler as ActionsHandler
from trellis.greenhouse_actions.invites import Invites
from trellis.greenhouse_actions.moves import MoveEffect
from trellis.greenhouse_actions.notes import NoteEffect
from trellis.greenhouse_actions.observer import SOURCE as ACTIONS_SOURCE
from trellis.greenhouse_actions.observer import Observer
from trellis.greenhouse_actions.reading import Reader
from trellis.greenhouse_actions.reconciler import Reconciler
from trellis.ingest.delivery import Outlet
from trellis.ingest.endpoints import Endpoints, Vendor
from trellis.ingest.erasures import Erasures
from trellis.ingest.receiver import Limits, Receiver
from trellis.ingest.record import Answer
from trellis.ingest.spool import Drain
from trellis.workflow.handler import Handler as WorkflowHandler
from trellis.workflow.timers import Timers

if TYPE_CHECKING:
    from simulation.world import World

LEASE = timedelta(seconds=30)


@dataclass
class Running:
    """One process of one service.

    Attributes:
        wakes: What a poll of each kind of loop would do.
        invites: What greenhouse-actions answers others with; None elsewhere.
        receive: Answers a webhook, and tells the fact that was published; None elsewhere.
    """

    service: str
    process: Process
    link: Link
    wakes: dict[str, Callable[[], None]]
    invites: Invites | None = None
    receive: Callable[[web.Request, Vendor], Coroutine[Any, Any, tuple[web.Response, Envelope | None]]] | None = None

    def wake(self, name: str) -> None:
        """Have the loop called *name* look now, if there is one."""
        wake = self.wakes.get(name)
        if wake is not None:
            wake()


def start_service(world: World, service: str, process: Process) -> Running:
    """Start *process* as one of *service*."""
    return _BUILDERS[service](world, process)


def _kit(world: World, service: str, process: Process) -> tuple[Link, MemoryPublisher]:
    return Link(world.broker, process), MemoryPublisher(world.broker, process, world.chance)


def _go(process: Process, *works: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    async def guarded(work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        try:
            await work()
        except KilledError:
            return
        except Exception as error:  # noqa: BLE001 - as in production: the process ends and is started again
            process.kill(f"its own {type(error).__name__}: {error}")

    for work in works:
        process.start(guarded(work))


def _workflow(world: World, process: Process) -> Running:
    link, publisher = _kit(world, "workflow", process)
    store = MemoryStore(world.memories["workflow"], process, definition(world.settle_seconds))
    relay = Relay(store.outbox, publisher, METRICS)
    handler = WorkflowHandler(store, relay, METRICS)
    timers, woken = Timers(store, handler, METRICS), asyncio.Event()
    handle = sickened(world, process, WORKFLOW, handler.handle_batch)
    consumer = Consumer(cast(Any, link), publisher, WORKFLOW, handle, METRICS, batch_size=20)

    async def fire() -> None:
        while True:
            try:
                await timers.fire()
            except TransientError:
                await asyncio.sleep(1.0)
                continue
            await woken.wait()
            woken.clear()

    _go(process, consumer.run, relay.run, fire, *taking(world, link, publisher, WORKFLOW, store))
    return Running("workflow", process, link, {"relay": relay.wake, "timers": woken.set})


class _Bodies:
    """Asks ingest for a sealed body, within one process; see `Bodies`."""

    def __init__(self, world: World, process: Process) -> None:
        session = Session(world.memories["ingest"], process)
        self._kept = it.MemoryBodies(session, keep=timedelta(days=30), wait_seconds=1.0)

    async def address(self, account: AccountId, body: UUID) -> str | None:
        """See `Bodies.address`."""
        found = await self._kept.open(account, body)
        return None if found is None else str(json.loads(found)["email"])


def _assessments(world: World, process: Process) -> Running:
    link, publisher = _kit(world, "assessments", process)
    session = Session(world.memories["assessments"], process)
    epoch = watch(world, "assessments", session)
    ledger, connections = (
        MemoryLedger(session, ASSESSMENTS_SOURCE, epoch),
        at.MemoryOrganizations(session, world.organizations),
    )
    results = ResultPublisher(
        database=session, ledger=ledger, invites=at.MemoryInvites(), results=at.MemoryResults(session)
    )
    signals, relay = at.MemorySignals(), Relay(session.outbox, publisher, METRICS)
    breakers = Breakers("coderbyte", METRICS)
    gateway = Gateway(SimulatedCoderbyte(world, process), SimulatedBudgets(world), METRICS, breakers)
    keyring = world.keyring
    effect = InviteEffect(
        session, ledger, gateway, SimulatedGatekeeper(world, process), connections, results, keyring, SystemClock(),
        request_seconds=REQUEST_SECONDS,
    )  # fmt: skip
    runner = Runner(ledger, [effect], relay, METRICS, breakers=breakers, lease=LEASE)
    reports = Reports(
        session, ledger, gateway, Baseline(gateway, keyring), connections, results, signals, _Bodies(world, process), relay, METRICS, SystemClock(),
        tick_seconds=1e7,
    )  # fmt: skip
    handler = AssessmentsHandler(
        session,
        ledger,
        connections,
        results,
        signals,
        Erasing(database=session, ledger=ledger, people=MemoryPeople(), source=ASSESSMENTS_SOURCE),
        runner,
        reports,
        relay,
        METRICS,
    )
    handle = sickened(world, process, ASSESSMENTS, handler.handle_batch)
    consumer = Consumer(cast(Any, link), publisher, ASSESSMENTS, handle, METRICS, batch_size=20)
    taken = taking(world, link, publisher, ASSESSMENTS, session)
    _go(process, consumer.run, once_looked(epoch, runner.run), reports.run, relay.run, *taken, *works_of(epoch))
    wakes = {"runner": runner.wake, "reports": reports.wake, "relay": relay.wake}
    return Running("assessments", process, link, wakes)


def _greenhouse_actions(world: World, process: Process) -> Running:
    link, publisher = _kit(world, "greenhouse-actions", process)
    session = Session(world.memories["greenhouse-actions"], process)
    epoch = watch(world, "greenhouse-actions", session)
    ledger, known = MemoryLedger(session, ACTIONS_SOURCE, epoch), gt.MemoryKnown(session)
    breakers = Breakers("greenhouse", METRICS)
    pauses, harvests = gt.MemoryPauses(session, ledger), SimulatedHarvests(world, process, breakers)
    relay = Relay(session.outbox, publisher, METRICS)
    reader = Reader()
    notes = NoteEffect(
        harvests, gt.MemoryMoves(session), gt.MemoryCandidates(session), SimulatedLinks(world, process), pauses, reader,
        request_seconds=REQUEST_SECONDS,
    )  # fmt: skip
    moves = MoveEffect(harvests, gt.MemoryStages(session), pauses, reader, request_seconds=REQUEST_SECONDS)
    runner = Runner(ledger, [notes, moves], relay, METRICS, breakers=breakers, lease=LEASE)
    observer = Observer(known, harvests, pauses, relay, SystemClock())
    standings = MemoryStandings(
        session, ledger, lambda account: timedelta(seconds=world.connections[account].settings.standing_delay),
        lambda account: world.connections[account].revision,
    )  # fmt: skip
    display = Display(standings, harvests, runner, SystemClock())
    handler = ActionsHandler(session, ledger, known, standings, runner, observer, relay)
    consumer = Consumer(cast(Any, link), publisher, GREENHOUSE_ACTIONS, handler.handle, METRICS, batch_size=20)
    stored = gt.MemoryReconciliations(session, world.connections)
    reconciler, woken = Reconciler(stored, harvests, pauses, relay, Measures(METRICS)), asyncio.Event()

    async def reconcile() -> None:
        while world.reconciles:
            try:
                while await reconciler.step():
                    pass
            except TransientError:
                await asyncio.sleep(1.0)
                continue
            await woken.wait()
            woken.clear()

    taken = taking(world, link, publisher, GREENHOUSE_ACTIONS, session)
    _go(
        process, consumer.run, once_looked(epoch, runner.run), relay.run, observer.run,
        once_looked(epoch, display.run), reconcile, *taken, *works_of(epoch),
    )  # fmt: skip
    invites = Invites(harvests, pauses, pauses)
    wakes = {
        "runner": runner.wake, "observer": observer.wake, "relay": relay.wake, "reconciler": woken.set,
        "display": display.wake,
    }  # fmt: skip
    return Running("greenhouse-actions", process, link, wakes, invites)


def _ingest(world: World, process: Process) -> Running:
    link, publisher = _kit(world, "ingest", process)
    session = Session(world.memories["ingest"], process)
    spool, recorder = it.MemorySpool(session, wait_seconds=1.0), LastAnswer()
    endpoints = Endpoints(it.MemoryEndpoints(session), cache_seconds=30.0, wait_seconds=0.5, monotonic=time.monotonic)
    outlet = Outlet(
        publisher, spool, confirm_seconds=0.5, bypass_after_count=3, bypass_seconds=5.0, monotonic=time.monotonic,
        metrics=METRICS,
    )  # fmt: skip
    bodies = it.MemoryBodies(session, keep=timedelta(days=30), wait_seconds=1.0)
    erasures = Erasures(session, bodies)
    consumer = Consumer(cast(Any, link), publisher, INGEST, erasures.handle_batch, METRICS)
    receiver = Receiver(
        endpoints=endpoints, outlet=outlet, bodies=bodies, keyring=world.keyring,
        clock=SystemClock(), limits=Limits(body_bytes=10**6, read_seconds=10.0, in_flight=100),
        recorder=cast(Any, recorder), note_use=lambda endpoint, secret, at: None, note_refusal=lambda endpoint, reason, at: None,
    )  # fmt: skip
    drain, woken = Drain(spool, publisher, METRICS), asyncio.Event()

    async def drain_spool() -> None:
        while True:
            try:
                while await drain.drain_pending():
                    pass
            except TransientError:
                await asyncio.sleep(1.0)
                continue
            await woken.wait()
            woken.clear()

    async def receive(request: web.Request, vendor: Vendor) -> tuple[web.Response, Envelope | None]:
        response = await receiver.receive_webhook(request, vendor)
        return response, recorder.fact

    relay, taken = Relay(session.outbox, publisher, METRICS), taking(world, link, publisher, INGEST, session)
    _go(process, drain_spool, consumer.run, *taken, *((relay.run,) if taken else ()))
    return Running("ingest", process, link, {"drain": woken.set, "relay": relay.wake}, receive=receive)


_BUILDERS = {
    "ingest": _ingest,
    "workflow": _workflow,
    "assessments": _assessments,
    "greenhouse-actions": _greenhouse_actions,
}


class LastAnswer:
    """Remembers the fact of the answer that was given last; the twin of `Recorder`."""

    def __init__(self) -> None:
        self.fact: Envelope | None = None

    def record(self, answer: Answer, *, route: str, seconds: float) -> None:
        """See `Recorder.record`."""
        self.fact = answer.fact


class SimulatedGatekeeper:
    """Asks greenhouse-actions, wherever it runs now; see `Gatekeeper`."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def clear(self, account: AccountId, intents: Sequence[Intent]) -> Clearance:
        """See `Gatekeeper.clear`."""
        started = time.monotonic()
        await self._process.step("a question to greenhouse-actions")
        other = self._world.process_of("greenhouse-actions")
        if other is None or other.invites is None or self._world.chance(0.02, "call failed"):
            raise TransientError("greenhouse-actions cannot be reached")
        questions = [
            Asked(application_id=item.application_id, stage_id=StageId(stage_of(item)), visit=item.visit)
            for item in intents
        ]
        said = await asked(other.process, other.invites.judge(account, questions))
        await self._process.step("greenhouse-actions' answer")
        for item in intents:
            self._world.on_cleared(account, item.application_id)
        verdicts: dict[CommandId, ours.Verdict] = {}
        for item in intents:
            verdict = said.verdicts[item.application_id]
            if isinstance(verdict, Invitable):
                verdicts[item.id] = ours.Invitable(address=verdict.address, candidate_id=verdict.candidate_id)
            else:
                verdicts[item.id] = verdict
        return Clearance(verdicts=verdicts, read_at=min(started, time.monotonic() - said.read_age.total_seconds()))


class SimulatedLinks:
    """Tells no links, and sometimes nothing; see `ReportLinks`."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def link(
        self, account: AccountId, application: ApplicationId, visit: Visit, assessment: AssessmentId
    ) -> str | None:
        """See `ReportLinks.link`."""
        await self._process.step("a question to assessments")
        if self._world.chance(0.03, "call failed"):
            raise TransientError("assessments cannot be reached")
        return None
