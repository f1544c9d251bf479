"""A whole Trellis of real processes on the test servers, with a sandbox account of its own for each test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tools.demo.control import Sandbox, account_file, secrets_of, trellis
from tools.dev.process import Lease
from tools.dev.servers import Servers, shared_servers
from tools.dev.system import System

from trellis.cli import asking
from trellis.cli.environment import Clients
from trellis.common.errors import PermanentError, TransientError
from trellis.common.runtime.keyring import Keyring

ROOT = Path(__file__).resolve().parents[2]
QUICK: dict[str, object] = {
    "verify.second_read_s": 0.3,
    "credential.retry_s": 0.5,
    "report.poll_schedule": [0.2, 0.4, 1],
    "invite.poll_interval": 2,
    "rate.max_per_second": 50,
    "rate.share": 1.0,
    "rate.start_limit": 140,
}
IMPATIENT = {"TRELLIS_LEASE_SECONDS": "3", "TRELLIS_REQUEST_SECONDS": "4"}
"""What a killed worker held or was sending waits so long: seconds here, half a minute in earnest."""
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The pair of servers that this run of the tests has already."""
    with shared_servers(ROOT / ".dev/test") as pair:
        yield pair


@contextlib.contextmanager
def whole_system(servers: Servers, folder: Path, name: str) -> Iterator[System]:
    """Give a whole system of its own database and virtual host, both called *name*; nothing of it is left after."""
    with Lease(folder) as lease:
        system = System(
            folder / "system",
            servers.postgres,
            servers.rabbitmq,
            database=name,
            vhost=name,
            lease=lease,
            settings=IMPATIENT,
        )
        system.start_all()
        yield system
        system.kill_all()
        system.drop()


@pytest.fixture(scope="session")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One whole system, shared by the tests of this run; a test that breaks a part mends it."""
    with whole_system(servers, tmp_path_factory.mktemp("system"), f"e2e_{os.getpid()}") as system:
        yield system


class Services(Clients):
    """The services of a system, for questions asked in this process."""

    def __init__(self, session: aiohttp.ClientSession, keyring: Keyring, system: System) -> None:
        super().__init__(session, keyring)
        self._system = system

    def url_of(self, service: str) -> str:
        return self._system.url(service)


class Tenant(Sandbox):
    """One account, connected on both sides, with the demo's workflow; shorthands to drive and to look."""

    def __init__(self, session: aiohttp.ClientSession, system: System, account: str) -> None:
        super().__init__(session, system.url("sandbox"), account)
        self.system = system
        self.made: dict[str, Any] = {}
        self.folder: Path = system.folder

    @property
    def environ(self) -> dict[str, str]:
        return {**self.system.environment(), **secrets_of(self.made)}

    async def open(self, *, settle_s: float = 0.0, connect: bool = True, **settings: object) -> None:
        """Create the account in the sandbox, apply its file and connect the webhooks."""
        self.made = await self.create(switches={"rate.limit": 2000})
        await self.apply(settle_s=settle_s, **settings)
        if connect:
            await self.connect(await self.endpoints())

    async def apply(self, *, settle_s: float = 0.0, **settings: object) -> str:
        file = self.folder / f"{self.account}.yaml"
        file.write_text(account_file(self.made, self.account, settle_s=settle_s, settings={**QUICK, **settings}))
        return await self.trellis("apply", "-f", str(file))

    async def trellis(self, *arguments: str) -> str:
        return await trellis(*arguments, environ=self.environ)

    async def endpoints(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self.trellis("endpoints", "--account", self.account, "--json"))
        return found

    async def applies(self, name: str, stage: str = "Recruiter Call", **more: object) -> int:
        """Let somebody apply; the address is NAME@ACCOUNT.example. Returns the application's id."""
        fields = {"first_name": name, "last_name": "Tester", "emails": [self.email(name)], "stage": stage}
        made = await self.person("apply", **(fields | more))
        return int(made["application_id"])

    def email(self, name: str) -> str:
        return f"{name.lower()}@{self.account}.example"

    async def enters(self, application: int, stage: str = "Coding Assessment", **more: object) -> None:
        await self.person("move", application_id=application, stage=stage, **more)

    async def steps(self, application: int) -> list[dict[str, Any]]:
        """What `trellis why` tells, asked in this process; test_administration.py asks by the command itself."""
        keyring = Keyring.load(Path(self.system.variables()["TRELLIS_KEYRING_FILE"]))
        try:
            story = await asking.why(Services(self._session, keyring, self.system), application, self.account)
        except TransientError:
            return []  # a part is down just now
        except PermanentError as error:
            if "nothing is known" in str(error):
                return []
            raise
        steps: list[dict[str, Any]] = story["steps"]
        return steps

    async def outcomes(self, application: int) -> dict[str, str]:
        """Return the latest outcome of each kind of effect, such as {"invite": "done"}."""
        steps = await self.steps(application)
        return {step["effect"]: step["outcome"] for step in steps if step["kind"] == "outcome" and step["effect"]}

    async def seen(self, application: int) -> dict[str, int]:
        """Return how many effects the vendors saw for the application: invites, notes, moves of ours."""
        effects = await self.effects()
        return {
            "invites": sum(application in item["application_ids"] for item in effects["invites"] if item["mailed"]),
            "notes": sum(item["application_id"] == application for item in effects["notes"]),
            "moves": sum(item["application_id"] == application and item["by"] == "api" for item in effects["moves"]),
        }

    async def until(
        self, check: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 60.0, application: int | None = None
    ) -> None:
        end = time.monotonic() + seconds
        while not await check():
            if time.monotonic() > end:
                story = [] if application is None else await self.steps(application)
                pytest.fail(
                    f"waited in vain: {what}\n" + "\n".join(f"{s['at']} {s['kind']} {s['text']}" for s in story)
                )
            await asyncio.sleep(0.1)

    async def until_seen(self, application: int, *, seconds: float = 60.0, **wanted: int) -> None:
        """Wait until the vendors saw at least these counts."""

        async def check() -> bool:
            seen = await self.seen(application)
            return all(seen[what] >= count for what, count in wanted.items())

        await self.until(check, f"{wanted} of {application}", seconds=seconds, application=application)

    async def until_outcome(self, application: int, effect: str, outcome: str, *, seconds: float = 60.0) -> None:
        async def check() -> bool:
            return (await self.outcomes(application)).get(effect) == outcome

        await self.until(check, f"{effect} {outcome} of {application}", seconds=seconds, application=application)


@pytest.fixture(autouse=True)
def _whole(request: pytest.FixtureRequest) -> None:
    """Begin each test with every part up, whatever the last one left."""
    if "system" in request.fixturenames:
        system: System = request.getfixturevalue("system")
        for name in system.names:
            if system.pid(name) is None:
                system.start(name)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@pytest.fixture
def new_tenant(session: aiohttp.ClientSession, system: System) -> Callable[[], Tenant]:
    """Makes unopened tenants, for tests that open them their own way."""
    return lambda: Tenant(session, system, f"t{os.getpid()}-{next(_numbers)}")


@pytest.fixture
async def tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    """A connected account of its own."""
    made = new_tenant()
    await made.open()
    return made
