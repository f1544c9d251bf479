"""Takes messages in: commands into the ledger, signals to their invites, what happened to candidates to what is kept.

One batch is one transaction with its inbox rows; what a signal asks for is written, never waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import structlog

from trellis.assessments.attaching import Attaching
from trellis.assessments.domain.correlation import KnownInvite, Matched, Progress, Unmatched, is_evidence, match_signal
from trellis.assessments.domain.options import OnCollision
from trellis.assessments.erasing import Erasing
from trellis.assessments.evidence import settle_by_evidence
from trellis.assessments.gateway import VENDOR
from trellis.assessments.outcomes import unique_key
from trellis.assessments.reports import Reports
from trellis.assessments.results import ResultPublisher
from trellis.assessments.stores import Organizations, Signals
from trellis.assessments.withdrawing import Withdrawing
from trellis.common.contracts.commands import AttachResult, SendInvite, WithdrawInvite
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import (
    AssessmentSignalled,
    CandidateAnonymized,
    CandidateDeleted,
    CandidateErased,
    CandidateMerged,
    CandidateUpdated,
    ErasureReason,
    SignalKind,
)
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError
from trellis.common.failpoints import failpoint
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.store import LedgerStore
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.database import Database
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection

log = structlog.get_logger()

MENDS = "candidate.updated"


class Handler:
    """Handles the queue `assessments.inbound`."""

    def __init__(
        self,
        database: Database,
        ledger: LedgerStore,
        connections: Organizations,
        publisher: ResultPublisher,
        signals: Signals,
        erasing: Erasing,
        runner: Runner,
        reports: Reports,
        relay: Relay,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._connections = connections
        self._publisher = publisher
        self._invites = publisher.invites
        self._signals = signals
        self._erasing = erasing
        self._withdrawing = Withdrawing(publisher=publisher)
        self._attaching = Attaching(publisher=publisher, signals=signals)
        self._runner = runner
        self._reports = reports
        self._relay = relay
        self._signals_total = metrics.counter(
            "signals", "Webhooks of the assessment vendor, by what became of them", ("account", "kind", "outcome")
        )

    async def handle_batch(self, batch: Sequence[Envelope]) -> None:
        """Take *batch* in as one transaction; repeats change nothing."""
        policies = await self._policies(
            {item.accountid for item in batch if isinstance(item.data, AssessmentSignalled)}
        )
        async with self._database.transaction() as connection:
            for envelope in await self._database.take_in(connection, batch):
                await self._handle(connection, envelope, policies)
        failpoint("ledger.after_intake")
        self._runner.wake()
        self._reports.wake()
        self._relay.wake()

    async def _policies(self, accounts: set[AccountId]) -> dict[AccountId, OnCollision]:
        found = {}
        for account in accounts:
            organization = await self._connections.load(account)
            if organization is not None:
                found[account] = organization.options.on_collision
        return found

    async def _handle(self, connection: Connection, envelope: Envelope, policies: dict[AccountId, OnCollision]) -> None:
        account, data = envelope.accountid, envelope.data
        match data:
            case SendInvite():
                await self._ledger.take_in(connection, envelope, VENDOR, unique_key(data))
            case AttachResult():
                await self._attaching.attach(connection, envelope, data)
            case WithdrawInvite():
                await self._withdrawing.withdraw(connection, envelope, data)
            case AssessmentSignalled():
                policy = policies.get(account, OnCollision.ALL_OPEN)
                await self._signalled(connection, envelope, data, policy)
            case CandidateUpdated(candidate_id=candidate):
                await self._ledger.mend(connection, account, candidate, MENDS)
            case CandidateMerged(candidate_id=candidate, into_candidate_id=into):
                await self._erasing.merge(connection, envelope, candidate, into)
                await self._ledger.mend(connection, account, into, MENDS)
            case CandidateDeleted(candidate_id=candidate, application_ids=applications):
                await self._erasing.erase(connection, envelope, candidate, ErasureReason.DELETED, applications)
            case CandidateAnonymized(candidate_id=candidate):
                await self._erasing.erase(connection, envelope, candidate, ErasureReason.ANONYMIZED)
            case CandidateErased(candidate_id=candidate):
                await self._erasing.erase(connection, envelope, candidate, ErasureReason.BY_HAND)
            case _:
                raise PermanentError(f"{envelope.type} is nothing this service handles")

    # -- signals

    async def _signalled(
        self, connection: Connection, envelope: Envelope, signal: AssessmentSignalled, policy: OnCollision
    ) -> None:
        account = envelope.accountid
        invites: list[KnownInvite] = []
        if signal.assessment_id is not None:
            invites = await self._invites.of_person(connection, account, signal.address_hash, signal.assessment_id)
        said = match_signal(signal, invites, policy)
        if isinstance(said, Unmatched):
            await self._signals.keep(connection, account, envelope.id, signal, said.reason)
        else:
            for invite in sorted(said.invites, key=lambda item: str(item.command_id)):
                await self._apply(connection, account, envelope, signal, invite, said)
        outcome = "unmatched" if isinstance(said, Unmatched) else "matched"
        self._signals_total.labels(account, signal.kind.value, outcome).inc()
        log.info(
            "signal.taken_in",
            account=account,
            correlation_id=envelope.correlationid,
            message_id=str(envelope.id),
            kind=signal.kind.value,
            assessment_id=signal.assessment_id,
            outcome=outcome,
            reason=said.reason if isinstance(said, Unmatched) else "",
            count=0 if isinstance(said, Unmatched) else len(said.invites),
            sealed_body_id=str(signal.sealed_body_id),
        )

    async def _apply(
        self,
        connection: Connection,
        account: AccountId,
        envelope: Envelope,
        signal: AssessmentSignalled,
        known: KnownInvite,
        said: Matched,
    ) -> None:
        held = await self._ledger.held(connection, known.command_id, account)
        stored = await self._invites.find(connection, account, known.command_id, lock=True)
        if held is None or stored is None:
            return
        if is_evidence(signal.kind, known):
            await settle_by_evidence(
                connection, self._ledger, held, f"Coderbyte's webhook says that the candidate {_WORDS[signal.kind]}"
            )
        match signal.kind:
            case SignalKind.STARTED:
                if await self._invites.advance(connection, account, known.command_id, said.progress):
                    await self._publisher.started(connection, stored, signal.received_at)
            case SignalKind.COMPLETED:
                await self._invites.advance(connection, account, known.command_id, said.progress)
                await self._invites.await_report(connection, stored, signal)
            case SignalKind.REVIEWED:
                if known.progress is Progress.GRADED:
                    await self._invites.advance(connection, account, known.command_id, said.progress)
                await self._invites.await_report(connection, stored, signal)
            case SignalKind.INTERVIEW_COMPLETED:
                raise PermanentError("an interview matches no invite")
            case _:
                assert_never(signal.kind)


_WORDS = {SignalKind.STARTED: "began", SignalKind.COMPLETED: "finished"}
