"""One history from one seed: people act, things fail, processes die; then the world is kind and the oracle judges."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from simulation import oracle, quiet
from simulation.loop import DeadlockError, SeededLoop
from simulation.patching import EPOCH, installed
from simulation.process import Process
from simulation.twins.ledger import put_brake, release_brake
from simulation.twins.memory import Session
from simulation.world import ACCOUNTS, SERVICES, TEST, World
from trellis.common.contracts import facts as f
from trellis.common.contracts.envelope import Envelope, Message
from trellis.common.contracts.facts import (
    ApplicationSnapshot,
    ApplicationStatus,
    AssessmentSignalled,
    SignalKind,
    Stage,
)
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.domain.readings import Address

KIND_SECONDS = 3000.0
"""How long everything has after the faults to end, wait with a date or be parked; most needs seconds."""
LEAST_MESSAGES = 20
"""People act until so many messages were under way."""
LARGE = 0.06
"""Part of the histories that are large."""
REVIEW, CODING = "Application Review", "Coding Assessment"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one history came to.

    Attributes:
        met: What was met, and how often.
        told: What happened: when, a format and what goes into it.
        messages: How many messages were under way, repeats not counted.
        crashes: How many processes died.
    """

    seed: int
    violations: list[str]
    met: Counter[str]
    told: list[tuple[float, str, tuple[object, ...]]] = field(repr=False)
    applications: int
    messages: int
    crashes: int

    @cached_property
    def story(self) -> list[str]:
        """What happened, in words."""
        return [f"{at:9.3f}  {line.format(*parts)}" for at, line, parts in self.told]


