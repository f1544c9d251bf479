"""Signals that no invite is known for, kept for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trellis.assessments.adapters.tombstones import is_address_erased
from trellis.assessments.domain.suggesting import Asked, Signal
from trellis.common.contracts.facts import AssessmentSignalled, SignalKind
from trellis.common.contracts.identifiers import AccountId, ApplicationId, Visit
from trellis.common.ledger.states import State
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
        """Keep *signal* with why nothing matched, unless its person was erased; *ident* is its envelope's id."""
        if await is_address_erased(connection, account, signal.address_hash):
            return
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
