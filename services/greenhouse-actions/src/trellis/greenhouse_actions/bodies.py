"""Bodies of the internal API: read strictly, every fault with its field and what was expected."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field, SecretStr

from trellis.common.contracts.identifiers import AccountId, ApplicationId, StageId, UserId, Visit
from trellis.common.errors import InputError
from trellis.common.runtime.http import Body, parsed_as
from trellis.greenhouse_actions.adapters.connection_store import Wanted
from trellis.greenhouse_actions.adapters.harvest import MOST_IDS
from trellis.greenhouse_actions.connection import (
    DEFAULT_BASE_URLS,
    DEFAULT_TOKEN_URL,
    ConnectionSettings,
    checked_url,
)
from trellis.greenhouse_actions.domain.invites import Asked

MOST_ID: Final = 2**63 - 1


class _Connection(Body):
    api_version: Literal["v3", "v1"]
    base_url: str | None = None
    token_url: str | None = None
    client_id: SecretStr | None = Field(default=None, min_length=1, max_length=500)
    client_secret: SecretStr | None = Field(default=None, min_length=1, max_length=2000)
    api_key: SecretStr | None = Field(default=None, min_length=1, max_length=500)
    service_user_id: int | None = Field(default=None, ge=1, le=MOST_ID)
    settings: dict[str, Any] = Field(default_factory=dict)
    dry_run: bool = False


class _Application(Body):
    application_id: int = Field(ge=1, le=MOST_ID)
    stage_id: int = Field(ge=1, le=MOST_ID)
    visit: str = Field(min_length=1, max_length=80)


class _Applications(Body):
    applications: list[_Application] = Field(max_length=MOST_IDS)


class _Since(Body):
    since: AwareDatetime


def connection(account: AccountId, body: dict[str, Any]) -> tuple[Wanted, bool]:
    """Return the connection that *body* states, and whether it is only to be compared.

    Raises:
        InputError: A field is missing, unknown or wrong.
    """
    read = parsed_as(_Connection, body)
    _complete(read)
    version = read.api_version
    wanted = Wanted(
        account=account,
        api_version=version,
        base_url=checked_url("base_url", read.base_url or DEFAULT_BASE_URLS[version], version),
        token_url=checked_url("token_url", read.token_url or DEFAULT_TOKEN_URL) if version == "v3" else "",
        client_id=_plain(read.client_id),
        client_secret=_plain(read.client_secret),
        api_key=_plain(read.api_key),
        service_user_id=None if read.service_user_id is None else UserId(read.service_user_id),
        settings=ConnectionSettings.parse(read.settings),
    )
    for name in ("v3_base_url", "v3_token_url", "v1_base_url"):
        url = getattr(wanted.settings, name)
        if url is not None:
            checked_url(f"settings.{name.replace('_', '.', 1)}", url)
    return wanted, read.dry_run


def _complete(read: _Connection) -> None:
    """Refuse a connection that lacks what its version needs, or has what only the other one knows."""
    needed = {"v3": ("client_id", "client_secret"), "v1": ("api_key", "service_user_id")}[read.api_version]
    foreign = {"v3": ("api_key",), "v1": ("client_id", "client_secret", "token_url")}[read.api_version]
    for name in needed:
        if getattr(read, name) is None:
            raise InputError(name, f"a value: Harvest {read.api_version} needs it")
    for name in foreign:
        if getattr(read, name) is not None:
            raise InputError(name, f"nothing: Harvest {read.api_version} has no {name}", "leave it out")


def _plain(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def asked(body: dict[str, Any]) -> list[Asked]:
    """Return the applications that *body* asks about.

    Raises:
        InputError: It asks about more than 50, or is not of its shape.
    """
    return [
        Asked(
            application_id=ApplicationId(item.application_id), stage_id=StageId(item.stage_id), visit=Visit(item.visit)
        )
        for item in parsed_as(_Applications, body).applications
    ]


def since(body: dict[str, Any]) -> datetime:
    """Return the time from which *body* wants all to be compared again.

    Raises:
        InputError: It is no time with its zone.
    """
    return parsed_as(_Since, body).since
