"""The oracle finds where recruiters see something else than how an application stands, or the same written twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from faults.oracle_of_standings import shown, shown_once
from faults.seen import Act, Erased, Seen
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
    invite,
    move,
    stage_change,
    step,
)

SENT, FINISHED = "Assessment sent", "Assessment finished"


def write(value: str, seconds: float = 5.0, key: str = "trellis_standing") -> Json:
    return {"application_id": APPLICATION, "key": key, "value": value, "at": at(seconds)}


def story(outcome: str = "done", *more: Json) -> list[Json]:
    entered = step("fact", "entered stage Coding Assessment", stage_id=WATCHED, visit="v", version=1)
    return [entered, *command("invite", "i", outcome, visit="v", version=2), *more]


def standing(*fields: Json, stage: int = WATCHED, status: str = "active", **more: Any) -> Seen:
    seen = Seen(
        account="one",
        watched_stage=WATCHED,
        service_user=USER,
        people={EMAIL: APPLICATION},
        acts=[Act(T0, APPLICATION, out=False)],
        deliveries=[stage_change()],
        effects={"invites": [invite()], "notes": [], "moves": [move(0)], "fields": list(fields)},
        stories={APPLICATION: story()},
        standings={APPLICATION: (status, stage)},
    )
    return replace(seen, **more)


def holds(seen: Seen) -> bool:
    violations = list(shown(seen))
    assert all(violation.promise == "P5" for violation in violations)
    return not violations


def test_an_invite_is_shown_and_nothing_else_will_do() -> None:
    assert holds(standing(write(SENT)))
    assert holds(standing(write(SENT), write("Assessment started")))
    for wrong in ("", FINISHED, "Problem: the invite: refused"):
        assert not holds(standing(write(SENT), write(wrong)))
    assert not holds(standing())
    assert not holds(standing(write(SENT, key="another_field")))


@pytest.mark.parametrize(("status", "stage"), [("rejected", WATCHED), ("hired", WATCHED), ("active", ONSITE)])
def test_of_whoever_is_out_of_the_stage_nothing_is_shown_any_more(status: str, stage: int) -> None:
    assert holds(standing(write(SENT), write(""), status=status, stage=stage))
    assert holds(standing(status=status, stage=stage))
    assert not holds(standing(write(SENT), status=status, stage=stage))


@pytest.mark.parametrize("outcome", ["parked", "refused"])
def test_what_needs_a_person_is_shown_as_a_problem(outcome: str) -> None:
    assert holds(standing(write("Problem: the invite: why; remedy"), stories={APPLICATION: story(outcome)}))
    assert not holds(standing(write(SENT), stories={APPLICATION: story(outcome)}))


def test_a_result_is_shown_as_finished_or_as_waiting() -> None:
    stories = {APPLICATION: story("done", step("fact", "result of a (version 1): score 82", visit="v"))}
    assert holds(standing(write(FINISHED), stories=stories))
    assert holds(standing(write("Waiting for a person: rule hold"), stories=stories))
    assert not holds(standing(write(SENT), stories=stories))


def test_an_offered_entry_is_shown_as_waiting() -> None:
    entered, offer = story()[0], step("decision", "found", offered=True, outcome="waiting", visit="v")
    assert holds(standing(write("Waiting for a person: found late"), stories={APPLICATION: [entered, offer]}))
    assert not holds(standing(write(SENT), stories={APPLICATION: [entered, offer]}))


@pytest.mark.parametrize(
    "words", ["a person asked to excuse it from the test", "a person asked to withdraw the invite"]
)
def test_what_was_taken_back_by_hand_is_not_shown(words: str) -> None:
    taken = step("fact", words, visit="v", version=5)
    assert holds(standing(write(SENT), write(""), stories={APPLICATION: story("done", taken)}))
    assert not holds(standing(write(SENT), stories={APPLICATION: story("done", taken)}))
    refused = {**taken, "reason": "a result is there"}
    assert holds(standing(write(SENT), stories={APPLICATION: story("done", refused)}))


def test_of_a_person_erased_by_hand_nothing_is_shown() -> None:
    gone = {APPLICATION: Erased(at=T0, by_hand=True)}
    assert holds(standing(write(SENT), write(""), erased=gone))
    assert not holds(standing(write(SENT), erased=gone))


def test_an_equal_value_is_written_again_only_where_an_answer_may_have_been_lost() -> None:
    repeated = [write(SENT, seconds) for seconds in (1, 2, 3, 4, 5)]
    assert list(shown_once(standing(*repeated[:4]))) == []
    (violation,) = shown_once(standing(*repeated))
    assert (violation.promise, violation.kind) == ("P3", "doubled")
    changed = [write(SENT, 1), write("", 2), write(SENT, 3)]
    assert list(shown_once(standing(*changed, calm_since=T0))) == []
    twice = [write(SENT, 1), write(SENT, 2)]
    assert [one.kind for one in shown_once(standing(*twice, calm_since=T0))] == ["doubled"]
    assert list(shown_once(standing(*twice, calm_since=T0 + timedelta(seconds=1)))) == []
