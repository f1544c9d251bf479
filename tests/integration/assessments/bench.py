"""The service's parts on a real database, with Coderbyte's twin and a scripted greenhouse-actions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from tests.fakes.coderbyte import CoderbyteTwin
from tests.fakes.publisher import NoPublisher

from trellis.assessments.adapters.connection_store import ConnectionStore, Wanted
from trellis.assessments.adapters.gatekeeper import Clearance
from trellis.assessments.adapters.invite_store import InviteStore
from trellis.assessments.adapters.people_store import PeopleStore
from trellis.assessments.adapters.result_store import ResultStore
from trellis.assessments.adapters.signal_store import SignalStore
from trellis.assessments.baseline import Baseline
from trellis.assessments.domain.invites import Invitable, Verdict
from trellis.assessments.erasing import Erasing
from trellis.assessments.gateway import VENDOR, Gateway
from trellis.assessments.handler import Handler
from trellis.assessments.internal_api import Api
from trellis.assessments.inviting import InviteEffect
from trellis.assessments.reports import Reports
from trellis.assessments.results import SOURCE, ResultPublisher
from trellis.common.contracts.commands import AttachResult, Origin, SendInvite, WithdrawInvite
from trellis.common.contracts.envelope import Envelope, Message, decode
from trellis.common.contracts.facts import AssessmentSignalled, SignalKind
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    CommandId,
    JobId,
    StageId,
    Visit,
    command_id,
    stable_id,
)
from trellis.common.contracts.outcomes import AssessmentCompleted, AssessmentStarted, CommandSettled
from trellis.common.errors import TransientError
from trellis.common.ledger.api import LedgerApi
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.budget import PostgresBudgets
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.clock import SystemClock
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.metrics import Metrics
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.database import PostgresDatabase
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Pool, acquired, transaction

ACME = AccountId("acme")
TEST = "backend-1"
WHO = "jane.doe+planted@mail.example"
QUICK: dict[str, object] = {
    "rate.max_per_second": 1000,
    "rate.concurrency": 50,
    "report.poll_schedule": [0.05, 0.05, 0.05],
    "invite.poll_interval": 3600,
    "credential.retry_s": 0.1,
    "lookup.second_read_s": 0.05,
}
_T = TypeVar("_T")


class ScriptedGatekeeper:
    """greenhouse-actions as the test wants it: an address per application, or a verdict."""

    def __init__(self) -> None:
        self.addresses: dict[int, str] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.away = False
        self.asked = 0
        self.age = 0.0

    async def clear(self, account: AccountId, intents: Sequence[Intent]) -> Clearance:
        self.asked += 1
        if self.away:
            raise TransientError("greenhouse-actions cannot be reached")
        verdicts: dict[CommandId, Verdict] = {}
        for intent in intents:
            number = int(intent.application_id)
            address = self.addresses.get(number, WHO)
            fine = Invitable(address=address, candidate_id=intent.candidate_id or CandidateId(number + 5000))
            verdicts[intent.id] = self.verdicts.get(number, fine)
        return Clearance(verdicts=verdicts, read_at=time.monotonic() - self.age)


class ScriptedBodies:
    """The addresses that ingest's sealed bodies name."""

    def __init__(self) -> None:
        self.addresses: dict[UUID, str] = {}
        self.away = False

    async def address(self, account: AccountId, body: UUID) -> str | None:
        if self.away:
            raise TransientError("ingest cannot be reached")
        return self.addresses.get(body)


@dataclass
class Replica:
    """One process's parts."""

    runner: Runner
    reports: Reports
    handler: Handler
    api: Api
    metrics: Metrics


