"""What erasing and merging a candidate does to all that this service keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from trellis.assessments.adapters import tombstones
from trellis.assessments.adapters.invite_links import link_place
from trellis.assessments.adapters.invite_store import address_place
from trellis.assessments.adapters.result_store import report_place
from trellis.common.contracts.facts import ErasureReason
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.sealer import Sealer, candidate_subject
from trellis.common.store.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure found: the invites, the keyed hashes of the addresses they went to."""

    commands: tuple[UUID, ...]
    address_hashes: tuple[str, ...]


class PeopleStore:
    """Erases and merges candidates in all that this service keeps."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def erase(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        why: ErasureReason,
        applications: Sequence[ApplicationId] = (),
    ) -> Erased:
        """Drop the candidate's key and every trace of the address; the rows stay with their ids.

        From now on nothing of the candidate is sealed, however late it comes; after an anonymisation only what was
        read of the candidate before. A reading under way loses its lease.

        Args:
            connection: The caller's transaction.
            account: The tenant.
            candidate: Whose data goes.
            why: What led to it. What was the candidate's before a merge goes with an anonymisation, and with an order by
                hand all that the survivor has; with a deletion neither, since Greenhouse deletes whoever is merged.
            applications: Erased besides, whoever's they are.
        """
        await tombstones.lock_alone(connection, account, candidate)
        await tombstones.record(connection, account, candidate, why)
        into = (await tombstones.line_of(connection, account, candidate))[-1]
        if why is ErasureReason.BY_HAND and into != candidate:
            return await self.erase(connection, account, into, why, applications)
        came_along = why is ErasureReason.ANONYMIZED
        rows = await connection.fetch(
            "select command_id, former_hashes || address_hash as hashes from invite where account_id = $1 and (candidate_id = $2 "
            "or application_id = any($3::bigint[]) or $4 and $2 = any(merged_from)) order by command_id for update",
            account,
            candidate,
            list(applications),
            came_along,
        )
        commands = [row["command_id"] for row in rows]
        hashes = tuple(sorted({hashed for row in rows for hashed in row["hashes"] if hashed is not None}))
        await tombstones.record_addresses(connection, account, hashes)
        await connection.execute(
            "delete from unmatched_signal where account_id = $1 and address_hash = any($2::text[])",
            account,
            list(hashes),
        )
        await connection.execute(
            "update invite set address = null, address_hash = null, former_hashes = '{}', link = null, known_attempts = '{}', poll_at = null, "
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
        return Erased(commands=tuple(commands), address_hashes=hashes)

    async def merge(
        self, connection: Connection, account: AccountId, candidate: CandidateId, into: CandidateId
    ) -> tuple[CandidateId, ErasureReason] | None:
        """Make all that was *candidate*'s that of whoever *into* is by now, sealed under its key; the old key is dropped.

        Returns:
            Who is to be erased with it and why, if anybody: *candidate* was erased by hand, or one it is merged into was
            erased, also one who was merged further since.
        """
        line = await tombstones.line_of(connection, account, into)
        told, into = into, line[-1]
        if candidate == into:
            return None
        for locked in sorted((candidate, into)):
            await tombstones.lock_alone(connection, account, locked)
        await tombstones.record_merge(connection, account, candidate, told)
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
                "update invite set candidate_id = $3, address = $4, link = $5, merged_from = merged_from || $6::bigint[] "
                "where account_id = $1 and command_id = $2",
                account,
                command,
                into,
                address,
                link,
                [candidate, *line[:-1]],
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
        if await tombstones.why_erased(connection, account, candidate) is ErasureReason.BY_HAND:
            return into, ErasureReason.BY_HAND
        return await tombstones.erased_on(connection, account, line)

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
