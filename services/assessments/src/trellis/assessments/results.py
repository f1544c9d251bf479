"""Publishes results: keeps a version, tells the workflow, and lets it stand for the invites that follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trellis.assessments.adapters.coderbyte import RawReport
from trellis.assessments.adapters.invite_rows import StoredInvite
from trellis.assessments.adapters.result_store import StoredResult
from trellis.assessments.domain.results import Result
from trellis.assessments.stores import Invites, Results
from trellis.common.contracts.envelope import Envelope, Message
from trellis.common.contracts.identifiers import stable_id
from trellis.common.contracts.outcomes import AssessmentCompleted, AssessmentStarted
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.store.database import Database
from trellis.common.store.postgres import Connection

SOURCE: Final = "trellis/assessments"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPublisher:
    """Writes results and their messages in the caller's transaction."""

    database: Database
    ledger: LedgerStore
    invites: Invites
    results: Results

    async def started(self, connection: Connection, invite: StoredInvite, at: datetime) -> None:
        """Tell that the candidate began; the caller saw to it that it is told once."""
        data = AssessmentStarted(
            application_id=invite.application_id, visit=invite.visit, assessment_id=invite.assessment_id
        )
        await self.database.put_out(connection, [_envelope(invite, data, "started", 1, at)])

    async def publish(
        self,
        connection: Connection,
        invite: StoredInvite,
        version: int,
        result: Result,
        raw: RawReport | None,
        *,
        completed_at: datetime,
        now: datetime,
    ) -> None:
        """Keep *result* for *invite* and for all that follow it, and tell of each.

        Nothing is told for an invite that a person gave up: its result is kept and shown only.
        """
        await self._one(connection, invite, version, result, raw, completed_at=completed_at, now=now)
        for follower in await self.invites.followers(connection, invite.account, invite.command_id):
            if await self._stands_for(connection, invite, follower):
                await self._one(connection, follower, version, result, raw, completed_at=completed_at, now=now)

    async def repeat(
        self,
        connection: Connection,
        follower: StoredInvite,
        stored: StoredResult,
        raw: RawReport | None,
        now: datetime,
    ) -> None:
        """Let a result that is there already stand for *follower* as well."""
        await self._one(
            connection, follower, stored.version, stored.result, raw, completed_at=stored.completed_at, now=now
        )

    async def _one(
        self,
        connection: Connection,
        invite: StoredInvite,
        version: int,
        result: Result,
        raw: RawReport | None,
        *,
        completed_at: datetime,
        now: datetime,
    ) -> None:
        held = await self.ledger.held(connection, invite.command_id, invite.account)
        given_up = held is not None and held.state is State.SUPERSEDED and invite.follow_kind != "earlier"
        given_up = given_up and invite.attached_body_id is None
        fresh = await self.results.keep(
            connection, invite, version, result, raw, completed_at=completed_at, published=not given_up
        )
        if fresh and not given_up:
            data = _completed(invite, version, result, completed_at)
            await self.database.put_out(connection, [_envelope(invite, data, "result", version, now)])

    async def _stands_for(self, connection: Connection, invite: StoredInvite, follower: StoredInvite) -> bool:
        """Settle a follower that waits for this result; False when it does not wait for it any more."""
        held = await self.ledger.held(connection, follower.command_id, follower.account)
        if held is None:
            return False
        if follower.follow_kind == "earlier":
            return True
        if held.state is State.WAITING:
            change = Change(
                occurrence=Occurrence.SUCCEEDED,
                reason=f"shared the invite of application {invite.application_id}, whose result stands for both",
                resolved={"shared_with": str(invite.command_id)},
            )
            return await self.ledger.record(connection, held, held.attempt, change) is State.DONE
        return held.state is State.DONE


def _completed(invite: StoredInvite, version: int, result: Result, completed_at: datetime) -> AssessmentCompleted:
    return AssessmentCompleted(
        application_id=invite.application_id,
        visit=invite.visit,
        assessment_id=invite.assessment_id,
        result_version=version,
        completed_at=completed_at,
        assessment_name=result.assessment_name,
        score=result.score,
        code_score=result.code_score,
        mc_score=result.mc_score,
        qualified=result.qualified,
        qualifying_score=result.qualifying_score,
        integrity=result.integrity,
        time_expired=result.time_expired,
        minutes_taken=result.minutes_taken,
        attempt_count=result.attempt_count,
    )


def _envelope(invite: StoredInvite, data: Message, kind: str, number: int, at: datetime) -> Envelope:
    return Envelope(
        id=stable_id(kind, invite.command_id, number),
        source=SOURCE,
        accountid=invite.account,
        time=at,
        data=data,
        correlationid=invite.correlationid,
        causationid=str(invite.command_id),
        subject=f"application/{invite.application_id}",
    )
