"""Takes messages in: commands into the ledger, questions into their table, facts into what we know.

One batch is one transaction with the inbox, so a message that comes twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from trellis.common.contracts.commands import AddNote, MoveApplication, ObserveApplication, ShowStanding
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateAnonymized, CandidateMerged, JobChanged, StageDeleted
from trellis.common.errors import PermanentError
from trellis.common.failpoints import failpoint
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.store import LedgerStore
from trellis.common.store.database import Database as Messages
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection as Database
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.known import Known
from trellis.greenhouse_actions.observer import Observer
from trellis.greenhouse_actions.questions import Question
from trellis.greenhouse_actions.standings import Standings


class Handler:
    """Handles batches of this service's queue.

    Args:
        messages: The service's database with its inbox.
        ledger: Where commands become intents.
        known: Where questions and what facts tell are kept.
        standings: Where it is kept how applications stand.
        runner: Woken for new intents.
        observer: Woken for new questions.
        relay: Woken for outcomes that taking a command in may write.
    """

    def __init__(
        self,
        messages: Messages,
        ledger: LedgerStore,
        known: Known,
        standings: Standings,
        runner: Runner,
        observer: Observer,
        relay: Relay,
    ) -> None:
        self._messages = messages
        self._known = known
        self._standings = standings
        self._ledger = ledger
        self._runner = runner
        self._observer = observer
        self._relay = relay

    async def handle(self, envelopes: Sequence[Envelope]) -> None:
        """Take *envelopes* in; when this returns, what they ask for is on disk.

        Raises:
            PermanentError: One is of a type that is not for this service.
            StoreAwayError: The database is away; nothing was taken in.
        """
        async with self._messages.transaction() as database:
            for envelope in await self._messages.take_in(database, envelopes):
                await self._take_in(database, envelope)
        failpoint("ledger.after_intake")
        self._runner.wake()
        self._observer.wake()
        self._relay.wake()

    async def _take_in(self, database: Database, envelope: Envelope) -> None:
        account = envelope.accountid
        match envelope.data:
            case AddNote() | MoveApplication():
                await self._ledger.take_in(database, envelope, VENDOR, None)
            case ObserveApplication(command_id=command_id, application_id=application_id):
                question = Question(
                    command_id=command_id,
                    account_id=account,
                    application_id=application_id,
                    correlationid=envelope.correlationid,
                    causationid=str(envelope.id),
                )
                await self._known.ask(database, question)
            case ShowStanding() as command:
                await self._standings.want(database, account, command, envelope.correlationid)
            case CandidateAnonymized() as fact:
                await self._known.record_anonymized(database, account, fact, envelope.time)
            case CandidateMerged() as fact:
                await self._known.record_merged(database, account, fact)
            case JobChanged(job_id=job_id):
                await self._known.drop_stages(database, account, job_id)
            case StageDeleted(stage_id=stage_id, job_id=job_id):
                await self._known.drop_stages(database, account, job_id, stage_id)
            case _:
                raise PermanentError(f"{envelope.type} is not for greenhouse-actions")
