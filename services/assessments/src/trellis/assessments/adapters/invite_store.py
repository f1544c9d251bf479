"""Where invites are kept, by whom they went to: hashed for matching, sealed for reading.

Rows are locked in one order: the ledger's row first, then the invite's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from trellis.assessments.adapters import tombstones
from trellis.assessments.adapters.invite_links import InviteLink, link_place, open_links
from trellis.assessments.adapters.invite_rows import (
    AttachedInvite,
    NewInvite,
    StoredInvite,
    known_of,
    stored_of,
)
from trellis.assessments.domain.correlation import KnownInvite, Progress
from trellis.common.contracts.facts import AssessmentSignalled
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
)
from trellis.common.runtime.keyring import UnreadableError
from trellis.common.runtime.sealer import Sealer, candidate_subject
from trellis.common.store.postgres import Connection

_KNOWN: Final = (
    "v.command_id, v.application_id, v.visit, v.stage_id, v.assessment_id, i.state, i.attempt, v.doubted, "
    "coalesce(i.lease_until > clock_timestamp() and i.lease_token = v.ready_token, false) as leaving, "
    "v.progress, v.prepared_at, "
    "cardinality(v.known_attempts) > 0 as knew_attempts, v.follows"
)
_STORED: Final = (
    "command_id, account_id, application_id, candidate_id, visit, stage_id, assessment_id, correlationid, "
    "address_hash, address, known_attempts, read_at, ready_token, doubted, follows, follow_kind, progress, completed_at, "
    "time_expired, poll_step, attached_body_id"
)
_ORDER: Final = "array['invited', 'started', 'completed', 'graded', 'reviewed']"


class InviteStore:
    """Reads and writes invites, always within the caller's transaction."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    # -- what is known

    async def lock_rivals(
        self, connection: Connection, account: AccountId, application: ApplicationId, address_hash: str
    ) -> None:
        """Let nobody else decide about invites of this application or this person until the transaction ends.

        The application comes first, and of each there is one, so that no two wait for each other.
        """
        for name, kind in ((str(application), 14), (address_hash, 11)):
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended($1, $2))", f"{account}:{name}", kind
            )

    async def is_erased(
        self, connection: Connection, account: AccountId, candidate: CandidateId, seen_at: datetime | None
    ) -> bool:
        """Return whether the candidate was erased, so that nothing seen at *seen_at* may be kept or used."""
        line = await tombstones.line_of(connection, account, candidate)
        return await tombstones.is_erased(connection, account, line, seen_at)

    async def of_application(
        self, connection: Connection, account: AccountId, application: ApplicationId, assessment: AssessmentId
    ) -> list[KnownInvite]:
        """Return the invites of one application to one assessment, in every visit."""
        rows = await connection.fetch(
            f"select {_KNOWN} from invite v join intent i on i.id = v.command_id "
            "where v.account_id = $1 and v.application_id = $2 and v.assessment_id = $3 order by v.prepared_at",
            account,
            application,
            assessment,
        )
        return [known_of(row) for row in rows]

    async def of_person(
        self, connection: Connection, account: AccountId, address_hash: str, assessment: AssessmentId
    ) -> list[KnownInvite]:
        """Return the invites of one address to one assessment, of every application."""
        rows = await connection.fetch(
            f"select {_KNOWN} from invite v join intent i on i.id = v.command_id "
            "where v.account_id = $1 and v.address_hash = $2 and v.assessment_id = $3 order by v.prepared_at",
            account,
            address_hash,
            assessment,
        )
        return [known_of(row) for row in rows]

    async def find(
        self, connection: Connection, account: AccountId, command: UUID, *, lock: bool = False
    ) -> StoredInvite | None:
        """Return one invite; with *lock* nobody changes it until the transaction ends."""
        row = await connection.fetchrow(
            f"select {_STORED} from invite where account_id = $1 and command_id = $2" + (" for update" if lock else ""),
            account,
            command,
        )
        return None if row is None else stored_of(row)

    async def followers(self, connection: Connection, account: AccountId, command: UUID) -> list[StoredInvite]:
        """Return the invites for which the result of *command* stands."""
        rows = await connection.fetch(
            f"select {_STORED} from invite where account_id = $1 and follows = $2 order by command_id", account, command
        )
        return [stored_of(row) for row in rows]

    async def address(self, connection: Connection, invite: StoredInvite) -> str | None:
        """Return the address an invite went to; None when the person was erased."""
        if invite.address is None:
            return None
        subject, place = candidate_subject(invite.candidate_id), address_place(invite.command_id)
        try:
            return (await self._sealer.open(connection, invite.account, subject, invite.address, place)).decode()
        except UnreadableError:
            return None

    # -- before it leaves

    async def is_held(self, connection: Connection, account: AccountId, command: UUID, token: UUID) -> bool:
        """Return whether the ledger row still is that claim's, and lock it if it is."""
        return bool(
            await connection.fetchval(
                "select true from intent where account_id = $1 and id = $2 and lease_token = $3 for update",
                account,
                command,
                token,
            )
        )

    async def prepare(self, connection: Connection, invite: NewInvite) -> bool:
        """Write what an invite will be known by; committed before the request leaves, it matches any webhook.

        False, and nothing is written, when the person was erased since the address was read.
        """
        line = await tombstones.sealed_under(connection, invite.account, invite.candidate_id, invite.seen_at)
        if line is None:
            return False
        *passed, candidate = line
        sealed = await self._sealer.seal(
            connection,
            invite.account,
            candidate_subject(candidate),
            invite.address.encode(),
            address_place(invite.command_id),
        )
        await connection.execute(
            "insert into invite as v (command_id, account_id, application_id, candidate_id, visit, stage_id, assessment_id, "
            "correlationid, address_hash, address, known_attempts, read_at, follows, follow_kind, poll_at, ready_token, merged_from) "
            "values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,coalesce($15, clock_timestamp()),$12,$13,"
            "clock_timestamp() + make_interval(secs => $14), $16, $17) "
            "on conflict (command_id) do update set candidate_id = excluded.candidate_id, "
            "address_hash = excluded.address_hash, address = excluded.address, "
            "known_attempts = excluded.known_attempts, read_at = excluded.read_at, prepared_at = clock_timestamp(), "
            "follows = excluded.follows, follow_kind = excluded.follow_kind, poll_at = excluded.poll_at, "
            "ready_token = excluded.ready_token, erased_at = null, merged_from = case "
            "when v.merged_from @> excluded.merged_from then v.merged_from else v.merged_from || excluded.merged_from end, "
            "former_hashes = case "
            "when v.address_hash <> excluded.address_hash then v.former_hashes || v.address_hash else v.former_hashes end "
            "where v.account_id = excluded.account_id and v.attached_body_id is null",
            invite.command_id, invite.account, invite.application_id, candidate, invite.visit, invite.stage_id,
            invite.assessment_id, invite.correlationid, invite.address_hash, sealed, sorted(invite.known_attempts),
            invite.follows, invite.follow_kind, None if invite.poll_after is None else invite.poll_after.total_seconds(),
            invite.read_at, invite.ready_token, passed,
        )  # fmt: skip
        await connection.execute(
            "update intent set candidate_id = $3 where id = $1 and account_id = $2 and candidate_id is distinct from $3",
            invite.command_id,
            invite.account,
            candidate,
        )
        return True

    async def doubt(self, connection: Connection, account: AccountId, command: UUID, poll_after: timedelta) -> None:
        """Note that an attempt's outcome was unknown once, and read its report soon: it may settle it.

        Of an erased person nothing is read, but that an invite may have left is known.
        """
        await connection.execute(
            "update invite set doubted = true, "
            "poll_at = case when erased_at is null then least(poll_at, clock_timestamp() + make_interval(secs => $3)) end "
            "where account_id = $1 and command_id = $2",
            account,
            command,
            poll_after.total_seconds(),
        )

    async def remember_link(self, connection: Connection, account: AccountId, command: UUID, link: bytes) -> None:
        """Keep the private link of an invite that was taken, sealed."""
        candidate = await connection.fetchval(
            "select candidate_id from invite where account_id = $1 and command_id = $2 and erased_at is null "
            "for update",
            account,
            command,
        )
        if candidate is None:
            return
        subject = candidate_subject(CandidateId(candidate))
        sealed = await self._sealer.seal(connection, account, subject, link, link_place(command))
        await connection.execute(
            "update invite set link = $3 where account_id = $1 and command_id = $2", account, command, sealed
        )

    async def links(self, connection: Connection, account: AccountId, application: ApplicationId) -> list[InviteLink]:
        """Return the private links of an application's invites, oldest first; none of an erased person."""
        return await open_links(self._sealer, connection, account, application)

    # -- afterwards

    async def advance(self, connection: Connection, account: AccountId, command: UUID, progress: Progress) -> bool:
        """Bring an invite on to *progress*; False when it is there or further already."""
        status = await connection.execute(
            "update invite set progress = $3 where account_id = $1 and command_id = $2 "
            f"and array_position({_ORDER}, progress) < array_position({_ORDER}, $3)",
            account,
            command,
            progress.value,
        )
        return status.endswith(" 1")

    async def await_report(self, connection: Connection, invite: StoredInvite, signal: AssessmentSignalled) -> None:
        """Have the report read now; a second such signal only shortens the wait.

        A reading under way loses its lease: what it saw may be older than what the signal tells of.
        """
        await connection.execute(
            "update invite set poll_at = clock_timestamp(), poll_step = coalesce(poll_step, 0), "
            "completed_at = coalesce(completed_at, $3), time_expired = coalesce($4, time_expired), "
            "lease_until = null, lease_token = null "
            "where account_id = $1 and command_id = $2 and erased_at is null",
            invite.account,
            invite.command_id,
            signal.received_at,
            signal.time_expired,
        )

    async def attach(self, connection: Connection, invite: AttachedInvite) -> bool:
        """Let the report that a webhook tells of be the invite's, under the webhook's address; False once erased.

        What was known of another address is dropped; the address itself is read from the sealed body later.
        """
        line = await tombstones.sealed_under(connection, invite.account, invite.candidate_id, None)
        if line is None:
            return False
        candidate = line[-1]
        status = await connection.execute(
            "insert into invite as v (command_id, account_id, application_id, candidate_id, visit, stage_id, "
            "assessment_id, correlationid, address_hash, attached_body_id) values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) "
            "on conflict (command_id) do update set attached_body_id = excluded.attached_body_id, follows = null, "
            "follow_kind = null, address_hash = excluded.address_hash, "
            "former_hashes = case when v.address_hash <> excluded.address_hash then v.former_hashes || v.address_hash "
            "else v.former_hashes end, "
            "address = case when v.address_hash = excluded.address_hash then v.address end, "
            "known_attempts = case when v.address_hash = excluded.address_hash then v.known_attempts else '{}' end "
            "where v.account_id = excluded.account_id and v.erased_at is null",
            invite.command_id, invite.account, invite.application_id, candidate, invite.visit,
            invite.stage_id, invite.assessment_id, invite.correlationid, invite.address_hash, invite.body_id,
        )  # fmt: skip
        return status.endswith(" 1")

    async def keep_address(self, connection: Connection, invite: StoredInvite, address: str) -> None:
        """Keep the address under which an attached result is read, sealed; not once the person was erased."""
        held = await connection.fetchval(
            "select true from invite where account_id = $1 and command_id = $2 and erased_at is null "
            "and candidate_id = $3 and address_hash = $4 for update",
            invite.account,
            invite.command_id,
            invite.candidate_id,
            invite.address_hash,
        )
        if not held:
            return
        subject, place = candidate_subject(invite.candidate_id), address_place(invite.command_id)
        sealed = await self._sealer.seal(connection, invite.account, subject, address.encode(), place)
        await connection.execute(
            "update invite set address = $3 where account_id = $1 and command_id = $2",
            invite.account,
            invite.command_id,
            sealed,
        )

    async def disown(self, connection: Connection, invite: StoredInvite, attempts: frozenset[str]) -> None:
        """Let *attempts*, which a person gave to *invite*, count for no other invite of the same person."""
        await connection.execute(
            "update invite set known_attempts = coalesce("
            "(select array_agg(distinct key) from unnest(known_attempts || $5::text[]) key), '{}') "
            "where command_id = any(array(select command_id from invite where account_id = $1 and address_hash = $2 "
            "and assessment_id = $3 and command_id <> $4 order by command_id for update))",
            invite.account,
            invite.address_hash,
            invite.assessment_id,
            invite.command_id,
            sorted(attempts),
        )

    async def counts(self, connection: Connection) -> dict[AccountId, dict[str, int]]:
        """Return per account how many invites are open, awaited and overdue."""
        rows = await connection.fetch(
            "select v.account_id, count(*) filter (where v.progress in ('invited', 'started')) as open, "
            "count(*) filter (where v.poll_step is not null and v.poll_at is not null) as awaited, "
            "count(*) filter (where v.overdue_at is not null) as overdue "
            "from invite v join intent i on i.id = v.command_id where v.follows is null and v.erased_at is null "
            "and i.state in ('attempting', 'unknown', 'in_doubt', 'done') group by 1"
        )
        return {
            AccountId(row["account_id"]): {name: row[name] for name in ("open", "awaited", "overdue")} for row in rows
        }


def address_place(command: UUID) -> str:
    """Return where a sealed address stands."""
    return f"invite.address:{command}"