def play(seed: int) -> Outcome:
    """Play the history of *seed* and judge it; garbage is collected between histories only."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _play(seed)
    finally:
        if collects:
            gc.enable()


def _play(seed: int) -> Outcome:
    schedule = random.Random(f"{seed} schedule")  # noqa: S311 - a seed is what makes a history repeatable
    loop = SeededLoop(schedule)
    met: Counter[str] = Counter()
    try:
        with installed(loop.time, random.Random(f"{seed} jitter"), met):  # noqa: S311
            world = World(seed, loop)
            world.met = met
            try:
                loop.play(_History(world).run())
                violations = oracle.judge(world)
            except DeadlockError:
                violations = ["progress: everybody waits for somebody"]
            _end_all(world, loop)
    finally:
        loop.close()
    return Outcome(
        seed=seed,
        violations=violations,
        met=world.met,
        told=world.story,
        applications=sum(len(greenhouse.truth) for greenhouse in world.greenhouses.values()),
        messages=world.message_count,
        crashes=world.crashes,
    )


def _end_all(world: World, loop: SeededLoop) -> None:
    """End what still runs, so that nothing of this history is left for the next one to meet."""
    for running in list(world.running):
        running.process.kill("the end")
    loop.end_all()


class _History:
    """Lets people act upon the vendors, and carries the vendors' webhooks in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.draw = world.draw
        self.acting: list[asyncio.Task[Any]] = []
        self.large = self.draw.random() < LARGE
        self.faulty_seconds = 150.0 if self.large else 50.0 + self.draw.random() * 80.0
        self.braking: set[AccountId] = set()
        self.addresses: dict[tuple[AccountId, str], ApplicationId] = {}
        world.on_invited = self._invited
        world.on_moved = self._moved_by_us

    async def run(self) -> None:
        """Play it to its end."""
        world, draw = self.world, self.draw
        for service in SERVICES:
            for replica in range(draw.choice((1, 2) if self.large else (1, 1, 2))):
                deaths = [draw.randrange(5, 250) for _ in range(draw.choice((0, 1, 1, 2, 3) if self.large else (0, 1)))]
                asyncio.get_running_loop().create_task(world.keep_running(service, replica + 1, deaths))
        self._start(self._outages())
        for account in ACCOUNTS:
            for _ in range(draw.choice((2, 2, 3)) if self.large else draw.choice((1, 1, 1, 1, 2))):
                self._start(self._application(account))
        self._start(self._more())
        await asyncio.sleep(self.faulty_seconds)
        world.faulty = False
        world.broker.come_back()
        world.rejected.clear()
        for memory in world.memories.values():
            memory.away = False
        world.tell("--- from here on nothing fails any more ---")
        ends, wait = world.loop.time() + KIND_SECONDS, 1.0
        while not self._is_quiet() and world.loop.time() < ends:
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, 30.0)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self.acting.append(asyncio.get_running_loop().create_task(work))

    def _is_quiet(self) -> bool:
        """Whether nobody acts any more, no message is under way and no row waits for anything."""
        self.acting = [task for task in self.acting if not task.done()]
        return not self.acting and quiet.is_quiet(self.world)

    # -- what fails besides single requests

    async def _outages(self) -> None:
        world, first = self.world, True
        if self.draw.random() < 0.5:
            self._start(self._brake(self.draw.choice(ACCOUNTS), 10.0 + self.draw.random() * 30.0, after=30.0))
        while world.faulty:
            await asyncio.sleep(
                self.draw.random() * 0.6 * self.faulty_seconds if first else self.draw.expovariate(1 / 25.0)
            )
            if not world.faulty:
                return
            kind = self.draw.choice(("crash", "database", "broker", "cut", "credential", "brake"))
            if first:
                kind, first = "crash", False
            seconds = self.draw.expovariate(1 / 8.0)
            await self._outage(kind, seconds)

    async def _outage(self, kind: str, seconds: float) -> None:
        world, service = self.world, self.draw.choice(SERVICES)
        world.met[f"fault {kind}"] += 1
        if kind == "crash":
            world.kill(service)
        elif kind == "cut":
            world.tell("{}: its broker connections are cut", service)
            for item in list(world.running):
                if item.service == service:
                    item.link.cut()
        elif kind == "database":
            world.tell("{}: its database is away for {:.1f} s", service, seconds)
            world.memories[service].away = True
            await asyncio.sleep(seconds)
            world.memories[service].away = False
        elif kind == "broker":
            world.tell("the broker is away for {:.1f} s", seconds)
            world.broker.go()
            for item in list(world.running):
                item.link.cut()
            await asyncio.sleep(seconds)
            world.broker.come_back()
        elif kind == "brake":
            await self._brake(self.draw.choice(ACCOUNTS), 5.0 + seconds)
        else:
            account = self.draw.choice(ACCOUNTS)
            world.ever_rejected.add(account)
            world.tell("{}: the vendors reject its credentials for {:.1f} s", account, seconds)
            world.rejected.add(account)
            await asyncio.sleep(seconds)
            world.rejected.discard(account)

    async def _brake(self, account: AccountId, seconds: float, *, after: float = 0.0) -> None:
        """A person stops the invites of one account for a while."""
        await asyncio.sleep(self.draw.random() * after)
        world = self.world
        memory = world.memories["assessments"]
        if account in self.braking:
            return
        self.braking.add(account)
        person = Process("a person", self.draw, world.tell, lambda: False)
        try:
            await put_brake(Session(memory, person), account)
        except TransientError:  # it may have been put on all the same
            release_brake(memory, account)
            self.braking.discard(account)
            return
        on = world.loop.time()
        world.tell("{}: a person puts the brake on for {:.1f} s", account, seconds)
        await asyncio.sleep(seconds)
        release_brake(memory, account)
        self.braking.discard(account)
        world.braked.append((account, on, world.loop.time()))

    # -- recruiters

    async def _application(self, account: AccountId) -> None:
        """One application's life, as people lead it."""
        world, greenhouse = self.world, self.world.greenhouses[account]
        await asyncio.sleep(self.draw.random() * 0.4 * self.faulty_seconds)
        start = CODING if self.draw.random() < 0.3 else REVIEW
        view = greenhouse.apply(start, emails=())
        self._address(account, view.id)
        self._changed(account, view.id)
        self._tell(account, f.ApplicationCreated(application=self._snapshot(account, view.id)))
        if start == REVIEW:
            await asyncio.sleep(self.draw.choice((0.2, 1.0, self.draw.random() * 30.0)))
            self._move(account, view.id, CODING)
        for _ in range(self.draw.choice((0, 0, 1, 1, 2, 3))):
            await asyncio.sleep(self.draw.expovariate(1 / 12.0))
            if not world.faulty:
                return
            self._meddle(account, view.id)

    async def _more(self) -> None:
        """People act a little more where little has happened."""
        world = self.world
        await asyncio.sleep(self.faulty_seconds * 0.6)
        while world.faulty and world.message_count < LEAST_MESSAGES:
            account = self.draw.choice(ACCOUNTS)
            known = list(world.greenhouses[account].truth)
            if known:
                self._meddle(account, self.draw.choice(known))
            await asyncio.sleep(self.draw.random() * 2.0)

    def _meddle(self, account: AccountId, application: ApplicationId) -> None:
        world, greenhouse = self.world, self.world.greenhouses[account]
        view = greenhouse.truth[application]
        act = self.draw.choice(("move", "move", "back", "reject", "address", "note", "edit"))
        if act == "address":
            self._address(account, application)
            self._tell(account, f.CandidateUpdated(candidate_id=view.candidate_id))
        elif act == "note":
            greenhouse.person_note(application, "Looks good. [ref tr-000000000000]", world.now())
        elif act == "edit":
            self._tell(account, f.ApplicationUpdated(application=self._snapshot(account, application)))
        elif view.status is ApplicationStatus.REJECTED:
            greenhouse.truth[application] = replace(view, status=ApplicationStatus.ACTIVE)
            greenhouse.enter(application, greenhouse.stage(CODING))
            self._changed(account, application)
            world.tell("{}: a person takes the rejection of {} back", account, application)
            self._tell(account, f.ApplicationUnrejected(application=self._snapshot(account, application)))
        elif act == "reject":
            greenhouse.end(application, ApplicationStatus.REJECTED)
            self._changed(account, application)
            world.tell("{}: a person rejects {}", account, application)
            self._tell(account, f.ApplicationRejected(application=self._snapshot(account, application)))
        elif act == "back":
            self._move(account, application, CODING)
        else:
            self._move(account, application, self.draw.choice(("Recruiter Call", "Onsite", "Offer")))

    def _move(self, account: AccountId, application: ApplicationId, name: str) -> None:
        greenhouse = self.world.greenhouses[account]
        view, stage = greenhouse.truth[application], greenhouse.stage(name)
        if view.stage_id == stage or view.status is not ApplicationStatus.ACTIVE:
            return
        greenhouse.enter(application, stage)
        self._changed(account, application)
        self.world.tell("{}: a person moves {} to {}", account, application, name)
        self._tell(account, f.ApplicationStageChanged(application=self._snapshot(account, application)))

    def _moved_by_us(self, account: AccountId, application: ApplicationId) -> None:
        self._changed(account, application)
        self._tell(account, f.ApplicationStageChanged(application=self._snapshot(account, application)))

    def _changed(self, account: AccountId, application: ApplicationId) -> None:
        """Date the change as Greenhouse does, and note the truth for the oracle."""
        greenhouse, world = self.world.greenhouses[account], self.world
        view = replace(greenhouse.truth[application], last_activity_at=world.now())
        greenhouse.truth[application] = view
        is_active = view.status is ApplicationStatus.ACTIVE
        world.changes.setdefault((account, application), []).append((world.loop.time(), view.stage_id, is_active))

    def _address(self, account: AccountId, application: ApplicationId) -> None:
        greenhouse = self.world.greenhouses[account]
        address = f"p{self.draw.randrange(10**6)}+{application}@mail.example"
        self.addresses[account, address] = application
        candidate = greenhouse.people[greenhouse.truth[application].candidate_id]
        known = (Address(value=address, type="personal"),)
        greenhouse.people[candidate.id] = replace(candidate, addresses=known)
        self.world.tell("{}: {} has a new address", account, application)

    def _snapshot(self, account: AccountId, application: ApplicationId) -> ApplicationSnapshot:
        view = self.world.greenhouses[account].truth[application]
        at = view.last_activity_at
        return ApplicationSnapshot(
            application_id=view.id,
            candidate_id=view.candidate_id,
            job_id=view.job_id,
            stage=None if view.stage_id is None else Stage(id=view.stage_id, name=view.stage_name),
            status=view.status,
            applied_at=view.created_at,
            last_activity_at=None if at is None else at.replace(microsecond=0),
        )

    # -- candidates

    def _invited(self, account: AccountId, address: str) -> None:
        if self.draw.random() < 0.85:
            self._start(self._candidate(account, address))

    async def _candidate(self, account: AccountId, address: str) -> None:
        world, coderbyte = self.world, self.world.coderbytes[account]
        await asyncio.sleep(0.5 + self.draw.random() * 40.0)
        if any(attempt["email"] == address for attempt in coderbyte.attempts):
            return
        coderbyte._at = world.now() - timedelta(minutes=1)  # a joining is dated a minute later
        coderbyte.join(address, TEST)
        world.acted_at[account, address] = world.now()
        world.tell("{}: the candidate {} joins", account, address)
        self._signal(account, SignalKind.STARTED, address)
        if self.draw.random() < 0.1:
            return
        await asyncio.sleep(0.5 + self.draw.random() * 40.0)
        coderbyte.switches["report.not_ready_reads"] = self.draw.choice((0, 0, 1, 2))
        score = self.draw.choice((20, 55, 71, 90))
        coderbyte.submit(address, TEST, final_score=score, code_score=score)
        world.acted_at[account, address] = world.now()
        world.tell("{}: the candidate {} submits, {} of 100", account, address, score)
        self._signal(account, SignalKind.COMPLETED, address)

    def _signal(self, account: AccountId, kind: SignalKind, address: str) -> None:
        if self.world.chance(0.2):
            self.world.met["fault webhook lost"] += 1
            return
        world = self.world
        fact = AssessmentSignalled(
            kind=kind,
            address_hash=world.keyring.address_hash(account, address),
            sealed_body_id=world.uuid(),
            received_at=world.now(),
            assessment_id=AssessmentId(TEST),
        )
        self._tell(account, fact)

    # -- webhooks

    def _tell(self, account: AccountId, fact: Message) -> None:
        """Have the edge take a webhook in: late, more than once, out of order, under another delivery's id."""
        world = self.world
        world.webhooks += 1
        application = getattr(fact, "application", None)
        key = None
        if application is not None:
            stage = application.stage.id if application.stage else None
            at: datetime = application.last_activity_at or EPOCH
            name = type(fact).__name__
            key = f"{name}/{application.application_id}/{stage}/{application.status}/{at.isoformat()}"
        envelope = Envelope(
            id=world.uuid(),
            source="trellis/ingest",
            accountid=account,
            time=world.now(),
            data=fact,
            correlationid=f"c-{world.webhooks}",
            contentkey=key,
        )
        self._start(self._carry(envelope, self.draw.random() ** 3 * 20.0 if world.faulty else 0.05))
        while world.chance(0.15):
            world.met["fault webhook doubled"] += 1
            again = envelope if key is None or self.draw.random() < 0.5 else replace(envelope, id=world.uuid())
            self._start(self._carry(again, self.draw.random() * 40.0))

    async def _carry(self, envelope: Envelope, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.world.accept(envelope)
        self.world.tell("{}: {} enters ({})", envelope.accountid, envelope.type, envelope.id.hex[:6])
