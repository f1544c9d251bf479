"""Which attempts a report tells of, which are the invite's, and which of them counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.assessments.reported import full

from trellis.assessments.domain.options import PickAttempt
from trellis.assessments.domain.results import (
    AttemptStatus,
    Report,
    of_application,
    parse_report,
    pick_attempt,
    since_invite,
)


def test_an_attempt_is_known_by_link_else_user_else_address_and_time() -> None:
    raw = full()
    assert parse_report(raw).keys[0] == f"link:{raw['report_link']}"
    del raw["report_link"]
    assert parse_report(raw).keys[0] == f"user:{raw['username']}:{raw['test_id']}"
    del raw["username"]
    assert parse_report(raw).keys == (f"time:{raw['email']}:{raw['test_id']}:{raw['date_joined']}",)


def test_an_attempt_that_gains_its_link_later_is_still_the_same() -> None:
    before = parse_report(full(report_link=None, status="In progress"))
    assert since_invite([parse_report(full())], frozenset(before.keys)) == []


def test_attempts_from_before_the_invite_do_not_count() -> None:
    old, new = (
        parse_report(full()),
        parse_report(full(report_link="https://coderbyte.com/report/other:x", username="other", date_joined=None)),
    )
    assert since_invite([old, new], frozenset(old.keys)) == [new]


def attempt(link: str, joined: str | None, score: float | None, *, ready: bool = True) -> Report:
    return parse_report({"report_link": link, "date_joined": joined, "final_score": score, "report_ready": ready})


@pytest.mark.parametrize(
    ("policy", "expected"), [(PickAttempt.LATEST, "c"), (PickAttempt.FIRST, "a"), (PickAttempt.BEST, "b")]
)
@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_the_attempt_that_counts_does_not_depend_on_the_answers_order(
    policy: PickAttempt, expected: str, order: str
) -> None:
    known = {
        "a": attempt("a", "2026-03-01T10:00:00Z", 50),
        "b": attempt("b", "2026-03-02T10:00:00Z", 90),
        "c": attempt("c", "2026-03-03T10:00:00Z", 70),
    }
    assert pick_attempt([known[name] for name in order], policy) == known[expected]


def test_without_times_the_last_of_the_answer_is_the_latest() -> None:
    first, last = attempt("a", None, 50), attempt("b", "unreadable", 40)
    assert pick_attempt([first, last], PickAttempt.LATEST) == last
    assert pick_attempt([first, last], PickAttempt.FIRST) == first


def test_the_best_attempt_is_one_that_is_ready_and_has_a_score() -> None:
    grading, unknown, low = (
        attempt("a", "2026-03-01T10:00:00Z", 99, ready=False),
        attempt("b", "2026-03-02T10:00:00Z", None),
        attempt("c", "2026-03-03T10:00:00Z", 0),
    )
    assert pick_attempt([grading, unknown, low], PickAttempt.BEST) == low
    assert pick_attempt([grading], PickAttempt.BEST) == grading
    assert pick_attempt([], PickAttempt.BEST) is None


def test_with_internal_ids_another_applications_attempt_is_not_ours() -> None:
    ours, theirs, unmarked = (
        replace(attempt(k, None, 1), internal_id=i) for k, i in (("a", "1"), ("b", "2"), ("c", None))
    )
    assert of_application([ours, theirs, unmarked], "1") == [ours]
    assert of_application([theirs, unmarked], "1") == [unmarked]
    assert of_application([theirs], "1") == []
    assert of_application([ours, theirs, unmarked], None) == [ours, theirs, unmarked]


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        ({}, ("time:::",)),
        ({"email": "A@b.c"}, ("time:a@b.c::",)),
        ({"report_link": "l"}, ("link:l",)),
        ({"username": "u"}, ("user:u:",)),
        ({"username": "u", "test_id": "t", "report_link": "l"}, ("link:l", "user:u:t")),
        ({"date_joined": "d", "report_link": "l", "test_id": "t"}, ("link:l", "time::t:d")),
    ],
)
def test_an_attempt_is_known_by_all_that_names_it(raw: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert parse_report(raw).keys == keys


def test_ids_and_links_are_read_from_their_fields() -> None:
    report = parse_report({"internal_id": "ghapp_1", "report_link": "l"})
    assert (report.internal_id, report.link, report.status) == ("ghapp_1", "l", AttemptStatus.UNKNOWN)


def test_the_best_is_the_highest_score_and_no_score_is_the_lowest() -> None:
    none, low, high = (parse_report({"report_ready": True, "final_score": score}) for score in (None, 0.5, 3))
    assert pick_attempt([high, low, none], PickAttempt.BEST) is high
    assert pick_attempt([low, none], PickAttempt.BEST) is low
