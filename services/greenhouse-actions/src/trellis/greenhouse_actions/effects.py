"""What notes and moves have in common, as the ledger drives them: read, decide, write once, look up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from trellis.common.contracts.commands import AddNote, MoveApplication
from trellis.common.contracts.identifiers import AccountId, CandidateId, CommandId
from trellis.common.errors import TransientError
from trellis.common.ledger.effects import (
    Answer,
    Intent,
    Later,
    LookUp,
    Preparation,
)
from trellis.greenhouse_actions.adapters.harvest import (
    Connected,
    CredentialRejectedError,
    Harvests,
)
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.outcomes import NeverLeft, Reply, classify_move, classify_note
from trellis.greenhouse_actions.domain.readings import Readings
from trellis.greenhouse_actions.domain.requests import (
    HarvestRequest,
    Route,
)
from trellis.greenhouse_actions.pauses import Pauses, disproved_by
from trellis.greenhouse_actions.reading import Reader
from trellis.greenhouse_actions.tags import Stopped

READING_SECONDS: Final = 10.0
"""Oldest reading on which a write may leave (P4)."""
OTHERS_SECONDS: Final = 600.0
"""How long an accepted write proves that its route is permitted."""
DEFAULT_RETRY: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A write with the time of the reading it rests on, for the connection as it was then."""

    request: HarvestRequest
    read_at: float
    revision: int


class HarvestEffect:
    """What notes and moves have in common."""

    vendor = VENDOR

    def __init__(
        self,
        harvests: Harvests,
        pauses: Pauses,
        reader: Reader,
        route: Route,
        lists: tuple[Route, Route],
        request_seconds: float,
    ) -> None:
        self.request_seconds = request_seconds + 5.0  # with the wait for a token and a free connection
        self._harvests = harvests
        self._pauses = pauses
        self._reader = reader
        self._route = route
        self._prepared = disproved_by(Route.APPLICATIONS, lists[0])
        self._looked_up = disproved_by(Route.APPLICATIONS, lists[1])
        self._accepted: dict[AccountId, float] = {}
        self._paid: dict[AccountId, float] = {}
        self._tags = reader.tags

    async def prepare(self, account: AccountId, intents: Sequence[Intent]) -> Mapping[CommandId, Preparation]:
        """See `Effect.prepare`."""
        try:
            connected = await self._harvests.of(account)
            most = connected.harvest.capabilities.together
            said = await self._prepare(connected, intents[:most])
        except CredentialRejectedError as error:
            return {intent.id: error.said for intent in intents}
        await self._pauses.mended(account, self._prepared)
        return said | {intent.id: _ITS_TURN for intent in intents[most:]}

    async def _prepare(self, connected: Connected, intents: Sequence[Intent]) -> dict[CommandId, Preparation]:
        raise NotImplementedError

    async def _read(
        self, connected: Connected, commands: Iterable[AddNote | MoveApplication], *, with_visits: bool
    ) -> Readings:
        """Read, with budget for one write too, so that no reading is spent on a write refused after it."""

        async def allow(readings: int) -> None:
            await connected.harvest.allow(readings + 1)
            self._paid[connected.connection.account] = time.monotonic()

        wanted = {command.application_id: command.job_id for command in commands}
        return await self._reader.read(connected, wanted, with_visits=with_visits, allow=allow)

    async def _stopped(self, connected: Connected, people: Sequence[CandidateId]) -> Stopped:
        """Return whom a recruiter's tag keeps Trellis off; it costs a call only where the account has such a tag."""
        stopped = await self._tags.stopped(connected, people)
        if people and connected.connection.settings.keep_off_tag is not None:
            await self._pauses.mended(connected.connection.account, disproved_by(Route.CANDIDATES))
        return stopped

    async def reserve(self, intent: Intent) -> timedelta | None:
        """See `Effect.reserve`; one write was paid for with the readings."""
        if time.monotonic() - self._paid.pop(intent.account, -READING_SECONDS) < READING_SECONDS:
            return None
        try:
            return await (await self._harvests.of(intent.account)).harvest.reserve()
        except CredentialRejectedError:
            return DEFAULT_RETRY

    async def send(self, intent: Intent, request: object) -> Answer:
        """See `Effect.send`."""
        if not isinstance(request, Outgoing):
            raise TypeError(type(request).__name__)
        try:
            connected = await self._harvests.of(intent.account)
            if connected.connection.revision != request.revision:  # another version or user: it is made anew
                return self._classify(intent, NeverLeft(reason="the connection was just changed", wait=timedelta()))
            self._reader.written(intent.account, intent.application_id)
            reply = await connected.harvest.send(request.request, leave_before=request.read_at + READING_SECONDS)
        except CredentialRejectedError as error:
            return error.said
        except TransientError as error:  # the database that holds connection and token is away: nothing left
            return self._classify(intent, NeverLeft(reason=str(error), wait=error.retry_after))
        return self._classify(intent, reply)

    def _classify(self, intent: Intent, reply: Reply) -> Answer:
        seen = self._accepted.get(intent.account)
        others_pass = seen is not None and time.monotonic() - seen < OTHERS_SECONDS
        classify = classify_move if self._route is Route.MOVE else classify_note
        answer = classify(reply, others_pass=others_pass)
        if getattr(reply, "status", 0) in range(200, 300):
            self._accepted[intent.account] = time.monotonic()
        return answer

    async def look_up(self, intent: Intent) -> LookUp:
        """See `Effect.look_up`."""
        try:
            said = await self._look_up(await self._harvests.of(intent.account), intent)
        except CredentialRejectedError as error:
            return error.said
        await self._pauses.mended(intent.account, self._looked_up)
        return said

    async def _look_up(self, connected: Connected, intent: Intent) -> LookUp:
        raise NotImplementedError

    async def cap(self, account: AccountId) -> int | None:
        """See `Effect.cap`: notes and moves have none."""
        return None

    async def second_read(self, account: AccountId) -> timedelta:
        """See `Effect.second_read`: `verify.second_read_s`."""
        try:
            return (await self._harvests.of(account)).connection.second_read
        except CredentialRejectedError:
            return DEFAULT_RETRY

    async def credential_retry(self, account: AccountId) -> timedelta:
        """See `Effect.credential_retry`: `credential.retry_s`."""
        try:
            return (await self._harvests.of(account)).connection.credential_retry
        except CredentialRejectedError:
            return DEFAULT_RETRY


_ITS_TURN: Final = Later(
    reason="applications are read one by one through Harvest v1; it waits for its turn", wait=timedelta(seconds=1)
)
