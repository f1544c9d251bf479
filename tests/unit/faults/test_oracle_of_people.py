"""Orders given twice, erased people and a changed secret: the oracle finds where one of them was not honoured."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from faults.oracle import check, count, unfinished
from faults.oracle_of_people import MECHANISMS
from faults.seen import Act, Erased, Ordered, Seen
from tests.unit.faults.made_up import (
    APPLICATION,
    EMAIL,
    T0,
    USER,
    WATCHED,
    Json,
    command,
    delivery,
    invite,
    move,
    note,
    stage_change,
    step,
)

ASKED = {
    "send": "a person asked to send an invite",
    "withdraw": "a person asked to withdraw the invite",
    "excuse": "a person asked to excuse it from the test: no result is awaited or judged in this stage visit",
    "attach": "a person asked to attach an unmatched result: a",
}


def taken(word: str, version: int, refused: str = "") -> Json:
    text = ASKED[word] + (f"; nothing is done: {refused}" if refused else "")
    return step("fact", text, visit="v", version=version, reason=refused or None)


@pytest.fixture
def invited() -> Seen:
    """Somebody who was invited and stands in the stage."""
    return Seen(
        account="one",
        watched_stage=WATCHED,
        service_user=USER,
        people={EMAIL: APPLICATION},
        acts=[Act(T0, APPLICATION, out=False)],
        deliveries=[stage_change()],
        effects={"invites": [invite()], "notes": [], "moves": [move(0)]},
        stories={APPLICATION: story()},
    )


def story(*more: Json) -> list[Json]:
    entered = step("fact", "entered stage Coding Assessment", stage_id=WATCHED, visit="v", version=1)
    return [entered, *command("invite", "i", visit="v", version=2), *more]


def told(seen: Seen, *more: Json) -> Seen:
    return replace(seen, stories={APPLICATION: story(*more)})


def found(seen: Seen) -> list[tuple[str, str]]:
    return [(violation.promise, violation.kind) for violation in check(seen)]


@pytest.mark.parametrize("word", ASKED)
def test_an_order_given_twice_is_told_twice_and_carried_out_once(invited: Seen, word: str) -> None:
    ordered = replace(invited, orders=[Ordered(APPLICATION, word, 2)])
    once = told(ordered, taken(word, 5), taken(word, 6, "it was before"))
    assert found(once) == []
    assert count(once).exercised[f"{word}_by_hand"] == count(once).exercised["by_hand"] == 1
    assert found(told(ordered, taken(word, 5), taken(word, 6))) == [("P3", "doubled")]
    assert found(told(ordered, taken(word, 5))) == [("P2", "lost")]
    assert found(ordered) == [("P2", "lost")]


def test_an_order_to_send_need_not_wait_for_the_settle_time(invited: Seen) -> None:
    slow = replace(invited, settle=timedelta(seconds=5))
    assert found(slow) == [("P1", "")]
    ordered = replace(slow, orders=[Ordered(APPLICATION, "send", 1)])
    assert found(told(ordered, taken("send", 5))) == []


@pytest.mark.parametrize("word", ["withdraw", "excuse"])
@pytest.mark.parametrize("effect", ["note", "move"])
def test_what_was_taken_back_is_not_judged(invited: Seen, word: str, effect: str) -> None:
    def asked(version: int, visit: str = "v") -> list[Json]:
        return command(effect, "x", visit=visit, version=version)

    assert found(told(invited, taken(word, 5), *asked(6))) == [("P4", "")]
    assert found(told(invited, *asked(4), taken(word, 5))) == []
    assert found(told(invited, taken(word, 5, "a result is there"), *asked(6))) == []
    assert found(told(invited, taken(word, 5), *asked(6, visit="w"))) == []


def test_an_attached_result_comes(invited: Seen) -> None:
    attached = told(invited, taken("attach", 5), *command("attach", "x", visit="v", version=6))
    assert found(attached) == [("P2", "lost")]
    came = step("fact", "result of a (version 1): score 88", visit="v", version=7)
    assert found(told(attached, *attached.stories[APPLICATION][3:], came)) == []


def erased(seen: Seen, *kept: str, by_hand: bool = True, seconds: float = 10) -> Seen:
    one = Erased(at=T0 + timedelta(seconds=seconds), by_hand=by_hand, kept=kept)
    words = "the person was erased by hand: nothing" if by_hand else "the candidate was anonymised in Greenhouse"
    return replace(told(seen, step("fact", words, visit="v", version=9)), erased={APPLICATION: one})


@pytest.mark.parametrize("by_hand", [True, False])
def test_of_an_erased_person_nothing_is_kept_and_the_story_says_so(invited: Seen, by_hand: bool) -> None:
    gone = erased(invited, by_hand=by_hand)
    assert found(gone) == []
    assert count(gone).exercised["erased" if by_hand else "anonymised"] == 1
    kept = erased(invited, "a report", "the address in assessments.invite", by_hand=by_hand)
    assert found(kept) == [("P8", "")] * 2
    assert [violation.promise for violation in unfinished(kept)] == ["P8"] * 2
    assert count(kept).exercised["erased"] == count(kept).exercised["anonymised"] == 0
    assert found(replace(gone, stories=invited.stories)) == [("P2", "lost")]
    assert found(replace(gone, stories=invited.stories, dead=frozenset({APPLICATION}))) == []


@pytest.mark.parametrize(("seconds", "promises"), [(-8, []), (-8.1, ["P8"])])
def test_nobody_is_mailed_who_was_erased_longer_ago_than_a_reading_may_be_old(
    invited: Seen, seconds: float, promises: list[str]
) -> None:
    late = erased(invited, seconds=seconds)
    assert [violation.promise for violation in check(late)] == promises
    assert found(replace(late, delays={"invite": timedelta(seconds=6)})) == []


def test_what_an_erased_person_did_is_not_missed(invited: Seen) -> None:
    completed = delivery("coderbyte", "assessment_completed", {"email": EMAIL})
    submitted = replace(invited, deliveries=[*invited.deliveries, completed])
    assert found(submitted) == [("P2", "lost")]
    assert found(erased(submitted)) == []


def test_a_webhook_under_the_new_secret_is_taken_and_one_that_is_refused_is_lost(invited: Seen) -> None:
    assert count(invited).exercised["secrets_rotated"] == 0
    rotated = replace(invited, rotated_at=T0 - timedelta(seconds=1))
    assert count(rotated).exercised["secrets_rotated"] == 1
    assert count(replace(rotated, rotated_at=T0 + timedelta(seconds=1))).exercised["secrets_rotated"] == 0
    assert found(replace(rotated, deliveries=[*rotated.deliveries, stage_change(status=401)])) == [("P2", "")]


def test_a_run_that_came_by_nothing_says_so_by_zeros(invited: Seen) -> None:
    assert count(invited).exercised == dict.fromkeys(MECHANISMS, 0)


def test_what_was_missed_found_accepted_and_done_through_v1_is_counted(invited: Seen) -> None:
    dropped = {**stage_change(status=None), "state": "dropped"}
    by_reconciliation = step("fact", "entered stage Coding Assessment, told by reconciliation", visit="v", version=1)
    seen = replace(
        told(invited, by_reconciliation, step("decision", "found", offered=True, visit="v", version=2)),
        deliveries=[dropped, dropped, {**dropped, "vendor": "coderbyte"}],
        effects={**invited.effects, "notes": [note()], "moves": [move(0), move(20, "api")]},
        api_version="v1",
    )
    counts = count(seen).exercised
    names = ("webhooks_missed", "found_by_reconciliation", "offers_accepted", "effects_through_v1")
    assert [counts[name] for name in names] == [2, 1, 1, 2]
    assert count(replace(seen, api_version="v3")).exercised["effects_through_v1"] == 0
