"""Whose an unmatched result may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from trellis.assessments.domain.suggesting import MOST, Asked, Signal, suggest
from trellis.common.contracts.identifiers import ApplicationId, Visit
from trellis.common.ledger.states import State

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SIGNAL = Signal(id=UUID(int=1), received_at=AT)


def asked(application: int, hours: float = 1, **more: Any) -> Asked:
    fields: dict[str, Any] = {
        "application_id": ApplicationId(application),
        "visit": Visit("n1"),
        "at": AT - timedelta(hours=hours),
        "state": State.DONE,
        "is_sent": True,
        "has_begun": False,
        "has_result": False,
        "same_address": False,
    }
    return Asked(**(fields | more))


def test_the_same_address_comes_first_then_what_went_out_last() -> None:
    never = asked(1, 0.5, state=State.PARKED, is_sent=False)
    found = suggest(SIGNAL, [never, asked(2, 30), asked(3, 2), asked(4, 90, same_address=True)])
    assert [item.application_id for item in found] == [4, 3, 2, 1]
    assert found[0].reasons == (
        "it was invited at the same address",
        "its invite to this assessment went out 3 days before and has no result",
    )
    assert found[3].reasons == ("its invite to this assessment has not gone out",)


def test_what_has_its_result_or_came_after_speaks_for_nothing() -> None:
    assert suggest(SIGNAL, [asked(1, has_result=True), asked(2, -1)]) == []


@pytest.mark.parametrize(("seconds", "count"), [(30, 1), (31, 0), (-30, 1)])
def test_clocks_may_be_a_little_apart(seconds: float, count: int) -> None:
    assert len(suggest(SIGNAL, [asked(1, at=AT + timedelta(seconds=seconds))])) == count


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "less than a minute"), (59, "less than a minute"), (60, "1 minute"), (3599, "59 minutes"),
        (3600, "1 hour"), (86399, "23 hours"), (86400, "1 day"), (3 * 86400, "3 days"),
    ],
)  # fmt: skip
def test_it_says_how_long_before(seconds: float, words: str) -> None:
    (found,) = suggest(SIGNAL, [asked(1, at=AT - timedelta(seconds=seconds))])
    assert found.reasons == (f"its invite to this assessment went out {words} before and has no result",)


def test_an_application_is_suggested_once_and_few_are() -> None:
    assert len(suggest(SIGNAL, [asked(1), asked(1, 2)])) == 1
    assert len(suggest(SIGNAL, [asked(number) for number in range(MOST + 3)])) == MOST == 5


def test_an_invite_in_doubt_may_have_gone_out() -> None:
    (found,) = suggest(SIGNAL, [asked(1, state=State.IN_DOUBT, has_begun=True)])
    assert found.reasons == ("its invite to this assessment may have gone out 1 hour before", "its candidate began")
