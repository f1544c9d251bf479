"""From webhook sent to invite received, on an idle whole system, as a multiple of the sum of its bare hops."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import asyncpg
import uvloop
from tools.demo.control import Sandbox, account_file, secrets_of, trellis
from tools.dev.console import say
from tools.dev.paths import SERVICES

from bench import hops, machine
from bench.figures import Spread, ratios, rounded, spread
from bench.ingest import bare_receiver, declare_like, inbound_arguments
from bench.pace import paced
from bench.report import Line, Sense
from bench.stage import Stage
from trellis.common.contracts.identifiers import AccountId, ApplicationId, stream_id

LIMIT: Final = 4.0
RUNS: Final = 30
SECONDS: Final = 75.0
CROWD: Final = 120
PATIENCE_SECONDS: Final = 60.0

_ACCOUNT: Final = "idle"
_STAGE: Final = "Coding Assessment"
_SETTINGS: Final[dict[str, object]] = {"rate.share": 1.0, "rate.start_limit": 1000, "rate.max_per_second": 100}
"""Budgets so wide that no call of one invite waits for one."""
_EVENTS: Final = """
select min(e.recorded_at) filter (where e.type = 'invite_requested.v1') as decided,
       min(o.sent_at) as relayed, min(i.created_at) as taken_in, min(i.attempted_at) as begun
from workflow.event e
left join workflow.outbox o on o.routing_key = 'invite.send.v1'
  and convert_from(o.body, 'UTF8')::json -> 'data' ->> 'application_id' = $2
