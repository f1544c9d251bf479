"""How applications stand, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pydantic import TypeAdapter

from trellis.common.contracts.commands import ShowStanding
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.ledger.store import LedgerStore
from trellis.common.store.postgres import Connection as Database
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.standing import NotAllowed
from trellis.greenhouse_actions.standings import Wanted

DELAY_SECONDS: Final = 10.0
"""Of an account without a connection; else `standing.delay`."""
_COMMAND: Final = TypeAdapter(ShowStanding)
_MAY_WRITE: Final = """
  not exists (select from restoration where ended_at is null)
  and not exists (select from brake b where b.account_id = s.account_id
    and (b.scope = 'account' or (b.scope = 'connection' and b.name = $3)))
  and not exists (select from pause p where p.account_id = s.account_id and p.vendor = $3)
  and not exists (select from standing_refusal r join harvest_connection c using (account_id)
    where r.account_id = s.account_id and r.revision = c.revision and r.until > clock_timestamp())"""


class StandingStore:
    """See `Standings`.

    Args:
        pool: The service's database.
        ledger: Where notes become intents.
    """

    def __init__(self, pool: Pool, ledger: LedgerStore) -> None:
        self._pool = pool
        self._ledger = ledger

    async def want(self, database: Database, account: AccountId, command: ShowStanding, correlationid: str) -> None:
        """See `Standings.want`."""
        await database.execute(
            "insert into standing (account_id, application_id, command, ordinal, correlationid, due_at) "
            "values ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => coalesce((select "
            "(settings::json ->> 'standing.delay')::float8 from harvest_connection where account_id = $1), $6))) "
            "on conflict (account_id, application_id) do update set command = excluded.command, "
            "ordinal = excluded.ordinal, correlationid = excluded.correlationid, tries = 0, cause = '', "
            "due_at = case when standing.ordinal > standing.shown_ordinal then standing.due_at else excluded.due_at end "
            "where standing.ordinal < excluded.ordinal",
            account,
            command.application_id,
            _COMMAND.dump_json(command).decode(),
            command.ordinal,
            correlationid,
            DELAY_SECONDS,
        )

    async def claim(self, *, per_account: int, lease: timedelta) -> list[Wanted]:
        """See `Standings.claim`."""
        async with transaction(self._pool) as database:
            rows = await database.fetch(
                "with accounts as (select distinct s.account_id from standing s where s.ordinal > s.shown_ordinal "
                f"and s.due_at <= clock_timestamp() and {_MAY_WRITE}), "
                "due as materialized (select picked.* from accounts a cross join lateral ("
                "select s.account_id, s.application_id, s.is_unsure from standing s where s.account_id = a.account_id "
                "and s.ordinal > s.shown_ordinal and s.due_at <= clock_timestamp() "
                "and (s.lease_until is null or s.lease_until < clock_timestamp()) "
                "order by s.due_at limit $1 for update skip locked) picked) "
                "update standing s set is_unsure = true, lease_until = clock_timestamp() + make_interval(secs => $2) from due "
                "where s.account_id = due.account_id and s.application_id = due.application_id "
                "returning s.account_id, s.command, s.correlationid, s.shown, due.is_unsure, s.tries, s.due_at",
                per_account,
                lease.total_seconds(),
                VENDOR,
            )
        return [
            Wanted(
                account=AccountId(row["account_id"]),
                command=_COMMAND.validate_json(row["command"]),
                correlationid=row["correlationid"],
                shown=row["shown"],
                is_unsure=row["is_unsure"],
                tries=row["tries"],
            )
            for row in sorted(rows, key=lambda row: row["due_at"])
        ]

    async def settle(self, wanted: Wanted, shown: str, note: Envelope | None) -> None:
        """See `Standings.settle`."""
        async with transaction(self._pool) as database:
            if note is not None:
                await self._ledger.take_in(database, note, VENDOR, None)
            await database.execute(
                "update standing set shown_ordinal = $3, shown = $4, is_unsure = false, tries = 0, cause = '', "
                "lease_until = null where account_id = $1 and application_id = $2",
                wanted.account,
                wanted.command.application_id,
                wanted.command.ordinal,
                shown,
            )

    async def postpone(self, wanted: Sequence[Wanted], reason: str, wait: timedelta) -> None:
        """See `Standings.postpone`."""
        if not wanted:
            return
        async with acquired(self._pool) as database:
            await database.execute(
                "update standing set tries = tries + 1, cause = $3, lease_until = null, "
                "due_at = clock_timestamp() + make_interval(secs => $4) "
                "where account_id = $1 and application_id = any($2::bigint[])",
                wanted[0].account,
                [item.command.application_id for item in wanted],
                reason,
                wait.total_seconds(),
            )

    async def refuse(self, account: AccountId, revision: int, refused: NotAllowed, wait: timedelta) -> None:
        """See `Standings.refuse`."""
        async with acquired(self._pool) as database:
            await database.execute(
                "insert into standing_refusal values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5)) "
                "on conflict (account_id) do update set revision = excluded.revision, reason = excluded.reason, "
                "remedy = excluded.remedy, until = excluded.until",
                account,
                revision,
                refused.reason,
                refused.remedy,
                wait.total_seconds(),
            )

    async def refusal(self, account: AccountId, revision: int) -> NotAllowed | None:
        """See `Standings.refusal`."""
        async with acquired(self._pool) as database:
            row = await database.fetchrow(
                "select reason, remedy from standing_refusal where account_id = $1 and revision = $2", account, revision
            )
        return None if row is None else NotAllowed(reason=row["reason"], remedy=row["remedy"])
