"""Creating accounts and webhooks from control requests, and telling about them."""

from __future__ import annotations

import base64

from trellis.sandbox.bodies import Body, ControlError, Json
from trellis.sandbox.coderbyte.webhooks import OPERATIONS
from trellis.sandbox.greenhouse.auth import SCOPES
from trellis.sandbox.greenhouse.hooks import EVENTS, fire, fire_ping
from trellis.sandbox.greenhouse.model import Credential, HarvestKey, Hook, Job
from trellis.sandbox.greenhouse.payloads import job_payload
from trellis.sandbox.greenhouse.state import DEFAULT_STAGES
from trellis.sandbox.greenhouse.v1 import READINGS, WRITES
from trellis.sandbox.webhooks import first_attempts
from trellis.sandbox.world import Account, World

PERMISSIONS = tuple(permission for _, permission, _ in (*READINGS, *WRITES) if not permission.startswith("users."))
"""What is ticked for a new key to Harvest v1: all but users and updates, which the set-up page does not ask for."""
DEFAULT_JOB = "Backend Engineer"
DEFAULT_ASSESSMENT = "Backend Engineer Screen"
QUALIFYING_SCORE = 70


def create_account(world: World, body: Body) -> Account:
    """A new account from what is given, with defaults for the rest.

    Args:
        world: Where it will live.
        body: `name`; `greenhouse` with `client_id`, `client_secret`, `api_key`, `scopes`, `rate_limit`, `service_user`
            (`name`, `email`, `site_admin`), `users`, `jobs`; `coderbyte` with `organization_id`, `api_key`,
            `assessments`; `switches`. See the README.

    Raises:
        ControlError: A field has the wrong shape (422), or a name, client or key is taken (409).
    """
    name = body.text("name", f"account-{len(world.accounts) + 1}")
    greenhouse, coderbyte = body.section("greenhouse"), body.section("coderbyte")
    client_id = greenhouse.text("client_id", f"{name}-client")
    if world.by_client(client_id) is not None:
        raise ControlError(f"client '{client_id}' belongs to another account", 409)
    slug = "".join(sign for sign in name.lower() if sign.isalnum())
    harvest_key = greenhouse.text("api_key", f"{name}-harvest-key-0001")
    if world.by_harvest_key(harvest_key) is not None:
        raise ControlError("the Harvest key belongs to another account", 409)
    account = world.new_account(
        name,
        organization_id=coderbyte.text("organization_id", slug),
        api_key=coderbyte.text("api_key", f"{name}-api-key-0001"),
    )
    try:
        _furnish(account, client_id, greenhouse, coderbyte)
        account.greenhouse.harvest_key = HarvestKey(harvest_key, set(PERMISSIONS))
        set_switches(account, body.section("switches"))
    except ControlError:
        del world.accounts[name]
        raise
    return account


def set_switches(account: Account, body: Body) -> None:
    """Set each switch named in *body*; raises `ControlError` for an unknown name or value."""
    for name, value in body.fields.items():
        account.switches.set(name, value)


async def add_webhooks(account: Account, body: Body) -> list[Json]:
    """Register webhooks of `vendor` and, for Greenhouse, wait for their pings.

    Greenhouse: `events` ("all", one event or a list), `url`, `secret`; each event makes a webhook of its own, saved
    disabled if its ping does not get 200. Coderbyte: `url`, and `events` if not for all operations.
    Source: greenhouse.md section 2.1, coderbyte.md section 4.
    """
    vendor = body.text("vendor", "greenhouse")
    url = body.text("url")
    known = EVENTS if vendor == "greenhouse" else OPERATIONS
    events = body.texts("events") or ["all"]
    if events == ["all"]:
        events = list(known)
    unknown = [event for event in events if event not in known]
    if unknown or vendor not in ("greenhouse", "coderbyte"):
        raise ControlError(f"unknown vendor or events: {', '.join(unknown) or vendor}; known: {', '.join(known)}")
    if vendor == "coderbyte":
        account.coderbyte.webhook_urls.update(dict.fromkeys(events, url))
        return [{"vendor": vendor, "event": event, "url": url} for event in events]
    hooks = [_add_hook(account, body, event, url) for event in events]
    await ping(account, hooks, trust=not account.world.dispatcher.is_running)
    return [tell_hook(hook) for hook in hooks]


async def ping(account: Account, hooks: list[Hook], *, trust: bool = False) -> None:
    """Ping *hooks* as saving does: enabled if the answer was 200, else disabled."""
    deliveries = [fire_ping(account, hook) for hook in hooks]
    if trust:
        return
    await first_attempts(deliveries)
    for hook, delivery in zip(hooks, deliveries, strict=True):
        hook.enabled = bool(delivery.attempts) and delivery.attempts[0].status == 200


