"""What a report says: every tolerance of the Coderbyte fact sheet, section 3.4, by example."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trellis.assessments.domain.options import Options, PickAttempt, TimeUnit
from trellis.assessments.domain.results import (
    AttemptStatus,
    Report,
    Result,
    as_flag,
    as_number,
    as_text,
    as_time,
    of_application,
    parse_report,
    pick_attempt,
    read_integrity,
    since_invite,
    to_result,
    visibly_differs,
)
from trellis.common.contracts.outcomes import Integrity

DATA = Path(__file__).parents[2] / "data" / "coderbyte"
OPTIONS = Options()


def full(**changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((DATA / "report.json").read_text())["data"]["reports"][0]
    return raw | changes


def result_of(raw: dict[str, Any], options: Options = OPTIONS) -> Result:
    return to_result(parse_report(raw), options, attempt_count=1, time_expired=None)


def test_the_recorded_report_is_read_whole() -> None:
    assert result_of(full()) == Result(
        score=82.0,
        code_score=80.0,
        mc_score=88.0,
        qualified=True,
        qualifying_score=70.0,
        integrity=Integrity.NONE,
        time_expired=False,
        minutes_taken=52,
        assessment_name="Backend Engineer Screen",
    )


def test_an_empty_report_is_unknown_in_everything_and_zero_in_nothing() -> None:
    assert result_of({}) == Result()
    assert not parse_report({}).is_ready


@pytest.mark.parametrize("name", ["final_score", "code_score", "mc_score", "qualifying_score"])
@pytest.mark.parametrize("value", [None, "", "n/a", [], {}, True, "NaN", "inf", -1])
def test_a_score_that_is_no_number_is_unknown(name: str, value: object) -> None:
    field = {"final_score": "score"}.get(name, name)
    assert getattr(result_of(full(**{name: value})), field) is None


@pytest.mark.parametrize(("value", "expected"), [(0, 0.0), (82, 82.0), (82.5, 82.5), ("82", 82.0), (" 82.5 ", 82.5)])
def test_a_score_comes_as_integer_decimal_or_text(value: object, expected: float) -> None:
    assert result_of(full(final_score=value)).score == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        ("", None),
        ("perhaps", None),
        (1, True),
    ],
)
def test_qualified_null_is_unknown_and_not_failed(value: object, expected: bool | None) -> None:
    assert result_of(full(qualified=value)).qualified is expected


@pytest.mark.parametrize(
    ("ready", "final", "status", "expected"),
    [
        (True, 80, "Submitted", True),
        (False, 80, "Submitted", False),
        (True, None, "Submitted", True),  # ready, and its score simply unknown
        (None, 80, "Submitted", True),  # no such field: a final score says so
        (None, None, "Submitted", False),
        ("true", None, "Submitted", True),
        ("false", 80, "Submitted", False),
        (True, None, "In progress", False),
        (None, None, "In progress", False),
        (True, None, "a word nobody knows", True),
    ],
)
def test_when_a_report_can_be_used(ready: object, final: object, status: str, expected: bool) -> None:
    raw = full(report_ready=ready, final_score=final, status=status)
    if ready is None:
        del raw["report_ready"]
    assert parse_report(raw).is_ready is expected


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Invited", AttemptStatus.UNDERWAY),
        ("IN PROGRESS", AttemptStatus.UNDERWAY),
        ("in_progress", AttemptStatus.UNDERWAY),
        ("submitted", AttemptStatus.FINISHED),
        ("Time expired", AttemptStatus.TIME_EXPIRED),
        ("time-expired", AttemptStatus.TIME_EXPIRED),
        (None, AttemptStatus.UNKNOWN),
        ("Abgegeben", AttemptStatus.UNKNOWN),
    ],
)
def test_status_words_are_read_in_any_case(text: str | None, status: AttemptStatus) -> None:
    assert parse_report({"status": text}).status is status


@pytest.mark.parametrize("value", [[], {}, None, {"q": "https://x.example"}, "text", 3])
@pytest.mark.parametrize(
    "name",
    ["video_responses", "scorecard", "admin_notes", "challenge_details", "mc_details", "oe_details", "workspaces"],
)
def test_fields_of_two_forms_do_not_disturb_the_result(name: str, value: object) -> None:
    assert result_of(full(**{name: value})) == result_of(full())


@pytest.mark.parametrize(
    ("flag", "details", "expected"),
    [
        ("Not detected", None, Integrity.NONE),
        ("not detected", {"ai_usage": True}, Integrity.NONE),
        ("Likely", None, Integrity.SUSPECTED),
        ("Light copying", None, Integrity.SUSPECTED),
        ("Detected", None, Integrity.DETECTED),
        ("DETECTED", None, Integrity.DETECTED),
        (None, None, Integrity.UNKNOWN),
        ("", {}, Integrity.UNKNOWN),
        (None, [], Integrity.UNKNOWN),
        ("a new word", {"plagiarism": "Detected"}, Integrity.DETECTED),
        (None, {"pasted_code": "Likely"}, Integrity.SUSPECTED),
        (None, {"suspicious_activity": True}, Integrity.SUSPECTED),
        (None, {"ai_usage": "true"}, Integrity.SUSPECTED),
        (None, {"plagiarism": "Not detected", "ai_usage": False}, Integrity.UNKNOWN),
        (7, {"tab_leaving": 40}, Integrity.UNKNOWN),
    ],
)
def test_cheating_words_become_integrity(flag: object, details: object, expected: Integrity) -> None:
    assert read_integrity(flag, details) is expected


def test_scale_and_unit_are_settings() -> None:
    options = Options(score_scale=10.0, time_unit=TimeUnit.SECONDS)
    result = result_of(full(final_score=8.2, qualifying_score=7, time_taken="3120"), options)
    assert (result.score, result.qualifying_score, result.minutes_taken) == (82.0, 70.0, 52)


def test_what_the_webhook_said_of_the_clock_wins_over_the_status() -> None:
    report = parse_report(full(status="Submitted"))
    assert to_result(report, OPTIONS, attempt_count=1, time_expired=True).time_expired is True
    assert to_result(report, OPTIONS, attempt_count=1, time_expired=None).time_expired is False
    unknown = parse_report(full(status=None))
    assert to_result(unknown, OPTIONS, attempt_count=1, time_expired=None).time_expired is None


# -- attempts


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


# -- changes


@pytest.mark.parametrize(
    ("change", "visible"),
    [
        ({"score": 83.0}, True),
        ({"score": None}, True),
        ({"code_score": 1.0}, True),
        ({"mc_score": 1.0}, True),
        ({"qualified": None}, True),
        ({"qualifying_score": 60.0}, True),
        ({"integrity": Integrity.DETECTED}, True),
        ({"minutes_taken": 53}, False),
        ({"attempt_count": 2}, False),
        ({"assessment_name": "renamed"}, False),
        ({}, False),
    ],
)
def test_only_a_visible_change_makes_a_new_version(change: dict[str, Any], visible: bool) -> None:
    before = result_of(full())
    assert visibly_differs(before, replace(before, **change)) is visible


# -- forms


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), ("1e2", 100.0), (True, None), ("x", None), (None, None), (float("nan"), None), ({}, None)],
)
def test_numbers(value: object, expected: float | None) -> None:
    assert as_number(value) == expected


@pytest.mark.parametrize(("value", "expected"), [("0", False), (0, False), (2, None), ("yes", None), (None, None)])
def test_truths(value: object, expected: bool | None) -> None:
    assert as_flag(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"), [(" a ", "a"), ("  ", None), (7, "7"), (True, None), (None, None), ([], None)]
)
def test_texts(value: object, expected: str | None) -> None:
    assert as_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-04T16:20:11.000Z", datetime(2026, 3, 4, 16, 20, 11, tzinfo=UTC)),
        ("2026-03-04 16:20:11", datetime(2026, 3, 4, 16, 20, 11, tzinfo=UTC)),
        ("4 March", None),
        (1767225600, None),
        (None, None),
    ],
)
def test_times(value: object, expected: datetime | None) -> None:
    assert as_time(value) == expected


# -- word by word


@pytest.mark.parametrize(
    ("flag", "integrity"),
    [
        ("", Integrity.UNKNOWN),
        ("None", Integrity.NONE),
        ("clean", Integrity.NONE),
        ("no signs", Integrity.NONE),
        ("not detected", Integrity.NONE),
        ("suspected", Integrity.SUSPECTED),
        ("possible", Integrity.SUSPECTED),
        ("likely", Integrity.SUSPECTED),
        ("light copying", Integrity.SUSPECTED),
        ("copying", Integrity.DETECTED),
        ("detected", Integrity.DETECTED),
        ("nobody knows", Integrity.UNKNOWN),
    ],
)
def test_each_word_of_the_vendors_has_one_meaning(flag: str, integrity: Integrity) -> None:
    assert read_integrity(flag, None) is integrity


def test_the_details_are_asked_where_the_flag_says_nothing() -> None:
    assert parse_report({"cheating_details": {"plagiarism": "detected"}}).integrity is Integrity.DETECTED


@pytest.mark.parametrize(
    ("raw", "ready", "finished"),
    [
        ({}, False, False),
        ({"final_score": 1}, True, True),
        ({"final_score": 1, "report_ready": False}, False, False),
        ({"report_ready": True}, True, True),
        ({"status": "in progress", "report_ready": True}, False, False),
        ({"status": "in progress", "final_score": 1}, True, True),
        ({"status": "submitted"}, False, True),
        ({"status": "time_expired"}, False, True),
        ({"status": "Time-Expired", "final_score": 1}, True, True),
        ({"status": "invited"}, False, False),
    ],
)
def test_a_report_is_ready_and_its_attempt_finished(raw: dict[str, Any], ready: bool, finished: bool) -> None:
    report = parse_report(raw)
    assert (report.is_ready, report.is_finished) == (ready, finished)


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


@pytest.mark.parametrize(
    ("taken", "unit", "minutes"),
    [
        (0, TimeUnit.MINUTES, 0),
        (90, TimeUnit.SECONDS, 2),
        (366 * 24 * 60, TimeUnit.MINUTES, 366 * 24 * 60),
        (366 * 24 * 60 + 1, TimeUnit.MINUTES, None),
        (1e308, TimeUnit.MINUTES, None),
        (-1, TimeUnit.MINUTES, None),
        (None, TimeUnit.SECONDS, None),
    ],
)
def test_time_taken_is_minutes_up_to_a_year(taken: object, unit: TimeUnit, minutes: int | None) -> None:
    assert result_of({"time_taken": taken}, Options(time_unit=unit)).minutes_taken == minutes


def test_a_score_has_four_places_and_an_absurd_one_is_unknown() -> None:
    assert result_of({"final_score": 2}, Options(score_scale=3.0)).score == 66.6667
    assert result_of({"final_score": 1e308}, Options(score_scale=0.001)).score is None


@pytest.mark.parametrize(
    ("status", "told", "expired"),
    [
        ("time expired", None, True),
        ("submitted", None, False),
        ("in progress", None, None),
        ("time expired", False, False),
        ("submitted", True, True),
    ],
)
def test_the_webhook_says_whether_the_clock_ended_it_or_else_the_status(
    status: str, told: bool | None, expired: bool | None
) -> None:
    result = to_result(parse_report({"status": status}), OPTIONS, attempt_count=3, time_expired=told)
    assert (result.time_expired, result.attempt_count) == (expired, 3)


def test_the_best_is_the_highest_score_and_no_score_is_the_lowest() -> None:
    none, low, high = (parse_report({"report_ready": True, "final_score": score}) for score in (None, 0.5, 3))
    assert pick_attempt([high, low, none], PickAttempt.BEST) is high
    assert pick_attempt([low, none], PickAttempt.BEST) is low


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        ("1", True),
        ("0", False),
        (" TRUE ", True),
        ("false", False),
        (1, True),
        (0, False),
        (2, None),
        (1.0, None),
        ("", None),
    ],
)
def test_a_truth_has_several_forms(value: object, flag: bool | None) -> None:
    assert as_flag(value) is flag


@pytest.mark.parametrize("value", [None, "", 20260304, "soon", True])
def test_what_is_no_text_of_a_time_is_none(value: object) -> None:
    assert as_time(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" a ", "a"),
        ("", None),
        (7, "7"),
        (True, None),
        (None, None),
        ("a\ud800\x00b", "a\ufffd\ufffdb"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_text_is_what_can_be_encoded_and_stored(value: object, text: str | None) -> None:
    assert as_text(value) == text


def test_a_report_with_halves_of_signs_can_be_told() -> None:
    raw = dict.fromkeys(("report_link", "username", "test_id", "display_name", "internal_id", "email"), "�")
    report = parse_report(raw)
    assert all(
        text.encode()
        for text in (*report.keys, report.link or "", report.assessment_name or "", report.internal_id or "")
    )
