"""Bodies of the internal API: read strictly, every fault with its field and what was expected."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from trellis.assessments.adapters.connection_store import Wanted
from trellis.common.errors import InputError
from trellis.common.runtime.http import Body, parsed_as

DEFAULT_BASE_URL = "https://coderbyte.com/api"


class _Connection(Body):
    base_url: str = Field(default=DEFAULT_BASE_URL, max_length=500)
    organization_id: str = Field(min_length=1, max_length=200)
    api_key: SecretStr | None = Field(default=None, min_length=1, max_length=2000)
    settings: dict[str, Any] = Field(default_factory=dict)
    dry_run: bool = False


def connection(body: dict[str, Any]) -> tuple[Wanted, bool]:
    """Return the connection that *body* states, and whether it is only to be compared.

    Raises:
        InputError: A field is missing, unknown or wrong.
    """
    read = parsed_as(_Connection, body)
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