def tell_account(account: Account, base_url: str) -> Json:
    """All that somebody needs to connect to *account*, secrets included."""
    greenhouse, coderbyte = account.greenhouse, account.coderbyte
    credential = next(iter(greenhouse.credentials.values()))
    users = [u for u in greenhouse.users.values() if not u.service_account]
    vendor: Json = {
        "base_url": f"{base_url}/greenhouse/v3",
        "token_url": f"{base_url}/greenhouse/token",
        "introspect_url": f"{base_url}/greenhouse/introspect",
        "v1_base_url": f"{base_url}/greenhouse/v1",
        "api_key": greenhouse.harvest_key.key,
        "client_id": credential.client_id,
        "client_secret": credential.secrets[0],
        "scopes": sorted(credential.scopes),
        "service_user_id": users[0].id,
        "users": [{"id": u.id, "name": u.name, "site_admin": u.site_admin} for u in users],
        "jobs": [_tell_job(account, job) for job in greenhouse.jobs.values()],
    }
    return {
        "name": account.name,
        "greenhouse": vendor,
        "coderbyte": {
            "base_url": f"{base_url}/coderbyte/api",
            "organization_id": coderbyte.organization_id,
            "api_key": coderbyte.api_key,
            "assessments": [
                {
                    "test_id": a.test_id,
                    "display_name": a.display_name,
                    "public_url": a.public_url,
                    "qualifying_score": a.qualifying_score,
                    "closed": a.closed,
                }
                for a in coderbyte.assessments.values()
            ],
        },
        "webhooks": tell_webhooks(account),
        "switches": account.switches.positions(),
    }


def tell_webhooks(account: Account) -> list[Json]:
    """The webhooks of both vendors, without secrets."""
    found = [tell_hook(hook) for hook in account.greenhouse.hooks.values()]
    for operation, url in account.coderbyte.webhook_urls.items():
        found.append({"vendor": "coderbyte", "event": operation, "url": url})
    return found


def tell_hook(hook: Hook) -> Json:
    """A Greenhouse webhook, without its secret."""
    return {"vendor": "greenhouse", "id": hook.id, "event": hook.event, "url": hook.url, "enabled": hook.enabled}


def add_job(account: Account, body: Body) -> Json:
    """A job with `name`, `stages` (names, or {name, sends_email}) and `confidential`."""
    stages = [_stage(item) for item in body.items("stages") or list(DEFAULT_STAGES)]
    job = account.greenhouse.add_job(
        body.text("name", DEFAULT_JOB), stages, confidential=body.flag("confidential", False)
    )
    fire(account, "job_created", {"job": job_payload(job)})
    return _tell_job(account, job)


def add_assessment(account: Account, body: Body) -> Json:
    """An assessment with `display_name`, `test_id`, `qualifying_score`, `closed`; `public_url` null leaves it out."""
    assessment = account.coderbyte.add_assessment(
        body.text("display_name", DEFAULT_ASSESSMENT),
        test_id=body.optional_text("test_id"),
        qualifying_score=body.integer("qualifying_score", QUALIFYING_SCORE),
        closed=body.flag("closed", False),
        has_public_url=not (body.has("public_url") and body.fields["public_url"] is None),
    )
    return {"test_id": assessment.test_id, "public_url": assessment.public_url}


def _furnish(account: Account, client_id: str, greenhouse: Body, coderbyte: Body) -> None:
    user = greenhouse.section("service_user")
    state = account.greenhouse
    state.add_user(
        user.text("name", "Trellis Service"),
        user.text("email", f"trellis@{account.coderbyte.organization_id}.example"),
        site_admin=user.flag("site_admin", True),
    )
    for item in greenhouse.items("users") or [{"name": "Imani Okafor"}]:
        person = Body.of(item)
        state.add_user(
            person.text("name"),
            person.text("email", f"{person.text('name').split()[0].lower()}@{account.name}.example"),
            site_admin=person.flag("site_admin", False),
        )
    own = state.add_user(f"{client_id} service account", None, site_admin=True, service_account=True)
    scopes = greenhouse.texts("scopes")
    state.credentials[client_id] = Credential(
        client_id,
        [greenhouse.text("client_secret", f"{client_id}-secret-0001")],
        set(SCOPES) if scopes is None else {s if s.startswith("harvest:") else f"harvest:{s}" for s in scopes},
        own.id,
        rate_limit=greenhouse.optional_integer("rate_limit"),
    )
    for item in greenhouse.items("jobs") or [{}]:
        add_job(account, Body.of(item))
    for item in coderbyte.items("assessments") or [{}]:
        add_assessment(account, Body.of(item))


def _stage(item: object) -> tuple[str, bool]:
    if isinstance(item, str):
        return item, False
    fields = Body.of(item)
    return fields.text("name"), fields.flag("sends_email", False)


def _add_hook(account: Account, body: Body, event: str, url: str) -> Hook:
    now = account.greenhouse.clock.now()
    hook = Hook(
        id=account.greenhouse.ids.next("hook"),
        event=event,
        url=url,
        secret=body.text("secret"),
        name=body.text("name", f"Trellis: {event}"),
        created_at=now,
        updated_at=now,
        extra_headers=_extra_headers(body),
    )
    account.greenhouse.hooks[hook.id] = hook
    return hook


def _extra_headers(body: Body) -> list[tuple[str, str]]:
    fields = body.section("headers")
    headers = [(name, fields.text(name)) for name in fields.fields]
    user = body.optional_text("basic_user")
    if user is not None:
        pair = f"{user}:{body.text('basic_password', '')}".encode()
        headers.append(("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")))
    return headers


def _tell_job(account: Account, job: Job) -> Json:
    stages = [s for s in account.greenhouse.stages.values() if s.job_id == job.id]
    return {
        "id": job.id,
        "name": job.name,
        "status": job.status,
        "confidential": job.confidential,
        "stages": [
            {"id": s.id, "name": s.name, "sort_order": s.sort_order, "active": s.active}
            for s in sorted(stages, key=lambda stage: (stage.sort_order, stage.id))
        ],
    }
