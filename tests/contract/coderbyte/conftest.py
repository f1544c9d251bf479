"""Two organizations that must behave alike: the in-memory twin, and the real client against the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from tests.fakes.coderbyte import CoderbyteTwin

from trellis.assessments.adapters.coderbyte import Coderbyte, HttpCoderbyte, Organization
from trellis.assessments.domain.options import Options
from trellis.common.contracts.identifiers import AccountId
from trellis.sandbox.app import create_app

TEST = "backend-1"
CLOSED = "closed-1"
LINKLESS = "linkless-1"


class Driver(Protocol):
    """Plays the people and the faults of one organization."""

    port: Coderbyte
    organization: Organization

    async def join(self, email: str, *, public: bool = False) -> None: ...
    async def submit(self, email: str, **fields: Any) -> None: ...
    async def switch(self, name: str, value: Any) -> None: ...
    async def fault(self, route: str, kind: str, retry_after: int | None = None, times: int = 1) -> None: ...
    async def mails(self, email: str) -> int: ...


@dataclass
class TwinDriver:
    twin: CoderbyteTwin
    organization: Organization

    @property
    def port(self) -> Coderbyte:
        return self.twin

    async def join(self, email: str, *, public: bool = False) -> None:
        self.twin.join(email, TEST)

    async def submit(self, email: str, **fields: Any) -> None:
        report = fields.pop("report", {})
        self.twin.submit(email, TEST, **fields, **report)

    async def switch(self, name: str, value: Any) -> None:
        self.twin.switches[name] = value

    async def fault(self, route: str, kind: str, retry_after: int | None = None, times: int = 1) -> None:
        self.twin.fault(route, kind, retry_after, times)

    async def mails(self, email: str) -> int:
        return self.twin.mails[email.lower(), TEST]


@dataclass
class SandboxDriver:
    port: HttpCoderbyte
    organization: Organization
    session: aiohttp.ClientSession
    base: str

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, f"{self.base}/control/accounts/northwind{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def join(self, email: str, *, public: bool = False) -> None:
        await self.control("POST", "/people/join", {"email": email, "assessment": TEST, "public": public})

    async def submit(self, email: str, **fields: Any) -> None:
        await self.control("POST", "/people/submit", {"email": email, "assessment": TEST, **fields})

    async def switch(self, name: str, value: Any) -> None:
        await self.control("PUT", "/switches", {f"coderbyte.{name}": value})

    async def fault(self, route: str, kind: str, retry_after: int | None = None, times: int = 1) -> None:
        fault = {"route": route, "kind": kind, "count": times}
        await self.control("POST", "/faults", fault if retry_after is None else fault | {"retry_after": retry_after})

    async def mails(self, email: str) -> int:
        effects = await self.control("GET", "/effects")
        count: int = effects["invite_counts"].get(f"{email.lower()} {TEST}", 0)
        return count


@pytest.fixture(params=["twin", "sandbox"])
async def driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    """One organization with an open, a closed and a linkless assessment."""
    if request.param == "twin":
        twin = CoderbyteTwin()
        twin.add_assessment(TEST)
        twin.add_assessment(CLOSED, closed=True)
        twin.add_assessment(LINKLESS, public=False)
        organization = Organization(
            account=AccountId("northwind"),
            base_url="http://twin",
            organization_id="northwind",
            api_key="key",
            options=Options(),
        )
        yield TwinDriver(twin, organization)
        return
    server = TestServer(create_app())
    await server.start_server()
    base, client = str(server.make_url("")).rstrip("/"), HttpCoderbyte.open()
    async with aiohttp.ClientSession() as session:
        wanted = [
            {"display_name": "Backend Engineer Screen", "test_id": TEST},
            {"display_name": "Closed", "test_id": CLOSED, "closed": True},
            {"display_name": "Linkless", "test_id": LINKLESS, "public_url": None},
        ]
        body = {"name": "northwind", "coderbyte": {"assessments": wanted}}
        async with session.post(f"{base}/control/accounts", json=body) as answer:
            assert answer.status == 200, await answer.text()
            made = (await answer.json())["coderbyte"]
        organization = Organization(
            account=AccountId("northwind"),
            base_url=made["base_url"],
            organization_id=made["organization_id"],
            api_key=made["api_key"],
            options=Options(),
        )
        yield SandboxDriver(client, organization, session, base)
    await client.close()
    await server.close()
