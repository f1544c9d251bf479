"""The stores of assessments in memory: twins of its `adapters/`; nothing is sealed here."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from simulation.twins.memory import NEVER, Row, Session, Transaction, is_free, tx
from simulation.twins.people import is_address_erased, is_erased, line_of, sealed_under
from trellis.assessments.adapters.coderbyte import Organization, RawReport
from trellis.assessments.adapters.invite_links import InviteLink
from trellis.assessments.adapters.invite_rows import AttachedInvite, NewInvite, StoredInvite
from trellis.assessments.adapters.result_store import DueReading, RecentResult, StoredResult
from trellis.assessments.adapters.signal_store import UnmatchedSignal
from trellis.assessments.domain.correlation import KnownInvite, Progress
from trellis.assessments.domain.polling import NextReading
from trellis.assessments.domain.results import Result
from trellis.common.contracts.facts import AssessmentSignalled
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, CandidateId, Visit, stable_id
from trellis.common.ledger.states import State
from trellis.common.store.postgres import Connection

_ORDER = tuple(Progress)
_OUT = (State.ATTEMPTING, State.UNKNOWN, State.IN_DOUBT, State.DONE)
_STORED = tuple(field.name for field in fields(StoredInvite))


class MemoryOrganizations:
    """See `Organizations`."""

    def __init__(self, session: Session, known: dict[AccountId, Organization]) -> None:
        self._session = session
        self._known = known

    async def load(self, account: AccountId) -> Organization | None:
        """See `Organizations.load`."""
        async with self._session.acquired() as connection:
            await tx(connection).statement("organization")
            return self._known.get(account)


class MemoryInvites:
    """See `Invites`."""

    async def lock_rivals(
        self, connection: Connection, account: AccountId, application: ApplicationId, address_hash: str
    ) -> None:
        """See `Invites.lock_rivals`."""
        await tx(connection).statement("lock rivals")
        await tx(connection).hold(("invites", account, application))
        await tx(connection).hold(("person", account, address_hash))

    async def is_erased(
        self, connection: Connection, account: AccountId, candidate: CandidateId, seen_at: datetime | None
    ) -> bool:
        """See `Invites.is_erased`."""
        opened = tx(connection)
        await opened.statement("is erased")
        return is_erased(opened, account, line_of(opened, account, candidate), seen_at)

    async def of_application(
        self, connection: Connection, account: AccountId, application: ApplicationId, assessment: AssessmentId
    ) -> list[KnownInvite]:
        """See `Invites.of_application`."""
        return await self._known(connection, account=account, application_id=application, assessment_id=assessment)

    async def of_person(
        self, connection: Connection, account: AccountId, address_hash: str, assessment: AssessmentId
    ) -> list[KnownInvite]:
        """See `Invites.of_person`."""
        return await self._known(connection, account=account, address_hash=address_hash, assessment_id=assessment)

    async def _known(self, connection: Connection, **wanted: Any) -> list[KnownInvite]:
        opened = tx(connection)
        await opened.statement("known invites")
        found = []
        for ident, row in opened.rows("invite"):
            intent = opened.get("intent", ident)
            if intent is not None and all(row[name] == value for name, value in wanted.items()):
                found.append((row, intent))
        found.sort(key=lambda pair: pair[0]["prepared_at"])
        return [_known_invite(row, intent, opened.now) for row, intent in found]

    async def find(
        self, connection: Connection, account: AccountId, command: UUID, *, lock: bool = False
    ) -> StoredInvite | None:
        """See `Invites.find`."""
        opened = tx(connection)
        await opened.statement("find invite")
        if lock:
            await opened.hold(("invite", command))
        row = _own(opened, account, command)
        return None if row is None else _stored(row)

    async def followers(self, connection: Connection, account: AccountId, command: UUID) -> list[StoredInvite]:
        """See `Invites.followers`."""
        opened = tx(connection)
        await opened.statement("followers")
        found = [row for _, row in opened.rows("invite") if (row["account"], row["follows"]) == (account, command)]
        return [_stored(row) for row in sorted(found, key=lambda row: row["command_id"])]

    async def address(self, connection: Connection, invite: StoredInvite) -> str | None:
        """See `Invites.address`."""
        return None if invite.address is None else invite.address.decode()

    async def is_held(self, connection: Connection, account: AccountId, command: UUID, token: UUID) -> bool:
        """See `Invites.is_held`."""
        opened = tx(connection)
        await opened.statement("is held")
        row = await opened.lock("intent", command)
        return row is not None and row["account"] == account and row["lease_token"] == token

    async def prepare(self, connection: Connection, invite: NewInvite) -> bool:
        """See `Invites.prepare`."""
        opened = tx(connection)
        await opened.statement("sealed under")
        line = await sealed_under(opened, invite.account, invite.candidate_id, invite.seen_at)
        if line is None:
            return False
        *passed, candidate = line
        await opened.statement("prepare invite")
        if (invite.follows is None) != (invite.follow_kind is None):
            raise ValueError("an invite that follows another says how")
        row, now = await opened.lock("invite", invite.command_id), opened.now
        if row is not None and (row["account"] != invite.account or row["attached_body_id"] is not None):
            return True
        poll_at = None if invite.poll_after is None else now + invite.poll_after
        ready = {
            "candidate_id": candidate, "address_hash": invite.address_hash,
            "address": invite.address.encode(), "known_attempts": frozenset(invite.known_attempts),
            "read_at": invite.read_at or now, "prepared_at": now, "follows": invite.follows,
            "follow_kind": invite.follow_kind, "poll_at": poll_at, "ready_token": invite.ready_token,
            "erased_at": None,
        }  # fmt: skip
        if row is not None and row["address_hash"] not in (None, invite.address_hash):
            ready["former_hashes"] = (*row["former_hashes"], row["address_hash"])
        if row is None:
            row = {
                "command_id": invite.command_id, "account": invite.account, "application_id": invite.application_id,
                "visit": invite.visit, "stage_id": invite.stage_id, "assessment_id": invite.assessment_id,
                "correlationid": invite.correlationid, "doubted": False, "progress": Progress.INVITED,
                "completed_at": None, "time_expired": None, "poll_step": None, "overdue_at": None,
                "lease_until": None, "lease_token": None, "link": None, "merged_from": (),
                "former_hashes": (), "attached_body_id": None,
            }  # fmt: skip
        ready["merged_from"] = (*row["merged_from"], *(one for one in passed if one not in row["merged_from"]))
        opened.put("invite", invite.command_id, row | ready)
        await opened.update("intent", invite.command_id, candidate_id=candidate)
        return True

    async def doubt(self, connection: Connection, account: AccountId, command: UUID, poll_after: timedelta) -> None:
        """See `Invites.doubt`."""
        opened = tx(connection)
        await opened.statement("doubt")
        await opened.hold(("invite", command))
        row = _own(opened, account, command)
        if row is not None:
            soon = opened.now + poll_after
            poll_at = soon if row["poll_at"] is None else min(row["poll_at"], soon)
            opened.put(
                "invite", command, row | {"doubted": True, "poll_at": poll_at if row["erased_at"] is None else None}
            )

    async def remember_link(self, connection: Connection, account: AccountId, command: UUID, link: bytes) -> None:
        """See `Invites.remember_link`."""
        opened = tx(connection)
        await opened.hold(("invite", command))
        row = _own(opened, account, command)
        if row is not None and row["erased_at"] is None:
            opened.put("invite", command, row | {"link": link})

    async def links(self, connection: Connection, account: AccountId, application: ApplicationId) -> list[InviteLink]:
        """See `Invites.links`."""
        opened = tx(connection)
        await opened.statement("invite links")
        rows = [
            row
            for _, row in opened.rows("invite")
            if (row["account"], row["application_id"]) == (account, application) and row["link"] is not None
        ]
        return [
            InviteLink(
                command_id=row["command_id"],
                visit=row["visit"],
                assessment_id=row["assessment_id"],
                link=row["link"].decode(),
            )
            for row in sorted(rows, key=lambda row: (row["prepared_at"], row["command_id"]))
        ]

    async def advance(self, connection: Connection, account: AccountId, command: UUID, progress: Progress) -> bool:
        """See `Invites.advance`."""
        opened = tx(connection)
        await opened.statement("advance")
        await opened.hold(("invite", command))
        row = _own(opened, account, command)
        if row is None or _ORDER.index(row["progress"]) >= _ORDER.index(progress):
            return False
        opened.put("invite", command, row | {"progress": progress})
        return True

    async def await_report(self, connection: Connection, invite: StoredInvite, signal: AssessmentSignalled) -> None:
        """See `Invites.await_report`."""
        opened = tx(connection)
        await opened.statement("await report")
        await opened.hold(("invite", invite.command_id))
        row = _own(opened, invite.account, invite.command_id)
        if row is not None and row["erased_at"] is None:
            step = 0 if row["poll_step"] is None else row["poll_step"]
            waits = {
                "poll_at": opened.now,
                "poll_step": step,
                "completed_at": row["completed_at"] or signal.received_at,
                "lease_until": None,
                "lease_token": None,
            }
            expired = row["time_expired"] if signal.time_expired is None else signal.time_expired
            opened.put("invite", invite.command_id, row | waits | {"time_expired": expired})

    async def attach(self, connection: Connection, invite: AttachedInvite) -> bool:
        """See `Invites.attach`."""
        opened = tx(connection)
        await opened.statement("attach")
        line = await sealed_under(opened, invite.account, invite.candidate_id, None)
        if line is None:
            return False
        candidate = line[-1]
        row, now = await opened.lock("invite", invite.command_id), opened.now
        if row is not None and (row["account"] != invite.account or row["erased_at"] is not None):
            return False
        if row is None:
            row = _BLANK | {
                "command_id": invite.command_id, "account": invite.account, "application_id": invite.application_id,
                "candidate_id": candidate, "visit": invite.visit, "stage_id": invite.stage_id,
                "assessment_id": invite.assessment_id, "correlationid": invite.correlationid,
                "address_hash": invite.address_hash, "prepared_at": now,
            }  # fmt: skip
        same = row["address_hash"] == invite.address_hash
        given: Row = {"attached_body_id": invite.body_id, "follows": None, "follow_kind": None}
        if not same and row["address_hash"] is not None:
            given["former_hashes"] = (*row["former_hashes"], row["address_hash"])
        if not same:
            given |= {"address": None, "address_hash": invite.address_hash, "known_attempts": frozenset()}
        opened.put("invite", invite.command_id, row | given)
        return True

    async def keep_address(self, connection: Connection, invite: StoredInvite, address: str) -> None:
        """See `Invites.keep_address`."""
        opened = tx(connection)
        await opened.statement("keep address")
        await opened.hold(("invite", invite.command_id))
        row = _own(opened, invite.account, invite.command_id)
        known = (invite.candidate_id, invite.address_hash)
        if row is not None and row["erased_at"] is None and (row["candidate_id"], row["address_hash"]) == known:
            opened.put("invite", invite.command_id, row | {"address": address.encode()})

    async def disown(self, connection: Connection, invite: StoredInvite, attempts: frozenset[str]) -> None:
        """See `Invites.disown`."""
        opened = tx(connection)
        await opened.statement("disown")
        person = (invite.account, invite.address_hash, invite.assessment_id)
        for ident, row in sorted(opened.rows("invite"), key=lambda item: item[0]):
            if ident != invite.command_id and (row["account"], row["address_hash"], row["assessment_id"]) == person:
                fresh = await opened.lock("invite", ident)
                if fresh is not None:
                    opened.put("invite", ident, fresh | {"known_attempts": fresh["known_attempts"] | attempts})

    async def counts(self, connection: Connection) -> dict[AccountId, dict[str, int]]:
        """See `Invites.counts`."""
        opened, counts = tx(connection), dict[AccountId, dict[str, int]]()
        for ident, row in opened.rows("invite"):
            intent = opened.get("intent", ident)
            if intent is None or intent["state"] not in _OUT or row["follows"] or row["erased_at"]:
                continue
            count = counts.setdefault(row["account"], {"open": 0, "awaited": 0, "overdue": 0})
            count["open"] += row["progress"] in (Progress.INVITED, Progress.STARTED)
            count["awaited"] += row["poll_step"] is not None and row["poll_at"] is not None
            count["overdue"] += row["overdue_at"] is not None
        return counts


class MemoryResults:
    """See `Results`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, *, lease: timedelta, per_account: int) -> list[DueReading]:
        """See `Results.claim`."""
        now = self._session.memory.now()
        rows = self._session.memory.table("invite").values()
        if not any(row["poll_at"] is not None and row["poll_at"] <= now for row in rows):
            return []
        async with self._session.transaction() as connection:
            opened = tx(connection)
            await opened.statement("claim readings")
            now, token = opened.now, stable_id("lease", opened.memory.number())
            counts: dict[str, int] = {}
            found = []
            for ident, row in sorted(opened.rows("invite"), key=_poll_at):
                if row["poll_at"] is None or row["poll_at"] > now or not is_free(row["lease_until"], now):
                    continue
                account, intent = row["account"], opened.get("intent", ident)
                most = 1 if opened.get("pause", (account, "coderbyte")) else per_account
                if intent is None or counts.get(account, 0) >= most or not opened.free("invite", ident):
                    continue
                counts[account] = counts.get(account, 0) + 1
                opened.grab("invite", ident)
                opened.put("invite", ident, row | {"lease_until": now + lease, "lease_token": token})
                awaited = row["poll_step"] is not None
                found.append(
                    DueReading(
                        command_id=ident, account=account, state=intent["state"], awaited=awaited, lease_token=token
                    )
                )
            return found

    async def is_ours(self, connection: Connection, due: DueReading) -> bool:
        """See `Results.is_ours`."""
        await tx(connection).statement("is ours")
        row = await tx(connection).lock("invite", due.command_id)
        return row is not None and row["lease_token"] == due.lease_token

    async def put_off(self, connection: Connection, due: DueReading, following: NextReading) -> bool:
        """See `Results.put_off`."""
        opened = tx(connection)
        await opened.statement("put off")
        row = await opened.lock("invite", due.command_id)
        if row is None or row["lease_token"] != due.lease_token:
            return False
        overdue_at = (row["overdue_at"] or opened.now) if following.overdue else None
        given = {"poll_at": opened.now + following.wait, "poll_step": following.step, "overdue_at": overdue_at}
        opened.put("invite", due.command_id, row | given | {"lease_until": None, "lease_token": None})
        return row["overdue_at"] is None and following.overdue

    async def retry_later(self, connection: Connection, due: DueReading, wait: timedelta) -> None:
        """See `Results.retry_later`."""
        opened = tx(connection)
        await opened.statement("retry later")
        row = await opened.lock("invite", due.command_id)
        if row is not None and row["lease_token"] == due.lease_token and row["poll_at"] is not None:
            poll_at = max(row["poll_at"], opened.now + wait)
            opened.put("invite", due.command_id, row | {"poll_at": poll_at, "lease_until": None, "lease_token": None})

    async def hold_all(self, connection: Connection, account: AccountId, wait: timedelta) -> None:
        """See `Results.hold_all`."""
        opened = tx(connection)
        for ident, row in list(opened.rows("invite")):
            if row["account"] == account and row["poll_at"] is not None:
                fresh = await opened.lock("invite", ident)
                if fresh is not None and fresh["poll_at"] is not None:
                    poll_at = max(fresh["poll_at"], opened.now + wait)
                    opened.put("invite", ident, fresh | {"poll_at": poll_at})

    async def hurry_all(self, connection: Connection, account: AccountId) -> None:
        """See `Results.hurry_all`."""
        opened = tx(connection)
        for ident, row in list(opened.rows("invite")):
            if row["account"] == account and row["poll_at"] is not None:
                fresh = await opened.lock("invite", ident)
                if fresh is not None and fresh["poll_at"] is not None:
                    opened.put("invite", ident, fresh | {"poll_at": min(fresh["poll_at"], opened.now)})

    async def stop(self, connection: Connection, account: AccountId, command: UUID) -> None:
        """See `Results.stop`."""
        opened = tx(connection)
        await opened.statement("stop reading")
        nothing = {"poll_at": None, "poll_step": None, "overdue_at": None, "lease_until": None, "lease_token": None}
        await opened.hold(("invite", command))
        row = _own(opened, account, command)
        if row is not None:
            opened.put("invite", command, row | nothing)

    async def latest(self, connection: Connection, account: AccountId, command: UUID) -> StoredResult | None:
        """See `Results.latest`."""
        opened = tx(connection)
        await opened.statement("latest result")
        rows = [
            row for (ident, _), row in opened.rows("result") if (ident, row["invite"].account) == (command, account)
        ]
        return max(rows, key=lambda row: row["stored"].version)["stored"] if rows else None

    async def recent(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        assessment: AssessmentId,
        within: timedelta,
    ) -> RecentResult | None:
        """See `Results.recent`."""
        opened = tx(connection)
        await opened.statement("recent result")
        wanted, found = (account, candidate, assessment), list[tuple[StoredResult, StoredInvite]]()
        for _, row in opened.rows("result"):
            invite, stored = row["invite"], row["stored"]
            follows = opened.get("invite", invite.command_id)
            is_own = follows is not None and follows["follows"] is None and row["published"]
            is_wanted = (invite.account, invite.candidate_id, invite.assessment_id) == wanted
            if is_own and is_wanted:
                found.append((stored, invite))
        latest = {
            invite.command_id: (stored, invite) for stored, invite in sorted(found, key=lambda item: item[0].version)
        }
        young = [item for item in latest.values() if item[0].completed_at > opened.now - within]
        if not young:
            return None
        stored, invite = max(young, key=lambda item: (item[0].completed_at, item[0].version))
        return RecentResult(
            command_id=invite.command_id,
            application_id=invite.application_id,
            visit=invite.visit,
            age=opened.now - stored.completed_at,
            stored=stored,
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
        """See `Results.keep`."""
        opened = tx(connection)
        await opened.statement("keep result")
        await opened.hold(("invite", invite.command_id))
        own = _own(opened, invite.account, invite.command_id)
        if own is None or own["erased_at"] is not None:
            return False
        invite = _stored(own)
        report = None if raw is None else b"not sealed"
        stored = StoredResult(version=version, result=result, completed_at=completed_at, report=report)
        row = {
            "stored": stored, "invite": invite, "raw": raw, "published": published, "read_at": opened.now,
            "number": opened.memory.number(),
        }  # fmt: skip
        return await opened.insert("result", (invite.command_id, version), row)

    async def open_report(
        self, connection: Connection, account: AccountId, candidate: CandidateId, command: UUID, stored: StoredResult
    ) -> RawReport | None:
        """See `Results.open_report`."""
        row = tx(connection).get("result", (command, stored.version))
        if row is None or (row["invite"].account, row["invite"].candidate_id) != (account, candidate):
            return None
        raw: RawReport | None = row["raw"]
        return raw

    async def of_application(
        self, connection: Connection, account: AccountId, application: ApplicationId
    ) -> list[dict[str, Any]]:
        """See `Results.of_application`."""
        return [
            {
                "command_id": row["invite"].command_id, "version": row["stored"].version, "visit": row["invite"].visit,
                "assessment_id": row["invite"].assessment_id, "completed_at": row["stored"].completed_at,
                "read_at": row["read_at"], "published": row["published"], **asdict(row["stored"].result),
            }
            for row in _results(connection, account, application)
        ]  # fmt: skip

    async def find(
        self,
        connection: Connection,
        account: AccountId,
        application: ApplicationId,
        visit: Visit,
        assessment: AssessmentId,
    ) -> tuple[UUID, CandidateId, StoredResult] | None:
        """See `Results.find`."""
        for row in reversed(_results(connection, account, application)):
            invite: StoredInvite = row["invite"]
            if (invite.visit, invite.assessment_id) == (visit, assessment):
                return invite.command_id, invite.candidate_id, row["stored"]
        return None


class MemorySignals:
    """See `Signals`."""

    async def keep(
        self, connection: Connection, account: AccountId, ident: UUID, signal: AssessmentSignalled, reason: str
    ) -> None:
        """See `Signals.keep`."""
        opened = tx(connection)
        await opened.statement("keep signal")
        if not await is_address_erased(opened, account, signal.address_hash):
            row = {"account": account, "signal": signal, "reason": reason, "attached_to": None}
            await opened.insert("unmatched", ident, row)

    async def find(self, connection: Connection, account: AccountId, ident: UUID) -> UnmatchedSignal | None:
        """See `Signals.find`."""
        await tx(connection).statement("find unmatched")
        row = await tx(connection).lock("unmatched", ident)
        if row is None or row["account"] != account:
            return None
        signal = replace(row["signal"], time_expired=None, report_ready=None)
        return UnmatchedSignal(signal=signal, attached_to=row["attached_to"])

    async def attached(
        self, connection: Connection, account: AccountId, ident: UUID, application: ApplicationId
    ) -> None:
        """See `Signals.attached`."""
        row = tx(connection).get("unmatched", ident)
        if row is not None and row["account"] == account:
            await tx(connection).update("unmatched", ident, attached_to=application)

    async def counts(self, connection: Connection) -> dict[AccountId, int]:
        """See `Signals.counts`."""
        waiting = [row for _, row in tx(connection).rows("unmatched") if row["attached_to"] is None]
        return dict(Counter(row["account"] for row in waiting))


_BLANK: Row = {
    "address": None, "known_attempts": frozenset(), "read_at": None, "follows": None, "follow_kind": None,
    "doubted": False, "progress": Progress.INVITED, "completed_at": None, "time_expired": None, "poll_at": None,
    "poll_step": None, "overdue_at": None, "lease_until": None, "lease_token": None, "ready_token": None,
    "erased_at": None, "link": None, "merged_from": (), "former_hashes": (),
}  # fmt: skip


def _own(opened: Transaction, account: AccountId, command: UUID) -> Row | None:
    """Return an invite's row; another account's is none."""
    row = opened.get("invite", command)
    return None if row is None or row["account"] != account else row


def _poll_at(item: tuple[UUID, Row]) -> datetime:
    poll_at: datetime | None = item[1]["poll_at"]
    return poll_at or NEVER


def _results(connection: Connection, account: AccountId, application: ApplicationId) -> list[Row]:
    """Return an application's results in the order in which they were read."""
    rows = [row for _, row in tx(connection).rows("result")]
    found = [row for row in rows if (row["invite"].account, row["invite"].application_id) == (account, application)]
    return sorted(found, key=lambda row: row["number"])


def _known_invite(row: Row, intent: Row, now: datetime) -> KnownInvite:
    lease = intent["lease_until"]
    leaving = lease is not None and lease > now and intent["lease_token"] == row["ready_token"]
    return KnownInvite(
        command_id=row["command_id"],
        application_id=row["application_id"],
        visit=row["visit"],
        stage_id=row["stage_id"],
        assessment_id=row["assessment_id"],
        state=State(intent["state"]),
        attempt=intent["attempt"],
        doubted=row["doubted"],
        leaving=leaving,
        progress=row["progress"],
        prepared_at=row["prepared_at"],
        knew_attempts=bool(row["known_attempts"]),
        follows=row["follows"],
    )


def _stored(row: Row) -> StoredInvite:
    return StoredInvite(**{name: row[name] for name in _STORED})
