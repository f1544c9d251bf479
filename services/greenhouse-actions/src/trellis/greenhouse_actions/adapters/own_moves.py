"""Which moves of ours may have happened, from the ledger: what they led to is no person's act."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import AccountId, ApplicationId, StageId, Visit
from trellis.common.store.postgres import Pool, acquired
from trellis.greenhouse_actions.domain.effects import OwnMove
from trellis.greenhouse_actions.domain.stages import fixed_target


class OwnMoves(Protocol):
    """Tells our own moves."""

    async def of(
        self, account: AccountId, applications: Sequence[ApplicationId]
    ) -> Mapping[ApplicationId, list[OwnMove]]:
        """Return of each application the moves of ours that may have happened; absent when there is none."""


class LedgerMoves:
    """Reads them from the ledger's table.

    An attempt is committed before its request leaves, so a reading that shows our move's target finds the
    move here when this is asked after it.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(
        self, account: AccountId, applications: Sequence[ApplicationId]
    ) -> Mapping[ApplicationId, list[OwnMove]]:
        """See `OwnMoves.of`."""
        async with acquired(self._pool) as database:
            rows = await database.fetch(
                "select application_id, visit, command, resolved, attempted_at from intent "
                "where account_id = $1 and application_id = any($2::bigint[]) and action = $3 and attempt > 0 "
                "and (state in ('attempting', 'unknown', 'in_doubt', 'done') "
                "or (state in ('waiting', 'parked') and retries > 0))",
                account,
                list(applications),
                Action.MOVE.value,
            )
        found: dict[ApplicationId, list[OwnMove]] = {}
        for row in rows:
            target = fixed_target(json.loads(row["resolved"]))
            if target is None:
                continue
            move = OwnMove(
                visit=Visit(row["visit"]),
                from_stage_id=StageId(json.loads(row["command"])["from_stage_id"]),
                to_stage_id=target,
                attempted_at=row["attempted_at"],
            )
            found.setdefault(ApplicationId(row["application_id"]), []).append(move)
        return found
