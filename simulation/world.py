"""One simulated world: two accounts with their vendors, three databases, a broker, and the services' processes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.fakes.coderbyte import CoderbyteTwin
from tests.fakes.harvest import FakeHarvest

from simulation.alarm import alarms
from simulation.connections import KEYRING, connection, organization
from simulation.coverage import FAULTS, Coverage, transition
from simulation.definitions import definition
from simulation.lines import Lines
from simulation.patching import EPOCH
from simulation.plan import SERVICES, Plan
from simulation.poison import Poison
from simulation.process import Process
from simulation.services import Running, start_service
from simulation.twins.broker import Broker
from simulation.twins.memory import Memory, Row
from simulation.vendors import Done
from simulation.webhooks import ENDPOINTS
from trellis.assessments.domain.invites import InviteRequest
from trellis.common.contracts.commands import Action
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    StageId,
    note_marker,
)
from trellis.common.ledger.states import Occurrence, State
from trellis.greenhouse_actions.domain.requests import Route

ACCOUNTS = (AccountId("acme"), AccountId("globex"))
KEEP_OFF = "No Trellis"
NO_CHANCE = 0.3
"""Part of the writes that a vendor refuses in the histories where it does."""
TEST, OTHER_TEST = "backend-1", "frontend-1"


class World:
    """Everything there is in one history.

    Attributes:
        faulty: Faults happen now; once it is cleared the world is kind.
        ever_rejected: Those that it was ever true of.
        paused: Accounts that were seen paused.
        webhooks: How many facts the vendors told, repeats not counted.
        crashes: How many processes died.
        acted_at: When the candidate with an address did something in Coderbyte last.
        moves_left: Applications for which a move of ours left, whether it arrived or not.
        braked: Account, when a brake on it was on, and when it was taken off.
        rejected: Accounts whose credentials the vendors reject now.
        lines: What each process asked of the vendors, and who does not answer.
        untold: Accounts whose webhooks Greenhouse does not send now.
        behind_seconds: How late Greenhouse's lists show a change.
        tagged: When a tag that keeps Trellis off an application's candidate was put on and taken away.
        given_scores: When the person of an address was given which score, in the order in which it happened.
        merged_addresses: Addresses of candidates who were merged into others.
        merged: Applications whose candidate was merged into another.
        through_v1: The account that is, or was, connected through Harvest v1; None is none.
        restores: The databases are put back to a backup.
        marks: The marks of epochs that the broker has, by service.
        wrote_at: When a write of each service left last, whether it arrived or not.
        put_back_at: When the databases were put back; None before.
        erased_before: Addresses of those who were erased then.
        invited_since: Addresses that were invited since the backup, of which no hash is known.
        ended_at: When a person ended the restored mode of each service.
        forgotten: What the log had that was put back, by stream and version.
        given_up: Effects that a person gave up, or tried to.
        accepts: How often a person said yes to an application's offered entry.
        accepted_at: When a person last did.
        accepted: Every fact that entered (since the databases were put back, where they were), by the id under which it was accepted first.
        done: What the vendors carried out for us, in order.
        deleted: Applications that a person deleted.
        addresses: Every address that a candidate has had.
        erased: Those of them whose person was deleted or anonymised since.
        erased_by_hand: Candidates of whom a person ordered that nothing is kept.
        anonymized: Applications whose candidate was anonymised or erased by hand: their invites are given up.
        poisons: Messages come that cannot be handled.
        poison: Those that did.
        reviewed: The score that a reviewer gave last, of addresses whose webhook of it got through.
        story: What happened: when, a format and what goes into it.
        coverage: What was met.
    """

    def __init__(self, plan: Plan, loop: Any) -> None:
        self.draw = random.Random(plan.seed)  # noqa: S311 - a seed is what makes a history repeatable
        self.loop = loop
        self.coverage = Coverage(loop.time)
        self.without = plan.without
        self._seconds, self._now = 0.0, EPOCH
        self.keyring = KEYRING
        self.faulty = True
        self.rejected: set[AccountId] = set()
        self.lines = Lines()
        self.line = self.lines.line
        self.untold: set[AccountId] = set()
        self.given_up: set[UUID] = set()
        self.tagged: dict[tuple[AccountId, ApplicationId], list[tuple[float, bool]]] = {}
        self.given_scores: dict[tuple[AccountId, str], list[tuple[float, int]]] = {}
        self.merged: set[tuple[AccountId, ApplicationId]] = set()
        self.merged_addresses: set[tuple[AccountId, str]] = set()
        self.reuse_seconds = plan.reuse_seconds
        self.restores = plan.backup_at is not None
        self.marks: dict[str, set[UUID]] = {name: set() for name in SERVICES}
        self.wrote_at: dict[str, float] = {}
        self.put_back_at: float | None = None
        self.ended_at: dict[str, float] = {}
        self.erased_before: frozenset[tuple[AccountId, str]] = frozenset()
        self.invited_since: frozenset[tuple[AccountId, str]] = frozenset()
        self.forgotten: dict[Any, Row] = {}
        self._backup: dict[str, dict[str, dict[Any, Row]]] = {}
        self.backed_up_at = 0.0
        self.accepts: Counter[tuple[AccountId, ApplicationId]] = Counter()
        self.accepted_at: dict[tuple[AccountId, ApplicationId], float] = {}
        self.ever_rejected: set[AccountId] = set()
        self.paused: set[AccountId] = set()
        self.moves_left: set[tuple[AccountId, ApplicationId]] = set()
        self.braked: list[tuple[AccountId, float, float]] = []
        self.accepted: list[Envelope] = []
        self.done: list[Done] = []
        self.story: list[tuple[float, str, tuple[object, ...]]] = []
        self.deleted: set[tuple[AccountId, ApplicationId]] = set()
        self.addresses: dict[tuple[AccountId, CandidateId], set[str]] = {}
        self.erased: set[tuple[AccountId, str]] = set()
        self.erased_by_hand: set[tuple[AccountId, CandidateId]] = set()
        self.anonymized: set[tuple[AccountId, ApplicationId]] = set()
        self.reviewed: dict[tuple[AccountId, str], int] = {}
        self.reconciles = plan.reconciles
        self.poisons, self.poison = plan.poisons, Poison()
        self.behind_seconds = plan.behind_seconds
        self.refuses = plan.refuses
        self._refusals = random.Random(f"{plan.seed} no")  # noqa: S311 - a seed is what makes a history repeatable
        self.lists_pending = plan.lists_pending
        self.sluggish = plan.sluggish
        self.settle_seconds = plan.settle_seconds
        self.greenhouses = {account: FakeHarvest() for account in ACCOUNTS}
        self.coderbytes = {account: CoderbyteTwin() for account in ACCOUNTS}
        self.organizations = {
            account: organization(account, self.lists_pending, plan.reuse_seconds) for account in ACCOUNTS
        }
        self.through_v1 = None if plan.through_v1 is None else AccountId(plan.through_v1)
        self.connections = {
            account: connection(account, "v1" if account == plan.through_v1 else "v3", KEEP_OFF if plan.tags else None)
            for account in ACCOUNTS
        }
        for twin in self.coderbytes.values():
            twin.add_assessment(TEST)
            twin.add_assessment(OTHER_TEST)
            twin.switches["lookup.lists_pending_invites"] = self.lists_pending
            twin.switches["invite.internal_id_mode"] = "off" if plan.reuse_seconds is None else "parenthesised"
        workflow = definition(self.settle_seconds)
        self.versions = {(workflow.name, workflow.version): workflow}
        self.memories = {name: Memory(self.now, self._is_cut, self._is_deadlocked) for name in SERVICES}
        for name, memory in self.memories.items():
            memory.on_change = self._watched(name, memory)
            memory.on_transition = self._followed
        self.memories["ingest"].tables["endpoint"] = dict(ENDPOINTS)
        self.broker = Broker(self.draw, lambda: self.may("out of order"), self._delivered)
        self.running: list[Running] = []
        self.webhooks = self.crashes = 0
        self.acted_at: dict[tuple[AccountId, str], datetime] = {}
        self.on_invited: Callable[[AccountId, str], None] = lambda account, address: None
        self.on_cleared: Callable[[AccountId, ApplicationId], None] = lambda account, application: None
        self.on_reported: Callable[[AccountId, str], float] = lambda account, address: 0.0
        self.on_unanswered: Callable[[AccountId, ApplicationId, Route], None] = lambda account, application, route: None
        self.also_lost: Callable[[AccountId], bool] = lambda account: False
        self.on_moved: Callable[[AccountId, ApplicationId], None] = lambda account, application: None
        self.uninvited: dict[tuple[AccountId, str], ApplicationId] = {}
        self.changes: dict[tuple[AccountId, ApplicationId], list[tuple[float, StageId | None, bool]]] = {}

    # -- time and chance

    def now(self) -> datetime:
        """Return the simulated time."""
        seconds = self.loop.time()
        if seconds != self._seconds:
            self._seconds, self._now = seconds, EPOCH + timedelta(seconds=seconds)
        return self._now

    def may(self, kind: str) -> bool:
        """Whether faults of this kind happen now."""
        return self.faulty and kind not in self.without

    def chance(self, part: float, kind: str) -> bool:
        """Draw whether a fault happens now."""
        if not self.faulty or self.draw.random() >= part or kind in self.without:
            return False
        if kind in FAULTS:
            self.coverage.fault(kind)
        return True

    def _is_cut(self) -> bool:
        return self.chance(0.01, "commit cut")

    def _is_deadlocked(self) -> bool:
        return self.chance(0.002, "deadlock")

    def _followed(self, state: State, occurrence: Occurrence) -> None:
        self.coverage.thing(transition(state, occurrence))

    def _delivered(self, key: str, again: bool) -> None:
        if again:
            self.coverage.fault("redelivered")
        self.coverage.thing(key.removesuffix(".v1"))

    def fate(self) -> str:
        """Draw what becomes of one write to a vendor."""
        if not self.faulty:
            return "fine"
        draw, bounds = self.draw.random(), (0.04, 0.08, 0.13, 0.2, 0.24)
        fates = ("write refused", "write 429", "write lost", "answer lost", "500 after", "fine")
        fate = fates[sum(draw >= bound for bound in bounds)]
        if fate == "fine" or fate in self.without:
            return "fine"
        self.coverage.fault(fate)
        self.tell("a write meets: {}", fate)
        return fate

    def says_no(self) -> bool:
        """Draw whether a vendor refuses a write until a person mends something."""
        if not (self.refuses and self.faulty) or self._refusals.random() >= NO_CHANCE:
            return False
        self.coverage.fault("write unmet")
        self.tell("a write is answered: no")
        return True

    def trip(self) -> float:
        """Draw how long a write is under way until it is carried out."""
        if self.may("late write") and self.draw.random() < (0.3 if self.sluggish else 0.08):
            return 1.0 + self.draw.random() * 6.5
        return self.draw.random() * 0.3

    async def travel(self) -> None:
        """Wait as long as a question is under way."""
        if self.may("slow question") and self.draw.random() < 0.5:
            longest = 6.0 if self.sluggish else 2.0
            await asyncio.sleep(self.draw.random() ** 3 * longest)

    def uuid(self) -> UUID:
        """Return a fresh id."""
        return UUID(int=self.draw.getrandbits(128), version=4)

    def tell(self, line: str, *parts: object) -> None:
        """Add a line to the story; the words are put together when somebody reads it."""
        self.story.append((self.loop.time(), line, parts))

    @property
    def message_count(self) -> int:
        """How many messages were under way, repeats not counted."""
        return self.webhooks + sum(len(memory.table("outbox")) for memory in self.memories.values())

    def back_up(self) -> None:
        """Copy all databases as they are now."""
        self.backed_up_at = self.loop.time()
        self._backup = {
            name: {table: dict(rows) for table, rows in memory.tables.items()} for name, memory in self.memories.items()
        }
        self.tell("the databases are backed up")

    def put_back(self) -> None:
        """Stop all processes and put all databases back to the backup; the broker keeps what it has."""
        self.tell("the databases are put back")
        self.put_back_at = self.loop.time()
        self.forgotten = dict(self.memories["workflow"].table("event"))
        for item in list(self.running):
            item.process.kill("the restore")
        for name, memory in self.memories.items():
            memory.tables = {table: dict(rows) for table, rows in self._backup[name].items()}
            memory.table("brake").clear()  # a person takes off those that the backup has put on again
            memory.on_change(sorted(memory.tables))
        for forgotten in (self.accepted_at, self.accepted, self.reviewed):
            forgotten.clear()
        self.erased_before = frozenset(self.erased)
        self.invited_since = frozenset(
            (done.account, done.detail) for done in self.done if done.left_at >= self.backed_up_at - 10.0
        )

    def logged(self) -> Iterator[Row]:
        """Yield what the log has, and what it had before the databases were put back."""
        yield from self.forgotten.values()
        yield from self.memories["workflow"].table("event").values()

    def calm(self) -> None:
        """Let nothing fail any more."""
        self.faulty = False
        self.broker.come_back()
        self.rejected.clear()
        self.lines.away.clear()
        self.untold.clear()
        for greenhouse in self.greenhouses.values():
            greenhouse.is_blind = False
        for memory in self.memories.values():
            memory.away = False
        self.tell("--- from here on nothing fails any more ---")

    def move_to_v3(self, account: AccountId) -> None:
        """Let *account* be connected through Harvest v3 from now on."""
        known = self.connections[account]
        if not known.is_v1:
            return
        fresh = connection(account, "v3", known.settings.keep_off_tag)
        self.connections[account] = replace(fresh, revision=known.revision + 1)
        self.tell("{}: is connected through Harvest v3 from now on", account)

    # -- what the vendors did for us

    def did(self, done: Done) -> None:
        """Record one effect."""
        self.done.append(done)
        self.tell("{}: {} on {} is made {}", done.account, done.kind, done.application, done.detail)

    def moved_by_us(self, account: AccountId, application: ApplicationId) -> None:
        """Hear of a move of ours, as Greenhouse's webhook tells of it."""
        self.on_moved(account, application)

    def invited(self, account: AccountId, request: InviteRequest, left_at: float) -> None:
        """Hear of an invite that Coderbyte took."""
        address, test = request.address, AssessmentId(request.assessment_url.rsplit(":", 1)[-1])
        named = (
            address.split("+")[1].split("@")[0]
            if request.internal_id is None
            else request.internal_id.removeprefix("ghapp_")
        )
        ident = ApplicationId(int(named))
        self.did(
            Done(account=account, kind="invite", application=ident, left_at=left_at, detail=address, assessment=test)
        )
        if test == TEST:
            self.on_invited(account, address)

    def happened(self, row: Row) -> bool:
        """Whether the effect of a ledger row was carried out, as a person finds who looks into the vendor's pages."""
        kind = {Action.INVITE: "invite", Action.NOTE: "note", Action.MOVE: "move"}[row["action"]]
        marker = note_marker(row["id"]).removeprefix("[ref ")
        return any(
            (done.account, done.kind, done.application) == (row["account"], kind, row["application_id"])
            and (kind != "note" or done.detail == marker)
            and (kind != "invite" or done.assessment == row["command"].assessment_id)
            for done in self.done
        )

    # -- processes

    def process_of(self, service: str) -> Running | None:
        """Return a living process of *service*, drawn among its replicas."""
        alive = [item for item in self.running if item.service == service and item.process.alive]
        return alive[int(self.draw.random() * len(alive))] if alive else None

    async def keep_running(self, service: str, replica: int, deaths: Sequence[int]) -> None:
        """Run one replica of *service*, starting it again whenever it dies; each of *deaths* in that many steps."""
        left, run = list(deaths), 0
        while True:
            run += 1
            dies_at = left.pop(0) if left else None
            name = f"{service}.{replica}/{run}"
            process = Process(name, self.draw, self.tell, lambda: self.faulty, dies_at, self.coverage.fault)
            process.freezes = self.may("frozen")
            if self.chance(0.3, "clock off"):
                process.skew_seconds = (self.draw.random() - 0.5) * 20.0
            running = start_service(self, service, process)
            self.running.append(running)
            await process.ended.wait()
            self.crashes += 1
            self.running.remove(running)
            running.link.cut()
            await asyncio.sleep(0.2 + self.draw.random() * 8.0)

    def _watched(self, service: str, memory: Memory) -> Callable[[Iterable[str]], None]:
        """Return what is told of every commit: what became due, and who is paused."""
        waiting = alarms(self.loop, self.now, memory, lambda name: self._wake(service, name))

        def changed(tables: Iterable[str]) -> None:
            for table in tables:
                for alarm in waiting.get(table, ()):
                    alarm.look_soon()
            if "pause" in tables:
                self.paused |= {row["account"] for row in memory.table("pause").values()}

        return changed

    def _wake(self, service: str, name: str) -> None:
        for item in self.running:
            if item.service == service and item.process.alive:
                item.wake(name)

    def cut(self, service: str | None) -> None:
        """Cut the broker connections of all processes of *service*; None of all there are."""
        for item in list(self.running):
            if service in (None, item.service):
                item.link.cut()

    def kill(self, service: str) -> None:
        """Kill one process of *service* now."""
        running = self.process_of(service)
        if running is not None:
            running.process.kill("random")
