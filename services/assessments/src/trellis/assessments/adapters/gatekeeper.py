"""Asks greenhouse-actions whom an invite may go to, now, and at which address."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from trellis.assessments.domain.invites import Invitable, Verdict
from trellis.common.contracts.commands import SendInvite
from trellis.common.contracts.envelope import explain
from trellis.common.contracts.identifiers import AccountId, CandidateId, CommandId
from trellis.common.errors import InputError, PermanentError, TransientError
from trellis.common.ledger.effects import Blocked, Intent, Later, Overtaken
from trellis.common.runtime.internal import InternalClient

MOST_APPLICATIONS: Final = 50
"""Most applications in one question; the answer rests on one reading of all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """What greenhouse-actions said of a batch.

    Attributes:
        verdicts: One for each intent.
        read_at: Monotonic time no later than Greenhouse's reading.
    """

    verdicts: Mapping[CommandId, Verdict]
    read_at: float


class Gatekeeper(Protocol):
    """Knows whether an application may be invited."""

    async def clear(self, account: AccountId, intents: Sequence[Intent]) -> Clearance:
        """Return the verdict on each of *intents*; raises `TransientError` when nobody can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    verdict: Literal["ok", "overtaken", "blocked", "later"]
    address: str = ""
    candidate_id: int = 0
    address_count: int = 1
    reason: str = ""
    remedy: str = ""
    mended_by: str | None = None
    wait_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    read_age_ms: float
    applications: dict[str, _Said]


_ANSWER: Final = TypeAdapter(_Answer)


class GreenhouseGatekeeper:
    """Asks over internal HTTP, in as few calls as can be, waiting at most *seconds* for each."""

    def __init__(self, client: InternalClient, *, seconds: float = 8.0) -> None:
        self._client = client
        self._seconds = seconds

    async def clear(self, account: AccountId, intents: Sequence[Intent]) -> Clearance:
        """See `Gatekeeper.clear`."""
        verdicts: dict[CommandId, Verdict] = {}
        read_at = time.monotonic()
        for batch in batches(intents):
            asked = time.monotonic()
            said = await self._ask(account, batch)
            read_at = min(read_at, asked, time.monotonic() - said.read_age_ms / 1000.0)
            for intent in batch:
                verdicts[intent.id] = _verdict(said.applications.get(str(intent.application_id)))
        return Clearance(verdicts=verdicts, read_at=read_at)

    async def _ask(self, account: AccountId, intents: Sequence[Intent]) -> _Answer:
        path = f"/internal/v1/accounts/{account}/candidates-for-invite"
        applications = [
            {"application_id": intent.application_id, "stage_id": stage_of(intent), "visit": intent.visit}
            for intent in intents
        ]
        try:
            raw = await self._client.call("POST", path, {"applications": applications}, seconds=self._seconds)
        except (InputError, PermanentError) as error:
            raise TransientError(f"greenhouse-actions cannot say whom to invite: {error}") from error
        try:
            return _ANSWER.validate_python(raw)
        except ValidationError as error:
            raise TransientError(f"greenhouse-actions' answer is not readable: {explain(error)}") from None


def batches(intents: Sequence[Intent]) -> list[list[Intent]]:
    """Return *intents* in questions of at most 50, each naming an application once."""
    found: list[list[Intent]] = []
    for intent in intents:
        for batch in found:
            if len(batch) < MOST_APPLICATIONS and all(_fits(intent, other) for other in batch):
                batch.append(intent)
                break
        else:
            found.append([intent])
    return found


def _fits(one: Intent, other: Intent) -> bool:
    return one.application_id != other.application_id


def stage_of(intent: Intent) -> int:
    """Return the stage that an invite's command names."""
    if not isinstance(intent.command, SendInvite):
        raise TypeError(type(intent.command).__name__)
    return intent.command.stage_id


def _verdict(said: _Said | None) -> Verdict:
    if said is None:
        return Later(reason="greenhouse-actions said nothing of the application", wait=timedelta(seconds=30))
    match said.verdict:
        case "overtaken":
            return Overtaken(reason=said.reason)
        case "blocked":
            return Blocked(reason=said.reason, remedy=said.remedy, mended_by=said.mended_by)
        case "later":
            return Later(reason=said.reason, wait=timedelta(seconds=min(max(said.wait_seconds, 0.1), 86_400)))
        case "ok" if said.address.strip() and said.candidate_id:
            return Invitable(address=said.address.strip(), candidate_id=CandidateId(said.candidate_id))
        case "ok":
            return Later(reason="greenhouse-actions named no address", wait=timedelta(seconds=30))
