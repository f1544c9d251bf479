"""Answers `assessments`: whom may I invite, now, and at which address?

Nothing of the answer is kept or logged; both readings are made for each question.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

from trellis.common.contracts.identifiers import AccountId, ApplicationId
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.ledger.effects import Blocked, Later, Overtaken
from trellis.common.runtime.clock import utc_now
from trellis.greenhouse_actions.adapters.connection_store import Pause
from trellis.greenhouse_actions.adapters.harvest import Connected, CredentialRejectedError, Harvests
from trellis.greenhouse_actions.domain.invites import Asked, Invitable, judge, still_there
from trellis.greenhouse_actions.domain.readings import ApplicationView
from trellis.greenhouse_actions.domain.requests import Route
from trellis.greenhouse_actions.effects import DEFAULT_RETRY
from trellis.greenhouse_actions.pauses import Pauses, disproved_by
from trellis.greenhouse_actions.reading import read_applications

Verdict = Invitable | Overtaken | Blocked | Later

_ITS_TURN: Final = Later(
    reason="applications are read one by one through Harvest v1; it waits for its turn", wait=timedelta(seconds=1)
)
_READ: Final = disproved_by(Route.APPLICATIONS, Route.CANDIDATES)
_OURS: Final = _READ | disproved_by(Route.APPLICATION_STAGES, Route.STAGES)
"""Reasons of a pause that hold these readings too; a missing permission to write does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteAnswer:
    """The verdicts, and how old the oldest reading behind them is."""

    read_age: timedelta
    verdicts: Mapping[ApplicationId, Verdict]


class PausesOf(Protocol):
    """Tells whether connections are paused."""

    async def pause_of(self, account: AccountId) -> Pause | None:
        """Return the pause of *account*'s connection; None when it is not paused."""


class Invites:
    """Reads and judges.

    Args:
        harvests: The Greenhouses.
        store: Tells whether a connection is paused.
        pauses: Put when a credential is rejected, ended when it is not any more.
    """

    def __init__(self, harvests: Harvests, store: PausesOf, pauses: Pauses) -> None:
        self._harvests = harvests
        self._store = store
        self._pauses = pauses

    async def judge(self, account: AccountId, asked: Sequence[Asked]) -> InviteAnswer:
        """Return a verdict on each application of *asked*."""
        started, retry = time.monotonic(), DEFAULT_RETRY
        try:
            connected = await self._harvests.of(account)
            retry = connected.connection.credential_retry
            pause = await self._store.pause_of(account)
            held = _held(pause, retry)
            if held is not None:
                return _all(asked, held, started)
            most = connected.harvest.capabilities.together
            answer = await self._read_and_judge(connected, asked[:most])
            answer = replace(
                answer, verdicts={**answer.verdicts, **{a.application_id: _ITS_TURN for a in asked[most:]}}
            )
        except CredentialRejectedError as error:
            await self._pauses.put(account, error.said, retry)
            return _all(asked, Later(reason=f"{error.said.reason}; {error.said.remedy}", wait=retry), started)
        except StoreAwayError:
            raise
        except TransientError as error:
            wait = error.retry_after or timedelta(seconds=5)
            return _all(asked, Later(reason=str(error), wait=wait), started)
        if pause is not None:
            await self._pauses.mended(account, _READ)
        return answer

    async def _read_and_judge(self, connected: Connected, asked: Sequence[Asked]) -> InviteAnswer:
        with_visits = any(item.visit.startswith("t") for item in asked)
        await connected.harvest.allow(connected.harvest.capabilities.calls(len(asked), with_visits=with_visits) + 1)
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
        settings = connected.connection.settings
        for ident, view in standing.items():
            verdicts[ident] = judge(
                candidates.get(view.candidate_id),
                allow_private=settings.invite_allow_private,
                keep_off=settings.keep_off_tag,
            )
        age = timedelta(seconds=time.monotonic() - readings.read_at)
        return InviteAnswer(read_age=age, verdicts=verdicts)


def _held(pause: Pause | None, retry: timedelta) -> Later | None:
    """Return how long a pause holds these readings; a test under way elsewhere holds them no longer than *retry*."""
    if pause is None or pause.reason not in _OURS:
        return None
    left = pause.retry_at - utc_now()
    if not timedelta() < left <= retry:
        return None
    return Later(reason=f"{pause.reason}; {pause.remedy}", wait=left)


def _all(asked: Sequence[Asked], verdict: Later, started: float) -> InviteAnswer:
    age = timedelta(seconds=time.monotonic() - started)
    return InviteAnswer(read_age=age, verdicts={item.application_id: verdict for item in asked})
