"""The service's real parts on a real database against the sandbox; only the broker is left out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp.test_utils import TestServer
from tests.contract.sandbox.harness import Sandbox
from tests.fakes.publisher import NoPublisher

from trellis.common.contracts.commands import AddNote, Command, MoveApplication, ObserveApplication, Origin
from trellis.common.contracts.envelope import Envelope, Message, decode
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    JobId,
    StageId,
    Visit,
    command_id,
)
from trellis.common.contracts.outcomes import CommandSettled
from trellis.common.ledger.api import LedgerApi
from trellis.common.ledger.brakes import Brakes
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.clock import SystemClock
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.metrics import Metrics
from trellis.common.runtime.sealer import Sealer
from trellis.common.runtime.tokens import issue
from trellis.common.store.database import PostgresDatabase
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Pool, acquired
from trellis.greenhouse_actions.adapters.candidate_store import CandidateStore
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore
from trellis.greenhouse_actions.adapters.harvest_v1 import HarvestV1
from trellis.greenhouse_actions.adapters.harvests import LiveHarvests
from trellis.greenhouse_actions.adapters.http import HttpClients
from trellis.greenhouse_actions.adapters.http_harvest import Shared
from trellis.greenhouse_actions.adapters.known_store import KnownStore
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.adapters.mint import HttpMint
from trellis.greenhouse_actions.adapters.own_moves import LedgerMoves
from trellis.greenhouse_actions.adapters.reconciliation_store import ReconciliationStore
from trellis.greenhouse_actions.adapters.stage_cache import StageCache
from trellis.greenhouse_actions.adapters.standing_store import StandingStore
from trellis.greenhouse_actions.adapters.tokens import Tokens
from trellis.greenhouse_actions.adapters.trial import HttpTrial
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.display import Display
from trellis.greenhouse_actions.handler import Handler
from trellis.greenhouse_actions.internal_api import NAME, Api, application
from trellis.greenhouse_actions.invites import Invites
from trellis.greenhouse_actions.moves import MoveEffect
from trellis.greenhouse_actions.notes import NoteEffect
from trellis.greenhouse_actions.observer import SOURCE, Observer
from trellis.greenhouse_actions.pauses import LedgerPauses
from trellis.greenhouse_actions.reading import Reader
from trellis.greenhouse_actions.reconciler import Reconciler

ORIGIN = Origin(workflow="screening", version=1, rule="passed", reason="score 82 is at least 70")
ACME = AccountId("acme")


class Links:
    """`assessments`, as far as it tells links of reports."""

    def __init__(self) -> None:
        self.known: dict[str, str | None] = {}
        self.away: Exception | None = None

    async def link(
        self, account: AccountId, application: ApplicationId, visit: Visit, assessment: AssessmentId
    ) -> str | None:
        if self.away is not None:
            raise self.away
        return self.known.get(assessment)


class Replica:
    """One process's parts; two of them share a database as two replicas do."""

    def __init__(self, pool: Pool, keyring: Keyring, links: Links) -> None:
        self.pool, self.keyring = pool, keyring
        self.metrics = Metrics(NAME)
        self.http = HttpClients()
        self.ledger = Ledger(pool, SOURCE)
        sealer = Sealer(keyring)
        self.store = ConnectionStore(pool, sealer, self.ledger)
        self.tokens = Tokens(pool, sealer, HttpMint(self.http))
        self.breakers = Breakers(VENDOR, self.metrics)
        self.shared = Shared(
            http=self.http, breakers=self.breakers, tokens=self.tokens, measures=Measures(self.metrics)
        )
        self.harvests = LiveHarvests(pool, self.store, self.shared)
        database, known = PostgresDatabase(pool), KnownStore(pool)
        self.relay = Relay(database.outbox, NoPublisher(), self.metrics)
        pauses, reader = LedgerPauses(pool, self.ledger), Reader()
        self.notes = NoteEffect(self.harvests, LedgerMoves(pool), CandidateStore(pool), links, pauses, reader)
        self.moves = MoveEffect(self.harvests, StageCache(pool), pauses, reader)
        self.runner = Runner(self.ledger, [self.notes, self.moves], self.relay, self.metrics, breakers=self.breakers)
        self.observer = Observer(known, self.harvests, pauses, self.relay, SystemClock())
        self.reconciliations = ReconciliationStore(pool)
        self.reconciler = Reconciler(self.reconciliations, self.harvests, pauses, self.relay, self.shared.measures)
        standings = StandingStore(pool, self.ledger)
        self.display = Display(standings, self.harvests, self.runner, SystemClock())
        self.handler = Handler(database, self.ledger, known, standings, self.runner, self.observer, self.relay)
        self.invites = Invites(self.harvests, self.store, pauses)
        self.app = application(
            Api(
                pool=pool,
                store=self.store,
                effects=LedgerApi(pool, self.ledger, Brakes(pool), self.runner.wake),
                invites=self.invites,
                runner=self.runner,
                observer=self.observer,
                reconciliations=self.reconciliations,
                reconciler=self.reconciler,
                trial=HttpTrial(
                    HttpMint(self.http),
                    lambda connection: HarvestV1(connection, self.harvests.budget(connection), self.shared),
                ),
            ),
            keyring,
        )


