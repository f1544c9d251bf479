"""What became of candidates: merged into others, or made unreadable.

Source: greenhouse fact sheet, sections 7.2 and 7.6.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from trellis.common.contracts.facts import CandidateAnonymized, CandidateMerged
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.store.postgres import Connection as Database
from trellis.common.store.postgres import Pool, acquired

_HOLD_MARKERS: Final = frozenset({"notes", "activity_items"})
"""Fields whose anonymisation may take notes with it."""


class Anonymizations(Protocol):
    """Tells whose notes were anonymised."""

    async def notes_anonymized_at(
        self, account: AccountId, candidates: Sequence[CandidateId]
    ) -> Mapping[CandidateId, datetime]:
        """Return when the notes of each of *candidates* were last anonymised; those that were not are absent."""


class CandidateStore:
    """Reads what is known; facts are recorded by the functions below, in the handler's transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def notes_anonymized_at(
        self, account: AccountId, candidates: Sequence[CandidateId]
    ) -> dict[CandidateId, datetime]:
        """Return when the notes of each of *candidates* were last anonymised; those that were not are absent.

        A candidate that was merged is looked for under its present id too.
        """
        if not candidates:
            return {}
        async with acquired(self._pool) as database:
            rows = await database.fetch(
                "with recursive known as (select c as asked, c as id, 0 as depth from unnest($2::bigint[]) c "
                "union select k.asked, m.into_candidate_id, k.depth + 1 from known k join merged_candidate m "
                "on m.account_id = $1 and m.candidate_id = k.id where k.depth < 20) "
                "select k.asked, a.fields, a.at from known k join anonymized_candidate a "
                "on a.account_id = $1 and a.candidate_id = k.id",
                account,
                list(candidates),
            )
        found: dict[CandidateId, datetime] = {}
        for row in rows:
            fields = set(json.loads(row["fields"]))
            if not fields or fields & _HOLD_MARKERS:
                asked = CandidateId(row["asked"])
                found[asked] = max(row["at"], found.get(asked, row["at"]))
        return found


async def record_anonymized(database: Database, account: AccountId, fact: CandidateAnonymized, at: datetime) -> None:
    """Remember that *fact* happened, told *at*; further fields are added."""
    fields = set(fact.fields)
    is_first = await database.fetchval(
        "insert into anonymized_candidate (account_id, candidate_id, fields, at) values ($1, $2, $3, $4) "
        "on conflict do nothing returning true",
        account,
        fact.candidate_id,
        json.dumps(sorted(fields)),
        at,
    )
    if is_first:
        return
    # Inserted first and read under the lock, so that what another fact told at the same time is not lost.
    before = await database.fetchval(
        "select fields from anonymized_candidate where account_id = $1 and candidate_id = $2 for update",
        account,
        fact.candidate_id,
    )
    known = set(json.loads(before))
    await database.execute(
        "update anonymized_candidate set fields = $3, at = greatest(at, $4) where account_id = $1 and candidate_id = $2",
        account,
        fact.candidate_id,
        json.dumps(sorted(known | fields) if known and fields else []),
        at,
    )


async def record_merged(database: Database, account: AccountId, fact: CandidateMerged) -> None:
    """Map the old candidate to the new one, and let open rows of the ledger follow; application ids live on."""
    if fact.candidate_id == fact.into_candidate_id:
        return
    await database.execute(
        "insert into merged_candidate (account_id, candidate_id, into_candidate_id) values ($1, $2, $3) "
        "on conflict (account_id, candidate_id) do update set into_candidate_id = excluded.into_candidate_id",
        account,
        fact.candidate_id,
        fact.into_candidate_id,
    )
    await database.execute(
        "update intent set candidate_id = $3 where account_id = $1 and candidate_id = $2 "
        "and state not in ('done', 'refused', 'superseded')",
        account,
        fact.candidate_id,
        fact.into_candidate_id,
    )
