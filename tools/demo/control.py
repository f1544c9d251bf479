"""Drives the sandbox's people and reads what the sandbox saw."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp


class Sandbox:
    """One account of a running sandbox."""

    def __init__(self, session: aiohttp.ClientSession, url: str, account: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self.account = account

    async def call(self, method: str, path: str, body: object | None = None) -> Any:
        """Return the JSON answer of a control route; an error answer raises with its text."""
        async with self._session.request(method, f"{self._url}/control{path}", json=body) as answer:
            content = await answer.json(content_type=None)
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {content}")
            return content

    async def own(self, method: str, path: str, body: object | None = None) -> Any:
        """The same below this account."""
        return await self.call(method, f"/accounts/{self.account}{path}", body)

    async def create(self, **fields: object) -> dict[str, Any]:
        """Create the account and return its ids and secrets."""
        made: dict[str, Any] = await self.call("POST", "/accounts", {"name": self.account, **fields})
        return made

    async def person(self, verb: str, **fields: object) -> dict[str, Any]:
        """Let somebody do something; returns the application."""
        done: dict[str, Any] = await self.own("POST", f"/people/{verb}", fields)
        return done

    async def effects(self) -> dict[str, Any]:
        """Return what the vendors saw: invites, notes, moves, calls."""
        seen: dict[str, Any] = await self.own("GET", "/effects")
        return seen

    async def fault(self, route: str, kind: str, **fields: object) -> None:
        """Spoil coming calls of *route*."""
        await self.own("POST", "/faults", {"route": route, "kind": kind, **fields})

    async def webhook_fault(self, kind: str, **fields: object) -> None:
        """Spoil coming webhooks."""
        await self.own("PUT", "/webhook_faults", [{"kind": kind, **fields}])

    async def connect(self, endpoints: list[dict[str, Any]]) -> None:
        """Type the addresses that `trellis endpoints` printed into both vendors' forms."""
        for endpoint in endpoints:
            form: dict[str, object] = {"vendor": endpoint["vendor"], "url": endpoint["url"]}
            if endpoint["vendor"] == "greenhouse":
                form |= {"events": "all", "secret": endpoint["secret"]}
            await self.own("POST", "/webhooks", form)


async def trellis(*arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run the `trellis` command and return what it printed; raises with its words when it fails."""
    program = Path(sys.executable).with_name("trellis")
    process = await asyncio.create_subprocess_exec(
        str(program),
        *arguments,
        env={**os.environ, **(environ or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"trellis {' '.join(arguments)}: {err.decode().strip() or process.returncode}")
    return out.decode()


async def why(application: int, account: str, environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the steps of `trellis why --json`."""
    story = await trellis("why", str(application), "--account", account, "--json", environ=environ)
    steps: list[dict[str, Any]] = json.loads(story)["steps"]
    return steps


def account_file(
    made: Mapping[str, Any], account: str, *, settle_s: float, settings: Mapping[str, object], version: str = "v3"
) -> str:
    """Return the text of the account's file for a sandbox account, its secrets by reference.

    The references are `env:DEMO_CLIENT_SECRET`, or `env:DEMO_GREENHOUSE_KEY` where *version* is v1, and
    `env:DEMO_API_KEY`. The text is JSON, which is YAML.
    """
    greenhouse, coderbyte = made["greenhouse"], made["coderbyte"]
    test = coderbyte["assessments"][0]["test_id"]
    rules = [
        {
            "name": "send-test",
            "when": {"stage_entered": {"stage": "Coding Assessment"}},
            "then": [{"send_assessment": test}],
        },
        {
            "name": "hold-cheats",
            "when": {"assessment_completed": {"assessment": test}},
            "if": {"integrity": ["suspected", "detected"]},
            "then": [{"ask_approval": "The report shows signs of cheating. Move on?"}, {"move": "next"}],
        },
        {
            "name": "pass",
            "when": {"assessment_completed": {"assessment": test}},
            "if": {"all": [{"qualified": True}, {"integrity": "none"}]},
            "then": [{"add_note": None}, {"move": "next"}],
        },
        {
            "name": "fail",
            "when": {"assessment_completed": {"assessment": test}},
            "if": {"all": [{"qualified": False}, {"integrity": "none"}]},
            "then": [{"add_note": "{assessment}: {score} of 100, {qualified} (pass mark {qualifying_score})."}],
        },
    ]
    return json.dumps(
        {
            "account": account,
            "greenhouse": {**_credential(greenhouse, version), "service_user_id": greenhouse["service_user_id"]},
            "coderbyte": {
                "base_url": coderbyte["base_url"],
                "organization_id": coderbyte["organization_id"],
                "api_key": "env:DEMO_API_KEY",
            },
            "settings": dict(settings),
            "workflows": [{"name": "engineering", "settle_s": settle_s, "rules": rules}],
        },
        indent=2,
    )


def _credential(greenhouse: Mapping[str, Any], version: str) -> dict[str, object]:
    if version == "v1":
        return {"api_version": "v1", "base_url": greenhouse["v1_base_url"], "api_key": "env:DEMO_GREENHOUSE_KEY"}
    return {
        "base_url": greenhouse["base_url"],
        "token_url": greenhouse["token_url"],
        "client_id": greenhouse["client_id"],
        "client_secret": "env:DEMO_CLIENT_SECRET",
    }


def secrets_of(made: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment that the references of `account_file` name."""
    return {
        "DEMO_CLIENT_SECRET": made["greenhouse"]["client_secret"],
        "DEMO_GREENHOUSE_KEY": made["greenhouse"]["api_key"],
        "DEMO_API_KEY": made["coderbyte"]["api_key"],
    }
