"""What a report says: every tolerance of the Coderbyte fact sheet, section 3.4, by example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.assessments.reported import OPTIONS, full, result_of

from trellis.assessments.domain.options import Options, TimeUnit
from trellis.assessments.domain.results import (
    AttemptStatus,
    Result,
    parse_report,
    read_integrity,
    to_result,
    visibly_differs,
)
from trellis.common.contracts.outcomes import Integrity


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
