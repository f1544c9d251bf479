"""The internal API: accounts are applied, endpoints shown, secrets rotated, sealed bodies read.

Every route is below `/internal/` and guarded by service tokens.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError, InputError, PermanentError, StoreAwayError
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.tokens import CALLER
from trellis.common.store.tenancy import serving
from trellis.ingest.adapters.registry import (
    OVERLAP_SECONDS,
    PostgresRegistry,
    WantedAccount,
    WantedCoderbyte,
    WantedGreenhouse,
)
from trellis.ingest.adapters.sealed_bodies import PostgresSealedBodies
from trellis.ingest.endpoints import Endpoints, Vendor
from trellis.ingest.signature import key_bytes
from trellis.ingest.silence import Silence

_ACCOUNT: Final = "[a-z0-9][a-z0-9-]{0,62}"
_BODY_READER: Final = "assessments"
_MOST_BYTES: Final = 1024 * 1024

CustomField = Annotated[str, Field(pattern=r"^(candidate\.|job\.)?[a-z0-9_]{1,200}$")]
Secret = Annotated[str, Field(min_length=8, max_length=1000)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class AccountSettings(_Body):
    """Settings of the account (greenhouse fact sheet, 10)."""

    new_application_is_entry: bool = Field(default=True, alias="hook.new_application_is_entry")
    """A new application counts as entering its stage."""
    read_timeout_seconds: Annotated[float, Field(gt=0, le=600)] | None = Field(
        default=None, alias="hook.read_timeout_s"
    )
    """A request not wholly received after this is closed; null means the service's own limit."""


class GreenhouseConnection(_Body):
    """The account's Greenhouse webhooks."""

    webhook_secret: Secret | None = None
    """The secret typed into Greenhouse; null has one generated."""


class CoderbyteSettings(_Body):
    """Settings of the verification (coderbyte fact sheet, 10)."""

    key_encoding: Literal["utf8", "base64"] = Field(default="utf8", alias="webhook.key_encoding")
    """How a key becomes bytes."""
    require_exp: bool = Field(default=False, alias="webhook.require_exp")
    """Refuse tokens that never expire."""


class CoderbyteConnection(_Body):
    """The account's Coderbyte webhooks."""

    organization_id: Annotated[str, Field(min_length=1, max_length=200)]
    """What `iss` and the body's `organization_id` must be."""
    accepted_webhook_keys: Annotated[tuple[Secret, ...], Field(min_length=1, max_length=10)]
    """API keys that may sign; exactly these are accepted."""
    settings: CoderbyteSettings = CoderbyteSettings()


class AccountBody(_Body):
    """What `PUT /internal/v1/accounts/{account}` takes."""

    custom_fields: Annotated[tuple[CustomField, ...], Field(max_length=500)] = ()
    """Custom fields that may pass into facts: `x`, `candidate.x`, `job.x`."""
    settings: AccountSettings = AccountSettings()
    greenhouse: GreenhouseConnection | None = None
    """Null disables the account's Greenhouse endpoint."""
    coderbyte: CoderbyteConnection | None = None
    """Null disables the account's Coderbyte endpoint."""
    dry_run: bool = False
    """Only say what would change."""


class RotateBody(_Body):
    """What `POST /internal/v1/accounts/{account}/keys/rotate` takes."""

    overlap_seconds: Annotated[float, Field(ge=0, le=30 * 86_400)] = OVERLAP_SECONDS
    """How long the old secret is accepted beside the new one."""


BodyModel = TypeVar("BodyModel", bound=_Body)


