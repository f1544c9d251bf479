"""Settings of the workflow service."""

from __future__ import annotations

from pydantic import Field

from trellis.common.runtime.settings import Settings


class WorkflowSettings(Settings):
    """What the workflow service needs to start."""

    batch_size: int = Field(default=200, ge=1, le=1000)
    """Most messages decided in one transaction."""
    batch_wait_seconds: float = Field(default=0.005, ge=0, le=1)
    """How long a batch waits for more messages after the first."""
