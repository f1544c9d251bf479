"""The administrator's commands on a running system: apply, endpoints, keys, brakes, parked, caps."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import Tenant
from tests.unit.test_documents import example
from tools.demo.control import trellis


async def test_the_documented_example_is_applied_and_applied_twice_changes_nothing(
    tenant: Tenant, tmp_path: Path
) -> None:
    name = f"doc-{os.urandom(3).hex()}"
    file = tmp_path / "trellis.yaml"
    file.write_text(example().replace("account: northwind\n", f"account: {name}\n"))
    environ = {**tenant.environ, "GREENHOUSE_CLIENT_SECRET": "s3cret-one-two", "CODERBYTE_API_KEY": "k3y-one-two-three"}
    planned = await trellis("apply", "-f", str(file), "--dry-run", environ=environ)
    assert "would change" in planned
    assert await trellis("apply", "-f", str(file), "--dry-run", environ=environ) == planned, "a dry run changes nothing"
    done = await trellis("apply", "-f", str(file), environ=environ)
    assert "workflow engineering: version 1 is live" in done
    assert "s3cret" not in done + planned
    assert await trellis("apply", "-f", str(file), environ=environ) == "nothing to change\n"
    file.write_text(file.read_text().replace("at_least: 70", "at_least: 75"))
    assert await trellis("apply", "-f", str(file), environ=environ) == "workflow engineering: version 2 is live\n"


async def test_a_wrong_file_is_refused_whole(tenant: Tenant, tmp_path: Path) -> None:
    file = tmp_path / "trellis.yaml"
    file.write_text(example().replace("at_least: 70", "at_least: lots"))
    with pytest.raises(RuntimeError, match=r"trellis\.yaml:\d+:\d+: workflows.*at_least"):
        await trellis("apply", "-f", str(file), environ=tenant.environ)


async def test_endpoints_show_a_secret_once_and_rotation_makes_a_new_one_beside_the_old(
    new_tenant: Callable[[], Tenant],
) -> None:
    tenant = new_tenant()
    await tenant.open(connect=False)
    first = await tenant.endpoints()
    assert [item.keys() for item in first] == [{"account", "vendor", "url", "secret"}] * 2
    assert {item["vendor"]: bool(item["secret"]) for item in first} == {"greenhouse": True, "coderbyte": False}
    assert all(item["secret"] is None for item in await tenant.endpoints())
    await tenant.connect(first)
    await tenant.trellis("keys", "rotate", "--account", tenant.account)
    renewed = {item["vendor"]: item["secret"] for item in await tenant.endpoints()}
    assert renewed["greenhouse"] not in (None, first[0]["secret"])
    old = await tenant.applies("Old")
    await tenant.enters(old)
    await tenant.until_seen(old, invites=1)
    await tenant.person("rotate_webhook_secret", secret=renewed["greenhouse"])
    new = await tenant.applies("New")
    await tenant.enters(new)
    await tenant.until_seen(new, invites=1)


@pytest.mark.parametrize("scope", [("--connection", "coderbyte"), ("--workflow", "engineering"), ()])
async def test_a_brake_holds_its_scope_and_why_says_so(tenant: Tenant, scope: tuple[str, ...]) -> None:
    await tenant.trellis("brake", "on", "--account", tenant.account, *scope, "--reason", "holiday")
    application = await tenant.applies("Pia")
    await tenant.enters(application)
    await tenant.until_outcome(application, "invite", "waiting")
    assert "holiday" in await tenant.trellis("brake", "status", "--account", tenant.account)
    steps = await tenant.steps(application)
    assert any("brake" in (step["reason"] or "") or "kill switch" in (step["reason"] or "") for step in steps)
    await tenant.trellis("brake", "off", "--account", tenant.account, *scope)
    await tenant.until_seen(application, invites=1)
    assert "no brake is on" in await tenant.trellis("brake", "status", "--account", tenant.account)


async def test_the_cap_of_invites_for_an_hour_holds_the_rest_with_a_time(new_tenant: Callable[[], Tenant]) -> None:
    tenant = new_tenant()
    await tenant.open(**{"cap.invites_per_hour": 2})
    people = [await tenant.applies(f"Q{number}") for number in range(4)]
    for application in people:
        await tenant.enters(application)

    async def two() -> bool:
        return len((await tenant.effects())["invites"]) == 2

    await tenant.until(two, "two invites")
    await asyncio.sleep(1.5)
    assert len((await tenant.effects())["invites"]) == 2
    held = [
        step
        for ident in people
        for step in await tenant.steps(ident)
        if step["outcome"] == "waiting" and "cap" in (step["reason"] or "")
    ]
    assert len(held) == 2
    assert all(step["until"] for step in held)


async def test_an_invite_in_doubt_is_listed_and_a_person_settles_it(tenant: Tenant) -> None:
    await tenant.fault("invite", "cut_after", count=3)
    people = [await tenant.applies(name) for name in ("Rex", "Sue", "Tom")]
    for application in people:
        await tenant.enters(application)
    for application in people:
        await tenant.until_outcome(application, "invite", "parked")
    rows = json.loads(await tenant.trellis("parked", "list", "--account", tenant.account, "--json"))
    by_application = {row["application_id"]: row for row in rows}
    assert set(by_application) == set(people)
    assert all(row["remedy"] and row["in_doubt"] for row in rows)
    preview = await tenant.trellis("parked", "redrive", "--all", "--account", tenant.account)
    assert "0 of 3 would be done" in preview and "it may have been sent" in preview
    assert "nobody knows" in await tenant.trellis("parked", "show", rows[0]["id"], "--account", tenant.account)
    for application, order in zip(people, ("confirm", "drop", "redrive"), strict=True):
        await tenant.trellis(
            "parked", order, by_application[application]["id"], "--account", tenant.account, "--reason", "asked"
        )
    await tenant.until_outcome(people[0], "invite", "done")
    await tenant.until_outcome(people[1], "invite", "superseded")
    await tenant.until_seen(people[2], invites=2)
    with pytest.raises(RuntimeError, match="was not changed"):
        await tenant.trellis("parked", "drop", by_application[people[0]]["id"], "--account", tenant.account)