class InternalApi:
    """Answers the administrator's commands and the other services.

    Args:
        registry: Accounts and their endpoints.
        bodies: Sealed bodies.
        endpoints: Told to read anew when something changed.
        base_url: What stands before `/webhooks/` in the URLs shown.
        silences: Tells how long each endpoint has been silent.
    """

    def __init__(
        self,
        *,
        registry: PostgresRegistry,
        bodies: PostgresSealedBodies,
        endpoints: Endpoints,
        base_url: str,
        silences: Callable[[], Awaitable[Sequence[tuple[AccountId, Vendor, Silence]]]],
    ) -> None:
        self._registry = registry
        self._bodies = bodies
        self._endpoints = endpoints
        self._base_url = base_url
        self._silences = silences

    def add_routes(self, app: web.Application) -> None:
        """Serve everything; *app* lies below `/internal`, apart from the webhooks' way."""
        account = f"/v1/accounts/{{account:{_ACCOUNT}}}"
        app.router.add_put(account, self.apply)
        app.router.add_post(account + "/keys/rotate", self.rotate)
        app.router.add_get(account + "/sealed-bodies/{id}", self.sealed_body)
        app.router.add_get(account + "/unreadable", self.unreadable)
        app.router.add_get("/v1/endpoints", self.endpoints)

    async def apply(self, request: web.Request) -> web.Response:
        """Apply an account and answer what changed, in words and without secrets."""
        body = await _parsed(request, AccountBody)
        changes = await self._registry.apply(_wanted(_account(request), body), dry_run=body.dry_run)
        if changes and not body.dry_run:
            self._endpoints.forget()
        return web.json_response({"changes": changes})

    async def rotate(self, request: web.Request) -> web.Response:
        """Make a new Greenhouse secret beside the old."""
        body = await _parsed(request, RotateBody)
        changes = await self._registry.rotate(_account(request), overlap_seconds=body.overlap_seconds)
        self._endpoints.forget()
        return web.json_response({"changes": changes})

    async def endpoints(self, request: web.Request) -> web.Response:
        """List endpoints with their URLs; a secret that was generated is told once."""
        name = request.query.get("account")
        account = AccountId(name) if name else None
        with serving(account):
            shown = await self._registry.shown(account)
            silent = {(whose, vendor): found for whose, vendor, found in await self._silences()}
        return web.json_response(
            [
                {
                    "account": one.account,
                    "vendor": one.vendor.value,
                    "url": f"{self._base_url}/webhooks/{one.vendor}/{one.token}",
                    "secret": one.secret,
                    "connected_at": one.connected_at.isoformat() if one.connected_at else None,
                    "last_received_at": one.last_received_at.isoformat() if one.last_received_at else None,
                    "ending": [
                        {
                            "expires_at": old.expires_at.isoformat(),
                            "last_used_at": old.last_used_at.isoformat() if old.last_used_at else None,
                        }
                        for old in one.ending
                    ],
                    "silence": _silence(silent.get((one.account, one.vendor))),
                }
                for one in shown
            ]
        )

    async def sealed_body(self, request: web.Request) -> web.Response:
        """Answer the body that a fact refers to, to the one service that may read it."""
        if request[CALLER] != _BODY_READER:
            return web.json_response({"error": f"only {_BODY_READER} may read sealed bodies"}, status=403)
        try:
            body = await self._bodies.open(_account(request), UUID(request.match_info["id"]))
        except ValueError:
            raise InputError("id", "a UUID") from None
        except UnreadableError:
            body = None
        if body is None:
            return web.json_response({"error": "no such body, or it has expired or was erased"}, status=404)
        return web.json_response({"body": json.loads(body)})

    async def unreadable(self, request: web.Request) -> web.Response:
        """List bodies that could not be read: when and why, not what is in them."""
        notices = await self._bodies.unreadable(_account(request))
        return web.json_response(
            [
                {
                    "id": str(one.id),
                    "vendor": one.vendor.value,
                    "received_at": one.received_at.isoformat(),
                    "expires_at": one.expires_at.isoformat(),
                    "reason": one.fault,
                }
                for one in notices
            ]
        )


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what is wrong with a request to the internal API, and how to mend it."""
    if not request.path.startswith("/internal/"):
        return await handler(request)
    try:
        return await handler(request)
    except InputError as error:
        return web.json_response(
            {"error": str(error), "field": error.field, "expected": error.expected, "remedy": error.remedy}, status=422
        )
    except (StoreAwayError, ConflictError) as error:
        return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "1"})


def _account(request: web.Request) -> AccountId:
    return AccountId(request.match_info["account"])


async def _parsed(request: web.Request, model: type[BodyModel]) -> BodyModel:
    """Return the request's body.

    Raises:
        InputError: It is too large, not JSON, or a field is wrong; the first fault is told, without its value.
    """
    raw = bytearray()
    async for chunk in request.content.iter_any():
        raw += chunk
        if len(raw) > _MOST_BYTES:
            raise InputError("body", f"at most {_MOST_BYTES} bytes")
    try:
        return model.model_validate_json(bytes(raw) or b"{}")
    except ValidationError as error:
        fault: Any = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise InputError(".".join(map(str, fault["loc"])) or "body", fault["msg"]) from None


def _wanted(account: AccountId, body: AccountBody) -> WantedAccount:
    coderbyte = body.coderbyte
    for index, key in enumerate(coderbyte.accepted_webhook_keys if coderbyte else ()):
        _check_key(index, key, coderbyte.settings.key_encoding if coderbyte else "utf8")
    return WantedAccount(
        account=account,
        custom_fields=body.custom_fields,
        new_application_is_entry=body.settings.new_application_is_entry,
        read_timeout_seconds=body.settings.read_timeout_seconds,
        greenhouse=WantedGreenhouse(webhook_secret=body.greenhouse.webhook_secret) if body.greenhouse else None,
        coderbyte=WantedCoderbyte(
            organization_id=coderbyte.organization_id,
            accepted_webhook_keys=coderbyte.accepted_webhook_keys,
            key_encoding=coderbyte.settings.key_encoding,
            require_exp=coderbyte.settings.require_exp,
        )
        if coderbyte
        else None,
    )


def _check_key(index: int, key: str, encoding: Literal["utf8", "base64"]) -> None:
    try:
        key_bytes(key, encoding)
    except PermanentError:
        raise InputError(
            f"coderbyte.accepted_webhook_keys.{index}", "base64", "or set webhook.key_encoding to utf8"
        ) from None


def _silence(found: Silence | None) -> dict[str, Any] | None:
    """Return a silence as it is shown; None for an endpoint that was never connected."""
    if found is None:
        return None
    return {"since": found.since.isoformat(), "missing": round(found.expected, 1), "unusual": found.is_unusual}
