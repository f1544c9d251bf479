"""Signals that no invite is known for, kept for a person; and what erasing or merging a candidate does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trellis.assessments.adapters.invite_links import link_place
from trellis.assessments.adapters.invite_store import address_place
from trellis.assessments.adapters.result_store import report_place
from trellis.assessments.domain.suggesting import Asked, Signal
from trellis.common.contracts.facts import AssessmentSignalled, SignalKind
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, Visit
from trellis.common.ledger.states import State
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.sealer import Sealer, candidate_subject
from trellis.common.store.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedSignal:
    """A signal that no invite is known for.

    Attributes:
        attached_to: The application whose result a person said it is; None while it waits.
    """

    signal: AssessmentSignalled
    attached_to: ApplicationId | None


class SignalStore:
    """Keeps unmatched signals."""

    async def keep(
        self, connection: Connection, account: AccountId, ident: UUID, signal: AssessmentSignalled, reason: str
    ) -> None:
        """Keep *signal* with why nothing matched; *ident* is its envelope's id."""
        await connection.execute(
            "insert into unmatched_signal (id, account_id, kind, address_hash, assessment_id, interview_id, sealed_body_id, "
            "reason, received_at) values ($1,$2,$3,$4,$5,$6,$7,$8,$9) on conflict do nothing",
            ident,
            account,
            signal.kind.value,
            signal.address_hash,
            signal.assessment_id,
            signal.interview_id,
            signal.sealed_body_id,
            reason,
            signal.received_at,
        )

    async def find(self, connection: Connection, account: AccountId, ident: UUID) -> UnmatchedSignal | None:
        """Return one unmatched signal, locked until the transaction ends; None when there is none."""
        row = await connection.fetchrow(
            "select kind, address_hash, assessment_id, interview_id, sealed_body_id, received_at, attached_to "
            "from unmatched_signal where account_id = $1 and id = $2 for update",
            account,
            ident,
        )
        if row is None:
            return None
        signal = AssessmentSignalled(
            kind=SignalKind(row["kind"]),
            address_hash=row["address_hash"],
            assessment_id=row["assessment_id"],
            interview_id=row["interview_id"],
            sealed_body_id=row["sealed_body_id"],
            received_at=row["received_at"],
        )
        return UnmatchedSignal(signal=signal, attached_to=row["attached_to"])

    async def attached(
        self, connection: Connection, account: AccountId, ident: UUID, application: ApplicationId
    ) -> None:
        """Note whose result a person said it is; it is listed and counted no more."""
        await connection.execute(
            "update unmatched_signal set attached_to = $3, attached_at = clock_timestamp() "
            "where account_id = $1 and id = $2",
            account,
            ident,
            application,
        )

    async def unmatched(self, connection: Connection, account: AccountId, *, most: int = 200) -> list[dict[str, Any]]:
        """Return the newest unmatched signals that wait for a person, without whose they are."""
        rows = await connection.fetch(
            "select id, kind, assessment_id, interview_id, sealed_body_id, reason, received_at from unmatched_signal "
            "where account_id = $1 and attached_at is null order by received_at desc, id limit $2",
            account,
            most,
        )
        return [dict(row) for row in rows]

    async def asked(self, connection: Connection, account: AccountId, signal: Signal, *, most: int = 50) -> list[Asked]:
        """Return the newest invites to the signal's assessment, of any application of the account."""
        rows = await connection.fetch(
            "select v.application_id, v.visit, v.prepared_at, v.progress, v.doubted, i.state, i.attempt, "
            "v.address_hash = u.address_hash as same_address from unmatched_signal u "
            "join invite v on v.account_id = u.account_id and v.assessment_id = u.assessment_id "
            "join intent i on i.id = v.command_id "
            "where u.account_id = $1 and u.id = $2 and v.follows is null and v.erased_at is null "
            "order by v.prepared_at desc limit $3",
            account,
            signal.id,
            most,
        )
        return [
            Asked(
                application_id=ApplicationId(row["application_id"]),
                visit=Visit(row["visit"]),
                at=row["prepared_at"],
                state=State(row["state"]),
                is_sent=row["attempt"] > 0,
                has_result=row["progress"] in ("graded", "reviewed"),
                has_begun=row["progress"] != "invited",
                same_address=bool(row["same_address"]),
            )
            for row in rows
        ]

    async def counts(self, connection: Connection) -> dict[AccountId, int]:
        """Return how many wait for a person per account."""
        rows = await connection.fetch(
            "select account_id, count(*) as n from unmatched_signal where attached_at is null group by 1"
        )
        return {AccountId(row["account_id"]): row["n"] for row in rows}


