"""What this service keeps, as its shells use it; `adapters/` keeps it in PostgreSQL and says what each promises."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from trellis.assessments.adapters.coderbyte import Organization, RawReport
from trellis.assessments.adapters.invite_links import InviteLink
from trellis.assessments.adapters.invite_rows import AttachedInvite, NewInvite, StoredInvite
from trellis.assessments.adapters.people_store import Erased
from trellis.assessments.adapters.result_store import DueReading, RecentResult, StoredResult
from trellis.assessments.adapters.signal_store import UnmatchedSignal
from trellis.assessments.domain.correlation import KnownInvite, Progress
from trellis.assessments.domain.polling import NextReading
from trellis.assessments.domain.results import Result
from trellis.common.contracts.facts import AssessmentSignalled, ErasureReason
from trellis.common.contracts.identifiers import AccountId, ApplicationId, AssessmentId, CandidateId, Visit
from trellis.common.store.postgres import Connection


class Organizations(Protocol):
    """The connections of accounts."""

    async def load(self, account: AccountId) -> Organization | None:
        """Return the connection of *account*; None when it has none."""


class Invites(Protocol):
    """The invites, within the caller's transaction; see `InviteStore`."""

    async def lock_rivals(
        self, connection: Connection, account: AccountId, application: ApplicationId, address_hash: str
    ) -> None:
        """Let nobody else decide about invites of this application or this person until the transaction ends."""

    async def of_application(
        self, connection: Connection, account: AccountId, application: ApplicationId, assessment: AssessmentId
    ) -> list[KnownInvite]:
        """Return the invites of one application to one assessment, in every visit."""

    async def of_person(
        self, connection: Connection, account: AccountId, address_hash: str, assessment: AssessmentId
    ) -> list[KnownInvite]:
        """Return the invites of one address to one assessment, of every application."""

    async def find(
        self, connection: Connection, account: AccountId, command: UUID, *, lock: bool = False
    ) -> StoredInvite | None:
        """Return one invite; with *lock* nobody changes it until the transaction ends."""

    async def followers(self, connection: Connection, account: AccountId, command: UUID) -> list[StoredInvite]:
        """Return the invites for which the result of *command* stands."""

    async def address(self, connection: Connection, invite: StoredInvite) -> str | None:
        """Return the address an invite went to; None when the person was erased."""

    async def is_held(self, connection: Connection, account: AccountId, command: UUID, token: UUID) -> bool:
        """Return whether the ledger row still is that claim's, and lock it if it is."""

    async def is_erased(
        self, connection: Connection, account: AccountId, candidate: CandidateId, seen_at: datetime | None
    ) -> bool:
        """Return whether the candidate was erased, so that nothing seen at *seen_at* may be kept or used."""

    async def prepare(self, connection: Connection, invite: NewInvite) -> bool:
        """Write what an invite will be known by; False when its person was erased."""

    async def doubt(self, connection: Connection, account: AccountId, command: UUID, poll_after: timedelta) -> None:
        """Note that an attempt's outcome was unknown once, and read its report soon."""

    async def remember_link(self, connection: Connection, account: AccountId, command: UUID, link: bytes) -> None:
        """Keep the private link of an invite that was taken, sealed."""

    async def links(self, connection: Connection, account: AccountId, application: ApplicationId) -> list[InviteLink]:
        """Return the private links of an application's invites, oldest first; none of an erased person."""

    async def advance(self, connection: Connection, account: AccountId, command: UUID, progress: Progress) -> bool:
        """Bring an invite on to *progress*; False when it is there or further already."""

    async def await_report(self, connection: Connection, invite: StoredInvite, signal: AssessmentSignalled) -> None:
        """Have the report read now."""

    async def attach(self, connection: Connection, invite: AttachedInvite) -> bool:
        """Let the report that a webhook tells of be the invite's; False once its person was erased."""

    async def keep_address(self, connection: Connection, invite: StoredInvite, address: str) -> None:
        """Keep the address under which an attached result is read, sealed."""

    async def disown(self, connection: Connection, invite: StoredInvite, attempts: frozenset[str]) -> None:
        """Let *attempts*, which a person gave to *invite*, count for no other invite of the same person."""

    async def counts(self, connection: Connection) -> dict[AccountId, dict[str, int]]:
        """Return per account how many invites are open, awaited and overdue."""


