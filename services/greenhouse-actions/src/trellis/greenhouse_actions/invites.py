"""Answers `assessments`: whom may I invite, now, and at which address?

Nothing of the answer is kept or logged; both readings are made for each question.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.ledger.effects import Blocked, Later, Overtaken, Unauthorized
from trellis.common.ledger.table import Ledger
from trellis.common.store.postgres import Pool, transaction
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore
from trellis.greenhouse_actions.adapters.harvest import Connected, CredentialRejectedError, Harvests
from trellis.greenhouse_actions.adapters.mint import REJECTED
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.invites import Asked, Invitable, judge, still_there
from trellis.greenhouse_actions.domain.outcomes import missing_scope
from trellis.greenhouse_actions.domain.readings import ApplicationView
from trellis.greenhouse_actions.domain.requests import Route
from trellis.greenhouse_actions.effects import DEFAULT_RETRY
from trellis.greenhouse_actions.reading import BLIND, read_applications

Verdict = Invitable | Overtaken | Blocked | Later

_OURS: Final = frozenset(
    said.reason
    for said in (
        REJECTED,
        BLIND,
        missing_scope(Route.APPLICATIONS),
        missing_scope(Route.APPLICATION_STAGES),
        missing_scope(Route.CANDIDATES),
        missing_scope(Route.STAGES),
    )
)
"""Reasons of a pause that these two readings met and that they can find mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteAnswer:
    """The verdicts, and how old the oldest reading behind them is."""

    read_age: timedelta
    verdicts: Mapping[ApplicationId, Verdict]


class Invites:
    """Reads and judges.

    Args:
        pool: The service's database.
        harvests: The Greenhouses.
        store: Tells whether a connection is paused.
        ledger: Pauses and unpauses it.
    """

    def __init__(self, pool: Pool, harvests: Harvests, store: ConnectionStore, ledger: Ledger) -> None:
        self._pool = pool
        self._harvests = harvests
        self._store = store
        self._ledger = ledger

    async def judge(self, account: AccountId, asked: Sequence[Asked]) -> InviteAnswer:
        """Return a verdict on each application of *asked*."""
        started, retry = time.monotonic(), DEFAULT_RETRY
        pause = await self._store.pause_of(account)
        if pause is not None and pause.reason in _OURS and pause.retry_at > datetime.now(UTC):
            wait = pause.retry_at - datetime.now(UTC)
            return _all(asked, Later(reason=f"{pause.reason}; {pause.remedy}", wait=wait), started)
        try:
            connected = await self._harvests.of(account)
            retry = connected.connection.credential_retry
            answer = await self._read_and_judge(connected, asked)
        except CredentialRejectedError as error:
            await self._pause(account, error.said, retry)
            return _all(asked, Later(reason=f"{error.said.reason}; {error.said.remedy}", wait=retry), started)
        except StoreAwayError:
            raise
        except TransientError as error:
            wait = error.retry_after or timedelta(seconds=5)
            return _all(asked, Later(reason=str(error), wait=wait), started)
        if pause is not None and pause.reason in _OURS:
            async with transaction(self._pool) as database:
                await self._ledger.unpause(database, account, VENDOR)
        return answer

    async def _read_and_judge(self, connected: Connected, asked: Sequence[Asked]) -> InviteAnswer:
        with_visits = any(item.visit.startswith("t") for item in asked)
        await connected.harvest.allow(3 if with_visits else 2)
        wanted = dict.fromkeys((item.application_id for item in asked), None)
        readings = await read_applications(connected.harvest, wanted, with_visits=with_visits)
        standing: dict[ApplicationId, ApplicationView] = {}
        verdicts: dict[ApplicationId, Verdict] = {}
        for item in asked:
            stood = still_there(item, readings.of(item.application_id))
            if isinstance(stood, ApplicationView):
                standing[item.application_id] = stood
            else:
                verdicts[item.application_id] = stood
        people = [view.candidate_id for view in standing.values()]
        candidates = await connected.harvest.candidates(people) if people else {}
        allow_private = connected.connection.settings.invite_allow_private
        for ident, view in standing.items():
            verdicts[ident] = judge(candidates.get(view.candidate_id), allow_private=allow_private)
        age = timedelta(seconds=time.monotonic() - readings.read_at)
        return InviteAnswer(read_age=age, verdicts=verdicts)

    async def _pause(self, account: AccountId, said: Unauthorized, retry: timedelta) -> None:
        async with transaction(self._pool) as database:
            await self._ledger.pause(database, account, VENDOR, said.reason, said.remedy, retry)


def _all(asked: Sequence[Asked], verdict: Later, started: float) -> InviteAnswer:
    age = timedelta(seconds=time.monotonic() - started)
    return InviteAnswer(read_age=age, verdicts={item.application_id: verdict for item in asked})
