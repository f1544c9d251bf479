"""The token route of Greenhouse: OAuth client credentials become a bearer token.

Source: greenhouse fact sheet, section 5.1.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from trellis.common.contracts.identifiers import UserId
from trellis.common.errors import TransientError, VendorAwayError
from trellis.common.ledger.effects import Unauthorized
from trellis.common.runtime.clock import utc_now
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError
from trellis.greenhouse_actions.adapters.headers import retry_after
from trellis.greenhouse_actions.adapters.http import HttpAnswer, HttpClients, UnansweredError
from trellis.greenhouse_actions.adapters.tokens import Minted
from trellis.greenhouse_actions.connection import Connection

USUAL_LIFE: Final = timedelta(hours=1)
LEAST_LIFE: Final = timedelta(seconds=1)
_APPLY: Final = "in the account's file and apply it (`trellis apply -f trellis.yaml`)"

REJECTED: Final = Unauthorized(
    reason="the client id or secret was rejected by Greenhouse",
    remedy=f"put the present client id and secret of the credential {_APPLY}",
)


class HttpMint:
    """Asks the token route over HTTP."""

    def __init__(self, http: HttpClients) -> None:
        self._http = http

    async def mint(self, connection: Connection, user: UserId | None) -> Minted:
        """See `Mint.mint`."""
        form = {"grant_type": "client_credentials"} | ({} if user is None else {"sub": str(user)})
        basic = aiohttp.encode_basic_auth(connection.client_id, connection.client_secret)
        try:
            answer = await self._http.post_form(connection.tokens_url, form, basic=basic)
        except UnansweredError as error:
            raise VendorAwayError(f"the token route of Greenhouse cannot be reached ({error})") from None
        if answer.status in (400, 401, 403):
            raise CredentialRejectedError(_rejected(answer, user))
        if answer.status != 200:
            wait = retry_after(answer.headers)
            kind = VendorAwayError if answer.status >= 500 else TransientError
            raise kind(f"the token route of Greenhouse answered {answer.status}", retry_after=wait)
        return _minted(_json(answer.body), utc_now())


def _rejected(answer: HttpAnswer, user: UserId | None) -> Unauthorized:
    word = _json(answer.body).get("error")
    if answer.status == 400 and word in ("invalid_grant", "invalid_request") and user is not None:
        return Unauthorized(
            reason=f"Greenhouse does not let the credential act as user {user}",
            remedy=f"name an active user as service user {_APPLY}, or reactivate it in Greenhouse",
        )
    if answer.status == 400 and word in ("unauthorized_client", "invalid_scope", "unsupported_grant_type"):
        return Unauthorized(
            reason=f"Greenhouse refuses the credential this way of signing in ({word})",
            remedy="make a credential of type Harvest V3 (OAuth) in Greenhouse, Configure > Dev Center, and use that",
        )
    return REJECTED


def _minted(body: dict[str, Any], now: datetime) -> Minted:
    value = body.get("access_token")
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise TransientError("the token route of Greenhouse answered without a token")
    return Minted(value, max(_life(body, now), LEAST_LIFE))


def _life(body: dict[str, Any], now: datetime) -> timedelta:
    """Return the life in `expires_in`, or until `expires_at` as text or epoch; an hour when neither is readable."""
    seconds = _number(body.get("expires_in"))
    if seconds is not None:
        return timedelta(seconds=min(seconds, 86400.0))
    expires = body.get("expires_at")
    epoch = _number(expires)
    try:
        if epoch is not None:
            return datetime.fromtimestamp(epoch, UTC) - now
        if isinstance(expires, str):
            at = datetime.fromisoformat(expires)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError, OSError):
        return USUAL_LIFE
    return USUAL_LIFE


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if value.isascii() and value.isdigit() else None
    return float(value) if isinstance(value, int | float) else None


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
