"""Seals anew, in the background, what still lies under an older key of the ring, so that the key can be taken off.

A row is opened and sealed by itself and written only if it is as it was read: a change at the same time wins.
Nobody waits for it; until a row's turn its old key opens it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from trellis.common.errors import TransientError
from trellis.common.runtime.keyring import Keyring, UnreadableError
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.postgres import Pool, acquired

log = structlog.get_logger()

EVERY_SECONDS: Final = 600.0
BATCH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """A column that the key ring seals.

    Attributes:
        table: Its table.
        column: The column.
        keys: The table's primary key.
        place: What a row's value is bound to, from the row's key.
    """

    table: str
    column: str
    keys: tuple[str, ...]
    place: Callable[[Mapping[str, Any]], str]


DATA_KEYS: Final = SealedColumn(
    table="data_key",
    column="wrapped",
    keys=("account_id", "subject"),
    place=lambda row: f"data_key:{row['account_id']}:{row['subject']}",
)
"""The keys of accounts and candidates, which every service has."""


class Resealing:
    """Looks for such rows of a service, over all accounts.

    Args:
        pool: The service's database.
        keyring: The ring; its first key seals.
        columns: Everything that the ring seals in the service's schema.
        metrics: The service's.
    """

    def __init__(self, pool: Pool, keyring: Keyring, columns: Sequence[SealedColumn], metrics: Metrics) -> None:
        self._pool = pool
        self._keyring = keyring
        self._columns = columns
        self._left = metrics.gauge(
            "old_key_rows", "Values under a key of the ring that is not the first; at 0 it can be taken off", ("key",)
        )

    async def run(self) -> None:
        """Seal anew until cancelled."""
        while True:
            try:
                await self.reseal()
            except TransientError as error:
                log.warning("resealing.waiting", reason=str(error))
            await asyncio.sleep(EVERY_SECONDS)

    async def reseal(self) -> int:
        """Seal everything anew that lies under an older key; return how many values were.

        Raises:
            StoreAwayError: The database is away; what was done stays done.
        """
        done = 0
        for old in self._keyring.keys[1:]:
            left = 0
            for column in self._columns:
                while batch := await self._reseal_some(column, self._keyring.header(old)):
                    done += batch
                left += await self._count(column, self._keyring.header(old))
            self._left.labels(old.id).set(left)
        if done:
            log.info("resealing.done", count=done)
        return done

    async def _reseal_some(self, column: SealedColumn, header: bytes) -> int:
        names, value = ", ".join(column.keys), column.column
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                f"select {names}, {value} as sealed from {column.table} where {_UNDER.format(value)} "  # noqa: S608 - names of ours
                "order by random() limit $2",
                header,
                BATCH,
            )
            done = 0
            for row in rows:
                place = column.place(dict(row))
                try:
                    fresh = self._keyring.seal(self._keyring.open(row["sealed"], place), place)
                except UnreadableError as error:
                    log.error("resealing.unreadable", name=f"{column.table}.{value}", reason=str(error))
                    continue
                same = " and ".join(f"{name} = ${number}" for number, name in enumerate(column.keys, start=3))
                status = await connection.execute(
                    f"update {column.table} set {value} = $1 where {value} = $2 and {same}",  # noqa: S608 - names of ours
                    fresh,
                    row["sealed"],
                    *(row[name] for name in column.keys),
                )
                done += status.endswith(" 1")
        return done

    async def _count(self, column: SealedColumn, header: bytes) -> int:
        async with acquired(self._pool) as connection:
            count: int = await connection.fetchval(
                f"select count(*) from {column.table} where {_UNDER.format(column.column)}",  # noqa: S608 - names of ours
                header,
            )
        return count


_UNDER: Final = "substring({0} from 1 for length($1::bytea)) = $1"
