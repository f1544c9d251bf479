"""Readings that are due, and the results they gave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from trellis.assessments.adapters.coderbyte import RawReport
from trellis.assessments.adapters.invite_rows import StoredInvite
from trellis.assessments.domain.polling import NextReading
from trellis.assessments.domain.results import Result
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, CandidateId, Visit
from trellis.common.contracts.outcomes import Integrity
from trellis.common.ledger.states import State
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.sealer import Sealer, candidate_subject
from trellis.common.store.postgres import Connection, Pool, transaction

_RESULT: Final = (
    "assessment_name, score, code_score, mc_score, qualified, qualifying_score, integrity, time_expired, "
    "minutes_taken, attempt_count"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReading:
    """An invite whose report is to be read now, leased to one reader."""

    command_id: UUID
    account: AccountId
    state: State
    awaited: bool
    lease_token: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """One version of a result."""

    version: int
    result: Result
    completed_at: datetime
    report: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentResult:
    """A candidate's result that may stand for another invite.

    Attributes:
        age: How long ago it was completed, by the database's clock.
    """

    command_id: UUID
    application_id: ApplicationId
    visit: Visit
    age: timedelta
    stored: StoredResult


class ResultStore:
    """Leases readings and keeps results."""

    def __init__(self, pool: Pool, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    # -- readings

    async def claim(self, *, lease: timedelta, per_account: int) -> list[DueReading]:
        """Lease due readings, at most *per_account* of each account and one of a paused connection."""
        token = uuid4()
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                "with accounts as (select distinct account_id from invite where poll_at <= clock_timestamp()), "
                "due as materialized (select picked.command_id from accounts a cross join lateral ("
                "select v.command_id from invite v where v.account_id = a.account_id and v.poll_at <= clock_timestamp() "
                "and (v.lease_until is null or v.lease_until < clock_timestamp()) order by v.poll_at "
                "limit case when exists (select from pause p where p.account_id = a.account_id and p.vendor = 'coderbyte') "
                "then 1 else $2 end for update skip locked) picked) "
                "update invite v set lease_until = clock_timestamp() + make_interval(secs => $1), lease_token = $3 "
                "from due, intent i where v.command_id = due.command_id and i.id = v.command_id "
                "returning v.command_id, v.account_id, v.poll_step is not null as awaited, i.state",
                lease.total_seconds(),
                per_account,
                token,
            )
        return [
            DueReading(
                command_id=row["command_id"],
                account=AccountId(row["account_id"]),
                state=State(row["state"]),
                awaited=row["awaited"],
                lease_token=token,
            )
            for row in rows
        ]

    async def is_ours(self, connection: Connection, due: DueReading) -> bool:
        """Return whether the lease still is this reader's, and lock the row if it is."""
        return bool(
            await connection.fetchval(
                "select true from invite where account_id = $1 and command_id = $2 and lease_token = $3 for update",
                due.account,
                due.command_id,
                due.lease_token,
            )
        )

    async def put_off(self, connection: Connection, due: DueReading, following: NextReading) -> bool:
        """Give a reading back until later; True when it is overdue for the first time."""
        fresh = await connection.fetchval(
            "with before as (select overdue_at from invite where account_id = $1 and command_id = $2) "
            "update invite v set poll_at = clock_timestamp() + make_interval(secs => $4), poll_step = $5, "
            "overdue_at = case when $6 then coalesce(v.overdue_at, clock_timestamp()) end, "
            "lease_until = null, lease_token = null from before "
            "where v.account_id = $1 and v.command_id = $2 and v.lease_token = $3 returning before.overdue_at is null",
            due.account,
            due.command_id,
            due.lease_token,
            following.wait.total_seconds(),
            following.step,
            following.overdue,
        )
        return bool(fresh) and following.overdue

    async def retry_later(self, connection: Connection, due: DueReading, wait: timedelta) -> None:
        """Give a reading back that told nothing, its place in the schedule unchanged."""
        await connection.execute(
            "update invite set poll_at = greatest(poll_at, clock_timestamp() + make_interval(secs => $4)), "
            "lease_until = null, lease_token = null where account_id = $1 and command_id = $2 and lease_token = $3",
            due.account,
            due.command_id,
            due.lease_token,
            wait.total_seconds(),
        )

    async def hold_all(self, connection: Connection, account: AccountId, wait: timedelta) -> None:
        """Put all readings of a paused connection off; one of them tests it then."""
        await connection.execute(
            "update invite set poll_at = clock_timestamp() + make_interval(secs => $2) where account_id = $1 "
            "and poll_at < clock_timestamp() + make_interval(secs => $2)",
            account,
            wait.total_seconds(),
        )

    async def hurry_all(self, connection: Connection, account: AccountId) -> None:
        """Read now what waits: the connection was mended, or its waits were changed."""
        await connection.execute(
            "update invite set poll_at = least(poll_at, clock_timestamp()) where account_id = $1 and poll_at is not null",
            account,
        )

    async def stop(self, connection: Connection, account: AccountId, command: UUID) -> None:
        """Read the invite's report no more, until a signal asks for it."""
        await connection.execute(
            "update invite set poll_at = null, poll_step = null, overdue_at = null, lease_until = null, "
            "lease_token = null where account_id = $1 and command_id = $2",
            account,
            command,
        )

    # -- results

    async def latest(self, connection: Connection, account: AccountId, command: UUID) -> StoredResult | None:
        """Return the newest version of an invite's result."""
        row = await connection.fetchrow(
            f"select version, completed_at, report, {_RESULT} from result where account_id = $1 and command_id = $2 "
            "order by version desc limit 1",
            account,
            command,
        )
        if row is None:
            return None
        return StoredResult(
            version=row["version"], completed_at=row["completed_at"], report=row["report"], result=_result(row)
        )

    async def recent(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        assessment: AssessmentId,
        within: timedelta,
    ) -> RecentResult | None:
        """Return the candidate's newest result of *assessment* that is younger than *within*, of any application.

        What stands for an invite that was not sent itself, or is held since a person gave its invite up, is none.
        """
        row = await connection.fetchrow(
            "select r.command_id, r.application_id, r.visit, r.version, r.completed_at, r.report, "
            f"clock_timestamp() - r.completed_at as age, {', '.join(f'r.{name}' for name in _RESULT.split(', '))} "
            "from result r join invite v on v.command_id = r.command_id where r.account_id = $1 "
            "and r.candidate_id = $2 and r.assessment_id = $3 and r.published and v.follows is null "
            "and r.completed_at > clock_timestamp() - $4::interval "
            # A version that came later may bear an earlier time: it is the vendor's then, and no longer our own.
            "and not exists (select from result l where l.account_id = $1 and l.command_id = r.command_id "
            "and l.published and l.version > r.version) order by r.completed_at desc, r.version desc limit 1",
            account,
            candidate,
            assessment,
            within,
        )
        if row is None:
            return None
        return RecentResult(
            command_id=row["command_id"],
            application_id=ApplicationId(row["application_id"]),
            visit=Visit(row["visit"]),
            age=row["age"],
            stored=StoredResult(
                version=row["version"], completed_at=row["completed_at"], report=row["report"], result=_result(row)
            ),
        )

    async def keep(
        self,
        connection: Connection,
        invite: StoredInvite,
        version: int,
        result: Result,
        raw: RawReport | None,
        *,
        completed_at: datetime,
        published: bool,
    ) -> bool:
        """Keep one version of a result, its report sealed.

        False when that version is there already, or the person was erased.
        """
        candidate = await connection.fetchval(
            "select candidate_id from invite where account_id = $1 and command_id = $2 and erased_at is null for update",
            invite.account,
            invite.command_id,
        )
        if candidate is None:
            return False
        sealed = None
        if raw is not None:
            plain = json.dumps(raw, separators=(",", ":"), ensure_ascii=True).encode()
            subject, place = candidate_subject(CandidateId(candidate)), report_place(invite.command_id, version)
            sealed = await self._sealer.seal(connection, invite.account, subject, plain, place)
        status = await connection.execute(
            "insert into result (command_id, version, account_id, application_id, candidate_id, visit, assessment_id, "
            f"{_RESULT}, completed_at, report, published) "
            "values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20) on conflict do nothing",
            invite.command_id, version, invite.account, invite.application_id, candidate, invite.visit,
            invite.assessment_id, result.assessment_name, result.score, result.code_score, result.mc_score,
            result.qualified, result.qualifying_score, result.integrity.value, result.time_expired,
            result.minutes_taken, result.attempt_count, completed_at, sealed, published,
        )  # fmt: skip
        return status.endswith(" 1")

    async def open_report(
        self, connection: Connection, account: AccountId, candidate: CandidateId, command: UUID, stored: StoredResult
    ) -> RawReport | None:
        """Return the whole report; None when there is none or the person was erased."""
        if stored.report is None:
            return None
        subject, place = candidate_subject(candidate), report_place(command, stored.version)
        try:
            found: RawReport = json.loads(await self._sealer.open(connection, account, subject, stored.report, place))
        except UnreadableError:
            return None
        return found

    async def of_application(
        self, connection: Connection, account: AccountId, application: ApplicationId
    ) -> list[dict[str, Any]]:
        """Return all versions of an application's results without reports, oldest first."""
        rows = await connection.fetch(
            f"select command_id, version, visit, assessment_id, completed_at, read_at, published, {_RESULT} from result "
            "where account_id = $1 and application_id = $2 order by read_at, version",
            account,
            application,
        )
        return [dict(row) for row in rows]

    async def find(
        self,
        connection: Connection,
        account: AccountId,
        application: ApplicationId,
        visit: Visit,
        assessment: AssessmentId,
    ) -> tuple[UUID, CandidateId, StoredResult] | None:
        """Return the newest result of one visit's assessment: its invite, whose key seals it, and itself."""
        row = await connection.fetchrow(
            f"select command_id, candidate_id, version, completed_at, report, {_RESULT} from result "
            "where account_id = $1 and application_id = $2 and visit = $3 and assessment_id = $4 "
            "order by read_at desc, version desc limit 1",
            account,
            application,
            visit,
            assessment,
        )
        if row is None:
            return None
        stored = StoredResult(
            version=row["version"], completed_at=row["completed_at"], report=row["report"], result=_result(row)
        )
        return row["command_id"], CandidateId(row["candidate_id"]), stored


def report_place(command: UUID, version: int) -> str:
    """Return where a sealed report stands."""
    return f"result.report:{command}:{version}"


def _result(row: Any) -> Result:
    return Result(
        score=row["score"],
        code_score=row["code_score"],
        mc_score=row["mc_score"],
        qualified=row["qualified"],
        qualifying_score=row["qualifying_score"],
        integrity=Integrity(row["integrity"]),
        time_expired=row["time_expired"],
        minutes_taken=row["minutes_taken"],
        assessment_name=row["assessment_name"],
        attempt_count=row["attempt_count"],
    )
