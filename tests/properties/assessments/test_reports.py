"""Laws of reading reports and answers, for any JSON a vendor may send."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from trellis.assessments.domain.invites import (
    Answered,
    classify,
    parse_retry_after,
    scrub,
    success_data,
    vendor_words,
)
from trellis.assessments.domain.options import Options, PickAttempt
from trellis.assessments.domain.results import parse_report, pick_attempt, since_invite, to_result
from trellis.common.ledger.effects import Ambiguous, NotExecuted, Succeeded

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "coderbyte" / "report.json").read_text())[
    "data"
]["reports"][0]
SCORES = {
    "final_score": "score",
    "code_score": "code_score",
    "mc_score": "mc_score",
    "qualifying_score": "qualifying_score",
}
NOW = datetime(2026, 3, 4, tzinfo=UTC)

MOST_MINUTES = 60 * 24 * 366
WAITS = st.builds(
    "{}, {:02} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "x"]),
    st.integers(-1, 40),
    st.sampled_from(["Jan", "Feb", "x"]),
    st.integers(-1, 10**20),
    *[st.integers(-1, 70)] * 3,
    st.sampled_from(["GMT", "+0000", "-2359", "+9999", "x"]) | st.integers().map("{:+05}".format),
)


def _dumped(value: Any) -> bytes:
    return json.dumps({"status": "success", "data": value, "message": value}).encode()


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sets(st.sampled_from(sorted(RECORDED))))
def test_any_set_of_fields_may_be_missing(missing: set[str]) -> None:
    raw = {key: value for key, value in RECORDED.items() if key not in missing}
    result = to_result(parse_report(raw), Options(), attempt_count=1, time_expired=None)
    for field, name in SCORES.items():
        assert (getattr(result, name) is None) == (field in missing)
    assert (result.qualified is None) == ("qualified" in missing)
    assert parse_report(raw).keys


@given(st.dictionaries(st.sampled_from(sorted(RECORDED)), anything), st.sampled_from([0.001, 1.0, 100.0]))
@example({"final_score": 1e308}, 0.001)
@example({"time_taken": 1e308}, 100.0)
def test_any_value_in_any_field_is_read_without_an_error(changes: dict[str, Any], scale: float) -> None:
    report = parse_report(RECORDED | changes)
    result = to_result(report, Options(score_scale=scale), attempt_count=1, time_expired=None)
    assert report.keys
    for name in SCORES.values():
        score = getattr(result, name)
        assert score is None or 0 <= score < math.inf
    assert result.minutes_taken is None or 0 <= result.minutes_taken <= MOST_MINUTES


@given(st.text(max_size=30) | WAITS)
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999")
@example("Mon, 01 Jan 9999999999999999999999 00:00:00 GMT")
@example("9" * 5000)
def test_any_header_that_asks_to_wait_is_a_wait_of_a_day_at_most_or_none(text: str) -> None:
    wait = parse_retry_after(text, NOW)
    assert wait is None or timedelta() <= wait <= timedelta(days=1)


@given(st.lists(anything, max_size=4))
def test_any_list_of_attempts_has_one_that_counts_or_none(entries: list[Any]) -> None:
    reports = [parse_report(entry) for entry in entries if isinstance(entry, dict)]
    for policy in PickAttempt:
        assert (pick_attempt(reports, policy) is None) is (not reports)


@given(st.binary(max_size=60) | st.recursive(anything, lambda inner: st.lists(inner), max_leaves=3).map(_dumped))
@example(b"[" * 100_000)
@example(b'{"status": "success", "data": ' + b"9" * 5000 + b"}")
def test_any_body_of_an_answer_is_data_or_nothing(body: bytes) -> None:
    success_data(body)
    assert "@" not in vendor_words(body, "someone@example.com")


@given(st.sampled_from(sorted(SCORES)), anything.filter(lambda value: not _is_number(value)))
def test_what_is_no_number_never_becomes_one(field: str, value: Any) -> None:
    result = to_result(parse_report({field: value}), Options(), attempt_count=1, time_expired=None)
    assert getattr(result, SCORES[field]) is None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return not isinstance(value, bool)


@given(
    st.lists(st.fixed_dictionaries({"report_link": st.text("abc", min_size=1, max_size=2)}), max_size=6),
    st.integers(0, 6),
)
def test_what_was_there_before_never_counts_and_what_was_not_always_does(raw: list[dict[str, str]], cut: int) -> None:
    reports = [parse_report(entry) for entry in raw]
    known = frozenset(key for report in reports[:cut] for key in report.keys)
    since = since_invite(reports, known)
    assert all(report not in since for report in reports[:cut])
    assert all(report in since for report in reports[cut:] if not known.intersection(report.keys))


@given(st.permutations(range(4)), st.sampled_from(PickAttempt))
def test_where_attempts_tell_their_time_the_answers_order_does_not_matter(
    order: list[int], policy: PickAttempt
) -> None:
    reports = [
        parse_report(
            {
                "report_link": str(n),
                "date_joined": f"2026-03-0{n + 1}",
                "final_score": (n * 37) % 100,
                "report_ready": True,
            }
        )
        for n in range(4)
    ]
    assert pick_attempt([reports[n] for n in order], policy) == pick_attempt(reports, policy)


# -- answers


@given(st.integers(100, 599), st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_only_a_success_with_a_candidate_is_one_and_only_what_proves_it_is_not_executed(
    status: int, body: bytes
) -> None:
    said = classify(Answered(status=status, body=body), "jane@example.com", NOW)
    if isinstance(said, Succeeded):
        assert 200 <= status < 300
    if isinstance(said, NotExecuted):
        assert status == 429
    if status >= 500 or status == 408:
        assert isinstance(said, Ambiguous)


@given(st.text(max_size=100), st.text(max_size=100))
def test_no_words_of_the_vendor_carry_the_address(before: str, after: str) -> None:
    address = "jane.doe+x@mail.example"
    words = vendor_words(json.dumps({"message": f"{before} {address} {after}"}).encode(), address)
    assert "jane.doe" not in words.lower()
    assert "@mail.example" not in words
    assert len(scrub(before + after)) <= 200
