"""What the world showed of an invite by itself settles its ledger row, however late."""

from __future__ import annotations

from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.states import FINAL, Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.store.postgres import Connection


async def settle_by_evidence(connection: Connection, ledger: LedgerStore, held: Intent, reason: str) -> State | None:
    """Record that an invite without a recorded answer arrived.

    Args:
        connection: The caller's transaction, in which *held* was locked.
        ledger: The rows.
        held: The row as it is.
        reason: What showed it.

    Returns:
        The row's new state; None when it was settled already or no attempt of it can ever have begun.
    """
    if held.attempted_at is None or held.state in FINAL:
        return None
    return await ledger.record(
        connection, held, held.attempt, Change(occurrence=Occurrence.EVIDENCE, reason=reason, kind="evidence")
    )
