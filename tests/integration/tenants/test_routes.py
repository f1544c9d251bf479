"""Every route, asked by one account for what is another's: nothing, and no effect (P7).

The routes are those of the services' own routers, so a new one is walked by itself; one that this test cannot fill in
fails it until somebody says how.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.integration.tenants.installation import Installation, Running
from tests.integration.tenants.walking import (
    ADDRESS,
    APPLICATION,
    BODIES,
    CANDIDATE,
    COMMANDS,
    INTRUDER,
    JOB,
    LETTER,
    OFFERED,
    STAGE,
    TEST,
    VICTIM,
    VISIT,
    Walk,
    app_of,
)
from tools.docs.openapi import openapi

from trellis.common.contracts.identifiers import (
    AccountId,
)

OVER_ACCOUNTS = {
    "/internal/v1/accounts",
    "/internal/v1/applications/{application}/accounts",
    "/internal/v1/dead-letters",
    "/internal/v1/dead-letters/{id}/{order}",
    "/internal/v1/endpoints",
    "/internal/v1/erasures",
    "/internal/v1/erasures/replayed",
    "/internal/v1/findings",
    "/internal/v1/outbox/again",
    "/internal/v1/reconciliations",
    "/internal/v1/restoration",
}
"""What the administrator asks over all accounts, or of the installation itself; no other route may do without an account in its path."""


def routes_of(running: Running) -> list[tuple[str, str]]:
    """Return method and path of every route; a HEAD is its GET."""
    found = set()
    for route in app_of(running).router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            found.add((route.method, route.resource.canonical))
    return sorted(found)


async def test_the_openapi_documents_name_every_route_and_no_other(installation: Installation) -> None:
    documents = openapi()
    for name, running in installation.services.items():
        told = {
            (method.upper(), path)
            for path, methods in documents[name]["paths"].items()
            for method in methods
            if not path.startswith(("/health/", "/metrics"))
        }
        assert told == set(routes_of(running)), name


def filled(walk: Walk, canonical: str, account: AccountId) -> list[str]:
    """Return *canonical* with *account* and every id of the victim's that may stand in it."""
    ids = [str(APPLICATION), str(OFFERED), str(walk.body_id), *map(str, COMMANDS.values())]
    values = {
        "account": [str(account)],
        "application": [str(APPLICATION), str(OFFERED)],
        "candidate": [str(CANDIDATE)],
        "id": ids,
        "order": ["confirm", "redrive", "drop"],
    }
    if "/dead-letters/" in canonical:
        values |= {"id": [str(LETTER), ids[0]], "order": ["redrive", "drop"]}
    paths = [canonical]
    for name in re.findall(r"\{(\w+)\}", canonical):
        assert name in values, f"{canonical}: say in this test what of the victim's stands for {name}"
        paths = [path.replace(f"{{{name}}}", value) for path in paths for value in values[name]]
    return paths


def asked(walk: Walk, method: str, canonical: str, account: AccountId) -> list[tuple[str, Any]]:
    """Return all requests that are made of one route: path with query, and body."""
    query = f"?application_id={APPLICATION}&visit={VISIT}&assessment_id={TEST}"
    bodies: list[Any] = BODIES.get((method, canonical), [None]) if method != "GET" else [None]
    return [(path + query, body) for path in filled(walk, canonical, account) for body in bodies]


@pytest.mark.parametrize("policies", [True, False], ids=["queries and policies", "queries alone"])
async def test_every_internal_route_tells_and_changes_nothing_of_another_account(walk: Walk, policies: bool) -> None:
    """Each query names its account by itself: no route needs the policies, which are there for one that forgets."""
    if not policies:
        await walk.installation.drop_policies()
    before = await walk.everything_of(VICTIM)
    unbound, walked = set(), 0
    for name, running in walk.installation.services.items():
        for method, canonical in routes_of(running):
            if canonical.startswith("/webhooks/"):
                continue
            if "{account}" not in canonical:
                unbound.add(canonical)
                continue
            statuses = set()
            for path, body in asked(walk, method, canonical, INTRUDER):
                status, said = await walk.call(name, method, path, body)
                assert not walk.tells(said), (name, method, path)
                assert status != 500, (name, method, path, said)
                statuses.add(status)
                walked += 1
            if method != "GET":
                understood = statuses - {400, 401, 422}
                assert understood, f"{name} {method} {canonical}: say in BODIES what it takes ({statuses})"
    assert unbound == OVER_ACCOUNTS
    assert walked > 60
    assert await walk.everything_of(VICTIM) == before


