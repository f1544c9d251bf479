"""Brakes: one mechanism at three scopes, by which people stop effects at once, the broker aside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from trellis.common.contracts.identifiers import AccountId
from trellis.common.store.postgres import Pool, acquired, transaction


class Scope(StrEnum):
    """What a brake stops."""

    ACCOUNT = "account"
    CONNECTION = "connection"
    WORKFLOW = "workflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """A brake that is on. *name* is the vendor or the workflow; empty for the account."""

    scope: Scope
    name: str
    reason: str
    by: str
    since: datetime


HELD_BY_SQL = """
select held.by from (
  select 'account' as scope, 'the database was restored; see `trellis restored status`' as by
  from restoration where ended_at is null
  union all
  select b.scope, case b.scope when 'account' then 'the account''s kill switch is on'
                               when 'connection' then 'the ' || b.name || ' connection is braked'
                               else 'workflow ' || b.name || ' is braked' end
  from brake b where b.account_id = i.account_id and (b.scope = 'account'
    or (b.scope = 'connection' and b.name = i.vendor) or (b.scope = 'workflow' and b.name = i.workflow))
) held order by held.scope limit 1"""
"""Scalar subquery over a row `i` of intent: which brake, or restored mode, holds it; null when nothing does."""


class Brakes:
    """Sets, releases and lists the brakes of an effect service."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, account: AccountId, scope: Scope, name: str, *, reason: str, by: str) -> bool:
        """Put a brake on; False when it was on already. When this returns, no further attempt begins."""
        async with transaction(self._pool) as connection:
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 7))", account)
            status = await connection.execute(
                "insert into brake (account_id, scope, name, reason, by_whom) values ($1, $2, $3, $4, $5) "
                "on conflict do nothing",
                account,
                scope.value,
                name,
                reason,
                by,
            )
        return status.endswith(" 1")

    async def release(self, account: AccountId, scope: Scope, name: str) -> bool:
        """Take a brake off; False when it was not on."""
        async with acquired(self._pool) as connection:
            status = await connection.execute(
                "delete from brake where account_id = $1 and scope = $2 and name = $3", account, scope.value, name
            )
        return status.endswith(" 1")

    async def on(self, account: AccountId) -> list[Brake]:
        """Return the brakes that are on for *account*."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select scope, name, reason, by_whom, since from brake where account_id = $1 order by scope, name",
                account,
            )
        return [
            Brake(scope=Scope(r["scope"]), name=r["name"], reason=r["reason"], by=r["by_whom"], since=r["since"])
            for r in rows
        ]
