"""The rate budget of one connection, shared by all replicas through one row.

Generic cell rate algorithm in one statement. Reconciliation passes a reserve, so it is refused first and
people's work keeps a share. The vendor's headers win over our own count.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from trellis.common.contracts.identifiers import AccountId
from trellis.common.store.postgres import Connection, Pool, acquired


class Use(StrEnum):
    """Who is spending."""

    PEOPLE = "people"
    """Work somebody waits for."""
    BACKGROUND = "background"
    """Reconciliation and polling."""


BURST_PART = 0.25
"""Part of a window's calls that may come at once; the rest is spread over the window."""
ONE_EFFECT = 6.0
"""Calls that may come at once in any case, up to half of what is ours: one effect costs that many at the most."""
RESERVED_SHARE = 0.4
"""Part of the burst that background work may not touch."""
_SPEND_SQL = """
update budget set tat = greatest(tat, clock_timestamp()) + make_interval(secs => $3 * emission)
where account_id = $1 and vendor = $2
  and greatest(tat, clock_timestamp()) + make_interval(secs => least($3, burst * $4) * emission)
      <= clock_timestamp() + make_interval(secs => burst * emission * $4)
returning 1"""
_WAIT_SQL = """
select extract(epoch from greatest(tat, clock_timestamp()) + make_interval(secs => least($3, burst * $4) * emission)
       - clock_timestamp() - make_interval(secs => burst * emission * $4))::float8
from budget where account_id = $1 and vendor = $2"""


def pace(ours: float, window_seconds: float) -> tuple[float, float]:
    """Return seconds a call costs and calls that may come at once, such that no window sees more than *ours*.

    In any window there are at most the burst and one call each `emission` after it.
    """
    ours = max(ours, 1.0)
    burst = max(ours * BURST_PART, min(ours / 2, ONE_EFFECT), 1.0)
    return window_seconds / (ours - burst + 1.0), burst


class Spending(Protocol):
    """The budget of one vendor's connections, as those who call the vendor use it; see `Budget`."""

    async def spend(self, account: AccountId, calls: int = 1, use: Use = Use.PEOPLE) -> timedelta | None:
        """Take *calls* from the budget; None when granted, else how long to wait before asking again."""

    async def told(
        self, account: AccountId, *, limit: int | None, remaining: int | None, retry_after: timedelta | None = None
    ) -> None:
        """Follow what an answer's headers said, when they leave less than we thought."""


class Budgets(Protocol):
    """Makes the budget of a vendor's connections at a pace; it keeps nothing but what the database holds."""

    def __call__(self, vendor: str, *, limit: float, window: timedelta) -> Spending:
        """Return the budget of *vendor* for *limit* calls a *window*."""


class PostgresBudgets:
    """Budgets in the service's schema."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __call__(self, vendor: str, *, limit: float, window: timedelta) -> Budget:
        """See `Budgets`."""
        return Budget(self._pool, vendor, limit=limit, window=window)


class Budget:
    """Spends and steers the budgets of one vendor's connections.

    Args:
        pool: The service's own database.
        vendor: `greenhouse` or `coderbyte`.
        limit: Calls a window until headers are seen (`rate.start_limit`).
        window: Length of the vendor's window.
        share: Part of the vendor's limit that is ours (`rate.share`); other integrations use the rest.
    """

    def __init__(self, pool: Pool, vendor: str, *, limit: float, window: timedelta, share: float = 1.0) -> None:
        self._pool = pool
        self._vendor = vendor
        self._limit = limit
        self._window = window.total_seconds()
        self._share = share

    async def spend(self, account: AccountId, calls: int = 1, use: Use = Use.PEOPLE) -> timedelta | None:
        """Take *calls* from the budget; return None when granted, else how long to wait before asking again.

        What belongs together is taken at once: calls that are granted one by one can each be spent on a
        beginning whose end is refused. More than the burst is granted when the whole burst is there, and
        paid for by a longer wait afterwards.
        """
        part = 1.0 if use is Use.PEOPLE else 1.0 - RESERVED_SHARE
        async with acquired(self._pool) as connection:
            if await connection.fetchval(_SPEND_SQL, account, self._vendor, float(calls), part):
                return None
            wait = await connection.fetchval(_WAIT_SQL, account, self._vendor, float(calls), part)
            if wait is not None:
                return timedelta(seconds=min(max(wait, 0.05), self._window * 2))
            await connection.execute(
                "insert into budget (account_id, vendor, emission, burst) values ($1, $2, $3, $4) on conflict do nothing",
                account,
                self._vendor,
                *self._pace(self._limit),
            )
        return await self.spend(account, calls, use)

    async def told(
        self, account: AccountId, *, limit: int | None, remaining: int | None, retry_after: timedelta | None = None
    ) -> None:
        """Follow what an answer's headers said, when they leave less than we thought.

        Args:
            account: Whose connection answered.
            limit: Calls a window; None when the header was missing.
            remaining: Calls left in the present window; None likewise.
            retry_after: From a 429 or 503: nobody calls before.
        """
        async with acquired(self._pool) as connection:
            if limit is not None and limit > 0:
                emission, burst = self._pace(limit)
                await connection.execute(
                    "update budget set emission = $3, burst = $4, window_limit = $5, updated_at = clock_timestamp(), "
                    # What was spent stays spent as so many calls, not as so many seconds of the old pace.
                    "tat = case when tat > clock_timestamp() "
                    "then clock_timestamp() + (tat - clock_timestamp()) * ($3 / emission) else tat end "
                    "where account_id = $1 and vendor = $2 and window_limit is distinct from $5",
                    account,
                    self._vendor,
                    emission,
                    burst,
                    float(limit),
                )
                if remaining is not None and remaining < limit * (1.0 - self._share):
                    # Others use the rest: nothing of ours is left, so the next call waits its turn.
                    await self._hold(connection, account, burst * emission * (1.0 - remaining / limit))
            if retry_after is not None:
                await connection.execute(
                    "update budget set tat = greatest(tat, clock_timestamp() + make_interval(secs => $3 + burst * emission)) "
                    "where account_id = $1 and vendor = $2",
                    account,
                    self._vendor,
                    retry_after.total_seconds(),
                )

    def _pace(self, limit: float) -> tuple[float, float]:
        """Return seconds a call costs and calls that may come at once, such that no window ever sees more than ours.

        In any window there are at most the burst and one call each `emission` after it.
        """
        return pace(limit * self._share, self._window)

    async def _hold(self, connection: Connection, account: AccountId, ahead_seconds: float) -> None:
        """Spend *ahead_seconds* on the caller's connection: on another one it would wait for the caller's own lock."""
        await connection.execute(
            "update budget set tat = greatest(tat, clock_timestamp() + make_interval(secs => $3)) "
            "where account_id = $1 and vendor = $2",
            account,
            self._vendor,
            ahead_seconds,
        )
