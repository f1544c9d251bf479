"""Planted bugs of tags that keep Trellis off, and of results that are reused; see `planted.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from simulation.twins.assessments import MemoryResults
from simulation.twins.memory import tx
from trellis.assessments.following import Following
from trellis.assessments.results import ResultPublisher
from trellis.greenhouse_actions import invites
from trellis.greenhouse_actions.domain import keeping_off
from trellis.greenhouse_actions.domain.invites import judge
from trellis.greenhouse_actions.tags import Stopped, Tags

_Put = Callable[[Any, str, Any], None]


def invites_whatever_the_tag(put: _Put) -> None:
    """Tags are not looked at where an invite is cleared."""
    put(invites, "judge", lambda candidate, *, allow_private, keep_off: judge(candidate, allow_private=allow_private))


def writes_whatever_the_tag(put: _Put) -> None:
    """Tags are not looked at before notes and moves."""

    async def stopped(self: Any, connected: Any, people: Any) -> Stopped:
        return Stopped(read_at=time.monotonic(), reasons={})

    put(Tags, "stopped", stopped)


def any_tag_keeps_off(put: _Put) -> None:
    """A tag that begins like the account's is taken for it."""
    real = keeping_off._bare
    put(keeping_off, "_bare", lambda tag: real(tag)[:10])


def old_results_are_reused(put: _Put) -> None:
    """Nobody looks at how old a result is."""
    real = MemoryResults.recent

    async def recent(self: Any, connection: Any, account: Any, candidate: Any, assessment: Any, within: Any) -> Any:
        return await real(self, connection, account, candidate, assessment, timedelta(days=365))

    put(MemoryResults, "recent", recent)


def others_results_are_reused(put: _Put) -> None:
    """A result is taken whosever it is."""
    real = MemoryResults.recent

    async def recent(self: Any, connection: Any, account: Any, candidate: Any, assessment: Any, within: Any) -> Any:
        people = {row["invite"].candidate_id for _, row in tx(connection).rows("result")}
        for other in sorted(people - {candidate}):
            found = await real(self, connection, account, other, assessment, within)
            if found is not None:
                return found
        return await real(self, connection, account, candidate, assessment, within)

    put(MemoryResults, "recent", recent)


def reused_is_not_told(put: _Put) -> None:
    """An invite that a result stands for is done, and nobody is told of the result."""

    async def repeat(self: Any, *_: Any) -> None:
        return None

    put(ResultPublisher, "repeat", repeat)


def recent_is_not_seen(put: _Put) -> None:
    """An invite goes out although a recent result is there."""

    async def reuse(self: Any, *_: Any) -> None:
        return None

    put(Following, "reuse", reuse)
