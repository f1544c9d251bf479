"""Names, addresses and secrets appear nowhere outside sealed columns (P8): logs, metrics, broker, database."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import urllib.request
from collections.abc import Callable

import aiohttp
import asyncpg
from tests.e2e.conftest import Tenant
from tools.dev.system import System

SERVICES = ("ingest", "workflow", "greenhouse-actions", "assessments")


async def test_nothing_personal_and_no_secret_leaks(new_tenant: Callable[[], Tenant], system: System) -> None:
    tenant = new_tenant()
    await tenant.open()
    secrets = [tenant.made["greenhouse"]["client_secret"], tenant.made["coderbyte"]["api_key"]]
    first, last = "Xenophonia", "Zwetschgenbaum"
    address = f"{first.lower()}.{last.lower()}@canary.example"
    application = await tenant.applies(
        first, last_name=last, emails=[address], phones=["+46 70 555 99 77"], company="Canarysoft", tags=["canarytag"]
    )
    await tenant.fault("invite", "cut_after")  # the unhappy way logs more
    await tenant.fault("applications.list", "500")
    await tenant.enters(application)
    await tenant.until_outcome(application, "invite", "parked")
    await tenant.person("submit", email=address, final_score=77)
    await tenant.until_seen(application, notes=1, moves=1)
    report = (await tenant.effects())["notes"][0]["body"]
    (link,) = re.findall(r"https?://\S*report/\S+", report)
    canaries = [first, last, address, "+46 70 555 99 77", "Canarysoft", "canarytag", link, *secrets]

    await assert_absent(system, canaries)
    printed = await tenant.trellis("why", str(application), "--account", tenant.account)
    assert not [canary for canary in canaries if canary in printed]


async def test_of_an_erased_person_nothing_is_left_and_the_story_still_reads(
    new_tenant: Callable[[], Tenant], system: System
) -> None:
    tenant = new_tenant()
    await tenant.open()
    first, last = "Quixotine", "Apfelstrudel"
    address = f"{first.lower()}.{last.lower()}@canary.example"
    made = await tenant.person("apply", first_name=first, last_name=last, emails=[address], stage="Recruiter Call")
    application, candidate = int(made["application_id"]), int(made["candidate_id"])
    await tenant.enters(application)
    await tenant.until_seen(application, invites=1)
    await tenant.person("submit", email=address, final_score=77)
    await tenant.until_seen(application, notes=1, moves=1)
    (link,) = re.findall(r"https?://\S*report/\S+", (await tenant.effects())["notes"][0]["body"])
    assert await readable(system, tenant.account) > 3
    erase = ("erase", str(candidate), "--account", tenant.account)
    assert "1 with an address" in await tenant.trellis(*erase)
    await tenant.trellis(*erase, "--yes")

    async def nothing_is_readable() -> bool:
        return await readable(system, tenant.account) == 0

    await tenant.until(nothing_is_readable, "nothing of the person can be read")
    await tenant.person("review", email=address, recommendation="thumb_up")  # its webhook names the address
    await tenant.trellis(*erase, "--yes")
    await asyncio.sleep(1.0)
    assert await nothing_is_readable()
    assert "0 with an address" in await tenant.trellis(*erase)
    exported = [json.loads(line) for line in (await tenant.trellis("erasures", "export")).splitlines()]
    (own,) = [item for item in exported if item["account"] == tenant.account]
    assert (own["candidate"], own["why"]) == (candidate, "by_hand")
    journal = tenant.folder / "erasures.jsonl"
    journal.write_text(json.dumps(own))
    assert "1 erasures" in await tenant.trellis("erasures", "replay", str(journal))
    await assert_absent(system, [first, last, address, link])
    story = await tenant.trellis("why", str(application), "--account", tenant.account)
    assert "erased by hand" in story
    assert "invite to" in story
    assert (await tenant.outcomes(application)) == {"invite": "done", "note": "done", "move": "done"}


async def readable(system: System, account: str) -> int:
    """Count what could be opened of the account's only person: sealed values, keys, and hashes in the rows."""
    connection = await asyncpg.connect(system.postgres.database_url(system.database))
    try:
        return int(
            await connection.fetchval(
                "select (select count(address) + count(link) + count(address_hash) from assessments.invite "
                "where account_id = $1) + (select count(report) from assessments.result where account_id = $1) "
                "+ (select count(*) from assessments.unmatched_signal where account_id = $1) "
                "+ (select count(*) from assessments.data_key where account_id = $1 and subject like 'candidate:%') "
                "+ (select count(*) from ingest.sealed_body where account_id = $1)",
                account,
            )
        )
    finally:
        await connection.close()


