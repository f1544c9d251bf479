"""The forms in which a report gives numbers, truths, texts and times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trellis.assessments.domain.results import as_flag, as_number, as_text, as_time, parse_report


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
