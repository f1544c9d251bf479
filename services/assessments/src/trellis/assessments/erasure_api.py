"""The internal HTTP API on erasures: what is kept of a person, the order to erase, the journal and its replay.

An order is a fact on the broker, which each service that keeps something handles; no answer holds more than ids.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from trellis.assessments.adapters.erasure_journal import ErasureJournal
from trellis.assessments.results import SOURCE
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateAnonymized, CandidateDeleted, CandidateErased, ErasureReason
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.errors import InputError
from trellis.common.runtime.http import ACCOUNT_PREFIX, Body, account_of, answer, body_of, number_of, parsed_as
from trellis.common.runtime.ids import uuid7
from trellis.common.store.database import Database
from trellis.common.store.outbox import Relay

MOST: Final = 1000
"""Erasures in one answer or one order to apply some again."""


class _Erasure(Body):
    candidate: int = Field(ge=1, lt=2**63)
    why: ErasureReason
    when: AwareDatetime


class _Replay(Body):
    erasures: list[_Erasure] = Field(max_length=MOST)


class _Replayed(Body):
    count: int = Field(ge=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureApi:
    """What the routes need."""

    database: Database
    journal: ErasureJournal
    relay: Relay

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to *app*, whose middleware guards and tells faults."""
        app.router.add_get(f"{ACCOUNT_PREFIX}/candidates/{{candidate}}/kept", self.kept)
        app.router.add_post(f"{ACCOUNT_PREFIX}/candidates/{{candidate}}/erase", self.erase)
        app.router.add_post(f"{ACCOUNT_PREFIX}/erasures/replay", self.replay)
        app.router.add_get("/internal/v1/erasures", self.journalled)
        app.router.add_post("/internal/v1/erasures/replayed", self.replayed)

    async def kept(self, request: web.Request) -> web.Response:
        """Count what is kept of a candidate."""
        account, candidate = account_of(request), _candidate_of(request)
        async with self.database.acquired() as connection:
            return answer(asdict(await self.journal.kept(connection, account, candidate)))

    async def erase(self, request: web.Request) -> web.Response:
        """Put the order to erase a candidate on its way; twice is once."""
        account, candidate = account_of(request), _candidate_of(request)
        async with self.database.transaction() as connection:
            at = await self.database.now(connection)
            await self.database.put_out(connection, [fact_of(account, candidate, ErasureReason.BY_HAND, at)])
        self.relay.wake()
        return answer({"ordered": True}, status=202)

    async def replay(self, request: web.Request) -> web.Response:
        """Put erasures of an account on their way again; those that are known change nothing."""
        account = account_of(request)
        said = parsed_as(_Replay, await body_of(request))
        async with self.database.transaction() as connection:
            at = await self.database.now(connection)
            facts = [fact_of(account, CandidateId(item.candidate), item.why, at) for item in said.erasures]
            await self.database.put_out(connection, facts)
        self.relay.wake()
        return answer({"count": len(facts)}, status=202)

    async def journalled(self, request: web.Request) -> web.Response:
        """List erasures of all accounts after a given one, and when a journal was last applied again."""
        after, most = _after(request.query.get("after", "/0")), number_of(request.query.get("most", str(MOST)), "most")
        async with self.database.acquired() as connection:
            found = await self.journal.after(connection, *after, most=min(most, MOST))
            at: datetime | None = await self.journal.replayed_at(connection)
        return answer({"erasures": [asdict(item) for item in found], "replayed_at": at})

    async def replayed(self, request: web.Request) -> web.Response:
        """Note that a whole journal was put on its way again."""
        said = parsed_as(_Replayed, await body_of(request))
        async with self.database.transaction() as connection:
            await self.journal.note_replay(connection, said.count)
        return answer({"count": said.count})


def fact_of(account: AccountId, candidate: CandidateId, why: ErasureReason, at: datetime) -> Envelope:
    """Return the fact that erases *candidate*: a new one each time, since a restored inbox may know an older one."""
    ident = uuid7()
    match why:
        case ErasureReason.DELETED:
            data: CandidateDeleted | CandidateAnonymized | CandidateErased = CandidateDeleted(candidate_id=candidate)
        case ErasureReason.ANONYMIZED:
            data = CandidateAnonymized(candidate_id=candidate)
        case ErasureReason.BY_HAND:
            data = CandidateErased(candidate_id=candidate)
    return Envelope(
        id=ident,
        source=SOURCE,
        accountid=account,
        time=at,
        data=data,
        correlationid=str(ident),
        subject=f"candidate/{candidate}",
    )


def _candidate_of(request: web.Request) -> CandidateId:
    return CandidateId(number_of(request.match_info["candidate"], "candidate"))


def _after(text: str) -> tuple[AccountId, CandidateId]:
    account, slash, candidate = text.rpartition("/")
    if not slash:
        raise InputError("after", "ACCOUNT/CANDIDATE")
    return AccountId(account), CandidateId(number_of(candidate, "after"))
