"""Remembers which stages bore the names that workflows use."""

from __future__ import annotations

from collections.abc import Iterable

from trellis.common.contracts.identifiers import AccountId, StageId
from trellis.common.store.postgres import Pool, acquired


class NamedStages:
    """The table `named_stage`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, account: AccountId) -> dict[str, frozenset[StageId]]:
        """Return what is remembered of *account*: name -> stages that had it."""
        async with acquired(self._pool) as database:
            rows = await database.fetch(
                "select name, array_agg(stage_id) as stages from named_stage where account_id = $1 group by 1", account
            )
        return {row["name"]: frozenset(map(StageId, row["stages"])) for row in rows}

    async def remember(self, account: AccountId, meant: Iterable[tuple[str, StageId]]) -> None:
        """Remember that each of *meant* has its name now."""
        pairs = sorted(meant)
        async with acquired(self._pool) as database:
            await database.execute(
                "insert into named_stage (account_id, name, stage_id) select $1, * from unnest($2::text[], $3::bigint[]) "
                "on conflict (account_id, name, stage_id) do update set seen_at = clock_timestamp()",
                account,
                [name for name, _ in pairs],
                [stage for _, stage in pairs],
            )