left join assessments.intent i on i.application_id = $2::bigint
where e.stream = $1
"""


def run(stage: Stage) -> Line:
    """Measure one invite after the other, then let a crowd enter at once to see each process at load."""
    stage.system.start_all()
    try:
        uvloop.run(declare_like(stage.broker_url, hops.QUEUE, inbound_arguments))
        with bare_receiver(stage.broker_url, hops.QUEUE) as (url, _):
            ours, bare, parts, bare_parts = uvloop.run(_measure(stage, url))
    finally:
        stage.system.stop_all()
    return Line(
        name="latency",
        unit="ms",
        ratio=spread(ratios(ours, bare)),
        ours=spread(ours),
        bare=spread(bare),
        limit=LIMIT,
        sense=Sense.AT_MOST,
        details={
            "hops": {name: rounded(one.median) for name, one in bare_parts.items()},
            "way": {name: rounded(one.median) for name, one in parts.items()},
        },
        remarks=(
            "our way, ms: " + _listed(parts),
            "bare hops, ms: " + _listed(bare_parts),
        ),
    )


def _listed(parts: Mapping[str, Spread]) -> str:
    return "; ".join(f"{name} {one.median:.1f}" for name, one in parts.items())


Measured = tuple[list[float], list[float], dict[str, Spread], dict[str, Spread]]


async def _measure(stage: Stage, receiver_url: str) -> Measured:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, stage.database("bench_hops") as database:
        sandbox = Sandbox(session, stage.system.url("sandbox"), _ACCOUNT)
        made = await _connect(stage, sandbox)
        people = [await _applies(sandbox, number) for number in range(RUNS + 2)]
        await asyncio.sleep(2)
        for person in people[:2]:  # the first one fetches a token and the list of assessments
            times = await _invited(sandbox, person["application_id"])
            await asyncio.sleep(1)
        seen = [call["path"] for call in await _calls(sandbox, times["sent"])]
        vendors = await _bare_vendors(session, stage.system.url("sandbox"), seen, _ids(made, people[1]))
        watching = await asyncpg.connect(stage.servers.postgres.database_url(stage.system.database))
        try:
            async with hops.connected(database, stage.broker_url, receiver_url, **vendors) as bare_way:
                await bare_way.once()
                bare_way.seconds.clear()
                measured = await _alternate(
                    sandbox, watching, bare_way, [person["application_id"] for person in people[2:]]
                )
        finally:
            await watching.close()
        await _crowd(stage, sandbox)
        return measured


async def _alternate(
    sandbox: Sandbox, watching: asyncpg.Connection[asyncpg.Record], bare_way: hops.Hops, people: list[int]
) -> Measured:
    ours: list[float] = []
    bare: list[float] = []
    parts: dict[str, list[float]] = {}
    for number in paced(len(people), seconds=SECONDS):
        person = people[number]
        await asyncio.sleep(random.uniform(0.3, 1.3))  # at no fixed distance from anybody's poll
        times = await _invited(sandbox, person)
        await asyncio.sleep(0.3)  # the outcome is written meanwhile
        times |= await _told(sandbox, watching, person, times["sent"])
        ours.append((times["invited"] - times["sent"]) * 1000)
        for name, milliseconds in way(times).items():
            parts.setdefault(name, []).append(milliseconds)
        bare.append(await bare_way.once() * 1000)
        if number % 10 == 9:
            say(f"latency {number + 1}/{len(people)}: {ours[-1]:.0f} ms, bare hops {bare[-1]:.0f} ms")
    bare_parts = {name: spread([value * 1000 for value in values]) for name, values in bare_way.seconds.items()}
    return ours, bare, {name: spread(values) for name, values in parts.items()}, bare_parts


_MARKS: Final = (
    ("sent", ""),
    ("decided", "webhook to decision"),
    ("relayed", "decision to confirmed command"),
    ("taken_in", "command to ledger row"),
    ("greenhouse", "ledger row to first read at Greenhouse"),
    ("coderbyte", "reads at Greenhouse, up to the first at Coderbyte"),
    ("begun", "reads at Coderbyte, up to the attempt's begin"),
    ("invited", "begin to invite received"),
)
"""Marks on the way, in order, and what lies between each and the one before."""


def way(times: Mapping[str, float]) -> dict[str, float]:
    """Return the milliseconds between the marks that were seen; pure. A mark may precede the one before it."""
    seen = [(name, words) for name, words in _MARKS if name in times]
    return {words: (times[name] - times[before]) * 1000 for (before, _), (name, words) in pairwise(seen)}


async def _invited(sandbox: Sandbox, person: int) -> dict[str, float]:
    """Let somebody enter the stage; return when the webhook was sent and when the invite was received."""
    moved = await sandbox.person("move", application_id=person, stage=_STAGE)
    sent = next(one for one in moved["deliveries"] if one["event"] == "candidate_stage_change")["attempts"][0]["at"]
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        await asyncio.sleep(0.1)
        for item in (await sandbox.effects())["invites"]:
            if person in item["application_ids"]:
                return {"sent": _seconds(sent), "invited": _seconds(item["at"])}
    raise RuntimeError(f"application {person} got no invite within {PATIENCE_SECONDS:g} s")


async def _told(
    sandbox: Sandbox, watching: asyncpg.Connection[asyncpg.Record], person: int, since: float
) -> dict[str, float]:
    """Return the marks between: from the services' tables and from the sandbox's log of calls."""
    stream = stream_id(AccountId(_ACCOUNT), ApplicationId(person))
    row = await watching.fetchrow(_EVENTS, stream, str(person))
    times = {} if row is None else {name: at.timestamp() for name, at in row.items() if at is not None}
    for call in await _calls(sandbox, since):
        vendor = "coderbyte" if "/coderbyte/" in call["path"] else "greenhouse"
        times.setdefault(vendor, _seconds(call["at"]))
    return times


async def _calls(sandbox: Sandbox, since: float) -> list[dict[str, Any]]:
    entries = await sandbox.call("GET", f"/calls?account={sandbox.account}")
    return [call for call in entries if call["method"] == "GET" and _seconds(call["at"]) >= since]


async def _bare_vendors(
    session: aiohttp.ClientSession, base: str, seen: list[str], ids: tuple[str, ...]
) -> dict[str, Any]:
    """Return the vendors' part of the bare way: the reads that an invite makes, for somebody of another account.

    Its own account, since two who take tokens with one credential end each other's.
    """
    sandbox = Sandbox(session, base, "bare")
    made = await sandbox.create(switches={"rate.limit": 5000})
    own = _ids(made, await _applies(sandbox, 1))
    reads = [base + _renamed(path, dict(zip(ids, own, strict=True))) for path in seen]
    if not reads:
        raise RuntimeError("the sandbox saw no reads before the invite")
    return {
        "reads": reads,
        "harvest_token": await _token(session, made["greenhouse"]),
        "api_key": made["coderbyte"]["api_key"],
        "invite": _invite(made["coderbyte"]),
    }


def _ids(made: Mapping[str, Any], person: Mapping[str, Any]) -> tuple[str, ...]:
    test: str = made["coderbyte"]["assessments"][0]["test_id"]
    return str(person["application_id"]), str(person["candidate_id"]), person["email"], test


def _renamed(path: str, others: Mapping[str, str]) -> str:
    for one, other in others.items():
        path = path.replace(one, other).replace(quote(one, safe=""), quote(other, safe=""))
    return path


async def _token(session: aiohttp.ClientSession, greenhouse: dict[str, Any]) -> str:
    basic = aiohttp.encode_basic_auth(greenhouse["client_id"], greenhouse["client_secret"])
    form = {"grant_type": "client_credentials", "sub": str(greenhouse["service_user_id"])}
    async with session.post(greenhouse["token_url"], data=form, headers={"Authorization": basic}) as answer:
        token: str = (await answer.json())["access_token"]
        return token


def _invite(coderbyte: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    assessment = coderbyte["assessments"][0]
    url = coderbyte["base_url"].rstrip("/") + "/organization/candidates/invite"
    return url, {"assessment_url": assessment["public_url"]}


async def _connect(stage: Stage, sandbox: Sandbox) -> dict[str, Any]:
    made = await sandbox.create(switches={"rate.limit": 5000})
    environ = {**stage.system.environment(), **secrets_of(made)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trellis.yaml"
        file.write_text(account_file(made, _ACCOUNT, settle_s=0, settings=_SETTINGS))
        await trellis("apply", "-f", str(file), environ=environ)
    await sandbox.connect(json.loads(await trellis("endpoints", "--account", _ACCOUNT, "--json", environ=environ)))
    return made


async def _applies(sandbox: Sandbox, number: int) -> dict[str, Any]:
    email = f"person{number}@mail.example"
    made = await sandbox.person(
        "apply", first_name=f"Person{number}", last_name="Bench", emails=[email], stage="Recruiter Call"
    )
    return {**made, "email": email}


async def _crowd(stage: Stage, sandbox: Sandbox) -> None:
    """Let many enter at once and keep each service's highest resident size in the stage's memory."""
    crowd = [(await _applies(sandbox, 1000 + number))["application_id"] for number in range(CROWD)]
    before = len((await sandbox.effects())["invites"])
    with machine.watched_memory(lambda: {name: stage.system.pid(name) for name in SERVICES}, stage.memory):
        started = time.monotonic()
        await asyncio.gather(*(sandbox.person("move", application_id=one, stage=_STAGE) for one in crowd))
        while (count := len((await sandbox.effects())["invites"]) - before) < CROWD:
            if time.monotonic() > started + PATIENCE_SECONDS:
                break
            await asyncio.sleep(0.5)
    say(f"crowd: {count} of {CROWD} invites within {time.monotonic() - started:.0f} s")


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
