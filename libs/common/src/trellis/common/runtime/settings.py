"""Settings: built once from the environment, all faults reported together before anything connects.

A field `max_body_bytes` of the service `ingest` is read from `TRELLIS_INGEST_MAX_BODY_BYTES`, else from
`TRELLIS_MAX_BODY_BYTES`. Nothing else reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from trellis.common.errors import PermanentError


class SettingsError(PermanentError):
    """One or more settings are missing or wrong; the message lists them all."""


class Settings(BaseModel):
    """What every service needs to start."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: SecretStr
    """`postgresql://role:password@host:port/database` of the service's own login role."""
    broker_url: SecretStr
    """`amqp://user:password@host:port/vhost`."""
    keyring_file: Path
    """File with the keys that seal data, hash addresses and sign service tokens (docs/security.md)."""
    listen: str = Field(default="127.0.0.1:8080", pattern=r"^[^:]+:\d+$")
    """Address and port of the service's HTTP API."""
    admin_listen: str = Field(default="127.0.0.1:9090", pattern=r"^[^:]+:\d+$")
    """Address and port of health and metrics; never to be exposed."""
    pool_size: int = Field(default=8, ge=2, le=100)
    """Most database connections of one process."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Least severe level that is logged."""
    setup_seconds: float = Field(default=600.0, ge=1, le=86400)
    """How often each account's set-up is looked at in the background, by all replicas together."""
    drain_seconds: float = Field(default=20.0, ge=0, le=600)
    """How long a stop waits for work in hand; the pod's grace period must be longer."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], service: str) -> Self:
        """Return the settings of *service* (`greenhouse-actions`) found in *environ*.

        Raises:
            SettingsError: Variables are missing or wrong; all of them are named.
        """
        prefix = f"TRELLIS_{service.upper().replace('-', '_')}_"
        values: dict[str, str] = {}
        for field in cls.model_fields:
            for name in (prefix + field.upper(), f"TRELLIS_{field.upper()}"):
                if name in environ:
                    values[field] = environ[name]
                    break
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = [
                f"{prefix}{str(fault['loc'][0]).upper()}: "
                + ("not set" if fault["type"] == "missing" else fault["msg"])
                for fault in error.errors(include_input=False, include_url=False, include_context=False)
            ]
            raise SettingsError("settings: " + "; ".join(faults)) from None


def host_and_port(listen: str) -> tuple[str, int]:
    """Split `127.0.0.1:8080`."""
    host, _, port = listen.rpartition(":")
    return host, int(port)
