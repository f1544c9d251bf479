"""What assessments keeps, as the suite calls it: the ports under test and what is written through them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from trellis.assessments.adapters.coderbyte import Organization
from trellis.assessments.adapters.invite_rows import AttachedInvite, NewInvite, StoredInvite
from trellis.assessments.adapters.result_store import DueReading
from trellis.assessments.domain import options
from trellis.assessments.domain.correlation import KnownInvite
from trellis.assessments.domain.results import Result
from trellis.assessments.stores import Invites, Organizations, People, Results, Signals
from trellis.common.contracts.commands import Origin, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import AssessmentSignalled, ErasureReason, SignalKind
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    AssessmentId,
    CandidateId,
    JobId,
    StageId,
    Visit,
    command_id,
)
from trellis.common.contracts.outcomes import Integrity
from trellis.common.ledger.effects import Intent
from trellis.common.ledger.store import LedgerStore
from trellis.common.store.database import Database

ACME, GLOBEX = AccountId("acme"), AccountId("globex")
TEST, OTHER_TEST = AssessmentId("backend-1"), AssessmentId("frontend-1")
JANE, JOHN = CandidateId(100), CandidateId(200)
DELETED = ErasureReason.DELETED
LEASE = timedelta(seconds=30)
NOW, SOON, LATER = timedelta(), timedelta(seconds=0.5), timedelta(hours=1)
AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
GOOD = Result(score=82.5, qualified=True, integrity=Integrity.NONE, assessment_name="Backend", attempt_count=2)


ORGANIZATION = Organization(
    account=ACME, base_url="https://c.example", organization_id="acme", api_key="key", options=options.parse({})
)


@dataclass
class Kept:
    """The ports under test."""

    database: Database
    ledger: LedgerStore
    organizations: Organizations
    invites: Invites
    results: Results
    signals: Signals
    people: People

    async def prepare(self, invite: NewInvite) -> NewInvite:
        """Take the command of *invite* into the ledger and write the invite."""
        async with self.database.transaction() as connection:
            await self.ledger.take_in(connection, command(invite), "coderbyte", None)
            await self.invites.prepare(connection, invite)
        return invite

    async def find(self, invite: NewInvite, account: AccountId = ACME) -> StoredInvite | None:
        async with self.database.acquired() as connection:
            return await self.invites.find(connection, account, invite.command_id)

    async def stored(self, invite: NewInvite) -> StoredInvite:
        found = await self.find(invite, invite.account)
        assert found is not None
        return found

    async def known(self, application: int = 1, account: AccountId = ACME) -> list[KnownInvite]:
        async with self.database.acquired() as connection:
            return await self.invites.of_application(connection, account, ApplicationId(application), TEST)

    async def claim(self, lease: timedelta = LEASE, per_account: int = 20) -> list[DueReading]:
        return await self.results.claim(lease=lease, per_account=per_account)

    async def claimed(self, **options: Any) -> list[UUID]:
        return [due.command_id for due in await self.claim(**options)]

    async def intents(self, lease: timedelta = LEASE) -> list[Intent]:
        return await self.ledger.claim_due(lease=lease, per_account=20, vendor="coderbyte")

    async def run(self, port: Any, method: str, *values: Any, **named: Any) -> Any:
        """Call one method in a transaction of its own."""
        async with self.database.transaction() as connection:
            return await getattr(port, method)(connection, *values, **named)


def invite(application: int = 1, visit: str = "n1", account: AccountId = ACME, **more: Any) -> NewInvite:
    """What is written of an invite, whose id is its command's."""
    number = ApplicationId(application)
    fields: dict[str, Any] = {
        "command_id": command_id(account, number, Visit(visit), "invite", TEST),
        "account": account,
        "application_id": number,
        "candidate_id": JANE,
        "visit": Visit(visit),
        "stage_id": StageId(7),
        "assessment_id": TEST,
        "correlationid": "c-1",
        "address": "jane@mail.example",
        "address_hash": "hash of jane",
    }
    return NewInvite(**(fields | more))


def command(of: NewInvite) -> Envelope:
    data = SendInvite(
        command_id=of.command_id,
        application_id=of.application_id,
        candidate_id=of.candidate_id,
        job_id=JobId(3),
        visit=of.visit,
        stage_id=of.stage_id,
        assessment_id=of.assessment_id,
        origin=Origin(workflow="screen", version=1, rule="send", reason="entered the stage"),
    )
    return Envelope(
        id=uuid4(), source="trellis/workflow", accountid=of.account, time=AT, data=data, correlationid="c-1"
    )


def signal(**more: Any) -> AssessmentSignalled:
    fields: dict[str, Any] = {
        "kind": SignalKind.COMPLETED,
        "address_hash": "hash of jane",
        "sealed_body_id": uuid4(),
        "received_at": AT,
        "assessment_id": TEST,
    }
    return AssessmentSignalled(**(fields | more))


def attached(of: NewInvite, body: UUID, **more: Any) -> AttachedInvite:
    fields = ("command_id", "account", "application_id", "candidate_id", "visit", "stage_id", "assessment_id")
    known = {name: getattr(of, name) for name in (*fields, "correlationid", "address_hash")}
    return AttachedInvite(**(known | {"body_id": body} | more))
