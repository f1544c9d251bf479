"""The rate budget of connections in memory: the twin of `ledger/budget.py`, statement by statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from trellis.common.contracts.identifiers import AccountId
from trellis.common.ledger.budget import RESERVED_SHARE, Use, pace


@dataclass
class _Row:
    emission: float
    burst: float
    tat: float = float("-inf")
    limit: float | None = None


class MemoryBudget:
    """See `Spending`.

    Args:
        now: Seconds of any clock.
        limit: Calls a window until headers are seen.
        window: Length of the vendor's window.
        share: Part of the vendor's limit that is ours.
    """

    def __init__(self, now: Callable[[], float], *, limit: float, window: timedelta, share: float = 1.0) -> None:
        self._now = now
        self._limit = limit
        self._window = window.total_seconds()
        self._share = share
        self._rows: dict[AccountId, _Row] = {}

    async def spend(self, account: AccountId, calls: int = 1, use: Use = Use.PEOPLE) -> timedelta | None:
        """See `Spending.spend`."""
        part = 1.0 if use is Use.PEOPLE else 1.0 - RESERVED_SHARE
        row, now = self._rows.setdefault(account, _Row(*pace(self._limit * self._share, self._window))), self._now()
        begins = max(row.tat, now)
        wait = begins + min(calls, row.burst * part) * row.emission - now - row.burst * row.emission * part
        if wait <= 1e-9:
            row.tat = begins + calls * row.emission
            return None
        return timedelta(seconds=min(max(wait, 0.05), self._window * 2))

    async def told(
        self, account: AccountId, *, limit: int | None, remaining: int | None, retry_after: timedelta | None = None
    ) -> None:
        """See `Spending.told`."""
        row, now = self._rows.get(account), self._now()
        if row is None:
            return
        if limit is not None and limit > 0:
            emission, burst = pace(limit * self._share, self._window)
            if row.limit != limit:
                if row.tat > now:
                    row.tat = now + (row.tat - now) * (emission / row.emission)
                row.emission, row.burst, row.limit = emission, burst, float(limit)
            if remaining is not None and remaining < limit * (1.0 - self._share):
                row.tat = max(row.tat, now + burst * emission * (1.0 - remaining / limit))
        if retry_after is not None:
            row.tat = max(row.tat, now + retry_after.total_seconds() + row.burst * row.emission)
