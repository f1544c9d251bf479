"""Settings of `ingest`; what holds for one account only comes by `trellis apply` and lies in its table."""

from __future__ import annotations

from pydantic import Field

from trellis.common.runtime.settings import Settings


class IngestSettings(Settings):
    """What the receiver of webhooks needs to start."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Largest body that is read; beyond it 413, which Greenhouse redelivers seven times and then gives up."""
    max_header_bytes: int = Field(default=16 * 1024, ge=1024, le=1024 * 1024)
    """Largest head of a request, request line and all headers together; beyond it 431."""
    read_timeout_seconds: float = Field(default=10.0, gt=0, le=600)
    """A request not wholly received this long after its first byte is closed; an account may set its own."""
    max_connections: int = Field(default=1000, ge=1, le=100_000)
    """Most open connections of one process; one more is answered 503 and closed."""
    max_in_flight: int = Field(default=200, ge=1, le=100_000)
    """Most webhooks in hand at once; one more is answered 503 at once, since Greenhouse redelivers."""
    confirm_seconds: float = Field(default=0.5, gt=0, le=30)
    """How long to wait for the broker's confirm before the message goes to the spool."""
    spool_seconds: float = Field(default=2.0, gt=0, le=30)
    """How long one look-up or one write to PostgreSQL may take before a webhook is answered 503."""
    bypass_after_count: int = Field(default=3, ge=1, le=1000)
    """Unconfirmed messages in a row after which the broker is not waited for."""
    bypass_seconds: float = Field(default=5.0, gt=0, le=600)
    """How long the broker is then passed by, straight to the spool."""
    endpoint_cache_seconds: float = Field(default=30.0, ge=0, le=300)
    """How long a process remembers an endpoint with its opened secrets, and that a token is unknown."""
    body_keep_days: int = Field(default=30, ge=1, le=365)
    """How long a sealed body is kept."""
    max_accounts: int = Field(default=1000, ge=1, le=100_000)
    """Accounts with metric series of their own; further ones are counted together as `other`."""
    public_url: str = Field(default="", pattern=r"^(https?://[^\s?#]+)?$")
    """Address under which the vendors reach this service; empty means `http://` and the listening address."""

    @property
    def base_url(self) -> str:
        """What stands before `/webhooks/` in the URLs to paste into the vendors' pages."""
        return (self.public_url or f"http://{self.listen}").rstrip("/")
