"""No request or id of one account reads or changes another's, nor stops its work (P7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from tests.e2e.conftest import Tenant
from tools.dev.system import System

from trellis.common.errors import PermanentError
from trellis.common.runtime.internal import InternalClient
from trellis.common.runtime.keyring import Keyring

SERVICES = ("ingest", "workflow", "greenhouse-actions", "assessments")


@pytest.fixture
def client(session: aiohttp.ClientSession, system: System) -> Callable[..., InternalClient]:
    keyring = Keyring.load(Path(system.variables()["TRELLIS_KEYRING_FILE"]))

    def made(service: str, *, caller: str = "cli", audience: str | None = None) -> InternalClient:
        return InternalClient(
            session, system.url(service), audience=audience or service, caller=caller, keyring=keyring
        )

    return made


async def test_another_accounts_ids_show_and_change_nothing(
    tenant: Tenant, new_tenant: Callable[[], Tenant], client: Callable[..., InternalClient]
) -> None:
    other = new_tenant()
    await other.open()
    await tenant.fault("invite", "cut_after")
    application = await tenant.applies("Mia")
    await tenant.enters(application)
    await tenant.until_outcome(application, "invite", "parked")
    (command,) = {step["command_id"] for step in await tenant.steps(application) if step.get("command_id")}
    before = await tenant.steps(application)
    base = f"/internal/v1/accounts/{other.account}"
    workflow, ingest = client("workflow"), client("ingest", caller="assessments")
    greenhouse, assessments = client("greenhouse-actions"), client("assessments")

    for path in ("story", "redecide"):
        with pytest.raises(PermanentError):
            answer = await workflow.call("GET", f"{base}/applications/{application}/{path}")
            if answer.get("decisions") == 0:
                raise PermanentError("nothing of it is shown")
    assert await workflow.call("GET", f"{base}/applications") == []
    for effects in (greenhouse, assessments):
        answer = await effects.call("GET", f"{base}/applications/{application}/intents")
        assert (answer["intents"] if isinstance(answer, dict) else answer) == []
    for order in ("confirm", "redrive", "drop"):
        with pytest.raises(PermanentError):
            await assessments.call("POST", f"{base}/intents/{command}/{order}", {"by": "x", "reason": "x"})
    results = await assessments.call("GET", f"{base}/applications/{application}/results")
    assert not (results["results"] if isinstance(results, dict) else results)
    link = await client("assessments", caller="greenhouse-actions").call(
        "GET",
        f"{base}/reports/link?application_id={application}&visit=n2&assessment_id={tenant.made['coderbyte']['assessments'][0]['test_id']}",
    )
    assert link["link"] is None
    with pytest.raises(PermanentError):
        await ingest.call("GET", f"{base}/sealed-bodies/{uuid4()}")
    verdicts = await client("greenhouse-actions", caller="assessments").call(
        "POST",
        f"{base}/candidates-for-invite",
        {"applications": [{"application_id": application, "stage_id": 1, "visit": "n1"}]},
    )
    assert "address" not in str(verdicts)
    assert await tenant.steps(application) == before


async def test_every_internal_route_wants_a_token_for_that_service(
    session: aiohttp.ClientSession, system: System, client: Callable[..., InternalClient]
) -> None:
    paths = {
        "ingest": "/internal/v1/endpoints",
        "workflow": "/internal/v1/accounts",
        "greenhouse-actions": "/internal/v1/accounts/a/brakes",
        "assessments": "/internal/v1/accounts/a/brakes",
    }
    for service in SERVICES:
        url = system.url(service) + paths[service]
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
            async with session.get(url, headers=headers) as answer:
                assert answer.status == 401, service
        wrong = "workflow" if service != "workflow" else "ingest"
        with pytest.raises(PermanentError, match="401"):
            await client(service, audience=wrong).call("GET", paths[service])
        await client(service).call("GET", paths[service])


async def test_one_accounts_trouble_stops_nobody_elses_work(tenant: Tenant, new_tenant: Callable[[], Tenant]) -> None:
    well = new_tenant()
    await well.open()
    await tenant.person("revoke_tokens")
    await tenant.person("rotate_client_secret")
    await tenant.fault("*", "hang", seconds=20, count=0)
    for number in range(8):
        await tenant.enters(await tenant.applies(f"N{number}"))
    await asyncio.sleep(0.5)
    application = await well.applies("Nia")
    await well.enters(application)
    await well.until_seen(application, invites=1, seconds=15)


async def test_a_webhook_signed_by_one_account_is_refused_at_anothers_endpoint(
    tenant: Tenant, new_tenant: Callable[[], Tenant], session: aiohttp.ClientSession
) -> None:
    import hashlib
    import hmac

    other = new_tenant()
    await other.open(connect=False)
    (theirs,) = [item for item in await other.endpoints() if item["vendor"] == "greenhouse"]
    (again,) = [item for item in await other.endpoints() if item["vendor"] == "greenhouse"]
    assert theirs["secret"]
    assert again["secret"] is None
    (mine,) = [item for item in await tenant.endpoints() if item["vendor"] == "greenhouse"]
    body = b'{"action":"ping","payload":{}}'

    async def posted(url: str, secret: str) -> int:
        signature = "sha256 " + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Signature": signature, "Content-Type": "application/json"}
        async with session.post(url, data=body, headers=headers) as answer:
            return answer.status

    assert await posted(theirs["url"], theirs["secret"]) == 200
    assert await posted(mine["url"], theirs["secret"]) == 401
