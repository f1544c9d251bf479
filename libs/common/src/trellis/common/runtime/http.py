"""What every internal HTTP API shares: reading bodies and paths strictly, answering JSON, telling faults.

A fault is `{"error", "field", "expected", "remedy"}` with 400 (no JSON) or 422 (wrong in itself), 404, 409,
or 503 while something this service needs is away. A fault never echoes a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.errors import InputError, StoreAwayError, TransientError
from trellis.common.store.tenancy import serving

ACCOUNT_PREFIX: Final = "/internal/v1/accounts/{account}"
MOST_BODY_BYTES: Final = 256 * 1024
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """Base of the bodies of internal APIs: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


@web.middleware
async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer our own exceptions in one shape; anything else is a bug and stays a 500."""
    try:
        return await handler(request)
    except InputError as error:
        status = 400 if error.field == "body" else 422
        said = {"error": str(error), "field": error.field, "expected": error.expected, "remedy": error.remedy}
        return web.json_response(said, status=status)
    except StoreAwayError as error:
        return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "2"})
    except TransientError as error:
        return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "1"})


@web.middleware
async def tenancy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve the account in the path: row-level security shows the handler nothing of another's."""
    account = request.match_info.get("account")
    with serving(None if account is None else AccountId(account)):
        return await handler(request)


def account_of(request: web.Request) -> AccountId:
    """Return the account in the path.

    Raises:
        InputError: It is no account's name.
    """
    name = request.match_info["account"]
    if not _ACCOUNT.fullmatch(name):
        raise InputError("account", "a name of a-z, 0-9 and '-'")
    return AccountId(name)


def application_of(text: str, field: str = "application") -> ApplicationId:
    """Return *text* as the id of an application.

    Raises:
        InputError: It is no number.
    """
    if not _NUMBER.fullmatch(text):
        raise InputError(field, "the number of an application")
    return ApplicationId(int(text))


def number_of(text: str, field: str) -> int:
    """Return *text* as a number of up to 18 digits.

    Raises:
        InputError: It is none.
    """
    if not _NUMBER.fullmatch(text):
        raise InputError(field, "a number")
    return int(text)


def uuid_of(text: str, field: str, what: str) -> UUID:
    """Return *text* as a UUID.

    Raises:
        InputError: It is none; *what* says whose id was expected.
    """
    try:
        return UUID(text)
    except ValueError:
        raise InputError(field, what) from None


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body.

    Raises:
        InputError: It is no JSON object.
    """
    try:
        parsed = json.loads(await request.read())
    except ValueError:
        raise InputError("body", "JSON") from None
    if not isinstance(parsed, dict):
        raise InputError("body", "a JSON object")
    return parsed


def parsed_as(model: type[Model], body: dict[str, Any]) -> Model:
    """Return *body* as *model*.

    Raises:
        InputError: A field is missing, unknown or wrong; it is named with what was expected.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(map(str, fault["loc"])) or "body"
        known = f"one of {', '.join(model.model_fields)}" if fault["type"] == "extra_forbidden" else fault["msg"]
        raise InputError(field, known) from None


def answer(content: object, *, status: int = 200) -> web.Response:
    """Return *content* as JSON, times in ISO format."""
    return web.json_response(text=json.dumps(content, default=_text), status=status)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
