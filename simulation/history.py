"""One history from one plan: people act, things fail, processes die; then the world is kind and the oracle judges."""

from __future__ import annotations

import asyncio
import gc
import random
from dataclasses import dataclass, field
from functools import cached_property

from simulation import oracle, quiet
from simulation.by_hand import act_by_hand
from simulation.coverage import Met
from simulation.erasing import erase_people
from simulation.loop import DeadlockError, SeededLoop
from simulation.oracle_of_poison import poison
from simulation.patching import installed
from simulation.people import People
from simulation.plan import Outage, Plan, draw_plan
from simulation.poison import see_to_parked, send_poison
from simulation.process import Process
from simulation.restoring import restore_databases
from simulation.reusing import apply_again
from simulation.reviewing import review_while_read
from simulation.slips import slip_now_and_then
from simulation.tagging import tag_people
from simulation.twins.ledger import MemoryLedger, put_brake, release_brake
from simulation.twins.memory import Row, Session
from simulation.versions import live_with_versions
from simulation.world import World
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError, TransientError
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence, State
from trellis.workflow.internal_api import acceptance

KIND_SECONDS = 3000.0
"""How long everything has after the faults to end, wait with a date or be parked; most needs seconds."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one history came to.

    Attributes:
        plan: What it was to bring.
        met: What was met, and how often.
        told: What happened: when, a format and what goes into it.
        messages: How many messages were under way, repeats not counted.
        crashes: How many processes died.
    """

    plan: Plan
    violations: list[str]
    met: Met
    told: list[tuple[float, str, tuple[object, ...]]] = field(repr=False)
    applications: int
    messages: int
    crashes: int

    @cached_property
    def story(self) -> list[str]:
        """What happened, in words."""
        return [f"{at:9.3f}  {line.format(*parts)}" for at, line, parts in self.told]


def play(seed: int) -> Outcome:
    """Play the history of *seed* and judge it."""
    return play_plan(draw_plan(seed))