class Results(Protocol):
    """Readings that are due, and results; see `ResultStore`."""

    async def claim(self, *, lease: timedelta, per_account: int) -> list[DueReading]:
        """Lease due readings, at most *per_account* of each account and one of a paused connection."""

    async def is_ours(self, connection: Connection, due: DueReading) -> bool:
        """Return whether the lease still is this reader's, and lock the row if it is."""

    async def put_off(self, connection: Connection, due: DueReading, following: NextReading) -> bool:
        """Give a reading back until later; True when it is overdue for the first time."""

    async def retry_later(self, connection: Connection, due: DueReading, wait: timedelta) -> None:
        """Give a reading back that told nothing, its place in the schedule unchanged."""

    async def hold_all(self, connection: Connection, account: AccountId, wait: timedelta) -> None:
        """Put all readings of a paused connection off."""

    async def hurry_all(self, connection: Connection, account: AccountId) -> None:
        """Read now what waits."""

    async def stop(self, connection: Connection, account: AccountId, command: UUID) -> None:
        """Read the invite's report no more, until a signal asks for it."""

    async def latest(self, connection: Connection, account: AccountId, command: UUID) -> StoredResult | None:
        """Return the newest version of an invite's result."""

    async def recent(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        assessment: AssessmentId,
        within: timedelta,
    ) -> RecentResult | None:
        """Return the candidate's newest result of *assessment* that is younger than *within*, of any application."""

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
        """Keep one version of a result; False when that version is there already, or the person was erased."""

    async def open_report(
        self, connection: Connection, account: AccountId, candidate: CandidateId, command: UUID, stored: StoredResult
    ) -> RawReport | None:
        """Return the whole report; None when there is none or the person was erased."""

    async def of_application(
        self, connection: Connection, account: AccountId, application: ApplicationId
    ) -> list[dict[str, Any]]:
        """Return all versions of an application's results without reports, oldest first."""

    async def find(
        self,
        connection: Connection,
        account: AccountId,
        application: ApplicationId,
        visit: Visit,
        assessment: AssessmentId,
    ) -> tuple[UUID, CandidateId, StoredResult] | None:
        """Return the newest result of one visit's assessment."""


class Signals(Protocol):
    """Signals that no invite is known for; see `SignalStore`."""

    async def keep(
        self, connection: Connection, account: AccountId, ident: UUID, signal: AssessmentSignalled, reason: str
    ) -> None:
        """Keep *signal* with why nothing matched, unless its person was erased."""

    async def find(self, connection: Connection, account: AccountId, ident: UUID) -> UnmatchedSignal | None:
        """Return one unmatched signal, locked; None when there is none."""

    async def attached(
        self, connection: Connection, account: AccountId, ident: UUID, application: ApplicationId
    ) -> None:
        """Note whose result a person said it is."""

    async def counts(self, connection: Connection) -> dict[AccountId, int]:
        """Return how many there are per account."""


class Bodies(Protocol):
    """Sealed bodies of webhooks, which `ingest` keeps."""

    async def address(self, account: AccountId, body: UUID) -> str | None:
        """Return the address that a webhook named; None when its body has expired or was erased."""


class People(Protocol):
    """Erases and merges candidates; see `PeopleStore`."""

    async def erase(
        self,
        connection: Connection,
        account: AccountId,
        candidate: CandidateId,
        why: ErasureReason,
        applications: Sequence[ApplicationId] = (),
    ) -> Erased:
        """Drop the candidate's key and every trace of the address, and keep nothing that comes later."""

    async def merge(
        self, connection: Connection, account: AccountId, candidate: CandidateId, into: CandidateId
    ) -> tuple[CandidateId, ErasureReason] | None:
        """Make all that was *candidate*'s that of whoever *into* is by now; say who is to be erased with it and why, if anybody."""
