"""The look-up rules of the greenhouse fact sheet, section 7, case by numbered case, and P4."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.greenhouse_actions.given import (
    CALL,
    CODING,
    COMMAND,
    OFFER,
    ONSITE,
    REVIEW,
    SERVICE_USER,
    T0,
    intent,
    move,
    note,
    plan,
    shown,
    written,
)

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import JobId, StageRowId, UserId, Visit, note_marker
from trellis.common.ledger.effects import Blocked, CannotTell, Found, LookUp, NotSeen, Overtaken, Settled
from trellis.greenhouse_actions.domain import effects as cases
from trellis.greenhouse_actions.domain.effects import OwnMove, Spaces
from trellis.greenhouse_actions.domain.readings import ApplicationView, Missing
from trellis.greenhouse_actions.domain.requests import FromSpace

MARKER = note_marker(COMMAND)
AUTO, FIXED = Spaces(), Spaces(other_allowed=False)
ELSEWHERE = {
    "rejected": shown(status=ApplicationStatus.REJECTED),
    "hired": shown(None, status=ApplicationStatus.HIRED),
    "of an unknown status": shown(status=ApplicationStatus.UNKNOWN),
    "moved by a person": shown(CALL),
    "on another job": shown(job_id=JobId(1)),
    "a prospect": shown(None, prospect=True),
    "deleted": Missing.GONE,
}


def looked_for(*reading: Any, candidate_is_shown: bool = True) -> LookUp:
    return cases.look_for_note(*reading, candidate_is_shown=candidate_is_shown)


# -- P4: what a person did wins


@pytest.mark.parametrize("what", ELSEWHERE)
def test_neither_note_nor_move_is_made_for_an_application_that_is(what: str) -> None:
    reading = ELSEWHERE[what]
    stages = frozenset({CODING})
    assert isinstance(cases.check_note(note(), reading, stages), Overtaken)
    assert isinstance(cases.check_move(intent(move()), move(), reading, plan()[3]), Overtaken)


def test_an_application_that_is_hidden_is_blocked_with_words_for_a_person() -> None:
    said = cases.check_note(note(), Missing.HIDDEN, frozenset({CODING}))
    assert isinstance(said, Blocked) and "not visible to the service user" in said.reason and said.remedy


def test_an_application_in_its_stage_is_ready() -> None:
    assert isinstance(cases.check_note(note(), shown(), frozenset({CODING})), ApplicationView)
    assert isinstance(cases.check_move(intent(move()), move(), shown(), plan()[3]), ApplicationView)


def test_being_in_the_target_before_any_attempt_is_a_persons_act() -> None:
    said = cases.check_move(intent(move(), attempt=0), move(), shown(ONSITE), plan()[3])
    assert isinstance(said, Overtaken) and "moved by a person" in said.reason


def test_being_in_the_target_after_an_attempt_that_was_proven_absent_is_done() -> None:
    said = cases.check_move(intent(move(), attempt=1, retries=1), move(), shown(ONSITE), plan()[3])
    assert isinstance(said, Settled) and said.resolved["to_stage_id"] == ONSITE


def test_being_in_the_target_after_an_attempt_that_was_never_executed_is_a_persons_act() -> None:
    said = cases.check_move(intent(move(), attempt=1, retries=0), move(), shown(ONSITE), plan()[3])
    assert isinstance(said, Overtaken)


# -- notes may follow our own moves, and no others


def own_move(start: Any = CODING, end: Any = ONSITE, visit: str = "n1", minutes: int = 1) -> OwnMove:
    at = T0 + timedelta(minutes=minutes)
    return OwnMove(visit=Visit(visit), from_stage_id=start, to_stage_id=end, attempted_at=at)


@pytest.mark.parametrize(
    ("moves", "stages"),
    [
        ([], {CODING}),
        ([own_move()], {CODING, ONSITE}),
        ([own_move(), own_move(ONSITE, OFFER, "n2")], {CODING, ONSITE, OFFER}),
        ([own_move(ONSITE, OFFER, "n2"), own_move()], {CODING, ONSITE, OFFER}),
        ([own_move(CALL, OFFER)], {CODING}),
        ([own_move(visit="n0", minutes=-60)], {CODING}),
    ],
    ids=["none", "same visit", "a later one too", "in any order", "from elsewhere", "of an earlier visit"],
)
def test_a_note_may_be_written_where_our_own_moves_led(moves: list[OwnMove], stages: set[int]) -> None:
    assert cases.note_stages(note(), T0, moves) == stages


def test_a_note_is_written_after_our_own_move_though_the_stage_is_another() -> None:
    stages = cases.note_stages(
        note(visit=Visit("t2026-11-20T08:31:07Z")), T0, [own_move(visit="t2026-11-20T08:31:07Z")]
    )
    moved = shown(ONSITE, entered_at=T0 + timedelta(minutes=5))
    assert cases.check_note(note(visit=Visit("t2026-11-20T08:31:07Z")), moved, stages) is moved


# -- case 1: the marker


@pytest.mark.parametrize(
    "body",
    [
        f"82 of 100.\n{MARKER}",
        f"82 of 100.\r\n{MARKER}\r\n",
        f"  82 of 100.\n{MARKER}  \n\n",
        f"82 &lt;b&gt; of 100.\n{MARKER}",
        f"<p>82 of 100.</p><p>{MARKER}</p>",
        f"82 of 100.<br>{MARKER}<br/>",
        MARKER,
    ],
)
def test_1_a_note_is_found_whatever_greenhouse_does_to_its_white_space_and_markup(body: str) -> None:
    said = looked_for(intent(note()), note(), [written(body)], SERVICE_USER, shown(), None)
    assert isinstance(said, Found)


@pytest.mark.parametrize(
    "other",
    [
        written(f"82 of 100.\n{MARKER}", by=UserId(1)),
        written(f"82 of 100.\n{MARKER}", by=None),
        written(f"{MARKER}\nsee above"),
        written(f"he said {MARKER}"),
        written(f"{MARKER} {MARKER}"),
        written("82 of 100, qualified.\n[ref tr-000000000000]"),
        written(""),
    ],
    ids=["copied by a person", "by nobody", "not last", "not alone", "twice", "another marker", "empty"],
)
def test_1_a_note_that_is_not_ours_is_not_taken_for_it(other: Any) -> None:
    said = looked_for(intent(note()), note(), [other], SERVICE_USER, shown(), None)
    assert isinstance(said, NotSeen) and not said.proof


def test_1_an_absent_note_needs_a_second_reading() -> None:
    said = looked_for(intent(note()), note(), [], SERVICE_USER, shown(), None)
    assert isinstance(said, NotSeen) and not said.proof


def test_1_an_empty_list_proves_nothing_when_the_application_is_not_shown_either() -> None:
    said = looked_for(intent(note()), note(), [], SERVICE_USER, Missing.HIDDEN, None)
    assert isinstance(said, CannotTell)


def test_1_without_a_known_author_the_marker_decides() -> None:
    said = looked_for(intent(note()), note(), [written(f"x\n{MARKER}")], None, shown(), None)
    assert isinstance(said, Found)


def test_1_an_empty_list_proves_nothing_when_the_candidate_is_not_shown() -> None:
    hidden = looked_for(intent(note()), note(), [], SERVICE_USER, shown(), None, candidate_is_shown=False)
    assert isinstance(hidden, CannotTell) and "candidate" in hidden.reason
    there = [written(f"x\n{MARKER}")]
    assert isinstance(
        looked_for(intent(note()), note(), there, SERVICE_USER, shown(), None, candidate_is_shown=False), Found
    )


# -- case 2: anonymised


@pytest.mark.parametrize(("minutes", "kind"), [(2, Overtaken), (0, NotSeen)], ids=["after the attempt", "before it"])
def test_2_a_note_lost_to_an_anonymisation_is_superseded(minutes: int, kind: type) -> None:
    at = T0 + timedelta(minutes=minutes)
    assert isinstance(looked_for(intent(note()), note(), [], SERVICE_USER, shown(), at), kind)


def test_2_a_note_that_is_still_there_is_found_all_the_same() -> None:
    notes = [written(f"x\n{MARKER}")]
    assert isinstance(
        looked_for(intent(note()), note(), notes, SERVICE_USER, shown(), T0 + timedelta(minutes=2)), Found
    )


# -- case 3: what a move's answer and the reading after it mean


def attempted(answer: str | None, **more: Any) -> Any:
    resolved = {
        "to_stage_id": int(ONSITE),
        "from_space": "job_interview_stage",
        "answer": answer,
        "stage_row_id": int(shown().row_id or 0),
        "entered_at": T0.isoformat(),
    }
    return intent(move(), resolved=resolved | more.pop("resolved", {}), **more)


@pytest.mark.parametrize("answer", ["yes", "no", None])
def test_3_in_the_target_is_done_whatever_the_answer_was(answer: str | None) -> None:
    assert isinstance(cases.look_for_move(attempted(answer), shown(ONSITE), AUTO), Found)


@pytest.mark.parametrize("answer", ["yes", "no", None])
@pytest.mark.parametrize("what", ELSEWHERE)
def test_3_elsewhere_is_superseded_whatever_the_answer_was(answer: str | None, what: str) -> None:
    assert isinstance(cases.look_for_move(attempted(answer), ELSEWHERE[what], AUTO), Overtaken)


def test_3_rejected_in_the_target_was_moved_first() -> None:
    reading = shown(ONSITE, status=ApplicationStatus.REJECTED)
    assert isinstance(cases.look_for_move(attempted("yes"), reading, AUTO), Found)


@pytest.mark.parametrize(
    ("answer", "tried", "retries", "spaces", "proof", "most_retries"),
    [
        ("yes", False, 0, AUTO, False, 1),  # once more with the same from, then park
        ("yes", True, 1, AUTO, False, 2),  # the other id space was one retry already
        ("no", False, 0, AUTO, True, 5),  # the other id space, once
        ("no", True, 1, AUTO, False, 1),  # both refused: park after a second reading
        ("no", False, 0, FIXED, False, 0),  # nothing else to try: park after a second reading
        (None, False, 0, AUTO, False, 5),  # nobody answered: two readings, then again
    ],
)
def test_3_still_in_from(
    answer: str | None, tried: bool, retries: int, spaces: Spaces, proof: bool, most_retries: int
) -> None:
    row = attempted(answer, retries=retries, resolved={"other_space_tried": tried})
    said = cases.look_for_move(row, shown(), spaces)
    assert isinstance(said, NotSeen)
    assert (said.proof, said.most_retries) == (proof, most_retries)


def test_3_a_refused_move_is_tried_with_the_other_id_space_next() -> None:
    said = cases.look_for_move(attempted("no"), shown(), AUTO)
    assert isinstance(said, NotSeen)
    after = attempted("no").resolved | said.resolved
    assert cases.chosen_space(after, AUTO) is FromSpace.APPLICATION_STAGE
    fixed = Spaces(first=FromSpace.JOB_INTERVIEW_STAGE, other_allowed=False)
    assert cases.chosen_space(after, fixed) is FromSpace.JOB_INTERVIEW_STAGE


def test_3_a_hidden_application_cannot_be_told() -> None:
    assert isinstance(cases.look_for_move(attempted("yes"), Missing.HIDDEN, AUTO), CannotTell)


# -- case 5: away and back is a new visit


@pytest.mark.parametrize(
    ("entered", "visit", "ready"),
    [
        (T0, "t2026-11-20T08:31:07Z", True),
        (T0.replace(microsecond=552_000), "t2026-11-20T08:31:07Z", True),
        (T0, "t2026-11-20T08:31:07.900Z", True),
        (T0, "t2026-11-20T09:31:07+01:00", True),
        (T0 + timedelta(hours=1), "t2026-11-20T08:31:07Z", False),
        (T0 - timedelta(hours=1), "t2026-11-20T08:31:07Z", False),
        (None, "t2026-11-20T08:31:07Z", True),
        (T0 + timedelta(hours=1), "n2", True),
        (T0 + timedelta(hours=1), "tomorrow", True),
    ],
)
def test_5_a_visit_known_by_its_time_is_compared_with_the_present_one(entered: Any, visit: str, ready: bool) -> None:
    reading = shown(entered_at=entered)
    of_note = cases.check_note(note(visit=Visit(visit)), reading, frozenset({CODING}))
    of_move = cases.check_move(intent(move(visit=Visit(visit))), move(visit=Visit(visit)), reading, plan()[3])
    assert isinstance(of_note, ApplicationView) is ready
    assert isinstance(of_move, ApplicationView) is ready


@pytest.mark.parametrize(
    "back",
    [shown(row_id=StageRowId(1)), shown(entered_at=T0 + timedelta(seconds=90))],
    ids=["a new row", "the old row with a new time"],
)
def test_5_a_move_that_was_undone_by_a_person_is_not_made_again(back: ApplicationView) -> None:
    assert isinstance(cases.look_for_move(attempted(None), back, AUTO), Overtaken)
    assert isinstance(cases.check_move(attempted(None, retries=1), move(), back, plan()[3]), Overtaken)


@pytest.mark.parametrize(("minutes", "came_back"), [(1.9, False), (2.1, True)])
def test_5_where_the_attempt_knew_no_time_an_entry_after_it_is_a_new_visit(minutes: float, came_back: bool) -> None:
    tried = attempted(None)
    tried = replace(tried, resolved={**tried.resolved, "entered_at": None}, attempted_at=T0 + timedelta(minutes=1))
    back = shown(entered_at=T0 + timedelta(minutes=minutes))
    assert isinstance(cases.look_for_move(tried, back, AUTO), Overtaken) is came_back


@pytest.mark.parametrize(("seconds", "came_back"), [(0.5, False), (2, True)])
def test_5_where_the_attempt_knew_no_visit_an_entry_after_its_last_activity_is_a_new_one(
    seconds: float, came_back: bool
) -> None:
    known = {"stage_row_id": None, "entered_at": None, "last_activity_at": T0.isoformat()}
    tried = replace(attempted(None), resolved=attempted(None).resolved | known)
    back = shown(entered_at=T0 + timedelta(seconds=seconds))
    assert isinstance(cases.look_for_move(tried, back, AUTO), Overtaken) is came_back


@pytest.mark.parametrize(
    ("activity", "answer", "kind"),
    [
        (T0, None, NotSeen),
        (T0 + timedelta(seconds=1), None, CannotTell),
        (T0 + timedelta(seconds=1), "yes", CannotTell),
        (T0 + timedelta(seconds=1), "no", NotSeen),  # a refusal did nothing, whatever happened besides
        (None, None, CannotTell),
    ],
)
def test_5_without_visits_only_an_application_with_no_later_activity_is_unmoved(
    activity: Any, answer: str | None, kind: type
) -> None:
    tried = replace(attempted(answer), resolved=attempted(answer).resolved | {"last_activity_at": T0.isoformat()})
    through_v1 = shown(row_id=None, entered_at=None, last_activity_at=activity)
    assert isinstance(cases.look_for_move(tried, through_v1, AUTO), kind)


def test_5_an_attempt_that_knew_no_activity_cannot_be_judged_without_visits() -> None:
    through_v1 = shown(row_id=None, entered_at=None, last_activity_at=T0)
    assert isinstance(cases.look_for_move(attempted(None), through_v1, AUTO), CannotTell)


def test_5_rows_filled_in_later_have_no_time_and_prove_nothing() -> None:
    assert isinstance(cases.look_for_move(attempted(None), shown(entered_at=None), AUTO), NotSeen)


# -- the target


def test_a_move_to_the_stage_it_is_in_is_nothing_to_do() -> None:
    assert isinstance(cases.check_move(intent(move()), move(), shown(), plan()[2]), Overtaken)


def test_a_person_wins_over_a_target_that_is_missing() -> None:
    gone = Blocked(reason="no next stage", remedy="…")
    assert isinstance(cases.check_move(intent(move()), move(), shown(REVIEW), gone), Overtaken)
    assert cases.check_move(intent(move()), move(), shown(), gone) is gone
