"""What the services are told by their environment; pure but for the keyring, which is made once."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.dev.paths import SERVICES
from tools.dev.secrets_kept import kept_text


@dataclass(frozen=True, kw_only=True)
class Places:
    """The addresses of one system, passwords included; those of a service by its name."""

    broker: str
    broker_management: str
    owner_database: str
    databases: Mapping[str, str]
    listen: Mapping[str, str]
    """`HOST:PORT` of each service's own interface."""
    admin_listen: Mapping[str, str]
    """`HOST:PORT` of each service's health and metrics."""
    sandbox: str | None
    """The sandbox's base URL, `None` where there is none."""


def shared_environment(places: Places, keyring: Path) -> dict[str, str]:
    """Return what every service and the `trellis` command are told; *keyring* is made if it is missing."""
    kept_text(keyring, json.dumps(new_keyring(), indent=1))
    told = {
        "TRELLIS_BROKER_URL": places.broker,
        "TRELLIS_BROKER_MANAGEMENT_URL": places.broker_management,
        "TRELLIS_MIGRATE_DATABASE_URL": places.owner_database,
        "TRELLIS_KEYRING_FILE": str(keyring),
        "TRELLIS_INGEST_PUBLIC_URL": f"http://{places.listen['ingest']}",
    }
    for service in SERVICES:
        told[f"{variable_prefix(service)}_DATABASE_URL"] = places.databases[service]
        told[f"{variable_prefix(service)}_URL"] = f"http://{places.listen[service]}"
        told[f"{variable_prefix(service)}_LISTEN"] = places.listen[service]
        told[f"{variable_prefix(service)}_ADMIN_LISTEN"] = places.admin_listen[service]
    if places.sandbox is not None:
        told["TRELLIS_SANDBOX_URL"] = places.sandbox
    return told


def new_keyring() -> dict[str, object]:
    """Return a keyring of fresh random keys, as the services read it."""
    return {
        "keys": [{"id": "k1", "key": _random_key()}],
        "address_hash_key": _random_key(),
        "service_token_keys": [{"id": "s1", "key": _random_key()}],
    }


def _random_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def variable_prefix(service: str) -> str:
    """Return what the names of *service*'s own variables begin with."""
    return f"TRELLIS_{service.upper().replace('-', '_')}"
