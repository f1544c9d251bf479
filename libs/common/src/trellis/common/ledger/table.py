"""The ledger's SQL: every change of a row is one transaction with its journal and its outcome message."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import TypeAdapter

from trellis.common.contracts.commands import Action, AddNote, MoveApplication, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, CommandId, Visit
from trellis.common.ledger.brakes import HELD_BY_SQL
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent, Resolved
from trellis.common.ledger.epoch import PresentEpoch
from trellis.common.ledger.recording import Row, changed, told, told_repeat
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import NO_LIMIT
from trellis.common.runtime.clock import utc_now
from trellis.common.store import outbox
from trellis.common.store.postgres import Connection, Pool, acquired, transaction

ADAPTERS: Final[Mapping[Action, TypeAdapter[Any]]] = {
    Action.INVITE: TypeAdapter(SendInvite),
    Action.NOTE: TypeAdapter(AddNote),
    Action.MOVE: TypeAdapter(MoveApplication),
}
ACTIONS: Final[Mapping[type, Action]] = {
    SendInvite: Action.INVITE,
    AddNote: Action.NOTE,
    MoveApplication: Action.MOVE,
}
_COLUMNS: Final = (
    "i.id, i.account_id, i.application_id, i.candidate_id, i.visit, i.action, i.command, i.state, i.attempt, "
    "i.absent_count, i.retries, i.cause, i.created_at, i.correlationid, i.attempted_at, i.ended_at, i.resolved"
)
_FREE: Final = "(i.lease_until is null or i.lease_until < clock_timestamp())"
_PAUSED: Final = "exists (select from pause p where p.account_id = i.account_id and p.vendor = i.vendor)"
_DUE_ACCOUNTS: Final = """
    select due.account_id, least($2, r.most) as most
    from (select distinct account_id from intent where {} and vendor = $3 and due_at <= clock_timestamp()) due
    left join unnest($5::text[], $6::int[]) as r(account_id, most) on r.account_id = due.account_id
    where coalesce(r.most, 1) > 0"""
_BRAKED: Final = f"exists ({HELD_BY_SQL})"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentStory:
    """A row and its journal, as people read it."""

    id: UUID
    action: str
    visit: str
    state: str
    cause: str
    remedy: str
    due_at: datetime
    attempt: int
    held_by: str | None
    entries: tuple[dict[str, Any], ...]


class Ledger:
    """The rows of one service's ledger.

    Args:
        pool: The service's own database.
        source: The service's name in its messages, `trellis/assessments`.
        epoch: Tells which epoch the database must know for an attempt to begin; without it the ledger is not watched.
    """

    def __init__(self, pool: Pool, source: str, epoch: PresentEpoch | None = None) -> None:
        self._pool = pool
        self._source = source
        self._epoch = epoch

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """See `LedgerStore.transaction`."""
        return transaction(self._pool)

    # -- taking commands in

    async def take_in(self, connection: Connection, envelope: Envelope, vendor: str, unique_key: str | None) -> bool:
        """Record the command in *envelope* as an intent; False when it is known already.

        Another command under the same *unique_key* is answered at once as superseded.
        """
        command = envelope.data
        if not isinstance(command, SendInvite | AddNote | MoveApplication):
            raise TypeError(type(command).__name__)
        action = ACTIONS[type(command)]
        state, since = await self._first_state(connection, command)
        row = await connection.fetchrow(
            "insert into intent (id, account_id, unique_key, application_id, candidate_id, visit, action, vendor, "
            "workflow, workflow_version, rule, command, correlationid, state, attempted_at) "
            "values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15) on conflict do nothing returning id",
            command.command_id,
            envelope.accountid,
            unique_key,
            command.application_id,
            command.candidate_id,
            command.visit,
            action.value,
            vendor,
            command.origin.workflow,
            command.origin.version,
            command.origin.rule,
            ADAPTERS[action].dump_json(command).decode(),
            envelope.correlationid,
            state.value,
            since,
        )
        if row is not None:
            text = "taken in" if since is None else "taken in; it may have been done before the database was restored"
            await self._journal(connection, command.command_id, envelope.accountid, "command", 0, state, text)
            return True
        known = await connection.fetchval(
            "select true from intent where id = $1 and account_id = $2", command.command_id, envelope.accountid
        )
        if not known and unique_key is not None:
            await outbox.put(connection, [told_repeat(self._source, envelope, command, action)])
        return False

    async def _first_state(
        self, connection: Connection, command: SendInvite | AddNote | MoveApplication
    ) -> tuple[State, datetime | None]:
        """Return where a new row begins: after a restore, what belongs to the time before it is looked up first.

        A move is not: its check before an attempt is its look-up.
        """
        if isinstance(command, MoveApplication):
            return State.WAITING, None
        as_of = await connection.fetchval(
            "select as_of from restoration where ended_at is null or (ended_at > clock_timestamp() - interval '30 days' "
            "and ($1::timestamptz is null or $1 < ended_at)) order by number desc limit 1",
            command.began_at,
        )
        return (State.WAITING, None) if as_of is None else (State.UNKNOWN, as_of)

    # -- claiming

    async def claim_due(
        self, *, lease: timedelta, per_account: int, vendor: str, room: Mapping[AccountId, int] = NO_LIMIT
    ) -> list[Intent]:
        """Lease rows that are due to be attempted, the oldest first, at most *per_account* of each account.

        Rows under a brake are left; of a paused connection one row is taken when the pause is due to be
        tested, which postpones the next test. Of an account in *room* no more than that are taken. The epoch is
        renewed for the attempts that follow.
        """
        statement = f"""
            with accounts as ({_DUE_ACCOUNTS.format("state = 'waiting'")}),
            probes as (update pause p set retry_at = clock_timestamp() + make_interval(secs => $1)
                       where p.vendor = $3 and p.retry_at <= clock_timestamp()
                       and p.account_id in (select account_id from accounts) and exists (
                         select from intent i where i.account_id = p.account_id and i.state = 'waiting'
                           and i.vendor = $3 and i.due_at <= clock_timestamp() and {_FREE} and not {_BRAKED})
                       returning p.account_id),
            due as materialized (
              select picked.id from accounts a cross join lateral (
                select i.id from intent i where i.account_id = a.account_id and i.state = 'waiting' and i.vendor = $3
                  and i.due_at <= clock_timestamp() and {_FREE} and not {_BRAKED}
                  and (not {_PAUSED} or a.account_id in (select account_id from probes))
                order by i.priority, i.due_at, i.created_at
                limit case when exists (select from pause p where p.account_id = a.account_id and p.vendor = $3)
                           then 1 else a.most end
                for update skip locked) picked)
            update intent i set lease_until = clock_timestamp() + make_interval(secs => $1), lease_token = $4
            from due where i.id = due.id returning {_COLUMNS}"""
        claimed = await self._claim(statement, lease, per_account, vendor, room)
        if claimed and self._epoch is not None:
            await self._epoch.renew()
        return claimed

    async def claim_unsure(
        self, *, lease: timedelta, per_account: int, vendor: str, room: Mapping[AccountId, int] = NO_LIMIT
    ) -> list[Intent]:
        """Lease rows that are to be looked up: unknown ones that are due, and attempts past their deadline.

        The latter become `unknown` here; an attempt whose worker died is no different from one whose
        answer was lost. No brake holds a look-up.
        """
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                "with due as materialized (select id from intent where state = 'attempting' and vendor = $1 "
                "and deadline_at < clock_timestamp() for update skip locked) "
                "update intent i set state = 'unknown', revision = revision + 1, ended_at = deadline_at, absent_count = 0, "
                "lease_until = null, lease_token = null, due_at = clock_timestamp(), updated_at = clock_timestamp(), "
                "cause = 'the worker stopped before an answer was recorded' "
                "from due where i.id = due.id returning i.id, i.account_id, i.attempt",
                vendor,
            )
            for row in rows:
                await self._journal(
                    connection, row["id"], row["account_id"], "answer", row["attempt"], State.UNKNOWN,
                    "no answer was recorded before the deadline",
                )  # fmt: skip
        statement = f"""
            with accounts as ({_DUE_ACCOUNTS.format("state = 'unknown'")}),
            due as materialized (
              select picked.id from accounts a cross join lateral (
                select i.id from intent i where i.account_id = a.account_id and i.state = 'unknown' and i.vendor = $3
                  and i.due_at <= clock_timestamp() and {_FREE}
                order by i.due_at, i.created_at limit a.most for update skip locked) picked)
            update intent i set lease_until = clock_timestamp() + make_interval(secs => $1), lease_token = $4
            from due where i.id = due.id returning {_COLUMNS}"""
        return await self._claim(statement, lease, per_account, vendor, room)

    async def _claim(
        self, statement: str, lease: timedelta, per_account: int, vendor: str, room: Mapping[AccountId, int]
    ) -> list[Intent]:
        token, claimed = uuid4(), time.monotonic()
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                statement, lease.total_seconds(), per_account, vendor, token, list(room), list(room.values())
            )
        # An update returns its rows in any order; who asked first goes first.
        return sorted((_intent(row, claimed, token) for row in rows), key=lambda intent: (intent.created_at, intent.id))

    # -- changing

    async def begin(
        self, intent: Intent, *, deadline_seconds: float, cap: int | None, resolved: Resolved
    ) -> int | datetime | None:
        """Commit an attempt with its deadline, before the request leaves.

        Args:
            intent: The claimed row.
            deadline_seconds: From now on the database's clock; by then the request has ended for certain.
            cap: Most attempts of this action in an hour for the account.
            resolved: Merged into the row.

        Returns:
            The attempt's number; a time when the hourly *cap* is used up until then; None when the row is
            not ours any more, a brake is on, the database is not the one it was, or too little of the lease is left.
        """
        epoch = None if self._epoch is None else self._epoch.of_attempt()
        if self._epoch is not None and epoch is None:
            return None
        async with transaction(self._pool) as connection:
            lock = "pg_advisory_xact_lock" if cap is not None else "pg_advisory_xact_lock_shared"
            await connection.execute(f"select {lock}(hashtextextended($1, 7))", intent.account)
            if cap is not None:
                free_at = await connection.fetchval(
                    "select case when count(*) >= $3 then "
                    "(array_agg(attempted_at order by attempted_at desc))[$3] + interval '1 hour' end "
                    "from intent where account_id = $1 and action = $2 and attempted_at > clock_timestamp() - interval '1 hour'",
                    intent.account,
                    intent.action.value,
                    cap,
                )
                if isinstance(free_at, datetime):
                    return free_at
            row = await connection.fetchrow(
                f"update intent i set state = 'attempting', attempt = attempt + 1, revision = revision + 1, "
                f"absent_count = 0, deadline_at = clock_timestamp() + make_interval(secs => $3), "
                f"lease_until = clock_timestamp() + make_interval(secs => $3), attempted_at = clock_timestamp(), ended_at = null, "
                f"resolved = $4, updated_at = clock_timestamp() "
                f"where id = $1 and account_id = $5 and lease_token = $2 and state = 'waiting' "
                f"and lease_until > clock_timestamp() and ($6::uuid is null or exists (select from epoch where nonce = $6)) "
                f"and not {_BRAKED} returning attempt",
                intent.id,
                intent.lease_token,
                deadline_seconds,
                json.dumps(intent.resolved | resolved),
                intent.account,
                epoch,
            )
            if row is None:
                return None
            attempt: int = row["attempt"]
            await self._journal(
                connection, intent.id, intent.account, "attempt", attempt, State.ATTEMPTING, f"attempt {attempt} begins"
            )
            return attempt

    async def record(self, connection: Connection, intent: Intent, attempt: int, change: Change) -> State | None:
        """Apply *change* to the row if its current attempt is *attempt*; None when it changes nothing.

        Writes the journal and, when people or rules care, the outcome message, in the caller's transaction.
        """
        row = await connection.fetchrow(
            "select state, attempt, resolved, revision, absent_count, retries from intent "
            "where id = $1 and account_id = $2 for update",
            intent.id,
            intent.account,
        )
        if row is None:
            return None
        before = State(row["state"])
        row_before = Row(
            state=before,
            attempt=row["attempt"],
            absent_count=row["absent_count"],
            retries=row["retries"],
            resolved=json.loads(row["resolved"]),
        )
        after = changed(row_before, attempt, change)
        if after is None:
            note = f"changed nothing ({change.occurrence.value} of attempt {attempt}): {change.reason}"
            await self._journal(
                connection, intent.id, intent.account, "evidence", attempt, before, note, change.request_id
            )
            return None
        await connection.execute(
            "update intent set state = $3, revision = revision + 1, cause = $4, remedy = $5, mended_by = $6, resolved = $7, "
            "due_at = clock_timestamp() + make_interval(secs => $8), absent_count = $9, retries = $10, lease_until = null, "
            "lease_token = null, updated_at = clock_timestamp(), "
            "ended_at = case when $11 then coalesce(ended_at, clock_timestamp()) else ended_at end "
            "where id = $1 and account_id = $2",
            intent.id, intent.account, after.state.value, change.reason, change.remedy, change.mended_by,
            json.dumps(after.resolved), change.wait.total_seconds(), after.absent_count, after.retries,
            after.ends_attempt,
        )  # fmt: skip
        await self._journal(
            connection, intent.id, intent.account, change.kind, attempt, after.state, change.reason, change.request_id
        )
        if after.tells:
            at = utc_now()
            message = told(self._source, intent, attempt, row["revision"] + 1, after, change, at)
            await outbox.put(connection, [message])
        return after.state

    async def postpone(self, intent: Intent, change: Change) -> None:
        """Give a claimed row back untouched but for *change*'s wait and reason; lost leases are left alone."""
        async with transaction(self._pool) as connection:
            status = await connection.execute(
                "update intent set lease_until = null, lease_token = null, cause = $4, "
                "due_at = clock_timestamp() + make_interval(secs => $3), updated_at = clock_timestamp() "
                "where id = $1 and account_id = $5 and lease_token = $2 and state in ('waiting', 'unknown')",
                intent.id,
                intent.lease_token,
                change.wait.total_seconds(),
                change.reason,
                intent.account,
            )
            if status.endswith(" 1") and intent.cause != change.reason:
                await self._journal(
                    connection, intent.id, intent.account, change.kind, intent.attempt, intent.state, change.reason
                )

    async def put_off(self, account: AccountId, vendor: str, wait: timedelta, reason: str) -> int:
        """Let rows that are due and nobody's be due after *wait*, and say why; return how many.

        Those of several calls that mean one moment are due in one second, so that the oldest goes first then.
        """
        async with acquired(self._pool) as connection:
            status: str = await connection.execute(
                f"update intent set cause = $4, updated_at = clock_timestamp(), "
                f"due_at = to_timestamp(ceil(extract(epoch from clock_timestamp() + make_interval(secs => $3)))) "
                f"where id in (select i.id from intent i where i.account_id = $1 and i.vendor = $2 "
                f"and i.state in ('waiting', 'unknown') and i.due_at <= clock_timestamp() and {_FREE} "
                f"order by i.id for update skip locked) and account_id = $1",
                account,
                vendor,
                wait.total_seconds(),
                reason,
            )
        return int(status.split()[-1])

    async def pause(
        self, connection: Connection, account: AccountId, vendor: str, reason: str, remedy: str, retry: timedelta
    ) -> bool:
        """Pause a connection whose credential was rejected; True when it was not paused before."""
        row = await connection.fetchrow(
            "insert into pause (account_id, vendor, reason, remedy, retry_at) "
            "values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5)) "
            "on conflict (account_id, vendor) do update set reason = excluded.reason, remedy = excluded.remedy, "
            "retry_at = excluded.retry_at returning since = clock_timestamp() or xmax = 0 as fresh",
            account,
            vendor,
            reason,
            remedy,
            retry.total_seconds(),
        )
        return bool(row and row["fresh"])

    async def probe_again(self, account: AccountId, vendor: str, wait: timedelta) -> None:
        """Test a paused connection again after *wait*, if that is sooner: the last test said nothing of it."""
        async with acquired(self._pool) as connection:
            await connection.execute(
                "update pause set retry_at = clock_timestamp() + make_interval(secs => $3) where account_id = $1 "
                "and vendor = $2 and retry_at > clock_timestamp() + make_interval(secs => $3)",
                account,
                vendor,
                wait.total_seconds(),
            )

    async def unpause(self, connection: Connection, account: AccountId, vendor: str) -> bool:
        """End a pause; all its rows become due. False when there was none."""
        status = await connection.execute("delete from pause where account_id = $1 and vendor = $2", account, vendor)
        if status.endswith(" 0"):
            return False
        await connection.execute(
            "update intent set due_at = clock_timestamp() where account_id = $1 and vendor = $2 and state = 'waiting' "
            "and due_at > clock_timestamp()",
            account,
            vendor,
        )
        return True

    async def mend(self, connection: Connection, account: AccountId, candidate: CandidateId, fact: str) -> list[UUID]:
        """Give back the parked rows of *candidate* that *fact* mends, and return their ids."""
        rows = await connection.fetch(
            f"select {_COLUMNS} from intent i where account_id = $1 and candidate_id = $2 and state = 'parked' "
            "and mended_by = $3 for update",
            account,
            candidate,
            fact,
        )
        for row in rows:
            intent = _intent(row, time.monotonic(), UUID(int=0))
            change = Change(occurrence=Occurrence.MENDED, reason=f"mended by {fact}")
            await self.record(connection, intent, intent.attempt, change)
        return [row["id"] for row in rows]

    async def of_candidate(
        self, connection: Connection, account: AccountId, candidate: CandidateId, applications: Sequence[ApplicationId]
    ) -> list[Intent]:
        """Return the rows of *candidate* and of *applications*, whoever's they are, locked in the order of their ids."""
        rows = await connection.fetch(
            f"select {_COLUMNS} from intent i where account_id = $1 "
            "and (candidate_id = $2 or application_id = any($3::bigint[])) order by id for update",
            account,
            candidate,
            list(applications),
        )
        return [_intent(row, time.monotonic(), UUID(int=0)) for row in rows]

    async def held(self, connection: Connection, ident: UUID, account: AccountId) -> Intent | None:
        """Return one row of *account* as it is now, locked; None when there is none."""
        row = await connection.fetchrow(
            f"select {_COLUMNS} from intent i where id = $1 and account_id = $2 for update",
            ident,
            account,
        )
        return None if row is None else _intent(row, time.monotonic(), UUID(int=0))

    async def stories(self, account: AccountId, application: ApplicationId) -> list[IntentStory]:
        """Return the rows of one application with their journals, oldest first."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                f"select i.id, i.action, i.visit, i.state, i.cause, i.remedy, i.due_at, i.attempt, "
                f"coalesce(({HELD_BY_SQL}), (select 'the connection is paused: ' || p.reason || '; ' || p.remedy from pause p "
                f"where p.account_id = i.account_id and p.vendor = i.vendor)) as held_by "
                f"from intent i where i.account_id = $1 and i.application_id = $2 order by i.created_at",
                account,
                application,
            )
            entries = await connection.fetch(
                "select intent_id, at, kind, attempt, state, text, request_id from journal "
                "where intent_id = any($1::uuid[]) and account_id = $2 order by number",
                [row["id"] for row in rows],
                account,
            )
        own: dict[UUID, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
        for entry in entries:
            own[entry["intent_id"]].append(dict(entry))
        return [
            IntentStory(**{**dict(row), "entries": tuple(own[row["id"]])})  # the select names the fields
            for row in rows
        ]

    async def parked(self, account: AccountId, *, most: int = 500) -> list[dict[str, Any]]:
        """Return what waits for a person, the oldest first: id, application, action, cause, remedy, since."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select id, application_id, action, state, cause, remedy, attempt, updated_at as since from intent "
                "where account_id = $1 and state in ('parked', 'in_doubt') order by updated_at limit $2",
                account,
                most,
            )
        return [{**dict(row), "state": "parked", "in_doubt": row["state"] == State.IN_DOUBT} for row in rows]

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return how many rows stand in each open state: (account, state) -> count."""
        async with acquired(self._pool) as connection:
            rows = await connection.fetch(
                "select account_id, state, count(*) as n from intent "
                "where state not in ('done', 'refused', 'superseded') group by 1, 2"
            )
        return {(row["account_id"], row["state"]): row["n"] for row in rows}

    # -- messages and journal

    async def _journal(
        self, connection: Connection, ident: UUID, account: str, kind: str, attempt: int, state: State, text: str,
        request_id: str | None = None,
    ) -> None:  # fmt: skip
        await connection.execute(
            "insert into journal (intent_id, account_id, kind, attempt, state, text, request_id) "
            "values ($1, $2, $3, $4, $5, $6, $7)",
            ident,
            account,
            kind,
            attempt,
            state.value,
            text,
            request_id,
        )


def _intent(row: Any, claimed: float, token: UUID) -> Intent:
    action = Action(row["action"])
    return Intent(
        id=CommandId(row["id"]),
        account=AccountId(row["account_id"]),
        application_id=ApplicationId(row["application_id"]),
        candidate_id=None if row["candidate_id"] is None else CandidateId(row["candidate_id"]),
        visit=Visit(row["visit"]),
        action=action,
        command=ADAPTERS[action].validate_json(row["command"]),
        state=State(row["state"]),
        attempt=row["attempt"],
        absent_count=row["absent_count"],
        retries=row["retries"],
        cause=row["cause"],
        created_at=row["created_at"],
        correlationid=row["correlationid"],
        claimed=claimed,
        lease_token=token,
        attempted_at=row["attempted_at"],
        ended_at=row["ended_at"],
        resolved=json.loads(row["resolved"]),
    )
