"""What an answer to a write proves (fact sheet, 5.3 and 7.3; design section 5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from trellis.common.ledger.effects import Accepted, Ambiguous, NotExecuted, Succeeded, Unauthorized, Unmet
from trellis.greenhouse_actions.domain.outcomes import (
    Answered,
    Cut,
    NeverLeft,
    Reply,
    classify_move,
    classify_note,
)
from trellis.greenhouse_actions.domain.requests import Route

SOON = timedelta(seconds=12)

BOTH: list[tuple[Reply, type, Any]] = [
    (NeverLeft(reason="refused"), NotExecuted, None),
    (NeverLeft(reason="read too long ago", wait=timedelta()), NotExecuted, timedelta()),
    (Cut(reason="reset"), Ambiguous, None),
    (Answered(status=401), NotExecuted, None),
    (Answered(status=429), NotExecuted, None),
    (Answered(status=429, retry_after=SOON), NotExecuted, SOON),
    (Answered(status=503, retry_after=SOON), NotExecuted, SOON),
    (Answered(status=503), Ambiguous, None),
    (Answered(status=408), Ambiguous, None),
    (Answered(status=500), Ambiguous, None),
    (Answered(status=502, retry_after=SOON), Ambiguous, None),
    (Answered(status=504), Ambiguous, None),
    (Answered(status=302), Ambiguous, None),
    (Answered(status=403, names_scope=True), Unauthorized, None),
    (Answered(status=403), Unauthorized, None),
]


@pytest.mark.parametrize("classify", [classify_move, classify_note])
@pytest.mark.parametrize(("reply", "kind", "wait"), BOTH, ids=lambda value: str(value)[:60])
def test_what_is_the_same_for_both_writes(classify: Any, reply: Reply, kind: type, wait: Any) -> None:
    said = classify(reply, others_pass=False)
    assert isinstance(said, kind)
    assert getattr(said, "wait", None) == wait


@pytest.mark.parametrize(("classify", "route"), [(classify_move, Route.MOVE), (classify_note, Route.NOTE)])
def test_a_missing_permission_is_named(classify: Any, route: Route) -> None:
    said = classify(Answered(status=403, names_scope=True), others_pass=True)
    assert isinstance(said, Unauthorized) and route.scope in said.reason and route.scope in said.remedy


def test_a_403_while_others_pass_is_about_this_record_only() -> None:
    assert isinstance(classify_note(Answered(status=403), others_pass=True), Unmet)
    assert isinstance(classify_move(Answered(status=403), others_pass=True), Unmet)


@pytest.mark.parametrize(
    ("status", "answer"), [(204, "yes"), (200, "yes"), (422, "no"), (409, "no"), (404, "no"), (400, "no")]
)
def test_yes_and_no_to_a_move_are_read_back(status: int, answer: str) -> None:
    said = classify_move(Answered(status=status, request_id="r-1"), others_pass=False)
    assert isinstance(said, Accepted)
    assert (said.resolved["answer"], said.request_id) == (answer, "r-1")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Answered(status=201, note_id=9), Succeeded),
        (Answered(status=200, note_id=9), Succeeded),
        (Answered(status=201), Accepted),
        (Answered(status=204), Accepted),
        (Answered(status=422), Unmet),
        (Answered(status=404), Unmet),
        (Answered(status=400), Unmet),
    ],
)
def test_only_the_note_itself_proves_a_note(reply: Reply, kind: type) -> None:
    assert isinstance(classify_note(reply, others_pass=False), kind)
