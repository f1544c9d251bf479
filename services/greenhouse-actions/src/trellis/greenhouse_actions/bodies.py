"""Bodies of the internal API: read strictly, every fault with its field and what was expected."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field, SecretStr

from trellis.common.contracts.identifiers import AccountId, ApplicationId, StageId, UserId, Visit
from trellis.common.runtime.http import Body, parsed_as
from trellis.greenhouse_actions.adapters.connection_store import Wanted
from trellis.greenhouse_actions.adapters.harvest import MOST_IDS
from trellis.greenhouse_actions.connection import (
    DEFAULT_BASE_URL,
    DEFAULT_TOKEN_URL,
    ConnectionSettings,
    checked_url,
)
from trellis.greenhouse_actions.domain.invites import Asked

MOST_ID: Final = 2**63 - 1


class _Connection(Body):
    api_version: Literal["v3"]
    base_url: str = DEFAULT_BASE_URL
    token_url: str = DEFAULT_TOKEN_URL
    client_id: SecretStr = Field(min_length=1, max_length=500)
    client_secret: SecretStr = Field(min_length=1, max_length=2000)
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
    wanted = Wanted(
        account=account,
        api_version=read.api_version,
        base_url=checked_url("base_url", read.base_url),
        token_url=checked_url("token_url", read.token_url),
        client_id=read.client_id.get_secret_value(),
        client_secret=read.client_secret.get_secret_value(),
        service_user_id=None if read.service_user_id is None else UserId(read.service_user_id),
        settings=ConnectionSettings.parse(read.settings),
    )
    for name in ("v3_base_url", "v3_token_url"):
        url = getattr(wanted.settings, name)
        if url is not None:
            checked_url(f"settings.{name.replace('_', '.', 1)}", url)
    return wanted, read.dry_run


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
