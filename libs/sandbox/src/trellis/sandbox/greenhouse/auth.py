"""OAuth of Harvest v3: the token and introspection routes, and who a bearer token is.

Source: greenhouse.md sections 5.1 to 5.4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from trellis.sandbox.bodies import Json
from trellis.sandbox.gate import TRACE, WORLD, admit, carry_out
from trellis.sandbox.greenhouse.answers import EXPIRED, REVOKED, UNDECODABLE, forbidden, unauthorized
from trellis.sandbox.greenhouse.model import Credential, Token, User
from trellis.sandbox.world import Account, World

SCOPES = tuple(
    f"harvest:{name}"
    for name in (
        "applications:list",
        "applications:move",
        "application_stages:list",
        "candidates:list",
        "job_interview_stages:list",
        "job_posts:list",
        "jobs:list",
        "notes:create",
        "notes:list",
        "openings:list",
        "users:list",
        "scorecards:list",
        "interviews:list",
        "interviewers:list",
        "job_interviews:list",
    )
)
"""What a new credential may do: all that a route here asks for, but `applications:update`, which is optional."""

TOKENS_KEPT = 500
"""Tokens remembered an account; older ones then read as undecodable."""


@dataclass(frozen=True)
class Access:
    """The bearer of a token, before it was checked whether the token still lives."""

    account: Account
    credential: Credential
    token: Token

    def check(self, scope: str) -> User:
        """The acting user, if the token lives and the credential has *scope*.

        Raises:
            Refusal: 401 or 403.
        """
        if self.token.revoked:
            raise unauthorized(REVOKED)
        if self.token.expires_at <= self.account.greenhouse.clock.now():
            raise unauthorized(EXPIRED)
        user = self.account.greenhouse.users.get(self.token.sub)
        if user is None or user.deactivated:
            raise unauthorized(REVOKED)
        if scope not in self.credential.scopes:
            raise forbidden(f"Missing scope {scope}")
        return user


def identify(world: World, request: web.Request) -> Access:
    """Whose token the request carries.

    Raises:
        Refusal: 401, there is none or it was never handed out.
    """
    values = request.headers.getall("Authorization", [])
    scheme, _, value = (values[0] if len(values) == 1 else "").partition(" ")
    account = world.by_token(value.strip()) if scheme.lower() == "bearer" else None
    if account is None:
        raise unauthorized(UNDECODABLE)
    token = account.greenhouse.tokens[value.strip()]
    return Access(account, account.greenhouse.credentials[token.client_id], token)


async def post_token(request: web.Request) -> web.Response:
    """`POST /token`: client credentials become an access token of one hour."""
    world = request.app[WORLD]
    request[TRACE].route = "token"
    form = await request.post()
    found = _client(world, request)
    if found is None:
        return _oauth_error("invalid_client", "Client authentication failed", 401)
    account, credential, secret = found
    fault = admit(request, account, "token")
    spent = credential.token_window.spend(
        world.clock.now(),
        limit=account.switches.integer("token.limit"),
        length_s=60 / max(account.switches.number("rate.time_scale"), 1e-9),
        reset_style="window_end",
    )

    def respond() -> web.Response:
        if spent.retry_after is not None:
            return web.json_response({"message": "Too Many Requests"}, status=429)
        if secret not in credential.secrets:
            return _oauth_error("invalid_client", "Client authentication failed", 401)
        if form.get("grant_type") != "client_credentials":
            return _oauth_error("unsupported_grant_type", "Only client_credentials is served")
        if set(form) - {"grant_type", "sub", "scope"}:
            return _oauth_error("invalid_request", "Unknown parameter")
        return _grant(world, account, credential, str(form.get("sub", "")))

    response = await carry_out(request, fault, respond)
    for name, value in spent.headers().items():
        response.headers.setdefault(name, value)
    return response


async def post_introspect(request: web.Request) -> web.Response:
    """`POST /introspect`: what a token is worth."""
    world = request.app[WORLD]
    request[TRACE].route = "introspect"
    form = await request.post()
    found = _client(world, request)
    if found is None or found[2] not in found[1].secrets:
        return _oauth_error("invalid_client", "Client authentication failed", 401)
    account, credential, _ = found
    fault = admit(request, account, "introspect")
    return await carry_out(
        request, fault, lambda: web.json_response(_introspection(account, credential, str(form.get("token", ""))))
    )


def revoke_all(account: Account, client_id: str | None = None) -> int:
    """Revoke the living tokens of a client, or of all; returns how many."""
    living = [t for t in account.greenhouse.tokens.values() if not t.revoked and client_id in (None, t.client_id)]
    for token in living:
        token.revoked = True
    return len(living)


def _client(world: World, request: web.Request) -> tuple[Account, Credential, str] | None:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    account = world.by_client(client_id)
    return None if account is None else (account, account.greenhouse.credentials[client_id], secret)


def _grant(world: World, account: Account, credential: Credential, sub: str) -> web.Response:
    greenhouse = account.greenhouse
    user_id = int(sub) if sub.isascii() and sub.isdigit() else None if sub else credential.service_account_id
    user = greenhouse.users.get(user_id or 0)
    if user is None or user.deactivated:
        return _oauth_error("invalid_grant", "The subject is not an active user of this account")
    if account.switches.flag("token.single_active"):
        revoke_all(account, credential.client_id)
    lifetime = account.switches.number("token.lifetime_s")
    expires_at = greenhouse.clock.now() + timedelta(seconds=lifetime)
    world.token_count += 1
    token = Token(_token_text(world.token_count, user.id), credential.client_id, user.id, expires_at)
    greenhouse.tokens[token.value] = token
    while len(greenhouse.tokens) > TOKENS_KEPT:
        del greenhouse.tokens[next(iter(greenhouse.tokens))]
    answer: Json = {"token_type": "Bearer", "access_token": token.value}
    match account.switches.text("token.expiry_field"):
        case "expires_in":
            answer["expires_in"] = int(lifetime)
        case "expires_at_epoch":
            answer["expires_at"] = int(expires_at.timestamp())
        case _:
            answer["expires_at"] = expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return web.json_response(answer)


def _introspection(account: Account, credential: Credential, value: str) -> Json:
    token = account.greenhouse.tokens.get(value)
    now = account.greenhouse.clock.now()
    if token is None or token.revoked or token.expires_at <= now or token.client_id != credential.client_id:
        return {"active": False}
    user = account.greenhouse.users[token.sub]
    return {
        "active": True,
        "client_id": credential.client_id,
        "sub": str(token.sub),
        "scope": " ".join(sorted(credential.scopes)),
        "exp": int(token.expires_at.timestamp()),
        "https://auth.greenhouse.io/claims": {
            "organization": {"id": account.greenhouse.organization_id, "name": account.name},
            "user_role": "site_admin" if user.site_admin else "basic",
        },
    }


def _token_text(number: int, sub: int) -> str:
    """A token shaped like a JWT; nobody is meant to look inside."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "HS256", "typ": "JWT"}, {"jti": number, "sub": str(sub)})
    ]
    signature = hmac.new(b"sandbox-token", ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=").decode()])


def _oauth_error(code: str, description: str, status: int = 400) -> web.Response:
    return web.json_response({"error": code, "error_description": description}, status=status)
