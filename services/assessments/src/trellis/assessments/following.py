"""Invites that are not sent since another invite's result stands for them: shared, of an earlier visit, or recent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from trellis.assessments.adapters.coderbyte import Organization
from trellis.assessments.adapters.invite_rows import FollowKind
from trellis.assessments.adapters.result_store import RecentResult
from trellis.assessments.domain.correlation import KnownInvite
from trellis.assessments.results import ResultPublisher
from trellis.assessments.rows import Person, command_of, new_invite
from trellis.common.contracts.commands import BY_HAND
from trellis.common.ledger.changes import Change
from trellis.common.ledger.effects import Intent, Later
from trellis.common.ledger.states import Occurrence
from trellis.common.ledger.store import LedgerStore
from trellis.common.runtime.clock import Clock
from trellis.common.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Lets results stand for invites that are not sent."""

    database: Database
    ledger: LedgerStore
    publisher: ResultPublisher
    clock: Clock

    async def follow(self, intent: Intent, person: Person, other: UUID, kind: FollowKind) -> bool:
        """Let the result of the invite *other* stand for this one, when it comes; False once the person was erased."""
        async with self.database.transaction() as connection:
            row = new_invite(intent, person, follows=other, kind=kind)
            return await self.publisher.invites.prepare(connection, row)

    async def use_earlier(self, intent: Intent, person: Person, earlier: KnownInvite) -> None:
        """Let the earlier invite's result, now or when it comes, stand for a new visit to the same stage."""
        if earlier.stage_id != command_of(intent).stage_id:
            return
        if not await self.follow(intent, person, earlier.command_id, "earlier"):
            return
        results = self.publisher.results
        async with self.database.transaction() as connection:
            own = await self.publisher.invites.find(connection, intent.account, intent.id)
            stored = await results.latest(connection, intent.account, earlier.command_id)
            source = await self.publisher.invites.find(connection, intent.account, earlier.command_id)
            if own is None or stored is None or source is None:
                return
            raw = await results.open_report(connection, intent.account, source.candidate_id, source.command_id, stored)
            await self.publisher.repeat(connection, own, stored, raw, self.clock.now())

    async def reuse(self, organization: Organization, intent: Intent, person: Person) -> Later | None:
        """Take a recent result of the same candidate instead of an invite that a rule asks for; None when there is none.

        The row is done in the transaction that tells the result; there is nothing left to wait for then.
        """
        command, within = command_of(intent), organization.options.reuse_within
        if within is None or command.origin.workflow == BY_HAND:
            return None
        account, invites, results = intent.account, self.publisher.invites, self.publisher.results
        async with self.database.transaction() as connection:
            if not await invites.is_held(connection, account, intent.id, intent.lease_token):
                return Later(reason="another worker has taken this over", wait=timedelta(seconds=1))
            found = await results.recent(connection, account, person.candidate_id, command.assessment_id, within)
            if found is None:
                return None
            row = new_invite(intent, person, follows=found.command_id, kind="earlier")
            if not await invites.prepare(connection, row):
                return None
            own = await invites.find(connection, account, intent.id)
            if own is None or own.follows != found.command_id:
                return None
            reason = in_words(found, intent)
            change = Change(occurrence=Occurrence.SUCCEEDED, reason=reason, resolved={"reused": str(found.command_id)})
            await self.ledger.record(connection, intent, intent.attempt, change)
            raw = await results.open_report(connection, account, person.candidate_id, found.command_id, found.stored)
            await self.publisher.repeat(connection, own, found.stored, raw, self.clock.now())
        return Later(reason=reason, wait=timedelta())


def in_words(found: RecentResult, intent: Intent) -> str:
    """Return whose result was taken instead of an invite, and how old it is."""
    seconds = max(0.0, found.age.total_seconds())
    hours, minutes = seconds / 3600, seconds / 60
    old = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours" if hours >= 2 else f"{minutes:.0f} minutes"
    whose = (
        f"its own result of stage visit {found.visit}"
        if found.application_id == intent.application_id
        else f"the result of application {found.application_id}, of the same candidate"
    )
    return f"no invite was sent: {whose}, is taken; it is {old} old"
