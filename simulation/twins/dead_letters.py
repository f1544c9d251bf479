"""Dead letters kept in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from simulation.twins.memory import Row, Session, tx
from trellis.common.contracts.identifiers import AccountId
from trellis.common.dead_letters.letters import DeadLetter, Death, State, latest
from trellis.common.dead_letters.store import KEEP_DAYS, MOST
from trellis.common.store.postgres import Connection

TABLE = "dead_letter"


class MemoryDeadLetters:
    """The twin of `PostgresDeadLetters`: rows of `dead_letter` by id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def record(self, connection: Connection, deaths: Sequence[Death]) -> None:
        """See `DeadLetterStore.record`."""
        opened = tx(connection)
        await opened.statement("dead letters")
        for death in latest(list(deaths)):
            fresh = {"death": death, "state": State.WAITING, "dead_at": opened.now, "settled_at": None, "by": None}
            if await opened.insert(TABLE, death.id, fresh):
                continue
            kept = opened.get(TABLE, death.id)
            if kept is not None and _died_again(kept, death):
                opened.put(TABLE, death.id, fresh)

    async def waiting(
        self, account: AccountId | None, *, subject: str | None = None, most: int = MOST
    ) -> list[DeadLetter]:
        """See `DeadLetterStore.waiting`."""
        async with self._session.acquired() as connection:
            rows = [row for _, row in tx(connection).rows(TABLE)]
        letters = [
            _letter(row)
            for row in rows
            if row["state"] is State.WAITING
            and row["death"].account == account
            and subject in (None, row["death"].subject)
        ]
        return sorted(letters, key=lambda letter: (letter.dead_at, letter.death.id))[:most]

    async def held(self, connection: Connection, account: AccountId | None, ident: UUID) -> DeadLetter | None:
        """See `DeadLetterStore.held`."""
        opened = tx(connection)
        await opened.statement("dead letter")
        row = await opened.lock(TABLE, ident)
        return None if row is None or row["death"].account != account else _letter(row)

    async def settle(self, connection: Connection, letter: DeadLetter, state: State, by: str) -> None:
        """See `DeadLetterStore.settle`."""
        opened = tx(connection)
        await opened.statement("dead letter settled")
        count = letter.death.redriven_count + (state is State.REDRIVEN)
        death = replace(letter.death, redriven_count=count)
        await opened.update(TABLE, death.id, death=death, state=state, settled_at=opened.now, by=by)

    async def counts(self) -> Mapping[tuple[str, AccountId | None], int]:
        """See `DeadLetterStore.counts`."""
        async with self._session.acquired() as connection:
            rows = [row for _, row in tx(connection).rows(TABLE)]
        return Counter((row["death"].queue, row["death"].account) for row in rows if row["state"] is State.WAITING)

    async def forget_old(self, *, days: int = KEEP_DAYS, most: int = 1000) -> int:
        """See `DeadLetterStore.forget_old`."""
        async with self._session.transaction() as connection:
            opened = tx(connection)
            before = opened.now - timedelta(days=days)
            old = [key for key, row in opened.rows(TABLE) if row["settled_at"] and row["settled_at"] < before][:most]
            for key in old:
                await opened.lock(TABLE, key)
                opened.put(TABLE, key, None)
        return len(old)


def _died_again(kept: Row, death: Death) -> bool:
    return kept["state"] is State.REDRIVEN and death.redriven_count >= kept["death"].redriven_count


def _letter(row: Row) -> DeadLetter:
    return DeadLetter(death=row["death"], state=row["state"], dead_at=row["dead_at"])
