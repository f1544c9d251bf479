"""The proof of the rate budget, smaller: it holds, and it fails when what it rests on is taken away."""

from __future__ import annotations

import pytest
from simulation.twins import budget as twin
from tools.budget import playing

BACKFILL = 240


def test_people_are_answered_in_seconds_under_a_backfill_and_a_limit_that_shrinks_and_hardly_a_call_is_refused() -> (
    None
):
    played = playing.play(BACKFILL)
    assert played.faults() == []
    assert played.calls.total() > 2 * BACKFILL
    assert len(played.waits) >= 8


def test_without_the_share_kept_for_people_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "RESERVED_SHARE", 0.0)
    assert any("waited longer than 5 s" in fault for fault in playing.play(BACKFILL).faults())


def test_with_a_budget_that_does_not_hear_the_limit_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(self: twin.MemoryBudget, *_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(twin.MemoryBudget, "told", told)
    monkeypatch.setattr(playing, "LIMITS", (12, 8, 6))
    assert any("were answered 429" in fault for fault in playing.play(BACKFILL // 4).faults())
