"""The implementations of the port `Harvest`, each with people who act in the same way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

import aiohttp
from tests.contract.sandbox.harness import Receiver, Sandbox, start
from tests.fakes.harvest import SERVICE_USER, FakeHarvest

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, JobId, StageId, UserId
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.budget import Use
from trellis.common.runtime.metrics import Metrics
from trellis.greenhouse_actions.adapters.harvest import V3, Capabilities, Harvest
from trellis.greenhouse_actions.adapters.harvest_v1 import HarvestV1
from trellis.greenhouse_actions.adapters.harvest_v3 import HarvestV3
from trellis.greenhouse_actions.adapters.http import HttpClients
from trellis.greenhouse_actions.adapters.http_harvest import Shared
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.adapters.mint import REJECTED, HttpMint
from trellis.greenhouse_actions.adapters.tokens import Token
from trellis.greenhouse_actions.connection import Connection, ConnectionSettings
from trellis.sandbox.world import World as SandboxWorldState


@dataclass(frozen=True)
class Person:
    application: ApplicationId
    candidate: CandidateId
    job: JobId
    stage: StageId


class World(Protocol):
    """A Greenhouse and its people."""

    harvest: Harvest
    service_user: UserId

    async def apply(
        self, stage: str = "Coding Assessment", emails: tuple[str, ...] = ("o@mail.example",)
    ) -> Person: ...
    async def move(self, person: Person, stage: str) -> None: ...
    async def end(self, person: Person, status: ApplicationStatus) -> None: ...
    async def delete(self, person: Person) -> None: ...
    async def delete_stage(self, name: str) -> None: ...
    async def write_note(self, person: Person, body: str) -> None: ...
    async def write_note_through_v1(self, person: Person, body: str) -> int: ...
    async def tag(self, person: Person, tag: str) -> None: ...
    async def drop_site_admin(self) -> None: ...
    async def apply_on_hidden_job(self) -> Person: ...
    async def reject_credential(self) -> None: ...
    async def move_count(self) -> int: ...
    async def allow_standing(self, *, with_field: bool = True) -> None: ...
    async def standing_of(self, person: Person) -> str: ...
    def stage(self, name: str) -> StageId: ...


class TwinWorld:
    """The in-memory twin."""

    def __init__(self, capabilities: Capabilities = V3) -> None:
        self.harvest = FakeHarvest(capabilities)
        self.service_user = SERVICE_USER

    async def apply(self, stage: str = "Coding Assessment", emails: tuple[str, ...] = ("o@mail.example",)) -> Person:
        view = self.harvest.apply(stage, emails)
        assert view.job_id is not None and view.stage_id is not None
        return Person(view.id, view.candidate_id, view.job_id, view.stage_id)

    async def move(self, person: Person, stage: str) -> None:
        self.harvest.enter(person.application, self.stage(stage))

    async def end(self, person: Person, status: ApplicationStatus) -> None:
        self.harvest.end(person.application, status)

    async def delete(self, person: Person) -> None:
        del self.harvest.truth[person.application]

    async def delete_stage(self, name: str) -> None:
        gone = self.stage(name)
        self.harvest.plan = [replace(s, active=s.active and s.id != gone) for s in self.harvest.plan]

    async def write_note(self, person: Person, body: str) -> None:
        self.harvest.person_note(person.application, body)

    async def write_note_through_v1(self, person: Person, body: str) -> int:
        return self.harvest.note_through_v1(person.candidate, SERVICE_USER, body).id

    async def tag(self, person: Person, tag: str) -> None:
        candidate = self.harvest.people[person.candidate]
        self.harvest.people[person.candidate] = replace(candidate, tags=(*candidate.tags, tag))

    async def drop_site_admin(self) -> None:
        self.harvest.is_blind = True

    async def apply_on_hidden_job(self) -> Person:
        person = await self.apply()
        hidden = JobId(self.harvest.fresh())
        self.harvest.truth[person.application] = replace(self.harvest.truth[person.application], job_id=hidden)
        self.harvest.hidden_jobs.add(hidden)
        return replace(person, job=hidden)

    async def reject_credential(self) -> None:
        self.harvest.rejects = REJECTED

    async def move_count(self) -> int:
        return len(self.harvest.moves)

    async def allow_standing(self, *, with_field: bool = True) -> None:
        self.harvest.may_update, self.harvest.fields = True, {"trellis_standing"} if with_field else set()

    async def standing_of(self, person: Person) -> str:
        return self.harvest.standings.get(person.application, "")

    def stage(self, name: str) -> StageId:
        return self.harvest.stage(name)


@dataclass
class Unlimited:
    """A rate budget without end that remembers what headers said."""

    heard: list[tuple[int | None, int | None, timedelta | None]] = field(default_factory=list)
    spent: int = 0

    async def spend(self, account: AccountId, calls: int = 1, use: Use = Use.PEOPLE) -> timedelta | None:
        self.spent += calls
        return None

    async def told(
        self, account: AccountId, *, limit: int | None, remaining: int | None, retry_after: timedelta | None = None
    ) -> None:
        self.heard.append((limit, remaining, retry_after))


class OwnTokens:
    """Tokens of one process, fetched from the real token route and kept in memory."""

    def __init__(self, mint: HttpMint) -> None:
        self._mint = mint
        self._kept: Token | None = None
        self.minted = 0

    async def bearer(self, connection: Connection, user: UserId | None) -> Token:
        if self._kept is None:
            self.minted += 1
            self._kept = Token((await self._mint.mint(connection, user)).value, self.minted)
        return self._kept

    async def renewed(self, connection: Connection, user: UserId | None, rejected: Token) -> Token:
        self._kept = None
        return await self.bearer(connection, user)

    async def discard(self, connection: Connection, user: UserId | None, rejected: Token) -> None:
        self._kept = None


class SandboxWorld:
    """A sandbox with people, whichever adapter reads it."""

    harvest: Harvest

    def __init__(self, sandbox: Sandbox, http: HttpClients) -> None:
        self.sandbox, self.http = sandbox, http
        self.tokens, self.budget = OwnTokens(HttpMint(http)), Unlimited()
        self.service_user = UserId(sandbox.account["greenhouse"]["service_user_id"])

    def shared(self) -> Shared:
        return Shared(
            http=self.http,
            breakers=Breakers("greenhouse", Metrics("b")),
            tokens=self.tokens,
            measures=Measures(Metrics("test")),
        )

    async def apply(self, stage: str = "Coding Assessment", emails: tuple[str, ...] = ("o@mail.example",)) -> Person:
        return _person(await self.sandbox.act("apply", stage=stage, emails=list(emails)))

    async def move(self, person: Person, stage: str) -> None:
        await self.sandbox.act("move", application_id=person.application, stage=stage)

    async def end(self, person: Person, status: ApplicationStatus) -> None:
        verb = {ApplicationStatus.REJECTED: "reject", ApplicationStatus.HIRED: "hire"}[status]
        await self.sandbox.act(verb, application_id=person.application)

    async def delete(self, person: Person) -> None:
        await self.sandbox.act("delete_application", application_id=person.application)

    async def delete_stage(self, name: str) -> None:
        await self.sandbox.act("delete_stage", stage=name)

    async def write_note(self, person: Person, body: str) -> None:
        user = self.sandbox.account["greenhouse"]["users"][1]["id"]
        await self.sandbox.act("write_note", application_id=person.application, body=body, user_id=user)

    async def write_note_through_v1(self, person: Person, body: str) -> int:
        path = f"candidates/{person.candidate}/activity_feed/notes"
        note = {"user_id": self.service_user, "body": body, "visibility": "public"}
        return int((await self.sandbox.v1("POST", path, json=note)).json["id"])

    async def tag(self, person: Person, tag: str) -> None:
        await self.sandbox.act("add_tag", candidate_id=person.candidate, tag=tag)

    async def drop_site_admin(self) -> None:
        await self.sandbox.switch("list.non_admin", "empty")
        await self.sandbox.act("drop_site_admin")

    async def apply_on_hidden_job(self) -> Person:
        job = await self.sandbox.own("POST", "/jobs", {"name": "Secret", "stages": ["A", "B"], "confidential": True})
        return _person(await self.sandbox.act("apply", job=job["id"], stage="A", email="s@mail.example"))

    async def move_count(self) -> int:
        return len([m for m in (await self.sandbox.effects())["moves"] if m["by"] == "api"])

    async def allow_standing(self, *, with_field: bool = True) -> None:
        await self.sandbox.act("grant_scope", scope="applications:update")
        await self.sandbox.act("grant_permission", permission="applications.update")
        if with_field:
            await self.sandbox.act("define_field", key="trellis_standing")

    async def standing_of(self, person: Person) -> str:
        written = (await self.sandbox.effects())["fields"]
        return str(written[-1]["value"]) if written else ""

    def stage(self, name: str) -> StageId:
        return StageId(self.sandbox.stage(name))


class V1World(SandboxWorld):
    """The v1 adapter over HTTP against the sandbox."""

    def __init__(self, sandbox: Sandbox, http: HttpClients) -> None:
        super().__init__(sandbox, http)
        self.connect()

    def connect(self, **settings: Any) -> HarvestV1:
        greenhouse = self.sandbox.account["greenhouse"]
        self.connection = Connection(
            account=AccountId("northwind"),
            api_version="v1",
            base_url=greenhouse["v1_base_url"],
            api_key=greenhouse["api_key"],
            service_user_id=self.service_user,
            settings=ConnectionSettings.parse(settings),
        )
        self.harvest = HarvestV1(self.connection, self.budget, self.shared())
        return self.harvest

    async def reject_credential(self) -> None:
        self.harvest = HarvestV1(replace(self.connection, api_key="wrong"), self.budget, self.shared())


class V3World(SandboxWorld):
    """The v3 adapter over HTTP against the sandbox."""

    def __init__(self, sandbox: Sandbox, http: HttpClients) -> None:
        super().__init__(sandbox, http)
        self.connect()

    def connect(self, **settings: Any) -> HarvestV3:
        greenhouse = self.sandbox.account["greenhouse"]
        self.connection = Connection(
            account=AccountId("northwind"),
            api_version="v3",
            base_url=greenhouse["base_url"],
            token_url=greenhouse["token_url"],
            client_id=greenhouse["client_id"],
            client_secret=greenhouse["client_secret"],
            service_user_id=self.service_user,
            settings=ConnectionSettings.parse(settings),
        )
        self.harvest = HarvestV3(self.connection, self.budget, self.shared())
        return self.harvest

    async def reject_credential(self) -> None:
        shared = Shared(
            http=self.http,
            breakers=Breakers("greenhouse", Metrics("b")),
            tokens=OwnTokens(HttpMint(self.http)),
            measures=Measures(Metrics("test")),
        )
        self.harvest = HarvestV3(replace(self.connection, client_secret="wrong"), self.budget, shared)


@dataclass
class Running:
    """A sandbox over HTTP, with a client."""

    sandbox: Sandbox
    http: HttpClients
    closing: list[Any]

    async def close(self) -> None:
        await self.http.close()
        await self.sandbox.session.close()
        for server in self.closing:
            await server.close()


async def run_sandbox() -> Running:
    world, receiver = SandboxWorldState(), Receiver()
    receiving, serving, base = await start(world, receiver)
    sandbox = Sandbox(aiohttp.ClientSession(), base, receiver, world)
    await sandbox.open()
    return Running(sandbox, HttpClients(answer_seconds=1.0), [serving, receiving])


def _person(said: dict[str, Any]) -> Person:
    return Person(
        ApplicationId(said["application_id"]),
        CandidateId(said["candidate_id"]),
        JobId(said["job_id"]),
        StageId(said["stage_id"]),
    )
