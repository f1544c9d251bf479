"""How accounts are connected to the vendors."""

from __future__ import annotations

from functools import cache

from tests.fakes.harvest import SERVICE_USER

from simulation.plan import ACT_WITHIN_SECONDS, BEHIND_SECONDS
from trellis.assessments.adapters.coderbyte import Organization
from trellis.assessments.domain import options
from trellis.common.contracts.identifiers import (
    AccountId,
)
from trellis.common.runtime.keyring import Keyring, NamedKey
from trellis.greenhouse_actions.connection import Connection, ConnectionSettings

KEYRING = Keyring(
    keys=(NamedKey("k1", b"k" * 32),), address_hash_key=b"a" * 32, service_token_keys=(NamedKey("s1", b"s" * 32),)
)
_CODERBYTE: dict[str, object] = {
    "rate.max_per_second": 1000,
    "rate.concurrency": 20,
    "report.poll_schedule": [5, 10, 20],
    "invite.poll_interval": 600,
    "credential.retry_s": 10,
    "lookup.second_read_s": 5,
}


@cache
def organization(account: AccountId, lists_pending: bool, reuse_seconds: float | None) -> Organization:
    """Return how an account is connected to Coderbyte."""
    settings = _CODERBYTE | {"lookup.lists_pending_invites": lists_pending}
    if reuse_seconds is not None:  # one person has several applications, which only an id of ours tells apart
        settings |= {"result.reuse_within": reuse_seconds, "invite.internal_id_mode": "parenthesised"}
    if lists_pending:
        settings["invite.on_unknown"] = "resend_once"
    parsed = options.parse(settings)
    return Organization(account=account, base_url="", organization_id=account, api_key="key", options=parsed)


@cache
def connection(account: AccountId, version: str, keep_off: str | None) -> Connection:
    """Return how an account is connected to Greenhouse."""
    often: dict[str, object] = {
        "reconcile.interval": 20,
        "reconcile.overlap": BEHIND_SECONDS + 2,
        "reconcile.delay": 1,
        "reconcile.depth": 600,
        "reconcile.act_within": ACT_WITHIN_SECONDS,
    }
    settings = ConnectionSettings.parse(
        {"verify.second_read_s": 1, "credential.retry_s": 10, "keep_off.tag": keep_off} | often
    )
    return Connection(
        account=account,
        api_version=version,
        base_url=f"https://harvest.example/{version}",
        token_url="https://auth.example/token" if version == "v3" else "",
        client_id="c" if version == "v3" else "",
        client_secret="s" if version == "v3" else "",
        api_key="k" if version == "v1" else "",
        service_user_id=SERVICE_USER,
        settings=settings,
    )