def play_plan(plan: Plan) -> Outcome:
    """Play *plan* and judge what came of it; garbage is collected between histories only."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _play(plan)
    finally:
        if collects:
            gc.enable()


def _play(plan: Plan) -> Outcome:
    schedule = random.Random(f"{plan.seed} schedule")  # noqa: S311 - a seed is what makes a history repeatable
    loop = SeededLoop(schedule)
    world = World(plan, loop)
    try:
        with installed(world, random.Random(f"{plan.seed} jitter")):  # noqa: S311 - the same
            try:
                loop.play(_History(world, plan).run())
                violations = oracle.judge(world)
            except DeadlockError:
                violations = ["progress: everybody waits for somebody"]
            lines, crashes = list(world.story), world.crashes
            _end_all(world, loop)
    finally:
        loop.close()
    return Outcome(
        plan=plan,
        violations=violations,
        met=world.coverage.met,
        told=lines,
        applications=len(world.changes),
        messages=world.message_count,
        crashes=crashes,
    )


def _end_all(world: World, loop: SeededLoop) -> None:
    """End what still runs, so that nothing of this history is left for the next one to meet."""
    for running in list(world.running):
        running.process.kill("the end")
    loop.end_all()


class _History:
    """Starts processes and people, lets things fail, and waits until all is dealt with."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.draw = world.draw
        self.plan = plan
        self.people = People(world, plan)
        self.braking: set[AccountId] = set()

    async def run(self) -> None:
        """Play it to its end."""
        world, loop = self.world, asyncio.get_running_loop()
        for number, replica in enumerate(self.plan.replicas, start=1):
            loop.create_task(world.keep_running(replica.service, number, replica.deaths))
        for outage in self.plan.outages:
            self.people.start(self._outage(outage))
        for life in self.plan.lives:
            self.people.start(self.people.live(life))
        self.people.start(self.people.do_more())
        if self.plan.reconciles:
            self.people.start(self._answer_offers())
        if self.plan.by_hand:
            self.people.start(act_by_hand(world, self.people, self.plan.seed))
        if self.plan.slips:
            self.people.start(slip_now_and_then(world, self.people, self.plan.seed))
        if self.plan.reviews:
            review_while_read(world, self.people, self.plan.seed)
        if self.plan.erases:
            self.people.start(erase_people(world, self.people, self.plan.seed))
        if self.plan.backup_at is not None:
            self.people.start(restore_databases(world, self.people, self.plan))
        if self.plan.through_v1 is not None:
            self.people.start(live_with_versions(world, self.people, self.plan))
        if self.plan.poisons:
            self.people.start(send_poison(world, self.plan.seed))
            self.people.start(see_to_parked(world, self.plan.seed, lambda: not list(poison(world))))
        if self.plan.tags:
            self.people.start(tag_people(world, self.plan.seed))
        if self.plan.reuse_seconds is not None:
            self.people.start(apply_again(world, self.people, self.plan.seed))
        await asyncio.sleep(self.plan.faulty_seconds)
        world.calm()
        ends, wait = world.loop.time() + KIND_SECONDS, 1.0
        while not (self.people.are_done and quiet.is_quiet(world)) and world.loop.time() < ends:
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, 30.0)

    async def _outage(self, outage: Outage) -> None:
        await asyncio.sleep(outage.at)
        world, target, seconds = self.world, outage.target, outage.seconds
        if not world.faulty:
            return
        match outage.kind:
            case "crash":
                world.kill(target)
            case "order":
                await self._order(AccountId(target))
            case "brake":
                await self._brake(AccountId(target), seconds)
            case "connections cut":
                world.coverage.fault(outage.kind)
                world.tell("{}: its broker connections are cut", target)
                world.cut(target)
            case "database away":
                world.coverage.fault(outage.kind, seconds)
                world.tell("{}: its database is away for {:.1f} s", target, seconds)
                world.memories[target].away = True
                await asyncio.sleep(seconds)
                world.memories[target].away = False
            case "broker away":
                world.coverage.fault(outage.kind, seconds)
                world.tell("the broker is away for {:.1f} s", seconds)
                world.broker.go()
                world.cut(None)
                await asyncio.sleep(seconds)
                world.broker.come_back()
            case "webhooks off":
                world.coverage.fault(outage.kind, seconds)
                world.tell("{}: Greenhouse sends no webhooks for {:.1f} s", target, seconds)
                world.untold.add(AccountId(target))
                await asyncio.sleep(seconds)
                world.untold.discard(AccountId(target))
            case "vendor away":
                account, vendor = target.split(maxsplit=1)
                world.coverage.fault(outage.kind, seconds)
                world.tell("{}: its {} does not answer for {:.1f} s", account, vendor, seconds)
                world.lines.away.add((AccountId(account), vendor))
                await asyncio.sleep(seconds)
                world.lines.away.discard((AccountId(account), vendor))
            case "sees nothing":
                world.coverage.fault(outage.kind, seconds)
                world.ever_rejected.add(AccountId(target))
                world.tell("{}: the service user sees nothing for {:.1f} s", target, seconds)
                world.greenhouses[AccountId(target)].is_blind = True
                await asyncio.sleep(seconds)
                world.greenhouses[AccountId(target)].is_blind = False
            case _:
                account = AccountId(target)
                world.coverage.fault(outage.kind, seconds)
                world.ever_rejected.add(account)
                world.tell("{}: the vendors reject its credentials for {:.1f} s", account, seconds)
                world.rejected.add(account)
                await asyncio.sleep(seconds)
                world.rejected.discard(account)

    def _person(self) -> Process:
        return Process("a person", self.draw, self.world.tell, lambda: False)

    async def _brake(self, account: AccountId, seconds: float) -> None:
        """A person stops the invites of one account for a while."""
        world = self.world
        memory = world.memories["assessments"]
        if account in self.braking:
            return
        self.braking.add(account)
        try:
            await put_brake(Session(memory, self._person()), account)
        except TransientError:  # it may have been put on all the same
            release_brake(memory, account)
            self.braking.discard(account)
            return
        on = world.loop.time()
        world.coverage.fault("brake", seconds)
        world.tell("{}: a person puts the brake on for {:.1f} s", account, seconds)
        await asyncio.sleep(seconds)
        release_brake(memory, account)
        self.braking.discard(account)
        world.braked.append((account, on, world.loop.time()))

    async def _answer_offers(self) -> None:
        """A person looks now and then, and says yes to some entries that were found too late to be acted upon."""
        world = self.world
        session = Session(world.memories["workflow"], self._person())
        while world.faulty:
            await asyncio.sleep(5.0 + self.draw.random() * 25.0)
            for (account, application), row in list(session.memory.table("application").items()):
                offered = row["state"].offered
                if offered is None or not world.chance(0.5, "yes"):
                    continue
                world.accepts[account, application] += 1
                world.accepted_at[account, application] = world.loop.time()
                world.tell("{}: a person says yes to the entry of {}", account, application)
                said = acceptance(account, application, offered)
                await _say(session, said)

    async def _order(self, account: AccountId) -> None:
        """A person who looked into the vendors' own pages confirms, orders again or gives up what is held."""
        world, person = self.world, self._person()
        for service in ("assessments", "greenhouse-actions"):
            rows = world.memories[service].table("intent").values()
            held = [row for row in rows if row["account"] == account and row["state"] in (State.IN_DOUBT, State.PARKED)]
            for row in held:
                happened = world.happened(row)
                choices = (Occurrence.RESENT, Occurrence.DROPPED)
                occurrence = Occurrence.CONFIRMED if happened else self.draw.choice(choices)
                if occurrence is Occurrence.DROPPED:
                    world.given_up.add(row["id"])
                try:
                    state = await _ordered(Session(world.memories[service], person), row, occurrence)
                except (TransientError, ConflictError):
                    continue
                if state is not None:
                    world.tell("{}: a person orders of {}: {}", account, row["id"], occurrence.value)


async def _say(session: Session, said: Envelope) -> None:
    """Say yes, again until it is known to have been heard."""
    while True:
        try:
            async with session.transaction() as connection:
                await session.put_out(connection, [said])
        except TransientError:
            await asyncio.sleep(1.0)
            continue
        return


async def _ordered(session: Session, row: Row, occurrence: Occurrence) -> State | None:
    """Do what the ledger's API does with a person's order."""
    ledger = MemoryLedger(session, "trellis/person")
    async with session.transaction() as connection:
        held = await ledger.held(connection, row["id"], row["account"])
        if held is None:
            return None
        change = Change(occurrence=occurrence, reason="a person ordered it", kind="person")
        return await ledger.record(connection, held, held.attempt, change)