async def assert_absent(system: System, canaries: list[str]) -> None:
    """In no log, metric, column, queue and file of the broker."""
    for name in SERVICES:
        found = [canary for canary in canaries if canary.lower() in system.log(name).read_text().lower()]
        assert not found, f"{name}'s log holds {found}"
        with urllib.request.urlopen(f"{system.admin_url(name)}/metrics") as answer:
            exposed = answer.read().decode()
        assert not [canary for canary in canaries if canary in exposed], f"{name}'s metrics"
    await assert_absent_from_database(system, canaries)
    await assert_absent_from_broker(system, canaries)


async def assert_absent_from_database(system: System, canaries: list[str]) -> None:
    """Every value of every column, as text and as bytes."""
    url = system.postgres.database_url(system.database)
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            "select table_schema, table_name, column_name, data_type from information_schema.columns "
            "where table_schema = any($1::text[])",
            ["ingest", "workflow", "greenhouse_actions", "assessments"],
        )
        assert len(columns) > 100
        for schema, table, column, kind in columns:
            for canary in canaries:
                if kind == "bytea":
                    check, wanted = f"position($1::bytea in {column}) > 0", canary.encode()
                else:
                    check, wanted = f"position(lower($1::text) in lower({column}::text)) > 0", canary
                count = await connection.fetchval(f'select count(*) from {schema}."{table}" where {check}', wanted)
                assert count == 0, f"{schema}.{table}.{column} holds {canary!r}"
    finally:
        await connection.close()


async def assert_absent_from_broker(system: System, canaries: list[str]) -> None:
    """What lies in queues and what stands on disk."""
    base, auth = system.rabbitmq.management_url, {}
    parts = re.fullmatch(r"http://([^:]+):([^@]+)@(.+)", base)
    assert parts is not None
    auth = {"Authorization": aiohttp.encode_basic_auth(parts[1], parts[2])}
    async with aiohttp.ClientSession(headers=auth) as session, session.get(f"http://{parts[3]}/api/queues") as answer:
        names = [queue["name"] for queue in await answer.json()]
    assert names
    assert not [name for name in names for canary in canaries if canary.lower() in name.lower()]
    for canary in canaries:
        done = subprocess.run(
            ["grep", "-rlaF", "--", canary, str(system.rabbitmq.folder)], capture_output=True, text=True, check=False
        )
        assert not done.stdout, f"{canary!r} stands in the broker's files"


async def test_the_log_of_one_application_can_be_followed_by_its_correlation_id(tenant: Tenant, system: System) -> None:
    application = await tenant.applies("Lea")
    await tenant.enters(application)
    await tenant.until_outcome(application, "invite", "done")

    async def is_told() -> bool:  # a line may be written after what it tells of is seen
        return any(
            {"ingest", "workflow", "assessments"} <= names for names in logged_by(system, tenant.account).values()
        )

    await tenant.until(is_told, "the same correlation id in three logs")


def logged_by(system: System, account: str) -> dict[str, set[str]]:
    """Which services logged lines with a correlation id of *account*; each line must be whole."""
    seen: dict[str, set[str]] = {}
    for name in SERVICES:
        for line in system.log(name).read_text().splitlines():
            if not line.startswith("{") or not line.endswith("}"):
                continue
            entry = json.loads(line)
            assert {"timestamp", "level", "event", "service", "version"} <= entry.keys(), line
            assert "dropped" not in entry, f"a key outside the allow-list: {line}"
            if entry.get("correlation_id") and entry.get("account") == account:
                seen.setdefault(entry["correlation_id"], set()).add(name)
    return seen
