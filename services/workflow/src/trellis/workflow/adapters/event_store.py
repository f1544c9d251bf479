"""The event log in PostgreSQL: load many streams in one query, append with optimistic concurrency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId, ApplicationId, stream_id
from trellis.common.errors import ConflictError
from trellis.common.store.postgres import Connection
from trellis.workflow.adapters.codec import from_stored, to_stored
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application
from trellis.workflow.domain.diagnosis import Missed


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event as it stands in the log.

    Attributes:
        message: The message that led to it, on the first event it led to.
    """

    version: int
    event: e.Event
    recorded_at: datetime
    handled_at: datetime
    message_id: UUID
    correlationid: str
    message: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Events to append to one stream, decided on one message.

    Attributes:
        expected: The stream's version that the decision rests on.
    """

    account: AccountId
    stream: UUID
    expected: int
    events: Sequence[e.Event]
    handled_at: datetime
    message_id: UUID
    message: bytes
    correlationid: str


async def load(connection: Connection, streams: Sequence[UUID]) -> dict[UUID, list[Recorded]]:
    """Return the events of *streams*, in order, all read in one query; an unknown stream is empty."""
    rows = await connection.fetch(
        "select stream, version, type, body, recorded_at, handled_at, message_id, correlationid from event "
        "where stream = any($1::uuid[]) order by stream, version",
        list(streams),
    )
    found: dict[UUID, list[Recorded]] = {stream: [] for stream in streams}
    for row in rows:
        found[row["stream"]].append(_recorded(row))
    return found


async def history(connection: Connection, account: AccountId, application: ApplicationId) -> list[Recorded]:
    """Return one stream of *account* whole, with the messages it was decided on."""
    rows = await connection.fetch(
        "select version, type, body, recorded_at, handled_at, message_id, correlationid, message from event "
        "where stream = $1 and account_id = $2 order by version",
        stream_id(account, application),
        account,
    )
    return [_recorded(row, row["message"]) for row in rows]


async def append(connection: Connection, batch: Sequence[Appended]) -> None:
    """Append *batch* in one statement, in the caller's transaction.

    Raises:
        ConflictError: Another writer appended to one of the streams since it was loaded.
    """
    rows: list[tuple[UUID, int, str, str, bytes, datetime, UUID, bytes | None, str]] = []
    for item in sorted(batch, key=lambda item: (item.stream, item.expected)):
        for number, event in enumerate(item.events):
            name, body = to_stored(event)
            message = item.message if number == 0 else None
            rows.append(
                (
                    item.stream,
                    item.expected + 1 + number,
                    item.account,
                    name,
                    body,
                    item.handled_at,
                    item.message_id,
                    message,
                    item.correlationid,
                )
            )
    if not rows:
        return
    columns = list(zip(*rows, strict=True))
    written = await connection.fetch(
        "insert into event (stream, version, account_id, type, body, handled_at, message_id, message, correlationid) "
        "select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bytea[], $6::timestamptz[], "
        "$7::uuid[], $8::bytea[], $9::text[]) on conflict (stream, version) do nothing returning 1",
        *columns,
    )
    if len(written) != len(rows):
        raise ConflictError(f"{len(rows) - len(written)} events lost a race for their stream")


async def project(connection: Connection, states: Sequence[tuple[Application, int]]) -> None:
    """Bring the read model to *states* (each with its stream's version), in the caller's transaction."""
    rows = [
        (
            state.account,
            state.application_id,
            stream_id(state.account, state.application_id),
            state.candidate_id,
            state.job_id,
            state.visit.stage_id if state.visit else None,
            state.visit.stage_name if state.visit else None,
            state.status.value,
            state.visit.name if state.visit else None,
            version,
            state.deleted,
            None if state.deleted else state.offered,
            state.visit.found_by.value if state.visit else None,
            state.visit.entered_at if state.visit else None,
        )
        for state, version in sorted(states, key=lambda item: (item[0].account, item[0].application_id))
    ]
    if not rows:
        return
    await connection.execute(
        "insert into application (account_id, application_id, stream, candidate_id, job_id, stage_id, stage_name, status, "
        "visit, version, deleted, offered, visit_found_by, visit_entered_at) select * from unnest($1::text[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], "
        "$6::bigint[], $7::text[], $8::text[], $9::text[], $10::int[], $11::boolean[], $12::text[], "
        "$13::text[], $14::timestamptz[]) "
        "on conflict (account_id, application_id) do update set candidate_id = excluded.candidate_id, "
        "job_id = excluded.job_id, stage_id = excluded.stage_id, stage_name = excluded.stage_name, "
        "status = excluded.status, visit = excluded.visit, version = excluded.version, deleted = excluded.deleted, "
        "offered = excluded.offered, visit_found_by = excluded.visit_found_by, "
        "visit_entered_at = excluded.visit_entered_at, updated_at = clock_timestamp()",
        *zip(*rows, strict=True),
    )


async def applications_of(
    connection: Connection, pairs: Sequence[tuple[AccountId, int]]
) -> dict[tuple[AccountId, int], list[ApplicationId]]:
    """Return the applications of candidates: (account, candidate) -> ids, in order."""
    rows = await connection.fetch(
        "select a.account_id, a.candidate_id, a.application_id from application a "
        "join unnest($1::text[], $2::bigint[]) as wanted (account_id, candidate_id) using (account_id, candidate_id) "
        "order by 1, 2, 3",
        [account for account, _ in pairs],
        [candidate for _, candidate in pairs],
    )
    found: dict[tuple[AccountId, int], list[ApplicationId]] = {}
    for row in rows:
        key = (AccountId(row["account_id"]), row["candidate_id"])
        found.setdefault(key, []).append(ApplicationId(row["application_id"]))
    return found


async def accounts(connection: Connection) -> list[AccountId]:
    """Return the accounts with applications, in order."""
    rows = await connection.fetch(
        "with recursive known as (select min(account_id) as account_id from application union all "
        "select (select min(a.account_id) from application a where a.account_id > known.account_id) from known "
        "where known.account_id is not null) select account_id from known where account_id is not null"
    )
    return [AccountId(row["account_id"]) for row in rows]


async def missed(connection: Connection, account: AccountId, since: datetime) -> Missed:
    """Return which present stage visits, begun after *since*, reconciliation found since a webhook last told of one."""
    row = await connection.fetchrow(
        "with begun as (select visit_found_by, visit_entered_at from application "
        "where account_id = $1 and not deleted and visit_entered_at > $2), "
        "told as (select max(visit_entered_at) as at from begun where visit_found_by = 'webhook') "
        "select count(*) as count, coalesce((select at from told), min(visit_entered_at)) as since from begun "
        "where visit_found_by = 'reconciliation' and visit_entered_at > coalesce((select at from told), $2)",
        account,
        since,
    )
    return Missed(count=row["count"], since=row["since"]) if row is not None else Missed(count=0, since=None)


def _recorded(row: Any, message: bytes | None = None) -> Recorded:
    return Recorded(
        version=row["version"],
        event=from_stored(row["type"], row["body"]),
        recorded_at=row["recorded_at"],
        handled_at=row["handled_at"],
        message_id=row["message_id"],
        correlationid=row["correlationid"],
        message=message,
    )
