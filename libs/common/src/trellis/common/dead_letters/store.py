"""Dead letters in the service's database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from trellis.common.contracts.identifiers import AccountId
from trellis.common.dead_letters.letters import DeadLetter, Death, State, latest
from trellis.common.store.postgres import Connection, Pool, acquired, transaction

KEEP_DAYS: Final = 30
"""How long one that was redriven or dropped is kept."""
MOST: Final = 500
"""Most rows of one list."""
_COLUMNS: Final = "id, account_id, queue, routing_key, subject, correlation_id, reason, attempts, redriven_count, body, state, dead_at"


class DeadLetterStore(Protocol):
    """The rows as their taker, a person's order and the doctor use them."""

    async def record(self, connection: Connection, deaths: Sequence[Death]) -> None:
        """Write what was found, in the caller's transaction.

        One that is known changes nothing, unless it was redriven since and this copy of it died after that: it waits again.
        """

    async def waiting(
        self, account: AccountId | None, *, subject: str | None = None, most: int = MOST
    ) -> list[DeadLetter]:
        """Return what waits for a person, the oldest first.

        Args:
            account: Whose; None is those that do not say whose they are.
            subject: Only what is about this one.
            most: How many at most.
        """

    async def held(self, connection: Connection, account: AccountId | None, ident: UUID) -> DeadLetter | None:
        """Lock one of this account until the transaction ends and return it; None when there is none."""

    async def settle(self, connection: Connection, letter: DeadLetter, state: State, by: str) -> None:
        """Write what became of one that is locked; a redrive is counted."""

    async def counts(self) -> Mapping[tuple[str, AccountId | None], int]:
        """Return how many wait, by queue and account."""

    async def forget_old(self, *, days: int = KEEP_DAYS, most: int = 1000) -> int:
        """Delete up to *most* that were settled more than *days* ago and return how many went."""


class PostgresDeadLetters:
    """The rows in the service's schema."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, connection: Connection, deaths: Sequence[Death]) -> None:
        """See `DeadLetterStore.record`."""
        found = latest(list(deaths))
        await connection.execute(
            "insert into dead_letter as kept (id, account_id, queue, routing_key, subject, correlation_id, reason, "
            "attempts, redriven_count, body) "
            "select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], "
            "$8::int[], $9::int[], $10::bytea[]) "
            "on conflict (id) do update set state = 'waiting', reason = excluded.reason, attempts = excluded.attempts, "
            "redriven_count = excluded.redriven_count, dead_at = clock_timestamp(), settled_at = null, settled_by = null "
            "where kept.state = 'redriven' and excluded.redriven_count >= kept.redriven_count",
            [death.id for death in found],
            [death.account or "" for death in found],
            [death.queue for death in found],
            [death.routing_key for death in found],
            [death.subject for death in found],
            [death.correlation_id for death in found],
            [death.reason for death in found],
            [death.attempts for death in found],
            [death.redriven_count for death in found],
            [death.body for death in found],
        )

    async def waiting(
        self, account: AccountId | None, *, subject: str | None = None, most: int = MOST
    ) -> list[DeadLetter]:
        """See `DeadLetterStore.waiting`."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from dead_letter where account_id = $1 and state = 'waiting' "  # noqa: S608
                "and ($2::text is null or subject = $2) order by dead_at, id limit $3",
                account or "",
                subject,
                most,
            )
        return [_letter(row) for row in rows]

    async def held(self, connection: Connection, account: AccountId | None, ident: UUID) -> DeadLetter | None:
        """See `DeadLetterStore.held`."""
        row = await connection.fetchrow(
            f"select {_COLUMNS} from dead_letter where account_id = $1 and id = $2 for update",  # noqa: S608
            account or "",
            ident,
        )
        return None if row is None else _letter(row)

    async def settle(self, connection: Connection, letter: DeadLetter, state: State, by: str) -> None:
        """See `DeadLetterStore.settle`."""
        await connection.execute(
            "update dead_letter set state = $3, settled_at = clock_timestamp(), settled_by = $4, "
            "redriven_count = redriven_count + $5 where account_id = $1 and id = $2",
            letter.death.account or "",
            letter.death.id,
            state.value,
            by,
            int(state is State.REDRIVEN),
        )

    async def counts(self) -> Mapping[tuple[str, AccountId | None], int]:
        """See `DeadLetterStore.counts`."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select queue, account_id, count(*) as n from dead_letter where state = 'waiting' group by 1, 2"
            )
        return {(row["queue"], AccountId(row["account_id"]) if row["account_id"] else None): row["n"] for row in rows}

    async def forget_old(self, *, days: int = KEEP_DAYS, most: int = 1000) -> int:
        """See `DeadLetterStore.forget_old`."""
        async with transaction(self._pool) as connection:
            status = await connection.execute(
                "delete from dead_letter where ctid = any(array(select ctid from dead_letter "
                "where state <> 'waiting' and settled_at < clock_timestamp() - make_interval(days => $1) limit $2))",
                days,
                most,
            )
        return int(status.split()[-1])


def _letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        death=Death(
            id=row["id"],
            queue=row["queue"],
            account=AccountId(row["account_id"]) if row["account_id"] else None,
            routing_key=row["routing_key"],
            subject=row["subject"],
            correlation_id=row["correlation_id"],
            reason=row["reason"],
            attempts=row["attempts"],
            redriven_count=row["redriven_count"],
            body=row["body"],
        ),
        state=State(row["state"]),
        dead_at=row["dead_at"],
    )
