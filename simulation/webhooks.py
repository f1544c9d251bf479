"""The vendors' webhooks: their bodies, what signs them, and the vendor that posts them until they are taken."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from aiohttp import web
from multidict import CIMultiDict

from simulation.calls import asked
from simulation.plan import ACCOUNTS
from trellis.common.contracts.identifiers import AccountId, stable_id
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.domain.readings import ApplicationView
from trellis.ingest.endpoints import Endpoint, LiveSecret, Vendor
from trellis.ingest.translation import Rules

if TYPE_CHECKING:
    from simulation.world import World

_SECRETS: Final = {account: f"secret of {account}".encode() for account in ACCOUNTS}
_MOST_REFUSALS: Final = 1000


def token_of(vendor: Vendor, account: str) -> str:
    """Return the token in the address that *vendor* posts webhooks of *account* to."""
    return f"{vendor}-{account}-".ljust(43, "0")


def _endpoint(vendor: Vendor, account: str) -> Endpoint:
    return Endpoint(
        id=stable_id("endpoint", vendor, account),
        account=AccountId(account),
        vendor=vendor,
        secrets=(LiveSecret(stable_id("secret", vendor, account), _SECRETS[account], None),),
        rules=Rules(),
        organization_id=account if vendor is Vendor.CODERBYTE else None,
    )


ENDPOINTS: Final = {
    hashlib.sha256(token_of(vendor, account).encode()).digest(): {
        "endpoint": _endpoint(vendor, account),
        "disabled": False,
    }
    for vendor in Vendor
    for account in ACCOUNTS
}
"""The rows of ingest's endpoints, by the hash of their token."""


def _base64url(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _bearer(account: str) -> str:
    claims = json.dumps({"iss": account}).encode()
    signed = f"{_base64url(json.dumps({'alg': 'HS256'}).encode())}.{_base64url(claims)}"
    return f"Bearer {signed}.{_base64url(hmac.digest(_SECRETS[account], signed.encode(), hashlib.sha256))}"


_BEARERS: Final = {account: _bearer(account) for account in ACCOUNTS}


@dataclass(frozen=True)
class Webhook:
    """One delivery of a webhook."""

    account: AccountId
    vendor: Vendor
    name: str
    body: bytes
    event: str

    @property
    def headers(self) -> CIMultiDict[str]:
        """What comes with the body."""
        if self.vendor is Vendor.CODERBYTE:
            return CIMultiDict({"Authorization": _BEARERS[self.account]})
        digest = hmac.digest(_SECRETS[self.account], self.body, hashlib.sha256).hex()
        return CIMultiDict({"Signature": f"sha256 {digest}", "Greenhouse-Event-ID": self.event})


def of_greenhouse(account: AccountId, action: str, payload: dict[str, Any], event: UUID) -> Webhook:
    """Return a webhook of Greenhouse's."""
    body = json.dumps({"action": action, "payload": payload}).encode()
    return Webhook(account, Vendor.GREENHOUSE, action, body, str(event))


def of_coderbyte(account: AccountId, operation: str, address: str, assessment: str) -> Webhook:
    """Return a webhook of Coderbyte's; equal ones have equal bodies."""
    told = {"operation": operation, "organization_id": account, "email": address, "assessment_id": assessment}
    return Webhook(account, Vendor.CODERBYTE, operation, json.dumps(told).encode(), "")


def application_payload(view: ApplicationView) -> dict[str, Any]:
    """Return the payload of the events whose root is an application, with Greenhouse's times to the second."""
    at = view.last_activity_at
    return {
        "application": {
            "id": view.id,
            "status": view.status.value,
            "prospect": view.prospect,
            "applied_at": None if view.created_at is None else view.created_at.isoformat(),
            "last_activity_at": None if at is None else at.replace(microsecond=0).isoformat(),
            "current_stage": None if view.stage_id is None else {"id": view.stage_id, "name": view.stage_name},
            "candidate": {"id": view.candidate_id},
            "jobs": [{"id": view.job_id}],
        }
    }


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def is_eof(self) -> bool:
        """Whether all of it is there."""
        return True

    def read_nowait(self) -> bytes:
        """Return it."""
        return self._body


class _Request:
    """What the receiver sees of a request: the stand-in for aiohttp's, whose sockets are not simulated."""

    protocol = None

    def __init__(self, webhook: Webhook) -> None:
        self.headers = webhook.headers
        self.content_length = len(webhook.body)
        self.content = _Content(webhook.body)
        self.match_info = {"endpoint_token": token_of(webhook.vendor, webhook.account)}


async def post(world: World, webhook: Webhook) -> None:
    """Post *webhook* again and again until it is answered 200, as Greenhouse does."""
    for _ in range(_MOST_REFUSALS):
        if await _is_taken(world, webhook):
            return
        await asyncio.sleep(1.0 + world.draw.random() * (10.0 if world.faulty else 1.0))
    world.tell("{}: {} was never taken", webhook.account, webhook.name)


async def _is_taken(world: World, webhook: Webhook) -> bool:
    running = world.process_of("ingest")
    if running is None or running.receive is None:
        world.coverage.fault("webhook refused")
        return False
    try:
        response, fact = await asked(
            running.process, running.receive(cast(web.Request, _Request(webhook)), webhook.vendor)
        )
    except TransientError:
        world.coverage.fault("webhook refused")
        return False
    if response.status != 200:
        world.coverage.fault("webhook refused")
        world.tell("{}: {} is answered {}", webhook.account, webhook.name, response.status)
        return False
    if fact is not None:
        world.accepted.append(fact)
        world.tell("{}: {} enters as {}", webhook.account, webhook.name, fact.id.hex[:8])
    return True
