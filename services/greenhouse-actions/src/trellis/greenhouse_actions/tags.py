"""The tags of candidates, read for writes where the account has a tag that keeps Trellis off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.ledger.effects import Blocked, Overtaken
from trellis.greenhouse_actions.adapters.harvest import Connected
from trellis.greenhouse_actions.domain.keeping_off import kept_off
from trellis.greenhouse_actions.domain.readings import CandidateView


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Whom a tag keeps Trellis off, and why.

    Attributes:
        read_at: Monotonic time just before the oldest reading behind it was sent.
        reasons: Of each candidate to whose applications nothing may be done.
    """

    read_at: float
    reasons: Mapping[CandidateId, Overtaken | Blocked]


@dataclass(frozen=True, slots=True)
class _Recent:
    read_at: float
    revision: int
    candidate: CandidateView | None


class Tags:
    """Reads tags for the writes of one process; a note and a move of one result share a reading.

    Args:
        shared_seconds: How long a reading is shared.
    """

    def __init__(self, shared_seconds: float) -> None:
        self._shared_seconds = shared_seconds
        self._recent: dict[tuple[AccountId, CandidateId], _Recent] = {}
        self._locks: dict[AccountId, asyncio.Lock] = {}

    async def stopped(self, connected: Connected, people: Iterable[CandidateId]) -> Stopped:
        """Return whom of *people* a tag keeps Trellis off; no call is made where the account has no such tag.

        Raises:
            TransientError: Greenhouse cannot be read now, or the budget is used up.
            CredentialRejectedError: It says no.
        """
        tag, wanted = connected.connection.settings.keep_off_tag, list(dict.fromkeys(people))
        if tag is None or not wanted:
            return Stopped(read_at=time.monotonic(), reasons={})
        account, revision = connected.connection.account, connected.connection.revision
        async with self._locks.setdefault(account, asyncio.Lock()):
            since = time.monotonic() - self._shared_seconds
            self._recent = {key: one for key, one in self._recent.items() if one.read_at >= since}
            known = [self._recent.get((account, ident)) for ident in wanted]
            if not all(one is not None and one.revision == revision for one in known):
                await connected.harvest.allow(1)
                read_at = time.monotonic()
                found = await connected.harvest.candidates(wanted)
                for ident in wanted:
                    self._recent[account, ident] = _Recent(read_at, revision, found.get(ident))
            read = {ident: self._recent[account, ident] for ident in wanted}
        said = {ident: kept_off(one.candidate, tag) for ident, one in read.items()}
        return Stopped(
            read_at=min(one.read_at for one in read.values()),
            reasons={ident: reason for ident, reason in said.items() if reason is not None},
        )
