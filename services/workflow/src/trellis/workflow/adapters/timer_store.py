"""Timers: what time will bring back as a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId, ApplicationId, Visit, stable_id, stream_id
from trellis.common.store.postgres import Connection

SETTLE = "settle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One timer: at *due_at* its stream is told that the settle time of *visit* is over."""

    account: AccountId
    application_id: ApplicationId
    visit: Visit
    due_at: datetime
    correlationid: str
    generation: int = 1

    @property
    def message_id(self) -> UUID:
        """The stable id of the message it becomes: fired twice, it is one message."""
        return stable_id("timer", self.account, self.application_id, SETTLE, self.visit, self.generation)


async def schedule(connection: Connection, timers: Sequence[Timer]) -> None:
    """Set *timers*; one of the same stream is set anew, under a new generation."""
    ordered = sorted(timers, key=lambda timer: stream_id(timer.account, timer.application_id))
    for timer in ordered:
        await connection.execute(
            "insert into timer (account_id, stream, application_id, kind, visit, due_at, correlationid) "
            "values ($1, $2, $3, $4, $5, $6, $7) on conflict (stream, kind) do update set "
            "generation = timer.generation + 1, visit = excluded.visit, due_at = excluded.due_at, "
            "correlationid = excluded.correlationid",
            timer.account,
            stream_id(timer.account, timer.application_id),
            timer.application_id,
            SETTLE,
            timer.visit,
            timer.due_at,
            timer.correlationid,
        )


async def due(connection: Connection, now: datetime, *, most: int = 200) -> list[Timer]:
    """Return the timers that are due at *now*, the oldest first; they stay until `remove`."""
    rows = await connection.fetch(
        "select account_id, application_id, visit, due_at, correlationid, generation from timer "
        "where due_at <= $1 order by due_at limit $2",
        now,
        most,
    )
    return [
        Timer(
            account=AccountId(row["account_id"]),
            application_id=ApplicationId(row["application_id"]),
            visit=Visit(row["visit"]),
            due_at=row["due_at"],
            correlationid=row["correlationid"],
            generation=row["generation"],
        )
        for row in rows
    ]


async def remove(connection: Connection, timers: Sequence[Timer]) -> None:
    """Remove *timers* unless they were set anew meanwhile, in the transaction of what they led to."""
    await connection.execute(
        "delete from timer t using unnest($1::uuid[], $2::int[]) as fired (stream, generation) "
        "where t.stream = fired.stream and t.kind = $3 and t.generation = fired.generation",
        [stream_id(timer.account, timer.application_id) for timer in timers],
        [timer.generation for timer in timers],
        SETTLE,
    )


async def put_off(connection: Connection, timer: Timer, wait: timedelta) -> None:
    """Have *timer* wait longer, unless it was set anew meanwhile."""
    await connection.execute(
        "update timer set due_at = due_at + $4 where stream = $1 and kind = $2 and generation = $3",
        stream_id(timer.account, timer.application_id),
        SETTLE,
        timer.generation,
        wait,
    )


async def next_due(connection: Connection) -> datetime | None:
    """Return when the next timer is due; None without one."""
    value: datetime | None = await connection.fetchval("select min(due_at) from timer")
    return value
