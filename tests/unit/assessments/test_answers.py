"""What each answer of Coderbyte to an invite proves, and what of its words is shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trellis.assessments.domain.invites import (
    Answered,
    Lost,
    NeverLeft,
    classify,
    parse_retry_after,
    scrub,
    success_data,
    vendor_words,
)
from trellis.common.ledger.effects import Ambiguous, NotExecuted, Succeeded, Unauthorized, Unmet

DATA = Path(__file__).parents[2] / "data" / "coderbyte"
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
WHO = "priya.raman@example.com"
OK = (DATA / "invite_response.json").read_bytes()


# -- the answer
def said_of(status: int, body: bytes | None = b"{}", retry_after: str | None = None) -> Any:
    return classify(Answered(status=status, body=body, retry_after=retry_after), WHO, NOW)


def test_the_recorded_answer_is_a_success_with_a_private_link() -> None:
    said = said_of(200, OK)
    assert isinstance(said, Succeeded)
    assert said.private == b"https://coderbyte.com/sl-candidate?inviteKey=pT6vN1sBq4"
    assert "inviteKey" not in said.reason


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_with_a_success_is_one(status: int) -> None:
    assert isinstance(said_of(status, OK), Succeeded)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        OK[: len(OK) // 2],
        b"<html>",
        b"[]",
        b"null",
        b'{"status":"success"}',
        b'{"status":"success","data":null}',
        b'{"status":"success","data":[]}',
        b'{"status":"success","data":{}}',
        b'{"status":"success","data":{"candidates":[]}}',
        b'{"status":"success","data":{"candidates":null}}',
        b'{"status":"error","data":{"candidates":[{"url":"x"}]}}',
        b'{"data":{"candidates":[{"url":"x"}]}}',
        b"[" * 100_000,
    ],
)
def test_a_2xx_that_is_no_readable_success_proves_nothing(body: bytes | None) -> None:
    assert isinstance(said_of(200, body), Ambiguous)


def test_a_204_proves_nothing() -> None:
    assert isinstance(said_of(204, b""), Ambiguous)


def test_a_success_that_tells_no_link_is_still_one() -> None:
    said = said_of(200, b'{"status":"success","data":{"candidates":[{"email":"a@b.example"}]}}')
    assert isinstance(said, Succeeded)
    assert said.private is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Ambiguous),
        (302, Ambiguous),
        (400, Unmet),
        (401, Unauthorized),
        (402, Unmet),
        (403, Unauthorized),
        (404, Unmet),
        (408, Ambiguous),
        (409, Ambiguous),
        (422, Unmet),
        (429, NotExecuted),
        (500, Ambiguous),
        (502, Ambiguous),
        (503, Ambiguous),
        (504, Ambiguous),
        (599, Ambiguous),
    ],
)
def test_what_each_status_proves(status: int, kind: type) -> None:
    assert isinstance(said_of(status), kind)


def test_503_proves_that_nothing_was_done_only_with_retry_after() -> None:
    said = said_of(503, retry_after="7")
    assert isinstance(said, NotExecuted)
    assert said.wait == timedelta(seconds=7)


def test_429_honours_retry_after_and_else_leaves_the_wait_to_the_back_off() -> None:
    assert said_of(429, retry_after="30").wait == timedelta(seconds=30)
    assert said_of(429).wait is None


def test_a_request_that_never_left_did_nothing_and_one_that_left_may_have() -> None:
    assert isinstance(classify(NeverLeft(reason="refused"), WHO, NOW), NotExecuted)
    assert isinstance(classify(Lost(reason="cut"), WHO, NOW), Ambiguous)


def test_a_wrong_address_is_mended_by_an_update_of_the_candidate() -> None:
    said = said_of(422, b'{"status":"error","message":"Invalid email address"}')
    assert (said.mended_by, "Invalid email address" in said.reason) == ("candidate.updated", True)


@pytest.mark.parametrize(
    "message",
    [
        f"{WHO} is not valid",
        "Priya.Raman was refused",
        f"see https://coderbyte.com/x?e={WHO}",
        f"<{WHO.upper()}>",
        f"one\n{WHO}\ntwo",
    ],
)
def test_the_vendors_words_never_carry_the_address(message: str) -> None:
    said = said_of(400, json.dumps({"message": message}).encode())
    assert "priya" not in said.reason.lower()
    assert "example.com" not in said.reason
    assert "\n" not in said.reason


@pytest.mark.parametrize("body", [None, b"<html>", b"[]", b'{"message": {"a": 1}}', b"[" * 100_000])
def test_an_unreadable_error_has_no_words(body: bytes | None) -> None:
    assert vendor_words(body, WHO) == ""


def test_scrubbed_words_are_short() -> None:
    assert len(scrub("word " * 500)) <= 200


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        (None, None),
        ("5", 5),
        (" 5 ", 5),
        ("0", 0),
        ("999999999999999", 86_400),
        ("Wed, 04 Mar 2026 12:00:30 GMT", 30),
        ("Wed, 04 Mar 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_in_both_forms(text: str | None, wait: float | None) -> None:
    assert parse_retry_after(text, NOW) == (None if wait is None else timedelta(seconds=wait))


def test_success_data_of_an_empty_array_is_an_empty_array() -> None:
    assert success_data(b'{"status":"success","data":[]}') == []


# -- word by word
@pytest.mark.parametrize("status", [200, 299, 300, 400, 408, 409, 422, 429, 500, 503])
def test_each_answer_keeps_the_vendors_id_of_the_request(status: int) -> None:
    for body in (OK, b"{}", b'{"status": "success", "data": {}}', None):
        said = classify(Answered(status=status, body=body, request_id="r-1"), WHO, NOW)
        assert said.request_id == "r-1"  # type: ignore[union-attr]


def test_the_edges_of_a_success() -> None:
    assert isinstance(classify(Answered(status=299, body=OK), WHO, NOW), Succeeded)
    assert isinstance(classify(Answered(status=300, body=OK), WHO, NOW), Ambiguous)
    for candidates in ("x", {"a": 1}, 3):
        body = json.dumps({"status": "success", "data": {"candidates": candidates}}).encode()
        assert isinstance(classify(Answered(status=200, body=body), WHO, NOW), Ambiguous)
    assert classify(Answered(status=200, body=OK), WHO, NOW).reason == "Coderbyte took the invite"
    unmailed = classify(Answered(status=200, body=OK), WHO, NOW, mailed=False)
    assert isinstance(unmailed, Succeeded) and "hand the link over" in unmailed.reason


@pytest.mark.parametrize(
    ("status", "mended_by"), [(400, "candidate.updated"), (422, "candidate.updated"), (404, None), (499, None)]
)
def test_only_a_refused_request_is_mended_by_the_candidate(status: int, mended_by: str | None) -> None:
    said = classify(Answered(status=status, body=None), WHO, NOW)
    assert isinstance(said, Unmet)
    assert (said.mended_by, said.reason) == (mended_by, f"Coderbyte answered {status}")


def test_another_5xx_with_a_wait_proves_nothing() -> None:
    assert isinstance(classify(Answered(status=502, body=None, retry_after="5"), WHO, NOW), Ambiguous)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("86400", timedelta(days=1)),
        ("86401", timedelta(days=1)),
        ("Wed, 04 Mar 2026 12:00:30 -0000", timedelta(seconds=30)),
        ("Wed, 04 Mar 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Sun, 08 Mar 2026 12:00:00 GMT", timedelta(days=1)),
        ("Sun, 01 Mar 2026 12:00:00 GMT", timedelta()),
        ("٣", None),
    ],
)
def test_a_wait_is_a_day_at_the_most(text: str, wait: timedelta | None) -> None:
    assert parse_retry_after(text, NOW) == wait


@pytest.mark.parametrize(
    ("text", "address", "words"),
    [
        ("ask ann@b.c now", "", "ask [address] now"),
        ("see https://x.y/z?q now", "", "see [link] now"),
        ("Ann is known", "ann@b.c", "[address] is known"),
        ("an is known", "an@b.c", "an is known"),
        ("one\ntwo\tthree", "", "one two three"),
        ("", "", ""),
    ],
)
def test_scrubbed_words_say_what_was_taken_out(text: str, address: str, words: str) -> None:
    assert scrub(text, address) == words


def test_the_vendors_words_stand_under_message_or_error() -> None:
    assert vendor_words(b'{"message": "m", "error": "e"}', WHO) == "m"
    assert vendor_words(b'{"error": "e"}', WHO) == "e"


def test_a_success_whose_link_is_no_text_is_a_success_all_the_same() -> None:
    body = b'{"status": "success", "data": {"candidates": [{"url": "https://x/\\ud800"}]}}'
    assert isinstance(classify(Answered(status=200, body=body), WHO, NOW), Succeeded)
