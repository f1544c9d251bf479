"""Bodies of the internal API: read strictly, every fault with its field and what was expected."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from trellis.assessments.adapters.connection_store import Wanted
from trellis.common.errors import InputError
from trellis.common.ledger.brakes import Scope

DEFAULT_BASE_URL = "https://coderbyte.com/api"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Connection(_Body):
    base_url: str = Field(default=DEFAULT_BASE_URL, max_length=500)
    organization_id: str = Field(min_length=1, max_length=200)
    api_key: SecretStr | None = Field(default=None, min_length=1, max_length=2000)
    settings: dict[str, Any] = {}
    dry_run: bool = False


class _Order(_Body):
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=500)


class _Brake(_Order):
    scope: Scope
    name: str = Field(default="", max_length=200)


_Kind = TypeVar("_Kind", bound=BaseModel)


def connection(body: dict[str, Any]) -> tuple[Wanted, bool]:
    """Return the connection that *body* states, and whether it is only to be compared.

    Raises:
        InputError: A field is missing, unknown or wrong.
    """
    read = _read(_Connection, body)
    wanted = Wanted(
        base_url=_checked_url(read.base_url),
        organization_id=read.organization_id.strip(),
        api_key=None if read.api_key is None else read.api_key.get_secret_value(),
        settings=read.settings,
    )
    if wanted.api_key is not None and not (wanted.api_key.isascii() and wanted.api_key.isprintable()):
        raise InputError("api_key", "printable ASCII without line breaks", "copy the key again")
    return wanted, read.dry_run


def _checked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise InputError("base_url", "an address like https://coderbyte.com/api") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine or parts.query or parts.fragment:
        raise InputError("base_url", "an address like https://coderbyte.com/api")
    if parts.username is not None or parts.password is not None:
        raise InputError("base_url", "an address without user name and password", "give the key as api_key")
    return text.rstrip("/")


def order(body: dict[str, Any]) -> tuple[str, str]:
    """Return who orders and why.

    Raises:
        InputError: It is not of its shape.
    """
    read = _read(_Order, body)
    return read.by, read.reason


def brake(body: dict[str, Any]) -> tuple[Scope, str, str, str]:
    """Return scope, name, reason and person of the brake in *body*.

    Raises:
        InputError: The scope is unknown, or it needs a name and has none.
    """
    read = _read(_Brake, body)
    if read.scope is Scope.ACCOUNT:
        return read.scope, "", read.reason, read.by
    if not read.name:
        raise InputError("name", f"the name of the {read.scope.value}")
    return read.scope, read.name, read.reason, read.by


def _read(kind: type[_Kind], body: dict[str, Any]) -> _Kind:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in fault["loc"]) or "body"
        known = f"one of {', '.join(kind.model_fields)}" if fault["type"] == "extra_forbidden" else fault["msg"]
        raise InputError(field, known) from None
