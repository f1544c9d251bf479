"""Who was erased, and into whom candidates were merged: asked before anything of a person is sealed.

Whoever seals holds the candidate's lock shared until the transaction ends; whoever erases or merges holds it alone.
So what is written late is either seen and erased, or sees the tombstone and is not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from trellis.common.contracts.facts import ErasureReason
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.store.postgres import Connection

KEPT_DAYS: Final = 365
"""How long the hash of an erased person's address is known: the vendor's invite may still be used."""

_LOCK: Final = 12
_ADDRESS_LOCK: Final = 13
_IS_ERASED: Final = (
    "select exists (select from erasure where account_id = $1 and candidate_id = any($2::bigint[]) "
    "and (why <> 'anonymized' or $3::timestamptz is null or erased_at >= $3) "
    "and (why <> 'deleted' or candidate_id = $4))"
)


async def lock_alone(connection: Connection, account: AccountId, candidate: CandidateId) -> None:
    """Let nobody seal anything of *candidate* until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, $2))", f"{account}:{candidate}", _LOCK)


async def sealed_under(
    connection: Connection, account: AccountId, candidate: CandidateId, seen_at: datetime | None
) -> list[CandidateId] | None:
    """Return *candidate* and those it was merged into, whose last one's key data may be sealed under until the transaction ends.

    None for an erased person.

    Args:
        connection: The caller's transaction.
        account: The tenant.
        candidate: Whose data it is.
        seen_at: When it was read in Greenhouse, on the database's clock; None when nobody knows. What was read after
            an anonymisation is not what was anonymised.
    """
    line = list[CandidateId]()
    into: CandidateId | None = candidate
    while into is not None and into not in line:
        line.append(into)
        await connection.execute(
            "select pg_advisory_xact_lock_shared(hashtextextended($1, $2))", f"{account}:{into}", _LOCK
        )
        into = await merged_into(connection, account, into)
    return None if await is_erased(connection, account, line, seen_at) else line


async def line_of(connection: Connection, account: AccountId, candidate: CandidateId) -> list[CandidateId]:
    """Return *candidate* and those it was merged into, one after the other; the last is whose data it is by now."""
    line = [candidate]
    while (into := await merged_into(connection, account, line[-1])) is not None and into not in line:
        line.append(into)
    return line


async def merged_into(connection: Connection, account: AccountId, candidate: CandidateId) -> CandidateId | None:
    """Return into whom *candidate* was merged, if at all."""
    into = await connection.fetchval(
        "select into_candidate_id from merged_candidate where account_id = $1 and candidate_id = $2", account, candidate
    )
    return None if into is None else CandidateId(into)


async def is_erased(
    connection: Connection, account: AccountId, line: Sequence[CandidateId], seen_at: datetime | None
) -> bool:
    """Return whether any of a *line* of merged candidates was erased, so that nothing seen at *seen_at* may be kept.

    That one of them was deleted says nothing unless it is the last: Greenhouse deletes whom it merges into another.
    """
    return bool(await connection.fetchval(_IS_ERASED, account, line, seen_at, line[-1]))


async def erased_on(
    connection: Connection, account: AccountId, line: Sequence[CandidateId]
) -> tuple[CandidateId, ErasureReason] | None:
    """Return the first of a *line* of merged candidates who was erased and why; as `is_erased`, whenever it was seen."""
    for candidate in line:
        why = await why_erased(connection, account, candidate)
        if why is not None and (why is not ErasureReason.DELETED or candidate == line[-1]):
            return candidate, why
    return None


async def is_address_erased(connection: Connection, account: AccountId, address_hash: str) -> bool:
    """Return whether the person of this address was erased, and let nobody erase it until the transaction ends."""
    await connection.execute(
        "select pg_advisory_xact_lock_shared(hashtextextended($1, $2))", f"{account}:{address_hash}", _ADDRESS_LOCK
    )
    found = await connection.fetchval(
        "select true from erased_address where account_id = $1 and address_hash = $2", account, address_hash
    )
    return found is not None


async def record(connection: Connection, account: AccountId, candidate: CandidateId, why: ErasureReason) -> None:
    """Record that *candidate* was erased; what is for good stays so."""
    await connection.execute(
        "insert into erasure as e (account_id, candidate_id, why) values ($1, $2, $3) "
        "on conflict (account_id, candidate_id) do update set why = excluded.why, erased_at = excluded.erased_at "
        "where e.why = 'anonymized'",
        account,
        candidate,
        why.value,
    )


async def why_erased(connection: Connection, account: AccountId, candidate: CandidateId) -> ErasureReason | None:
    """Return why *candidate* was erased; None when nobody was."""
    why = await connection.fetchval(
        "select why from erasure where account_id = $1 and candidate_id = $2", account, candidate
    )
    return None if why is None else ErasureReason(why)


async def record_addresses(connection: Connection, account: AccountId, hashes: Sequence[str]) -> None:
    """Record that whoever had these addresses was erased."""
    for hashed in sorted(hashes):
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, $2))", f"{account}:{hashed}", _ADDRESS_LOCK
        )
    await connection.execute(
        "insert into erased_address as e (account_id, address_hash) select $1, unnest($2::text[]) "
        "on conflict (account_id, address_hash) do update set erased_at = excluded.erased_at",
        account,
        list(hashes),
    )


async def record_merge(connection: Connection, account: AccountId, candidate: CandidateId, into: CandidateId) -> None:
    """Record that what is *candidate*'s is *into*'s."""
    await connection.execute(
        "insert into merged_candidate (account_id, candidate_id, into_candidate_id) values ($1, $2, $3) "
        "on conflict (account_id, candidate_id) do update set into_candidate_id = excluded.into_candidate_id",
        account,
        candidate,
        into,
    )


async def forget_old(connection: Connection) -> None:
    """Forget addresses whose person was erased long ago."""
    await connection.execute(
        "delete from erased_address where erased_at < clock_timestamp() - make_interval(days => $1)", KEPT_DAYS
    )
