"""The journal of erasures, ids only: what is exported to be kept apart from the backups, and applied again after a restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trellis.assessments.adapters import tombstones
from trellis.common.contracts.facts import ErasureReason
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.store.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One person who was erased."""

    account: AccountId
    candidate: CandidateId
    why: ErasureReason
    when: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of a candidate, counted.

    Attributes:
        why: Why the candidate was erased; None when it was not.
        merged_into: Whose data it is since a merge; None without one.
        invite_count: Invites of the candidate, erased ones included.
        address_count: Those with an address.
        report_count: Reports that can be opened.
        open_count: Rows of the ledger that have not ended.
    """

    why: ErasureReason | None
    merged_into: CandidateId | None
    invite_count: int
    address_count: int
    report_count: int
    open_count: int


class ErasureJournal:
    """Reads the tombstones, and notes that a journal was applied again."""

    async def after(
        self, connection: Connection, account: AccountId, candidate: CandidateId, *, most: int
    ) -> list[Erasure]:
        """Return at most *most* erasures after that of *candidate* of *account*, in the order of account and candidate."""
        rows = await connection.fetch(
            "select account_id, candidate_id, why, erased_at from erasure where (account_id, candidate_id) > ($1, $2) "
            "order by account_id, candidate_id limit $3",
            account,
            candidate,
            most,
        )
        return [
            Erasure(
                account=AccountId(row["account_id"]),
                candidate=CandidateId(row["candidate_id"]),
                why=ErasureReason(row["why"]),
                when=row["erased_at"],
            )
            for row in rows
        ]

    async def kept(self, connection: Connection, account: AccountId, candidate: CandidateId) -> Kept:
        """Return what is kept of *candidate*."""
        (row,) = await connection.fetch(
            "select count(*) as invites, count(address) as addresses, "
            "(select count(report) from result where account_id = $1 and candidate_id = $2) as reports, "
            "(select count(*) from intent where account_id = $1 and candidate_id = $2 "
            "and state not in ('done', 'refused', 'superseded')) as open "
            "from invite where account_id = $1 and candidate_id = $2",
            account,
            candidate,
        )
        into = (await tombstones.line_of(connection, account, candidate))[-1]
        return Kept(
            why=await tombstones.why_erased(connection, account, into),
            merged_into=None if into == candidate else into,
            invite_count=row["invites"],
            address_count=row["addresses"],
            report_count=row["reports"],
            open_count=row["open"],
        )

    async def note_replay(self, connection: Connection, count: int) -> None:
        """Note that a journal of *count* erasures was applied again."""
        await connection.execute("insert into erasure_replay (count) values ($1)", count)

    async def replayed_at(self, connection: Connection) -> datetime | None:
        """Return when a journal was last applied again."""
        at: datetime | None = await connection.fetchval("select max(replayed_at) from erasure_replay")
        return at