class PeopleStore:
    """Erases and merges candidates in all that this service keeps."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def erase(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        applications: Sequence[ApplicationId] = (),
    ) -> int:
        """Drop the candidate's key and every trace of the address; the rows stay with their ids.

        A reading under way loses its lease, so that what it brings is not kept under a new key.

        Args:
            connection: The caller's transaction.
            account: The tenant.
            candidate: Whose data goes.
            applications: Erased besides, whoever's they are.

        Returns:
            How many invites were erased.
        """
        rows = await connection.fetch(
            "select command_id, address_hash from invite where account_id = $1 "
            "and (candidate_id = $2 or application_id = any($3::bigint[])) order by command_id for update",
            account,
            candidate,
            list(applications),
        )
        commands = [row["command_id"] for row in rows]
        await connection.execute(
            "delete from unmatched_signal where account_id = $1 and address_hash = any($2::text[])",
            account,
            [row["address_hash"] for row in rows if row["address_hash"] is not None],
        )
        await connection.execute(
            "update invite set address = null, address_hash = null, link = null, known_attempts = '{}', poll_at = null, "
            "attached_body_id = null, poll_step = null, overdue_at = null, lease_until = null, lease_token = null, "
            "erased_at = coalesce(erased_at, clock_timestamp()) "
            "where account_id = $1 and command_id = any($2::uuid[])",
            account,
            commands,
        )
        await connection.execute(
            "update result set report = null where account_id = $1 and (candidate_id = $2 or command_id = any($3::uuid[]))",
            account,
            candidate,
            commands,
        )
        await self._sealer.drop(connection, account, candidate_subject(candidate))
        return len(commands)

    async def merge(
        self, connection: Connection, account: AccountId, candidate: CandidateId, into: CandidateId
    ) -> None:
        """Make all that was *candidate*'s *into*'s, sealed under its key; the old key is dropped."""
        if candidate == into:
            return
        await connection.execute(
            "update intent set candidate_id = $3 where account_id = $1 and candidate_id = $2", account, candidate, into
        )
        for row in await connection.fetch(
            "select command_id, address, link from invite where account_id = $1 and candidate_id = $2 "
            "order by command_id for update",
            account,
            candidate,
        ):
            command = row["command_id"]
            address = await self._reseal(connection, account, candidate, into, row["address"], address_place(command))
            link = await self._reseal(connection, account, candidate, into, row["link"], link_place(command))
            await connection.execute(
                "update invite set candidate_id = $3, address = $4, link = $5 where account_id = $1 and command_id = $2",
                account,
                command,
                into,
                address,
                link,
            )
        for row in await connection.fetch(
            "select command_id, version, report from result where account_id = $1 and candidate_id = $2 "
            "order by command_id, version for update",
            account,
            candidate,
        ):
            place = report_place(row["command_id"], row["version"])
            report = await self._reseal(connection, account, candidate, into, row["report"], place)
            await connection.execute(
                "update result set candidate_id = $4, report = $5 where account_id = $1 and command_id = $2 and version = $3",
                account,
                row["command_id"],
                row["version"],
                into,
                report,
            )
        await self._sealer.drop(connection, account, candidate_subject(candidate))

    async def _reseal(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        into: CandidateId,
        sealed: bytes | None,
        place: str,
    ) -> bytes | None:
        if sealed is None:
            return None
        try:
            plain = await self._sealer.open(connection, account, candidate_subject(candidate), sealed, place)
        except UnreadableError:
            return None
        return await self._sealer.seal(connection, account, candidate_subject(into), plain, place)
