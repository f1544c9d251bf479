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
) -> CandidateId | None:
    """See `tombstones.sealed_under`."""
    passed = set[CandidateId]()
    while True:
        passed.add(candidate)
        await opened.hold(("candidate", account, candidate), shared=True)
        into = opened.get("merged_candidate", (account, candidate))
        if into is None or into["into"] in passed:
            break
        candidate = into["into"]
    return None if is_erased(opened, account, candidate, seen_at) else candidate


def survivor(opened: Transaction, account: AccountId, candidate: CandidateId) -> CandidateId:
    """See `tombstones.survivor`."""
    passed = {candidate}
    while (into := opened.get("merged_candidate", (account, candidate))) is not None and into["into"] not in passed:
        candidate = into["into"]
        passed.add(candidate)
    return candidate


def is_erased(opened: Transaction, account: AccountId, candidate: CandidateId, seen_at: datetime | None) -> bool:
    """See `tombstones.is_erased`."""
    row = opened.get("erasure", (account, candidate))
    if row is None:
        return False
    return row["why"] is not ErasureReason.ANONYMIZED or seen_at is None or row["erased_at"] >= seen_at


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
        into = survivor(opened, account, candidate)
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
    ) -> tuple[CandidateId, ErasureReason | None]:
        """See `People.merge`."""
        opened = tx(connection)
        await opened.statement("merge")
        into = survivor(opened, account, into)
        if candidate == into:
            return into, None
        for locked in sorted((candidate, into)):
            await opened.hold(("candidate", account, locked))
        await opened.hold(("merged_candidate", (account, candidate)))
        opened.put("merged_candidate", (account, candidate), {"into": into})
        for ident, row in list(opened.rows("intent")):
            if (row["account"], row["candidate_id"]) == (account, candidate):
                await opened.update("intent", ident, candidate_id=into)
        for ident, row in list(opened.rows("invite")):
            if (row["account"], row["candidate_id"]) == (account, candidate):
                fresh = await opened.lock("invite", ident)
                if fresh is not None:
                    moved = {"candidate_id": into, "merged_from": (*fresh["merged_from"], candidate)}
                    opened.put("invite", ident, fresh | moved)
        for key, row in list(opened.rows("result")):
            kept: StoredInvite = row["invite"]
            if (kept.account, kept.candidate_id) == (account, candidate):
                await opened.update("result", key, invite=replace(kept, candidate_id=into))
        own = opened.get("erasure", (account, candidate))
        if own is not None and own["why"] is ErasureReason.BY_HAND:
            return into, ErasureReason.BY_HAND
        tombstone = opened.get("erasure", (account, into))
        return into, None if tombstone is None else tombstone["why"]


async def _record(opened: Transaction, account: AccountId, candidate: CandidateId, why: ErasureReason) -> None:
    """See `tombstones.record`."""
    known = await opened.lock("erasure", (account, candidate))
    if known is None or known["why"] is ErasureReason.ANONYMIZED:
        opened.put("erasure", (account, candidate), {"why": why, "erased_at": opened.now})
