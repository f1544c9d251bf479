"""Rows of Harvest v3: lenient about what is added or missing, strict about what they mean."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.adapters import v3_rows
from trellis.greenhouse_actions.adapters.headers import retry_after
from trellis.greenhouse_actions.adapters.rows import words_of

STAGE_ROW = {"id": 1, "application_id": 2, "job_interview_stage_id": 3, "entered_at": "2026-11-20T08:31:07.552Z"}


@pytest.mark.parametrize(
    ("change", "is_current"),
    [
        ({"current": True}, True),
        ({"current": False}, False),
        ({}, False),
        ({"current": True, "job_interview_stage_id": None}, False),
    ],
)
def test_only_a_row_that_says_so_and_names_a_stage_is_the_present_visit(
    change: dict[str, Any], is_current: bool
) -> None:
    (row,) = v3_rows.rows_of(v3_rows.ApplicationStageRow, json.dumps([STAGE_ROW | change]).encode())
    view = row.view()
    assert (view is not None and view.current) is is_current


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("in_process", ApplicationStatus.ACTIVE),
        ("active", ApplicationStatus.ACTIVE),
        ("rejected ", ApplicationStatus.REJECTED),
        ("paused", ApplicationStatus.UNKNOWN),
        (None, ApplicationStatus.UNKNOWN),
    ],
)
def test_status_words(word: str | None, status: ApplicationStatus) -> None:
    body = json.dumps([{"id": 1, "candidate_id": 2, "status": word, "new_field": [1]}]).encode()
    (row,) = v3_rows.rows_of(v3_rows.ApplicationRow, body)
    assert row.view().status is status


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'[{"id": 1}', b'[{"id": "x", "candidate_id": "jane@mail.example"}]']
)
def test_what_is_no_list_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(TransientError) as caught:
        v3_rows.rows_of(v3_rows.ApplicationRow, body)
    assert "jane" not in str(caught.value) and "html" not in str(caught.value)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ("Application not found", "Application not found"),
        (["a", "b"], "a; b"),
        ([{"per_page": "is too big"}], "per_page is too big"),
    ],
)
def test_the_three_shapes_of_errors_are_read(errors: Any, words: str) -> None:
    assert words_of(json.dumps({"message": "m", "errors": errors}).encode()) == words
    assert words_of(b"<html>") == ""
    assert words_of(b"[" * 100_000) == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("9" * 5000, 3600),
        ("Mon, 01 Jan 9999 00:00:00 GMT", 3600),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
        ("Mon, 01 Jan 9999999999999999999999 00:00:00 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_wait_is_read_from_any_header_or_there_is_none(text: str, seconds: int | None) -> None:
    wait = retry_after({"Retry-After": text})
    assert wait == (None if seconds is None else timedelta(seconds=seconds))
