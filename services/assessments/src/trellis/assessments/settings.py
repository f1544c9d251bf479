"""Settings of `assessments`; what holds for one account only comes by `trellis apply` and lies in its table."""

from __future__ import annotations

from pydantic import Field

from trellis.common.runtime.settings import Settings


class AssessmentsSettings(Settings):
    """What the invites and readings of reports need to start."""

    greenhouse_actions_url: str = Field(pattern=r"^https?://[^\s?#]+$")
    """Address of `greenhouse-actions`, which says whom an invite may go to."""
    workflow_url: str = Field(default="http://127.0.0.1:8081", pattern=r"^https?://[^\s?#]+$")
    """Address of `workflow`, asked which assessments the live workflows name."""
    ingest_url: str = Field(default="http://127.0.0.1:8083", pattern=r"^https?://[^\s?#]+$")
    """Address of `ingest`, which keeps the body of a webhook that matched nothing."""
    lease_seconds: float = Field(default=30.0, ge=1, le=600)
    """How long a claimed row is nobody else's; what a killed worker had claimed waits that long."""
    request_seconds: float = Field(default=30.0, ge=1, le=120)
    """Longest time one call to Coderbyte may take; what a killed worker was sending waits that long, and five more."""
    tick_seconds: float = Field(default=0.5, gt=0, le=60)
    """How often due readings are looked for; a signal is acted upon at once."""
    internal_seconds: float = Field(default=8.0, gt=0, le=30)
    """How long `greenhouse-actions` is waited for; its answer may be no older than ten seconds when an invite leaves."""
