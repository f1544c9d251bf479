"""Erases a person: what is sealed, what is open in the ledger, and, by a message, what ingest keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from trellis.assessments.stores import People
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import ErasureReason
from trellis.common.contracts.identifiers import ApplicationId, CandidateId, stable_id
from trellis.common.contracts.outcomes import AddressErased
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.store.database import Database
from trellis.common.store.postgres import Connection

log = structlog.get_logger()

WITHDRAWN: Final = "the person was erased; the invite is withdrawn, and what comes of one that was sent is not taken"
_ENDED_BY: Final = {
    State.WAITING: Occurrence.OVERTAKEN,
    State.UNKNOWN: Occurrence.OVERTAKEN,
    State.PARKED: Occurrence.DROPPED,
    State.IN_DOUBT: Occurrence.DROPPED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasing:
    """Erases and merges within the caller's transaction."""

    database: Database
    ledger: LedgerStore
    people: People
    source: str

    async def erase(
        self,
        connection: Connection,
        envelope: Envelope,
        candidate: CandidateId,
        why: ErasureReason,
        applications: Sequence[ApplicationId] = (),
    ) -> None:
        """Drop what is kept of *candidate*, close what is open of it, and tell whose addresses are to be forgotten.

        The ledger's rows are locked before the candidate, as whoever makes an invite ready does.
        """
        account = envelope.accountid
        rows = await self.ledger.of_candidate(connection, account, candidate, applications)
        erased = await self.people.erase(connection, account, candidate, why, applications)
        known = {intent.id for intent in rows}
        for command in erased.commands:
            held = None if command in known else await self.ledger.held(connection, command, account)
            rows += [] if held is None else [held]
        for intent in rows:
            occurrence = _ENDED_BY.get(intent.state)
            if occurrence is not None:
                change = Change(occurrence=occurrence, reason=WITHDRAWN, kind="erasure")
                await self.ledger.record(connection, intent, intent.attempt, change)
        if erased.address_hashes:
            data = AddressErased(address_hashes=erased.address_hashes)
            told = Envelope(
                id=stable_id("address erased", envelope.id, candidate),
                source=self.source,
                accountid=account,
                time=await self.database.now(connection),
                data=data,
                correlationid=envelope.correlationid,
                causationid=str(envelope.id),
                subject=f"candidate/{candidate}",
            )
            await self.database.put_out(connection, [told])
        log.info(
            "candidate.erased",
            account=account,
            candidate_id=candidate,
            reason=why.value,
            count=len(erased.commands),
        )

    async def merge(
        self, connection: Connection, envelope: Envelope, candidate: CandidateId, into: CandidateId
    ) -> None:
        """Make all that was *candidate*'s that of whoever *into* is by now; if that person was erased, erase it instead."""
        account = envelope.accountid
        await self.ledger.of_candidate(connection, account, candidate, ())
        to_erase = await self.people.merge(connection, account, candidate, into)
        if to_erase is not None:
            await self.erase(connection, envelope, *to_erase)
