"""How far each account was reconciled, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError
from trellis.common.store import outbox
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.greenhouse_actions.reconciliations import Claim, Progress

_LOST: Final = "another replica reconciles this account now"


class ReconciliationStore:
    """See `Reconciliations`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, lease: timedelta) -> Claim | None:
        """See `Reconciliations.claim`."""
        async with transaction(self._pool) as database:
            await database.execute(
                "insert into reconciliation (account_id) select c.account_id from harvest_connection c "
                "where not exists (select 1 from reconciliation r where r.account_id = c.account_id) "
                "on conflict do nothing"
            )
            row = await database.fetchrow(
                "with due as materialized (select account_id from reconciliation where due_at <= clock_timestamp() "
                "and (lease_until is null or lease_until < clock_timestamp()) "
                "order by due_at limit 1 for update skip locked) "
                "update reconciliation r set lease_until = clock_timestamp() + make_interval(secs => $1) "
                "from due where r.account_id = due.account_id "
                "returning r.account_id, r.mark, clock_timestamp() as now, r.longest_s, r.tries, r.lease_until",
                lease.total_seconds(),
            )
        if row is None:
            return None
        return Claim(
            account=AccountId(row["account_id"]),
            mark=row["mark"],
            now=row["now"],
            longest=None if row["longest_s"] is None else timedelta(seconds=row["longest_s"]),
            tries=row["tries"],
            fence=row["lease_until"],
        )

    async def tell(self, claim: Claim, facts: Sequence[Envelope], lease: timedelta) -> Claim:
        """See `Reconciliations.tell`."""
        async with transaction(self._pool) as database:
            fence = await database.fetchval(
                "update reconciliation set lease_until = clock_timestamp() + make_interval(secs => $3), "
                "read_count = read_count + $4 where account_id = $1 and lease_until = $2 returning lease_until",
                claim.account,
                claim.fence,
                lease.total_seconds(),
                len(facts),
            )
            if fence is None:
                raise ConflictError(_LOST)
            await outbox.put(database, facts)
        return replace(claim, fence=fence)

    async def advance(self, claim: Claim, mark: datetime, *, wait: timedelta | None) -> None:
        """See `Reconciliations.advance`."""
        async with acquired(self._pool) as database:
            moved = await database.fetchval(
                "update reconciliation set mark = $3, longest_s = null, tries = 0, cause = '', lease_until = null, "
                "due_at = clock_timestamp() + make_interval(secs => coalesce($4, 0)), "
                "completed_at = case when $4::float8 is null then completed_at else clock_timestamp() end "
                "where account_id = $1 and lease_until = $2 and mark is not distinct from $5 returning 1",
                claim.account,
                claim.fence,
                mark,
                None if wait is None else wait.total_seconds(),
                claim.mark,
            )
        if moved is None:
            raise ConflictError(_LOST)

    async def postpone(self, claim: Claim, reason: str, wait: timedelta, longest: timedelta | None) -> None:
        """See `Reconciliations.postpone`."""
        async with acquired(self._pool) as database:
            await database.execute(
                "update reconciliation set tries = tries + 1, cause = $3, lease_until = null, longest_s = $5, "
                "due_at = clock_timestamp() + make_interval(secs => $4) where account_id = $1 and lease_until = $2",
                claim.account,
                claim.fence,
                reason,
                wait.total_seconds(),
                None if longest is None else longest.total_seconds(),
            )

    async def set_back(self, account: AccountId, since: datetime) -> bool:
        """See `Reconciliations.set_back`."""
        async with acquired(self._pool) as database:
            moved = await database.fetchval(
                "update reconciliation set mark = $2, due_at = clock_timestamp(), lease_until = null, cause = '' "
                "where account_id = $1 and mark > $2 returning 1",
                account,
                since,
            )
        return moved is not None

    async def hurry(self, account: AccountId) -> None:
        """See `Reconciliations.hurry`."""
        async with acquired(self._pool) as database:
            await database.execute(
                "update reconciliation set due_at = least(due_at, clock_timestamp()) where account_id = $1", account
            )

    async def progress(self, account: AccountId | None = None) -> Sequence[Progress]:
        """See `Reconciliations.progress`."""
        async with acquired(self._pool) as database:
            rows = await database.fetch(
                "select account_id as account, mark, due_at, completed_at, tries, cause, read_count from reconciliation "
                "where $1::text is null or account_id = $1 order by account_id",
                account,
            )
        return [Progress(**dict(row)) for row in rows]
