"""What a change makes of a row, where the table of transitions alone does not say it."""

from __future__ import annotations

from trellis.common.ledger.changes import Change
from trellis.common.ledger.recording import Row, changed
from trellis.common.ledger.states import Occurrence, State


def row(state: State) -> Row:
    return Row(state=state, attempt=1, absent_count=0, retries=0, resolved={})


def test_a_late_answer_that_proves_nothing_leaves_what_a_person_is_told_to_do() -> None:
    late = Change(occurrence=Occurrence.AMBIGUOUS, reason="no answer in time")
    assert changed(row(State.IN_DOUBT), 1, late) is None


def test_a_late_answer_that_proves_it_settles_what_is_in_doubt() -> None:
    after = changed(row(State.IN_DOUBT), 1, Change(occurrence=Occurrence.SUCCEEDED))
    assert after is not None
    assert (after.state, after.tells) == (State.DONE, True)


def test_an_answer_of_an_older_attempt_changes_nothing() -> None:
    assert changed(row(State.ATTEMPTING), 0, Change(occurrence=Occurrence.SUCCEEDED)) is None