@dataclass
class Bench:
    """The database, the world outside, and as many replicas as a test wants."""

    pool: Pool
    keyring: Keyring
    twin: CoderbyteTwin = field(default_factory=CoderbyteTwin)
    gate: ScriptedGatekeeper = field(default_factory=ScriptedGatekeeper)
    bodies: ScriptedBodies = field(default_factory=ScriptedBodies)
    port: Any = None
    lease: float = 90.0

    def __post_init__(self) -> None:
        self.twin.add_assessment(TEST)
        self.one = self.replica()

    def replica(self) -> Replica:
        metrics = Metrics("assessments")
        ledger, sealer = Ledger(self.pool, SOURCE), Sealer(self.keyring)
        connections = ConnectionStore(self.pool, self.keyring)
        database = PostgresDatabase(self.pool)
        publisher = ResultPublisher(
            database=database, ledger=ledger, invites=InviteStore(sealer), results=ResultStore(self.pool, sealer)
        )
        relay, signals = Relay(database.outbox, NoPublisher(), metrics), SignalStore()
        breakers = Breakers(VENDOR, metrics)
        gateway = Gateway(self.port or self.twin, PostgresBudgets(self.pool), metrics, breakers)
        effect = InviteEffect(database, ledger, gateway, self.gate, connections, publisher, self.keyring, SystemClock())
        runner = Runner(ledger, [effect], relay, metrics, breakers=breakers, lease=timedelta(seconds=self.lease))
        reports = Reports(
            database, ledger, gateway, Baseline(gateway, self.keyring), connections, publisher, signals,
            self.bodies, relay, metrics, SystemClock(),
        )  # fmt: skip
        handler = Handler(
            database,
            ledger,
            connections,
            publisher,
            signals,
            Erasing(database=database, ledger=ledger, people=PeopleStore(sealer), source=SOURCE),
            runner,
            reports,
            relay,
            metrics,
        )
        brakes = Brakes(self.pool)
        api = Api(
            pool=self.pool, ledger=ledger, brakes=brakes,
            effects=LedgerApi(self.pool, ledger, brakes, runner.wake), connections=connections, publisher=publisher,
            signals=signals, gateway=gateway, runner=runner, reports=reports, relay=relay,
        )  # fmt: skip
        return Replica(runner, reports, handler, api, metrics)

    # -- setting up

    async def connect(self, account: AccountId = ACME, *, api_key: str = "key", **settings: object) -> list[str]:
        named = QUICK | {name.replace("__", "."): value for name, value in settings.items()}
        wanted = Wanted(base_url="http://coderbyte", organization_id=account, api_key=api_key, settings=named)
        async with transaction(self.pool) as connection:
            changes = await self.one.api.connections.put(connection, account, wanted, dry_run=False)
            await self.one.api.ledger.unpause(connection, account, "coderbyte")
        return changes

    # -- messages in

    def invite(
        self,
        application: int = 1,
        *,
        visit: str = "n1",
        stage: int = 7,
        candidate: int | None = 100,
        assessment: str = TEST,
        account: AccountId = ACME,
        workflow: str = "screen",
    ) -> Envelope:
        number = ApplicationId(application)
        command = SendInvite(
            command_id=command_id(account, number, Visit(visit), "invite", assessment),
            application_id=number,
            candidate_id=None if candidate is None else CandidateId(candidate),
            job_id=JobId(3),
            visit=Visit(visit),
            stage_id=StageId(stage),
            assessment_id=AssessmentId(assessment),
            origin=Origin(workflow=workflow, version=1, rule="send", reason="entered the stage"),
        )
        return self.envelope(command, account=account, ident=stable_id("m", command.command_id))

    def signal(
        self,
        kind: SignalKind,
        *,
        who: str = WHO,
        assessment: str | None = TEST,
        account: AccountId = ACME,
        expired: bool | None = None,
        at: datetime | None = None,
    ) -> Envelope:
        fact = AssessmentSignalled(
            kind=kind,
            address_hash=self.keyring.address_hash(account, who),
            sealed_body_id=uuid4(),
            received_at=at or datetime.now(UTC),
            assessment_id=None if assessment is None else AssessmentId(assessment),
            interview_id="iv" if assessment is None else None,
            time_expired=expired,
        )
        self.bodies.addresses[fact.sealed_body_id] = who
        return self.envelope(fact, account=account)

    def withdraw(self, application: int = 1, **more: Any) -> Envelope:
        """Return the command that withdraws the application's invite."""
        invite = self.invite(application, **more).data
        assert isinstance(invite, SendInvite)
        ident = command_id(ACME, invite.application_id, invite.visit, "withdraw", invite.assessment_id)
        command = WithdrawInvite(command_id=ident, application_id=invite.application_id, invite=invite)
        return self.envelope(command)

    def attach(
        self,
        signal: Envelope,
        application: int = 1,
        *,
        account: AccountId = ACME,
        ident: UUID | None = None,
        **more: Any,
    ) -> Envelope:
        """Return the command that takes *signal* for the application's; *more* is said of its invite."""
        invite = self.invite(application, account=account, **more).data
        assert isinstance(invite, SendInvite)
        command = AttachResult(
            command_id=command_id(account, invite.application_id, invite.visit, "attach", str(ident or signal.id)),
            application_id=invite.application_id,
            invite=invite,
            signal_id=ident or signal.id,
        )
        return self.envelope(command, account=account)

    def envelope(self, data: Message, *, account: AccountId = ACME, ident: UUID | None = None) -> Envelope:
        return Envelope(
            id=ident or uuid4(),
            source="trellis/test",
            accountid=account,
            time=datetime.now(UTC),
            data=data,
            correlationid="c-1",
        )

    async def take(self, *envelopes: Envelope) -> None:
        await self.one.handler.handle_batch(list(envelopes))

    # -- running

    async def run(self, replica: Replica | None = None, *, rounds: int = 1) -> None:
        part = replica or self.one
        for _ in range(rounds):
            await part.runner.perform_due()
            await part.runner.look_up_due()
            await part.reports.read_due()

    async def until(self, check: Callable[[], Any], *, seconds: float = 30.0) -> Any:
        """Run until *check* (which may be a coroutine function) is true."""
        end = time.monotonic() + seconds
        while True:
            found = check()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            assert time.monotonic() < end, await self.rows()
            await self.run()
            await asyncio.sleep(0.01)

    # -- what came of it

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        async with acquired(self.pool) as connection:
            return list(await connection.fetch(statement, *values))

    async def execute(self, statement: str, *values: object) -> None:
        async with acquired(self.pool) as connection:
            await connection.execute(statement, *values)

    async def rows(self) -> list[dict[str, Any]]:
        return [
            dict(row)
            for row in await self.fetch(
                "select application_id, visit, state, attempt, cause, remedy, mended_by from intent order by created_at, id"
            )
        ]

    async def state(self, envelope: Envelope) -> str:
        assert isinstance(envelope.data, SendInvite)
        rows = await self.fetch("select state from intent where id = $1", envelope.data.command_id)
        return str(rows[0]["state"]) if rows else "missing"

    async def cause(self, envelope: Envelope) -> str:
        assert isinstance(envelope.data, SendInvite)
        rows = await self.fetch("select cause from intent where id = $1", envelope.data.command_id)
        return str(rows[0]["cause"])

    async def messages(self, kind: type[_T]) -> list[_T]:
        rows = await self.fetch("select body from outbox order by position")
        return [data for row in rows if isinstance(data := decode(row["body"]).data, kind)]

    async def envelopes(self) -> list[Envelope]:
        return [decode(row["body"]) for row in await self.fetch("select body from outbox order by position")]

    async def results(self) -> list[AssessmentCompleted]:
        return await self.messages(AssessmentCompleted)

    async def started(self) -> list[AssessmentStarted]:
        return await self.messages(AssessmentStarted)

    async def settled(self) -> list[CommandSettled]:
        return await self.messages(CommandSettled)

    def mails(self, who: str = WHO, test: str = TEST) -> int:
        return self.twin.mails[who.lower(), test]