async def test_the_same_walk_by_the_account_itself_tells_and_changes_much(walk: Walk) -> None:
    """Otherwise the walk of the intruder could pass because nothing is there to be found."""
    telling, changing = set(), set()
    for name, running in walk.installation.services.items():
        for method, canonical in routes_of(running):
            if "{account}" not in canonical:
                continue
            for path, body in asked(walk, method, canonical, VICTIM):
                before = await walk.everything_of(VICTIM) if method != "GET" else {}
                _, said = await walk.call(name, method, path, body)
                part = f"{name} {canonical.removeprefix('/internal/v1/accounts/{account}')}"
                if walk.tells(said):
                    telling.add(part)
                if method != "GET" and await walk.everything_of(VICTIM) != before:
                    changing.add(f"{method} {part}")
    assert telling >= {
        "assessments /applications/{application}/intents",
        "assessments /applications/{id}/invite-links",
        "assessments /applications/{id}/results",
        "assessments /connection",
        "assessments /dead-letters",
        "assessments /parked",
        "assessments /reports/link",
        "assessments /status",
        "assessments /unmatched",
        "greenhouse-actions /applications/{application}/intents",
        "greenhouse-actions /connection",
        "greenhouse-actions /dead-letters",
        "greenhouse-actions /parked",
        "greenhouse-actions /reconciliation",
        "greenhouse-actions /status",
        "ingest /dead-letters",
        "ingest /sealed-bodies/{id}",
        "ingest /unreadable",
        "workflow /applications",
        "workflow /applications/{application}/story",
        "workflow /dead-letters",
        "workflow /offers",
        "workflow /workflows",
    }
    assert changing >= {
        "DELETE assessments /brakes",
        "DELETE greenhouse-actions /brakes",
        "POST assessments /candidates/{candidate}/erase",
        "POST assessments /dead-letters/{id}/{order}",
        "POST assessments /erasures/replay",
        "POST assessments /intents/{id}/{order}",
        "POST greenhouse-actions /dead-letters/{id}/{order}",
        "POST greenhouse-actions /intents/{id}/{order}",
        "POST ingest /dead-letters/{id}/{order}",
        "POST ingest /keys/rotate",
        "POST workflow /dead-letters/{id}/{order}",
        "POST workflow /offers/{application}/accept",
        "PUT assessments /brakes",
        "PUT assessments /connection",
        "PUT greenhouse-actions /brakes",
        "PUT greenhouse-actions /connection",
        "PUT ingest ",
        "PUT workflow /workflows",
    }


async def test_the_list_of_endpoints_can_be_bound_to_one_account(walk: Walk) -> None:
    before = await walk.everything_of(VICTIM)
    _, said = await walk.call("ingest", "GET", f"/internal/v1/endpoints?account={INTRUDER}")
    assert walk.endpoints[INTRUDER, "greenhouse"][0] in said
    assert not any(token in said for (account, _), (token, _) in walk.endpoints.items() if account == VICTIM)
    assert await walk.everything_of(VICTIM) == before


async def test_every_public_route_wants_the_endpoints_own_secret_and_tells_its_own_account(walk: Walk) -> None:
    public = [
        (name, canonical)
        for name, running in walk.installation.services.items()
        for _, canonical in routes_of(running)
        if not canonical.startswith("/internal/")
    ]
    assert public == [
        ("ingest", "/webhooks/coderbyte/{endpoint_token}"),
        ("ingest", "/webhooks/greenhouse/{endpoint_token}"),
    ]
    before = await walk.everything_of(VICTIM)
    application = {
        "id": APPLICATION,
        "candidate": {"id": CANDIDATE},
        "jobs": [{"id": JOB}],
        "status": "active",
        "current_stage": {"id": STAGE, "name": "x"},
    }
    bodies = {
        "greenhouse": {"action": "candidate_stage_change", "payload": {"application": application}},
        "coderbyte": {
            "operation": "assessment_completed",
            "organization_id": "intruder-organization",
            "email": ADDRESS,
            "assessment_id": TEST,
        },
    }
    for vendor, body in bodies.items():
        assert await walk.post(VICTIM, vendor, body, signed_by=INTRUDER) == 401
        assert await walk.post(INTRUDER, vendor, body, signed_by=VICTIM) == 401
        assert await walk.post(INTRUDER, vendor, body) == 200
    assert await walk.everything_of(VICTIM) == before
    facts = (await walk.everything_of(INTRUDER))["ingest.spool"]
    assert len(facts) == 2
