"""Planted bugs in the reading of results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulation.twins import assessments
from simulation.twins.memory import tx


def signal_lost_while_reading(put: Callable[[Any, str, Any], None]) -> None:
    """A signal leaves the lease of the reading under way, which then records what it read before."""
    real = assessments.MemoryInvites.await_report

    async def await_report(self: Any, connection: Any, invite: Any, signal: Any) -> None:
        before = tx(connection).get("invite", invite.command_id)
        await real(self, connection, invite, signal)
        after = tx(connection).get("invite", invite.command_id)
        if before is not None and after is not None:
            lease = {name: before[name] for name in ("lease_until", "lease_token")}
            tx(connection).put("invite", invite.command_id, after | lease)

    put(assessments.MemoryInvites, "await_report", await_report)
