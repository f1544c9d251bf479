"""Service tokens: who of us is calling, for which service, for a minute.

Every internal request carries one, on one machine too. HS256 under the key ring's service token keys;
the audience is the service called, the issuer the caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import jwt
from aiohttp import web
from aiohttp.typedefs import Middleware

from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.keyring import Keyring

LIFE_SECONDS: Final = 60
LEEWAY_SECONDS: Final = 30
CALLER: Final = web.RequestKey("caller", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def issue(keyring: Keyring, *, caller: str, audience: str) -> str:
    """Return a token with which *caller* may call *audience* for a minute."""
    newest = keyring.service_token_keys[0]
    now = int(utc_now().timestamp())
    claims = {"iss": caller, "aud": audience, "iat": now, "exp": now + LIFE_SECONDS}
    return jwt.encode(claims, newest.key, algorithm="HS256", headers={"kid": newest.id})


def verify(keyring: Keyring, token: str, *, audience: str) -> str | None:
    """Return the caller named by *token*, or None when it is not valid for *audience* now."""
    for item in keyring.service_token_keys:
        try:
            claims = jwt.decode(
                token,
                item.key,
                algorithms=["HS256"],
                audience=audience,
                options={"require": ["iss", "aud", "exp", "iat"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            continue
        caller = claims["iss"]
        return caller if isinstance(caller, str) and _is_valid_now(claims) else None
    return None


def _is_valid_now(claims: dict[str, Any]) -> bool:
    """Say whether the token is alive; the library would ask a clock of its own."""
    now = utc_now().timestamp()
    issued, ends = claims["iat"], claims["exp"]
    if not isinstance(issued, int) or not isinstance(ends, int):
        return False
    return issued <= now + LEEWAY_SECONDS and now - LEEWAY_SECONDS < ends


def guard(keyring: Keyring, audience: str, *, prefix: str = "/internal/") -> Middleware:
    """Return a middleware that answers 401 below *prefix* unless the request bears a valid token."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(prefix):
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        caller = verify(keyring, token, audience=audience) if scheme.lower() == "bearer" else None
        if caller is None:
            return web.json_response({"error": "a valid service token is required"}, status=401)
        request[CALLER] = caller
        return await handler(request)

    return middleware
