"""Whose a webhook is, and what earlier invites mean for a new one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from trellis.assessments.domain.correlation import (
    Collides,
    Go,
    InvitedBefore,
    KnownInvite,
    Leaving,
    Matched,
    Precedence,
    Progress,
    Unmatched,
    WaitsFor,
    further,
    is_evidence,
    match_signal,
    must_hold,
    precedence,
    successor,
)
from trellis.assessments.domain.options import OnCollision, Reinvite
from trellis.common.contracts.facts import AssessmentSignalled, SignalKind
from trellis.common.contracts.identifiers import ApplicationId, AssessmentId, StageId, Visit
from trellis.common.ledger.states import State

AT = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
TEST = AssessmentId("t-1")


def known(number: int, *, application: int = 1, minutes: int = 0, **changes: Any) -> KnownInvite:
    invite = KnownInvite(
        command_id=UUID(int=number),
        application_id=ApplicationId(application),
        visit=Visit(f"n{number}"),
        stage_id=StageId(7),
        assessment_id=TEST,
        state=State.DONE,
        attempt=1,
        doubted=False,
        leaving=False,
        progress=Progress.INVITED,
        prepared_at=AT + timedelta(minutes=minutes),
        knew_attempts=False,
    )
    return replace(invite, **changes)


def signal(kind: SignalKind = SignalKind.STARTED, *, minutes: float = 60) -> AssessmentSignalled:
    return AssessmentSignalled(
        kind=kind,
        address_hash="h",
        sealed_body_id=UUID(int=9),
        received_at=AT + timedelta(minutes=minutes),
        assessment_id=None if kind is SignalKind.INTERVIEW_COMPLETED else TEST,
    )


def matched(
    invites: list[KnownInvite], kind: SignalKind = SignalKind.STARTED, policy: OnCollision = OnCollision.ALL_OPEN
) -> list[int] | str:
    said = match_signal(signal(kind), invites, policy)
    return said.reason if isinstance(said, Unmatched) else sorted(invite.command_id.int for invite in said.invites)


def test_the_words_that_the_database_keeps_never_change() -> None:
    assert list(Progress) == ["invited", "started", "completed", "graded", "reviewed"]


def test_a_review_is_of_the_completed_one_of_two_open_invites() -> None:
    invites = [known(1, application=1), known(2, application=2, progress=Progress.COMPLETED)]
    assert matched(invites, SignalKind.REVIEWED) == [2]


def test_progress_never_goes_back() -> None:
    assert further(Progress.COMPLETED, Progress.STARTED) is Progress.COMPLETED
    assert further(Progress.INVITED, Progress.STARTED) is Progress.STARTED


@pytest.mark.parametrize("state", [State.DONE, State.ATTEMPTING, State.UNKNOWN, State.IN_DOUBT])
def test_an_invite_that_may_be_out_is_matched_whatever_its_row_says(state: State) -> None:
    assert matched([known(1, state=state)]) == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"state": State.WAITING, "attempt": 0},
        {"state": State.WAITING, "attempt": 1},  # its attempt was proven not executed
        {"state": State.PARKED, "attempt": 1},
        {"state": State.SUPERSEDED, "attempt": 0},
        {"state": State.REFUSED},
        {"follows": UUID(int=8)},
    ],
)
def test_an_invite_that_never_left_is_not_matched(changes: dict[str, Any]) -> None:
    assert isinstance(matched([known(1, **changes)]), str)


@pytest.mark.parametrize("state", [State.WAITING, State.PARKED, State.SUPERSEDED])
def test_one_that_was_in_doubt_is_matched_later_too(state: State) -> None:
    assert matched([known(1, state=state, doubted=True)]) == [1]


@pytest.mark.parametrize(
    ("changes", "out", "given_up"),
    [
        ({"state": State.WAITING, "attempt": 1, "doubted": True}, True, False),
        ({"state": State.PARKED, "attempt": 1, "doubted": True}, True, False),
        ({"state": State.WAITING, "attempt": 0, "doubted": True}, False, False),
        ({"state": State.REFUSED, "attempt": 1, "doubted": True}, False, False),
        ({"state": State.SUPERSEDED, "attempt": 1, "doubted": True}, False, True),
        ({"state": State.SUPERSEDED, "attempt": 1, "doubted": False}, False, False),
        ({"state": State.SUPERSEDED, "attempt": 0, "doubted": True}, False, False),
        ({"state": State.SUPERSEDED, "attempt": 1, "doubted": True, "follows": UUID(int=8)}, False, False),
        ({"state": State.DONE, "follows": UUID(int=8)}, False, False),
    ],
)
def test_an_invite_may_be_out_or_was_given_up(changes: dict[str, Any], out: bool, given_up: bool) -> None:
    invite = known(1, **changes)
    assert (invite.may_be_out, invite.was_given_up) == (out, given_up)


@pytest.mark.parametrize("progress", list(Progress))
def test_an_invite_is_open_until_its_result_is_there(progress: Progress) -> None:
    assert known(1, progress=progress).is_open is (progress not in (Progress.GRADED, Progress.REVIEWED))


@pytest.mark.parametrize(
    ("kind", "progress"),
    [
        (SignalKind.STARTED, Progress.STARTED),
        (SignalKind.COMPLETED, Progress.COMPLETED),
        (SignalKind.REVIEWED, Progress.REVIEWED),
    ],
)
@pytest.mark.parametrize("at", list(Progress))
def test_a_signal_brings_its_invites_as_far_as_it_tells(kind: SignalKind, progress: Progress, at: Progress) -> None:
    said = match_signal(signal(kind), [known(1, progress=at)], OnCollision.ALL_OPEN)
    assert said == Matched(invites=(known(1, progress=at),), progress=progress)


def test_nobody_known_is_unmatched() -> None:
    assert matched([]) == "no invite went to this address"


def test_an_invite_that_never_left_is_told_as_such() -> None:
    assert matched([known(1, state=State.WAITING, attempt=0)]) == "the invite to this address never left"


def test_a_signal_from_before_the_invite_is_not_of_it() -> None:
    said = match_signal(signal(minutes=-10), [known(1)], OnCollision.ALL_OPEN)
    assert isinstance(said, Unmatched)


def test_clocks_may_be_a_little_apart() -> None:
    for seconds, is_of_it in ((-30, True), (-30.5, False)):
        said = match_signal(signal(minutes=seconds / 60), [known(1)], OnCollision.ALL_OPEN)
        assert isinstance(said, Matched) is is_of_it


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(OnCollision.ALL_OPEN, [1, 2]), (OnCollision.NEWEST, [2]), (OnCollision.HOLD, None)],
)
def test_two_open_invites_of_one_person_follow_the_accounts_rule(
    policy: OnCollision, expected: list[int] | None
) -> None:
    invites = [known(1, application=1), known(2, application=2, minutes=5)]
    said = matched(invites, SignalKind.COMPLETED, policy)
    assert said == expected if expected else "several open invites" in str(said)


@pytest.mark.parametrize("policy", OnCollision)
def test_the_one_open_invite_needs_no_rule(policy: OnCollision) -> None:
    invites = [known(1, application=1, progress=Progress.GRADED), known(2, application=2, minutes=5)]
    assert matched(invites, SignalKind.COMPLETED, policy) == [2]


def test_of_two_visits_of_one_application_the_later_is_meant() -> None:
    assert matched([known(1), known(2, minutes=5)]) == [2]


def test_a_repeated_completion_goes_to_the_invite_that_has_its_result() -> None:
    assert matched([known(1, progress=Progress.GRADED)], SignalKind.COMPLETED) == [1]


def test_a_review_is_of_what_is_completed() -> None:
    invites = [known(1, application=1, progress=Progress.GRADED), known(2, application=2, progress=Progress.COMPLETED)]
    assert matched(invites, SignalKind.REVIEWED) == [2]
    assert matched([invites[0]], SignalKind.REVIEWED) == [1]


def test_an_interview_matches_no_invite() -> None:
    assert isinstance(matched([known(1)], SignalKind.INTERVIEW_COMPLETED), str)


@pytest.mark.parametrize(
    ("kind", "knew", "expected"),
    [
        (SignalKind.STARTED, False, True),
        (SignalKind.STARTED, True, True),
        (SignalKind.COMPLETED, False, True),
        (SignalKind.COMPLETED, True, False),  # perhaps the attempt that was there before
        (SignalKind.REVIEWED, False, False),
    ],
)
def test_which_signals_show_that_the_invite_arrived(kind: SignalKind, knew: bool, expected: bool) -> None:
    assert is_evidence(kind, known(1, knew_attempts=knew)) is expected


# -- before an invite


def stands(
    earlier: list[KnownInvite] | None = None,
    of_person: list[KnownInvite] | None = None,
    reinvite: Reinvite = Reinvite.NEVER,
    policy: OnCollision = OnCollision.ALL_OPEN,
) -> Precedence:
    return precedence(
        UUID(int=50),
        ApplicationId(1),
        earlier=earlier or [],
        of_person=of_person or [],
        reinvite=reinvite,
        on_collision=policy,
    )


def test_with_nothing_known_it_goes() -> None:
    assert stands() == Go()


@pytest.mark.parametrize("state", [State.DONE, State.UNKNOWN, State.IN_DOUBT, State.ATTEMPTING])
def test_never_means_never_also_when_the_earlier_one_is_in_doubt(state: State) -> None:
    assert isinstance(stands([known(1, state=state)]), InvitedBefore)


def test_an_invite_given_up_that_may_be_out_keeps_a_later_visit_from_another() -> None:
    given_up = known(1, state=State.SUPERSEDED, attempt=1, doubted=True)
    assert isinstance(stands([given_up]), InvitedBefore)
    assert stands([given_up], reinvite=Reinvite.ALWAYS) == Go()
    assert stands([known(1, state=State.SUPERSEDED, attempt=0, doubted=False)]) == Go()


def test_an_earlier_invite_that_never_left_does_not_count() -> None:
    assert stands([known(1, state=State.SUPERSEDED, attempt=0)]) == Go()


def test_if_not_started_asks_whether_any_was_begun() -> None:
    begun = known(1, progress=Progress.STARTED)
    assert stands([known(1)], reinvite=Reinvite.IF_NOT_STARTED) == Go()
    assert isinstance(stands([begun, known(2)], reinvite=Reinvite.IF_NOT_STARTED), InvitedBefore)
    assert stands([begun], reinvite=Reinvite.ALWAYS) == Go()


def test_an_invite_just_leaving_for_the_same_application_is_waited_for() -> None:
    leaving = known(1, state=State.WAITING, attempt=0, leaving=True)
    assert stands([leaving]) == Leaving()
    assert stands([replace(leaving, leaving=False)]) == Go()
    assert stands([replace(leaving, command_id=UUID(int=50))]) == Go()


@pytest.mark.parametrize(
    ("policy", "kind"), [(OnCollision.ALL_OPEN, WaitsFor), (OnCollision.HOLD, Collides), (OnCollision.NEWEST, Go)]
)
@pytest.mark.parametrize(
    "rival",
    [
        known(1, application=2),
        known(1, application=2, state=State.IN_DOUBT),
        known(1, application=2, state=State.WAITING, attempt=0, leaving=True),
    ],
)
def test_an_open_invite_of_the_same_person_stands_in_the_way(
    policy: OnCollision, kind: type, rival: KnownInvite
) -> None:
    assert isinstance(stands(of_person=[rival], policy=policy), kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"progress": Progress.GRADED},
        {"state": State.SUPERSEDED, "attempt": 0},
        {"state": State.WAITING, "attempt": 0},
        {"follows": UUID(int=3)},
    ],
)
def test_what_is_done_or_never_left_does_not(changes: dict[str, Any]) -> None:
    assert stands(of_person=[known(1, application=2, **changes)]) == Go()


def test_an_invite_never_stands_in_its_own_way() -> None:
    own = known(50)
    assert stands([own]) == Go()
    assert stands(of_person=[own]) == Go()


def test_what_stands_in_the_way_is_the_newest_of_the_earlier_and_the_oldest_of_the_rivals() -> None:
    earlier = [known(2, minutes=5), known(3, minutes=9), known(1)]
    assert stands(earlier) == InvitedBefore(
        earlier=earlier[1], reason="was invited to this assessment in an earlier visit"
    )
    rivals = [known(2, application=2, minutes=5), known(1, application=3), known(3, application=4, minutes=9)]
    assert stands(of_person=rivals) == WaitsFor(rival=rivals[1])
    assert stands(of_person=rivals, policy=OnCollision.HOLD) == Collides(rival=rivals[1])


def test_begun_before_names_the_newest_and_says_so() -> None:
    earlier = [known(1, progress=Progress.STARTED), known(2, minutes=5)]
    assert stands(earlier, reinvite=Reinvite.IF_NOT_STARTED) == InvitedBefore(
        earlier=earlier[1], reason="began this assessment in an earlier visit"
    )


def test_one_that_waits_for_another_is_not_leaving() -> None:
    waiting = known(1, state=State.WAITING, attempt=0, leaving=True, follows=UUID(int=8))
    assert stands([waiting]) == Go()
    assert stands([replace(waiting, follows=None, state=State.PARKED)]) == Go()
    assert stands([replace(waiting, follows=None)], reinvite=Reinvite.ALWAYS) == Go()


# -- whose attempts


def test_a_later_visits_invite_ends_the_window_of_an_earlier_one() -> None:
    first, second = known(1), known(2, minutes=5)
    assert successor(first.command_id, [first, second], OnCollision.ALL_OPEN) == second
    assert successor(second.command_id, [first, second], OnCollision.ALL_OPEN) is None


def test_only_a_later_invite_that_may_be_out_ends_the_window_and_the_first_of_them() -> None:
    first, third, second = known(1), known(3, minutes=9), known(2, minutes=5)
    assert successor(first.command_id, [first, third, second], OnCollision.ALL_OPEN) == second
    unsent = replace(second, state=State.WAITING, attempt=0)
    assert successor(first.command_id, [first, third, unsent], OnCollision.ALL_OPEN) == third
    assert successor(UUID(int=7), [first, second], OnCollision.ALL_OPEN) is None


@pytest.mark.parametrize("progress", list(Progress))
def test_the_window_ends_with_another_application_once_the_result_is_there(progress: Progress) -> None:
    first, other = known(1, progress=progress), known(2, application=2, minutes=5)
    has_result = progress in (Progress.GRADED, Progress.REVIEWED)
    assert (successor(first.command_id, [first, other], OnCollision.ALL_OPEN) == other) is has_result


def test_another_applications_invite_ends_it_once_the_result_is_there_or_by_rule() -> None:
    first, other = known(1), known(2, application=2, minutes=5)
    assert successor(first.command_id, [first, other], OnCollision.ALL_OPEN) is None
    assert successor(first.command_id, [first, other], OnCollision.NEWEST) == other
    graded = replace(first, progress=Progress.GRADED)
    assert successor(first.command_id, [graded, other], OnCollision.ALL_OPEN) == other


def test_only_the_hold_rule_holds_and_only_while_two_are_open() -> None:
    pair = [known(1), known(2, application=2)]
    assert must_hold(pair[0].command_id, pair, OnCollision.HOLD)
    assert not must_hold(pair[0].command_id, pair, OnCollision.ALL_OPEN)
    assert not must_hold(pair[0].command_id, pair[:1], OnCollision.HOLD)
    assert not must_hold(UUID(int=9), pair, OnCollision.HOLD), "the result is of neither of them"
    three = [*pair, known(3, application=3, progress=Progress.GRADED)]
    assert not must_hold(UUID(int=3), three, OnCollision.HOLD), "its own has its result already"
