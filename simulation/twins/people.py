"""Erasures and merges of assessments in memory: the twins of `tombstones.py` and `people_store.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from simulation.twins.memory import Row, Transaction, tx
from trellis.assessments.adapters.invite_rows import StoredInvite
from trellis.assessments.adapters.people_store import Erased
from trellis.common.contracts.facts import AssessmentSignalled, ErasureReason
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId
from trellis.common.store.postgres import Connection

_ERASED: Row = {
    "address": None, "address_hash": None, "link": None, "known_attempts": frozenset(), "poll_at": None,
    "former_hashes": (), "attached_body_id": None, "poll_step": None, "overdue_at": None, "lease_until": None, "lease_token": None,
}  # fmt: skip


async def is_address_erased(opened: Transaction, account: AccountId, address_hash: str) -> bool:
    """See `tombstones.is_address_erased`."""
    await opened.hold(("address", account, address_hash), shared=True)
    return opened.get("erased_address", (account, address_hash)) is not None


async def sealed_under(
    opened: Transaction, account: AccountId, candidate: CandidateId, seen_at: datetime | None
) -> list[CandidateId] | None:
    """See `tombstones.sealed_under`."""
    line = list[CandidateId]()
    into: CandidateId | None = candidate
    while into is not None and into not in line:
        line.append(into)
        await opened.hold(("candidate", account, into), shared=True)
        into = _merged_into(opened, account, into)
    return None if is_erased(opened, account, line, seen_at) else line


def line_of(opened: Transaction, account: AccountId, candidate: CandidateId) -> list[CandidateId]:
    """See `tombstones.line_of`."""
    line = [candidate]
    while (into := _merged_into(opened, account, line[-1])) is not None and into not in line:
        line.append(into)
    return line


def _merged_into(opened: Transaction, account: AccountId, candidate: CandidateId) -> CandidateId | None:
    row = opened.get("merged_candidate", (account, candidate))
    return None if row is None else row["into"]


def is_erased(opened: Transaction, account: AccountId, line: Sequence[CandidateId], seen_at: datetime | None) -> bool:
    """See `tombstones.is_erased`."""
    rows = [(candidate, opened.get("erasure", (account, candidate))) for candidate in line]
    return any(
        row["erased_at"] >= seen_at if row["why"] is ErasureReason.ANONYMIZED and seen_at is not None else True
        for candidate, row in rows
        if row is not None and (row["why"] is not ErasureReason.DELETED or candidate == line[-1])
    )


class MemoryPeople:
    """See `People`."""

    async def erase(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        why: ErasureReason,
        applications: Sequence[ApplicationId] = (),
    ) -> Erased:
        """See `People.erase`."""
        opened = tx(connection)
        await opened.statement("erase")
        await opened.hold(("candidate", account, candidate))
        await _record(opened, account, candidate, why)
        into = line_of(opened, account, candidate)[-1]
        if why is ErasureReason.BY_HAND and into != candidate:
            return await self.erase(connection, account, into, why, applications)
        erased, came_along = [], why is ErasureReason.ANONYMIZED
        for ident, row in sorted(opened.rows("invite")):
            if row["account"] != account:
                continue
            own = row["candidate_id"] == candidate or (came_along and candidate in row["merged_from"])
            if own or row["application_id"] in applications:
                erased.append(ident)
        hashes = set()
        for ident in erased:
            fresh = await opened.lock("invite", ident)
            if fresh is not None:
                hashes |= {fresh["address_hash"], *fresh["former_hashes"]} - {None}
                opened.put("invite", ident, fresh | _ERASED | {"erased_at": fresh["erased_at"] or opened.now})
        for hashed in sorted(hashes):
            await opened.hold(("address", account, hashed))
            await opened.hold(("erased_address", (account, hashed)))
            opened.put("erased_address", (account, hashed), {"erased_at": opened.now})
        for ident, row in list(opened.rows("unmatched")):
            signal: AssessmentSignalled = row["signal"]
            if row["account"] == account and signal.address_hash in hashes:
                await opened.hold(("unmatched", ident))
                opened.put("unmatched", ident, None)
        for key, row in list(opened.rows("result")):
            kept: StoredInvite = row["invite"]
            if kept.account == account and (kept.candidate_id == candidate or kept.command_id in erased):
                await opened.update("result", key, raw=None, stored=replace(row["stored"], report=None))
        return Erased(commands=tuple(erased), address_hashes=tuple(sorted(hashes)))

    async def merge(
        self, connection: Connection, account: AccountId, candidate: CandidateId, into: CandidateId
    ) -> tuple[CandidateId, ErasureReason] | None:
        """See `People.merge`."""
        opened = tx(connection)
        await opened.statement("merge")
        line = line_of(opened, account, into)
        told, into = into, line[-1]
        if candidate == into:
            return None
        for locked in sorted((candidate, into)):
            await opened.hold(("candidate", account, locked))
        await opened.hold(("merged_candidate", (account, candidate)))
        opened.put("merged_candidate", (account, candidate), {"into": told})
        for ident, row in list(opened.rows("intent")):
            if (row["account"], row["candidate_id"]) == (account, candidate):
                await opened.update("intent", ident, candidate_id=into)
        for ident, row in list(opened.rows("invite")):
            if (row["account"], row["candidate_id"]) == (account, candidate):
                fresh = await opened.lock("invite", ident)
                if fresh is not None:
                    moved = {"candidate_id": into, "merged_from": (*fresh["merged_from"], candidate, *line[:-1])}
                    opened.put("invite", ident, fresh | moved)
        for key, row in list(opened.rows("result")):
            kept: StoredInvite = row["invite"]
            if (kept.account, kept.candidate_id) == (account, candidate):
                await opened.update("result", key, invite=replace(kept, candidate_id=into))
        own = opened.get("erasure", (account, candidate))
        if own is not None and own["why"] is ErasureReason.BY_HAND:
            return into, ErasureReason.BY_HAND
        for passed in line:
            tombstone = opened.get("erasure", (account, passed))
            if tombstone is not None and (tombstone["why"] is not ErasureReason.DELETED or passed == into):
                return passed, tombstone["why"]
        return None


async def _record(opened: Transaction, account: AccountId, candidate: CandidateId, why: ErasureReason) -> None:
    """See `tombstones.record`."""
    known = await opened.lock("erasure", (account, candidate))
    if known is None or known["why"] is ErasureReason.ANONYMIZED:
        opened.put("erasure", (account, candidate), {"why": why, "erased_at": opened.now})