class Bench:
    """One account's Greenhouse (the sandbox) and one replica; more can be made."""

    def __init__(self, pool: Pool, sandbox: Sandbox) -> None:
        self.pool, self.sandbox = pool, sandbox
        self.keyring = Keyring.generate()
        self.links = Links()
        self.replicas: list[Replica] = []
        self.replica = self.another_replica()
        self.server: TestServer | None = None
        self.session: aiohttp.ClientSession | None = None

    def another_replica(self) -> Replica:
        made = Replica(self.pool, self.keyring, self.links)
        self.replicas.append(made)
        return made

    async def open(self) -> None:
        self.server = TestServer(self.replica.app)
        await self.server.start_server()
        self.session = aiohttp.ClientSession()

    async def close(self) -> None:
        assert self.server is not None and self.session is not None
        await self.session.close()
        await self.server.close()
        for replica in self.replicas:
            await replica.http.close()

    # -- the internal API

    async def call(self, method: str, path: str, body: object = None, *, token: str | None = None) -> tuple[int, Any]:
        assert self.server is not None and self.session is not None
        bearer = token or issue(self.keyring, caller="test", audience=NAME)
        async with self.session.request(
            method,
            self.server.make_url(f"/internal/v1/accounts/{path}"),
            json=body,
            headers={"Authorization": f"Bearer {bearer}"},
        ) as answer:
            return answer.status, await answer.json()

    def connection_body(self, **more: Any) -> dict[str, Any]:
        greenhouse = self.sandbox.account["greenhouse"]
        settings = {"verify.second_read_s": 0.1, "credential.retry_s": 0.2} | more.pop("settings", {})
        return {
            "api_version": "v3",
            "base_url": greenhouse["base_url"],
            "token_url": greenhouse["token_url"],
            "client_id": greenhouse["client_id"],
            "client_secret": greenhouse["client_secret"],
            "service_user_id": greenhouse["service_user_id"],
            "settings": settings,
        } | more

    def v1_body(self, **more: Any) -> dict[str, Any]:
        greenhouse = self.sandbox.account["greenhouse"]
        return {
            "api_version": "v1",
            "base_url": greenhouse["v1_base_url"],
            "api_key": greenhouse["api_key"],
            "service_user_id": greenhouse["service_user_id"],
            "settings": {"verify.second_read_s": 0.1, "credential.retry_s": 0.2} | more.pop("settings", {}),
        } | more

    async def connect_through(self, version: str, account: str = ACME, **more: Any) -> list[str]:
        """Connect through a version of Harvest; every replica sees it at once."""
        body = self.v1_body(**more) if version == "v1" else self.connection_body(**more)
        status, said = await self.call("PUT", f"{account}/connection", body)
        assert status == 200, said
        return said["changes"]

    async def connect(self, account: str = ACME, **more: Any) -> list[str]:
        status, said = await self.call("PUT", f"{account}/connection", self.connection_body(**more))
        assert status == 200, said
        return said["changes"]

    # -- messages in

    async def give(self, data: Message, *, account: AccountId = ACME) -> Envelope:
        envelope = Envelope(
            id=uuid7(),
            source="trellis/workflow",
            accountid=account,
            time=datetime.now(UTC),
            data=data,
            correlationid="c1",
        )
        await self.replica.handler.handle([envelope])
        return envelope

    async def settle(
        self, command: Command, until: Callable[[str, str], bool] | None = None, *, seconds: float = 15.0
    ) -> tuple[str, str]:
        """Run until the row of *command* is settled, or *until* says so; return its state and cause."""
        end = time.monotonic() + seconds
        while True:
            await self.pass_once()
            state, cause = await self.row(command)
            if until is None and state not in ("waiting", "attempting", "unknown"):
                return state, cause
            if until is not None and until(state, cause):
                return state, cause
            assert time.monotonic() < end, f"still {state}: {cause}"
            await asyncio.sleep(0.01)

    async def pass_once(self, replica: Replica | None = None) -> None:
        runner = (replica or self.replica).runner
        await runner.perform_due()
        await runner.look_up_due()

    async def row(self, command: Command) -> tuple[str, str]:
        async with acquired(self.pool) as database:
            row = await database.fetchrow("select state, cause from intent where id = $1", command.command_id)
        assert row is not None
        return row["state"], row["cause"]

    async def column(self, command: Command, name: str) -> Any:
        async with acquired(self.pool) as database:
            return await database.fetchval(f"select {name} from intent where id = $1", command.command_id)

    async def messages(self) -> list[Message]:
        async with acquired(self.pool) as database:
            rows = await database.fetch("select body from outbox order by position")
        return [decode(row["body"]).data for row in rows]

    async def outcome(self, command: Command) -> CommandSettled:
        found = [
            m for m in await self.messages() if isinstance(m, CommandSettled) and m.command_id == command.command_id
        ]
        return found[-1]

    async def pause(self, account: str = ACME) -> dict[str, str] | None:
        _, said = await self.call("GET", f"{account}/status")
        return said["pause"]

    # -- people and truth

    async def apply(self, **more: Any) -> dict[str, Any]:
        return await self.sandbox.act(
            "apply", **({"email": f"p{time.monotonic_ns()}@mail.example", "stage": "Coding Assessment"} | more)
        )

    def stage(self, name: str) -> StageId:
        (found,) = [s["id"] for s in self.sandbox.account["greenhouse"]["jobs"][0]["stages"] if s["name"] == name]
        return StageId(found)

    async def effects(self) -> Any:
        return await self.sandbox.own("GET", "/effects")

    async def our_moves(self) -> list[Any]:
        return [move for move in (await self.effects())["moves"] if move["by"] == "api"]

    async def notes(self) -> list[Any]:
        return (await self.effects())["notes"]

    async def calls_by_route(self) -> Counter[str]:
        """How many calls each route of the sandbox had, the token's left out: they have a limit of their own."""
        calls = await self.sandbox.control("GET", "/calls")
        return Counter(call["route"] for call in calls if call["route"] != "token")

    async def calls(self, route: str) -> int:
        query = urlencode({"route": route})
        return len(await self.sandbox.control("GET", f"/calls?{query}"))


def a_note(person: dict[str, Any], text: str = "Passed: 82 of 100.", **more: Any) -> AddNote:
    fields = _common(person, "note", more) | {"stage_id": StageId(person["stage_id"]), "text": text}
    return AddNote(**(fields | more))


def a_move(person: dict[str, Any], **more: Any) -> MoveApplication:
    fields = _common(person, "move", more) | {"from_stage_id": StageId(person["stage_id"])}
    return MoveApplication(**(fields | more))


def an_observation(ident: int) -> ObserveApplication:
    application = ApplicationId(ident)
    return ObserveApplication(
        command_id=command_id(ACME, application, Visit("n1"), "observe", "1"), application_id=application, reason="gap"
    )


def _common(person: dict[str, Any], action: str, more: dict[str, Any]) -> dict[str, Any]:
    application, visit = ApplicationId(person["application_id"]), more.get("visit", Visit("n1"))
    return {
        "command_id": command_id(ACME, application, visit, action, more.pop("ordinal", "r#0")),
        "application_id": application,
        "candidate_id": CandidateId(person["candidate_id"]),
        "job_id": JobId(person["job_id"]),
        "visit": visit,
        "origin": ORIGIN,
    }
