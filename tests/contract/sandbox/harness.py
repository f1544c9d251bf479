"""A running sandbox, a receiver for its webhooks, and the few calls that tests make again and again."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from trellis.sandbox.app import create_app
from trellis.sandbox.world import World


@dataclass
class Received:
    """One request that reached the receiver."""

    path: str
    headers: list[tuple[str, str]]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Answer:
    """One answer of the sandbox."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Receiver:
    """Takes webhooks; answers with the queued statuses, then with 200."""

    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    url: str = ""
    delay_s: float = 0.0

    async def take(self, request: web.Request) -> web.Response:
        headers = [(k, v) for k, v in request.headers.items()]
        self.received.append(Received(request.path, headers, await request.read()))
        await asyncio.sleep(self.delay_s)
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Retry-After": "60"} if status == 503 else None)

    def events(self) -> list[str]:
        """Actions and operations received, without pings."""
        names = [r.body.get("action") or r.body["operation"] for r in self.received]
        return [name for name in names if name != "ping"]

    def last(self, event: str) -> Received:
        """The last webhook of that event."""
        found = [r for r in self.received if event in (r.body.get("action"), r.body.get("operation"))]
        return found[-1]

    async def wait_for(self, count: int) -> None:
        """Until *count* webhooks came, pings not counted."""
        async with asyncio.timeout(5):
            while len(self.events()) < count:
                await asyncio.sleep(0.005)


class Sandbox:
    """One account of a running sandbox."""

    def __init__(self, session: aiohttp.ClientSession, base: str, receiver: Receiver, world: World) -> None:
        self.session = session
        self.base = base
        self.receiver = receiver
        self.world = world
        self.account: Any = None
        self.token = ""

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        async with self.session.request(method, self.base + path, **options) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, headers, await answer.text())

    # Control

    async def control(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = await self.call(method, f"/control{path}", json=body)
        assert answer.status == status, answer.text
        return answer.json

    async def own(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        return await self.control(method, f"/accounts/{self.account['name']}{path}", body, status=status)

    async def open(self, name: str = "northwind", **body: Any) -> Any:
        self.account = await self.control("POST", "/accounts", {"name": name, **body})
        return self.account

    async def act(self, verb: str, /, *, expect: int = 200, **body: Any) -> Any:
        return await self.own("POST", f"/people/{verb}", body, status=expect)

    async def switch(self, name: str, value: object) -> None:
        await self.own("PUT", "/switches", {name: value})

    async def fault(self, route: str, kind: str, **more: Any) -> None:
        await self.own("POST", "/faults", {"route": route, "kind": kind, **more})

    async def webhook_fault(self, kind: str, **more: Any) -> None:
        await self.own("PUT", "/webhook_faults", [{"kind": kind, **more}])

    async def effects(self) -> Any:
        return await self.own("GET", "/effects")

    async def hooks(self, *, events: Any = "all", secret: str = "hook-secret") -> Any:
        body = {"vendor": "greenhouse", "events": events, "url": self.receiver.url + "/gh", "secret": secret}
        return await self.own("POST", "/webhooks", body)

    async def coderbyte_hooks(self) -> Any:
        return await self.own("POST", "/webhooks", {"vendor": "coderbyte", "url": self.receiver.url + "/cb"})

    # Greenhouse

    async def ask_token(self, secret: str | None = None, **form: str) -> Answer:
        greenhouse = self.account["greenhouse"]
        pair = f"{greenhouse['client_id']}:{secret or greenhouse['client_secret']}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        data = {"grant_type": "client_credentials", "sub": str(greenhouse["service_user_id"]), **form}
        return await self.call("POST", "/greenhouse/token", headers=headers, data={k: v for k, v in data.items() if v})

    async def sign_in(self) -> str:
        self.token = (await self.ask_token()).json["access_token"]
        return self.token

    async def harvest(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.call(method, f"/greenhouse/v3/{path}", headers=headers, **options)

    async def v1(
        self, method: str, path: str, *, key: str | None = None, user: object = None, **options: Any
    ) -> Answer:
        """Call Harvest v1; writes are made on behalf of *user*, by default the service user, and of nobody if empty."""
        greenhouse = self.account["greenhouse"]
        pair = f"{greenhouse['api_key'] if key is None else key}:".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        acting = greenhouse["service_user_id"] if user is None else user
        if method != "GET" and acting != "":
            headers["On-Behalf-Of"] = str(acting)
        return await self.call(method, f"/greenhouse/v1/{path}", headers=headers, **options)

    async def rows(self, path: str) -> Any:
        answer = await self.harvest("GET", path)
        assert answer.status == 200, answer.text
        return answer.json

    def stage(self, name: str) -> int:
        stages = self.account["greenhouse"]["jobs"][0]["stages"]
        return next(int(s["id"]) for s in stages if s["name"] == name)

    async def move(self, application: Any, **body: Any) -> Answer:
        return await self.harvest("POST", f"applications/{application['application_id']}/move", json=body)

    async def note(self, application: Any, **body: Any) -> Answer:
        whole = {
            "candidate_id": application["candidate_id"],
            "application_id": application["application_id"],
            "note_type": "NOTE",
            "visibility": "public",
            "body": "82 of 100.\n[ref tr-k3v9x2m4q7ab]",
            **body,
        }
        return await self.harvest("POST", "notes", json={k: v for k, v in whole.items() if v is not None})

    # Coderbyte

    async def coderbyte(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.account['coderbyte']['api_key']}"}
        return await self.call(method, f"/coderbyte/api/organization/{path}", headers=headers, **options)

    @property
    def assessment(self) -> Any:
        return self.account["coderbyte"]["assessments"][0]

    async def invite(self, *emails: str, **body: Any) -> Answer:
        whole = {"candidates": list(emails), "assessment_url": self.assessment["public_url"], **body}
        return await self.coderbyte("POST", "candidates/invite", json=whole)


async def start(world: World, receiver: Receiver) -> tuple[TestServer, TestServer, str]:
    """Start a receiver and a sandbox over *world* on free ports of the loopback address."""
    hooks = web.Application()
    hooks.router.add_post("/{rest:.*}", receiver.take)
    receiving = TestServer(hooks, host="127.0.0.1")
    await receiving.start_server()
    receiver.url = str(receiving.make_url("")).rstrip("/")
    serving = TestServer(create_app(world), host="127.0.0.1")
    await serving.start_server()
    return receiving, serving, str(serving.make_url("")).rstrip("/")
