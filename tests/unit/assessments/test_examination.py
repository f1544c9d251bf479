"""A vendor that is asked nothing because it does not answer is not asked by the look at the set-up either."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from trellis.assessments.domain.invites import Assessment
from trellis.assessments.examination import Examination
from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.clock import SystemClock

ACME = AccountId("acme")


class Gateway:
    """A gateway whose breaker is shut until *held_until*, if that is a time; counts who asks."""

    def __init__(self, held_until: datetime | None) -> None:
        self._held_until = held_until
        self.looks = 0

    def held_until(self, organization: object) -> datetime | None:
        return self._held_until

    async def spend(self, organization: object, **_: object) -> timedelta | None:
        return None

    async def look(self, organization: object) -> Sequence[Assessment]:
        self.looks += 1
        return ()


async def checks(gateway: Gateway) -> list[str]:
    async def nothing(_: object) -> None:
        return None

    async def some(_: object) -> Sequence[object]:
        return ()

    async def load(_: object) -> object:
        return object()

    parts: dict[str, Any] = {
        "store": SimpleNamespace(pause=nothing, load=load),
        "gateway": gateway,
        "workflows": SimpleNamespace(of=some),
        "brakes": SimpleNamespace(on=some),
        "part": None,
        "clock": SystemClock(),
    }
    return [finding.check for finding in await Examination(**cast(Any, parts)).examine(ACME)]


async def test_a_shut_breaker_is_told_and_nothing_is_asked() -> None:
    shut, closed = Gateway(datetime(2026, 11, 24, 12, tzinfo=UTC)), Gateway(None)
    assert (await checks(shut), shut.looks) == (["breaker-open"], 0)
    assert (await checks(closed), closed.looks) == ([], 1)
