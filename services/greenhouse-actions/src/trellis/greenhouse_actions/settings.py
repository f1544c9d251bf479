"""What the process is told by its environment; what belongs to an account is in `connection.py`."""

from __future__ import annotations

from pydantic import Field

from trellis.common.runtime.settings import Settings


class GreenhouseActionsSettings(Settings):
    """Settings of greenhouse-actions, read from `TRELLIS_GREENHOUSE_ACTIONS_…` and `TRELLIS_…`."""

    assessments_url: str = Field(default="http://127.0.0.1:8083", pattern=r"^https?://[^/]+/?$")
    """Address of the internal API of `assessments`, asked for the link of a report when a note wants one."""
    workflow_url: str = Field(default="http://127.0.0.1:8081", pattern=r"^https?://[^/]+/?$")
    """Address of the internal API of `workflow`, asked which stages the live workflows name."""
    vendor_connections: int = Field(default=40, ge=4, le=1000)
    """Most connections to Greenhouse that one process keeps open for reading."""
    account_calls: int = Field(default=8, ge=1, le=100)
    """Most calls at once for one account, so that a slow one leaves connections to the others."""
    lease_seconds: float = Field(default=30.0, ge=1, le=600)
    """How long a claimed row is nobody else's, and a tenth of how long an account is that is compared; what a killed
    worker had claimed waits that long."""
    request_seconds: float = Field(default=20.0, ge=1, le=120)
    """Longest time one write to Greenhouse may take; what a killed worker was sending waits that long, and ten more."""
