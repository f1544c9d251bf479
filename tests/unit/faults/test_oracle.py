"""The oracle finds each kind of violation in a made-up account, and none where there is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from faults.oracle import check, count, unfinished
from faults.seen import Act, Seen
from tests.unit.faults.made_up import (
    APPLICATION,
    EMAIL,
    ONSITE,
    T0,
    USER,
    WATCHED,
    Json,
    at,
    command,
    delivery,
    invite,
    move,
    note,
    stage_change,
    step,
)

STORY = [
    step("fact", "entered stage Coding Assessment", stage_id=WATCHED),
    *command("invite", "i"),
    step("fact", "result of a (version 1): score 82"),
    *command("note", "n"),
    *command("move", "m"),
]


@pytest.fixture
def whole() -> Seen:
    completed = {"operation": "assessment_completed", "email": EMAIL}
    return Seen(
        account="one",
        watched_stage=WATCHED,
        service_user=USER,
        people={EMAIL: APPLICATION},
        acts=[Act(T0, APPLICATION, out=False)],
        deliveries=[stage_change(), stage_change(), delivery("coderbyte", "assessment_completed", completed)],
        effects={"invites": [invite()], "notes": [note()], "moves": [move(0), move(21, "api", ONSITE)]},
        stories={APPLICATION: STORY},
    )


def promises(seen: Seen) -> list[str]:
    return [violation.promise for violation in check(seen)]


def with_effects(seen: Seen, **more: Any) -> Seen:
    return replace(seen, effects={**seen.effects, **more})


def without(seen: Seen, text: str) -> Seen:
    return replace(seen, stories={APPLICATION: [one for one in STORY if not one["text"].startswith(text)]})


def test_a_whole_life_holds_every_promise_and_is_counted(whole: Seen) -> None:
    assert check(whole) == []
    counts = count(whole)
    assert (counts.deliveries, counts.effects, counts.held, counts.parked) == (3, 3, 0, 0)


def test_two_invites_for_one_visit_are_doubled_and_for_two_visits_are_not(whole: Seen) -> None:
    twice = with_effects(whole, invites=[invite(2), invite(5)])
    assert promises(twice) == ["P1"]
    assert check(twice)[0].kind == "doubled"
    again = with_effects(whole, invites=[invite(2), invite(50)], moves=[*whole.effects["moves"], move(45)])
    assert promises(again) == []


def test_an_invite_before_the_settle_time_is_over_is_found(whole: Seen) -> None:
    assert promises(replace(whole, settle=timedelta(seconds=2))) == []
    assert promises(replace(whole, settle=timedelta(seconds=2.1))) == ["P1"]


def test_an_invite_of_somebody_who_never_entered_is_found(whole: Seen) -> None:
    assert "P1" in promises(with_effects(whole, moves=[]))


def test_two_notes_with_one_reference_are_doubled(whole: Seen) -> None:
    assert promises(with_effects(whole, notes=[note(), note(25)])) == ["P3"]
    assert promises(with_effects(whole, notes=[note(), note(25, "tr-2")])) == []


def test_a_note_without_a_reference_is_found(whole: Seen) -> None:
    assert promises(with_effects(whole, notes=[{**note(), "body": "82 of 100"}])) == ["P3"]


def test_two_moves_in_a_row_are_doubled(whole: Seen) -> None:
    moves = [move(0), move(21, "api", ONSITE), move(22, "api", 50)]
    assert set(promises(with_effects(whole, moves=moves))) == {"P3"}


def test_a_move_that_no_command_asked_for_is_found(whole: Seen) -> None:
    moves = [move(0), move(21, "api", ONSITE), move(22), move(23, "api", ONSITE)]
    assert promises(with_effects(whole, moves=moves)) == ["P3"]


@pytest.mark.parametrize(("seconds", "found"), [(30.0, []), (30.1, ["P4"])])
def test_an_effect_is_forgiven_until_ten_seconds_after_a_person_took_it_away(
    whole: Seen, seconds: float, found: list[str]
) -> None:
    acts = [*whole.acts, Act(T0 + timedelta(seconds=20), APPLICATION, out=True)]
    effects = {**whole.effects, "notes": [note(seconds)], "moves": [move(0), move(20, to=ONSITE)]}
    seen = replace(whole, acts=acts, effects=effects)
    assert promises(seen) == found
    assert promises(replace(seen, delays={"note": timedelta(seconds=6)})) == []


def test_whoever_was_brought_back_is_not_taken_away(whole: Seen) -> None:
    acts = [Act(T0 - timedelta(seconds=60), APPLICATION, out=True), *whole.acts]
    assert promises(replace(whole, acts=acts)) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [("entered", "candidate_stage_change into stage 30"), ("result of", "a completed assessment")],
)
def test_what_was_accepted_and_is_not_told_is_lost(whole: Seen, text: str, words: str) -> None:
    (violation,) = check(without(whole, text))
    assert (violation.promise, violation.kind) == ("P2", "lost")
    assert words in violation.text


def test_what_was_not_accepted_may_be_missing(whole: Seen) -> None:
    turned_away = replace(without(whole, "entered"), deliveries=[stage_change(status=503, retry_after="60")])
    assert promises(turned_away) == []
    assert (count(turned_away).deliveries, count(turned_away).turned_away) == (0, 1)


@pytest.mark.parametrize("status", [503, 500, 401])
def test_a_vendors_own_webhook_is_taken_or_turned_away_until_later(whole: Seen, status: int) -> None:
    answered = replace(whole, deliveries=[*whole.deliveries, stage_change(status=status)])
    assert promises(answered) == ["P2"]


def test_what_could_not_be_handled_is_not_lost_if_a_list_shows_it(whole: Seen) -> None:
    assert promises(replace(without(whole, "entered"), dead=frozenset({APPLICATION}))) == []
    assert promises(replace(without(whole, "result of"), dead_signals=1)) == []
    assert promises(replace(whole, untaken=1)) == ["P5"]
    assert unfinished(replace(whole, untaken=1)), "and it is waited for"


def test_a_late_entry_that_was_noted_is_told(whole: Seen) -> None:
    noted = step("fact", "application.stage_changed: late: older than what is known")
    story = [noted, *(one for one in STORY if not one["text"].startswith("entered"))]
    assert promises(replace(whole, stories={APPLICATION: story})) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("adopted as it is (rejected, in stage Coding Assessment); it triggers nothing", []),
        ("adopted as it is (active, in stage Coding Assessment); it triggers nothing", ["P2"]),
        ("the application is rejected", []),
    ],
)
def test_a_rejection_is_told_also_where_it_is_the_first_that_was_heard(
    whole: Seen, text: str, found: list[str]
) -> None:
    rejected = delivery("greenhouse", "reject_candidate", {"payload": {"application": {"id": APPLICATION}}})
    story = [step("fact", text), *STORY]
    assert promises(replace(whole, deliveries=[rejected], stories={APPLICATION: story})) == found


def test_an_entry_that_asked_for_no_invite_is_lost(whole: Seen) -> None:
    entered = replace(
        with_effects(whole, invites=[], notes=[], moves=[move(0)]),
        stories={APPLICATION: STORY[:1]},
        deliveries=[stage_change()],
    )
    assert [violation.kind for violation in unfinished(entered)] == ["lost"]
    gone = Act(T0 + timedelta(seconds=1), APPLICATION, out=True)
    left = replace(entered, acts=[*entered.acts, gone])
    assert unfinished(left) == []
    regretted = replace(left, acts=[*left.acts, Act(T0 + timedelta(seconds=2), APPLICATION, out=False)])
    assert [violation.kind for violation in unfinished(regretted)] == ["lost"]


def test_an_entry_that_no_webhook_told_is_found_or_offered(whole: Seen) -> None:
    missed = replace(
        with_effects(whole, invites=[], notes=[], moves=[move(0)]), stories={APPLICATION: []}, deliveries=[]
    )
    assert [(one.promise, one.kind) for one in unfinished(missed)] == [("P6", "lost")]
    found = replace(missed, stories={APPLICATION: command("invite", "i")})
    assert unfinished(found) == []
    offered = replace(missed, stories={APPLICATION: [step("decision", "found", offered=True, outcome="waiting")]})
    assert unfinished(offered) == []
    gone = replace(missed, acts=[*missed.acts, Act(T0 + timedelta(seconds=1), APPLICATION, out=True)])
    assert unfinished(gone) == []


@pytest.mark.parametrize(
    ("outcome", "more", "found"),
    [
        ("refused", {}, []),
        ("superseded", {}, []),
        ("parked", {"reason": "why"}, []),
        ("parked", {}, ["P5"]),
        ("waiting", {}, ["P5"]),
        ("waiting", {"until": at(60)}, ["P5"]),
    ],
)
def test_a_command_ends_or_is_parked_with_a_reason(whole: Seen, outcome: str, more: Json, found: list[str]) -> None:
    story = [*STORY, *command("note", "x", outcome, **more)]
    assert promises(replace(whole, stories={APPLICATION: story})) == found


def test_a_command_without_an_outcome_is_lost(whole: Seen) -> None:
    story = [*STORY, command("note", "x")[0]]
    assert [violation.kind for violation in unfinished(replace(whole, stories={APPLICATION: story}))] == ["lost"]


def test_an_invite_in_doubt_is_held_and_no_violation(whole: Seen) -> None:
    story = [*STORY[:1], *command("invite", "i", "parked", state="in_doubt", reason="cannot tell")]
    seen = replace(whole, stories={APPLICATION: story}, deliveries=[stage_change()])
    assert promises(with_effects(seen, notes=[], moves=[move(0)])) == []
    assert count(seen).held == 1


def test_an_open_reading_is_unfinished(whole: Seen) -> None:
    story = [*STORY, step("decision", "is to be read", reading=True, outcome="waiting")]
    assert promises(replace(whole, stories={APPLICATION: story})) == ["P5"]


def test_a_story_that_is_decided_otherwise_the_second_time_is_found(whole: Seen) -> None:
    assert promises(replace(whole, redecided={APPLICATION: 0})) == []
    assert promises(replace(whole, redecided={APPLICATION: 1})) == ["P9"]


def test_another_accounts_people_are_found(whole: Seen) -> None:
    assert promises(with_effects(whole, invites=[invite(), invite(email="bo@two.example")])) == ["P7"]
    assert "P7" in promises(with_effects(whole, notes=[note(), {**note(25, "tr-2"), "user_id": 6}]))
    foreign = {**move(30, "api", ONSITE), "application_id": 8}
    assert "P7" in promises(with_effects(whole, moves=[*whole.effects["moves"], foreign]))
