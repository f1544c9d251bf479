"""Takes an unmatched signal for an application's, since a person said so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from trellis.assessments.adapters.invite_rows import AttachedInvite, StoredInvite
from trellis.assessments.adapters.signal_store import UnmatchedSignal
from trellis.assessments.domain.correlation import Progress
from trellis.assessments.gateway import VENDOR
from trellis.assessments.outcomes import settled_by_hand, unique_key
from trellis.assessments.results import ResultPublisher
from trellis.assessments.stores import Signals
from trellis.common.contracts.commands import Action, AttachResult, SendInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import AssessmentSignalled, SignalKind
from trellis.common.contracts.identifiers import AccountId, CommandId
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import FINAL, Occurrence
from trellis.common.store.postgres import Connection

ERASED: Final = "its person's data was erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attaching:
    """Attaches signals, in the caller's transaction."""

    publisher: ResultPublisher
    signals: Signals

    async def attach(self, connection: Connection, envelope: Envelope, command: AttachResult) -> None:
        """Make the signal the invite's and have its report read; a second time changes nothing.

        The invite counts as sent from then on: whatever state it was in, none goes out any more.
        """
        account = envelope.accountid
        found = await self.signals.find(connection, account, command.signal_id)
        reason = _why_not(found, command)
        if found is not None and not reason and found.attached_to is None:
            reason = await self._join(connection, envelope, command, found.signal)
        elif found is not None and not reason:
            joined = await self.publisher.invites.find(connection, account, CommandId(command.invite.command_id))
            if joined is None or joined.attached_body_id != found.signal.sealed_body_id:
                reason = "it was attached to another stage visit of this application"
        said = reason or "its report is read now"
        message = settled_by_hand(
            envelope, command.command_id, Action.ATTACH, command.invite, said, refused=bool(reason)
        )
        await self.publisher.database.put_out(connection, [message])

    async def _join(
        self, connection: Connection, envelope: Envelope, command: AttachResult, signal: AssessmentSignalled
    ) -> str:
        """Join *signal* to the invite and return an empty text, or why it cannot be."""
        account, invite = envelope.accountid, command.invite
        if invite.candidate_id is None:
            return "whose application it is was never told"
        row = AttachedInvite(
            command_id=invite.command_id,
            account=account,
            application_id=invite.application_id,
            candidate_id=invite.candidate_id,
            visit=invite.visit,
            stage_id=invite.stage_id,
            assessment_id=invite.assessment_id,
            correlationid=envelope.correlationid,
            address_hash=signal.address_hash,
            body_id=signal.sealed_body_id,
        )
        ledger = self.publisher.ledger
        is_new = await ledger.take_in(connection, replace(envelope, data=invite), VENDOR, unique_key(invite))
        held = await ledger.held(connection, CommandId(invite.command_id), account)
        if held is None:
            return "another invite stands for this assessment in this stage visit"
        if not await self.publisher.invites.attach(connection, row):
            if is_new:  # nobody asked for an invite
                change = Change(occurrence=Occurrence.WITHDRAWN, reason=ERASED, kind="person")
                await ledger.record(connection, held, held.attempt, change)
            return ERASED
        if held.state not in FINAL:
            change = Change(
                occurrence=Occurrence.EVIDENCE,
                reason="a person attached a result that matched no invite",
                kind="person",
            )
            await ledger.record(connection, held, held.attempt, change)
        await self.signals.attached(connection, account, command.signal_id, invite.application_id)
        await self._read(connection, account, invite, signal)
        return ""

    async def _read(
        self, connection: Connection, account: AccountId, invite: SendInvite, signal: AssessmentSignalled
    ) -> None:
        invites = self.publisher.invites
        stored: StoredInvite | None = await invites.find(connection, account, invite.command_id, lock=True)
        if stored is None:
            return
        if signal.kind is SignalKind.STARTED:
            if await invites.advance(connection, account, invite.command_id, Progress.STARTED):
                await self.publisher.started(connection, stored, signal.received_at)
        else:
            await invites.advance(connection, account, invite.command_id, Progress.COMPLETED)
        await invites.await_report(connection, stored, signal)


def _why_not(found: UnmatchedSignal | None, command: AttachResult) -> str:
    if found is None:
        return "no such result waits unmatched; its person may have been erased"
    if found.attached_to is not None and found.attached_to != command.application_id:
        return f"it was attached to application {found.attached_to}"
    if found.signal.kind is SignalKind.INTERVIEW_COMPLETED or not found.signal.address_hash:
        return "it is an interview's, which has no report to read"
    if found.signal.assessment_id != command.invite.assessment_id:
        return "it is of another assessment"
    return ""
