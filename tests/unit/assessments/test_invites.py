"""The invite as data: what it asks, what each answer proves, what a look-up proves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trellis.assessments.domain.invites import (
    Answered,
    Assessment,
    InviteRequest,
    Lost,
    NeverLeft,
    choose,
    classify,
    judge_look_up,
    parse_assessments,
    parse_retry_after,
    scrub,
    success_data,
    to_body,
    to_request,
    vendor_words,
)
from trellis.assessments.domain.options import Delivery, Duplicate, InternalIds, OnUnknown, Options
from trellis.common.contracts.identifiers import ApplicationId, AssessmentId
from trellis.common.ledger.effects import (
    Ambiguous,
    Blocked,
    CannotTell,
    Found,
    NotExecuted,
    NotSeen,
    Succeeded,
    Unauthorized,
    Unmet,
)

DATA = Path(__file__).parents[2] / "data" / "coderbyte"
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
WHO = "priya.raman@example.com"
OK = (DATA / "invite_response.json").read_bytes()


def recorded() -> tuple[Assessment, ...]:
    return parse_assessments(json.loads((DATA / "assessments.json").read_text())["data"]["assessments"])


# -- choosing


def test_the_recorded_list_is_read() -> None:
    open_one, closed = recorded()
    assert (open_one.name, open_one.closed, open_one.public_url is None) == ("Backend Engineer Screen", False, False)
    assert (closed.closed, closed.public_url) == (True, None)


def test_entries_without_an_id_or_of_another_shape_are_left_out() -> None:
    assert parse_assessments(
        [None, 3, [], {}, {"test_id": None}, {"test_id": " "}, {"test_id": "a", "closed": "true"}]
    ) == (Assessment(id=AssessmentId("a"), name="a", public_url=None, closed=True),)


@pytest.mark.parametrize(
    ("wanted", "word"),
    [("nothing", "no assessment"), ("frontend-project-0zb81yhe44", "closed"), ("BACKEND", "no assessment")],
)
def test_what_cannot_be_invited_to_is_blocked_with_a_remedy(wanted: str, word: str) -> None:
    said = choose(recorded(), AssessmentId(wanted))
    assert isinstance(said, Blocked)
    assert word in said.reason
    assert said.remedy


def test_an_assessment_without_public_link_is_blocked() -> None:
    said = choose([Assessment(id=AssessmentId("a"), name="a", public_url=None, closed=False)], AssessmentId("a"))
    assert isinstance(said, Blocked)
    assert "public link" in said.reason


# -- the request


def test_the_request_is_the_recorded_one() -> None:
    request = to_request(WHO, recorded()[0], ApplicationId(1), Options(), read_at=0.0)
    recorded_body = json.loads((DATA / "invite_request.json").read_text())
    assert to_body(request) | {"skip_send": False} == recorded_body
    assert "skip_send" not in to_body(request)


def test_link_only_and_internal_ids_change_the_request() -> None:
    options = Options(delivery=Delivery.LINK_ONLY, internal_ids=InternalIds.PARENTHESISED)
    body = to_body(to_request(WHO, recorded()[0], ApplicationId(900145), options, read_at=0.0))
    assert body["candidates"] == [f"{WHO} (ghapp_900145)"]
    assert body["skip_send"] is True


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


# -- the look-up


def look_up(*, shows: bool = False, retries: int = 0, **options: Any) -> Any:
    return judge_look_up(shows=shows, listing_read=True, retries=retries, options=Options(**options))


def test_what_shows_it_settles_it() -> None:
    assert isinstance(look_up(shows=True), Found)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lists_pending": True},
        {"delivery": Delivery.LINK_ONLY},
        {"on_unknown": OnUnknown.RESEND_ONCE},  # P1: neither listed nor without a mail
    ],
)
def test_unless_the_account_may_and_wants_to_resend_nobody_can_tell(options: dict[str, Any]) -> None:
    said = look_up(**options)
    assert isinstance(said, CannotTell)
    assert "confirm or redrive" in said.remedy


def test_a_list_of_pending_invites_proves_absence_in_two_readings() -> None:
    said = look_up(on_unknown=OnUnknown.RESEND_ONCE, lists_pending=True)
    assert isinstance(said, NotSeen)
    assert not said.proof


def test_an_unused_link_costs_nothing_so_one_reading_is_enough() -> None:
    said = look_up(on_unknown=OnUnknown.RESEND_ONCE, delivery=Delivery.LINK_ONLY)
    assert isinstance(said, NotSeen)
    assert said.proof


@pytest.mark.parametrize("options", [{"lists_pending": True}, {"delivery": Delivery.LINK_ONLY}])
def test_it_is_resent_once_and_then_held(options: dict[str, Any]) -> None:
    assert isinstance(look_up(on_unknown=OnUnknown.RESEND_ONCE, retries=1, **options), CannotTell)


def test_the_person_is_told_what_a_repeat_does() -> None:
    assert "second mail" in look_up().remedy
    assert "no second link" in look_up(duplicate=Duplicate.SAME_LINK).remedy


def test_no_secret_or_address_shows_in_a_representation() -> None:
    request = InviteRequest(address=WHO, assessment_url="https://coderbyte.com/x", read_at=0.0)
    assert to_body(request)["candidates"] == [WHO]


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


def test_an_open_assessment_with_a_link_is_chosen() -> None:
    open_one, closed = recorded()
    assert choose([closed, open_one], open_one.id) == open_one


def test_an_invite_is_mailed_unless_it_says_otherwise() -> None:
    request = InviteRequest(address=WHO, assessment_url="https://x", read_at=0.0)
    assert to_body(request) == {"candidates": [WHO], "assessment_url": "https://x"}


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


def test_a_list_that_was_not_read_whole_proves_nothing_and_absence_lets_it_go_once() -> None:
    options = Options(on_unknown=OnUnknown.RESEND_ONCE, lists_pending=True)
    assert isinstance(judge_look_up(shows=False, listing_read=False, retries=0, options=options), CannotTell)
    said = judge_look_up(shows=False, listing_read=True, retries=0, options=options)
    assert said == NotSeen(reason="a complete list does not show the invite", proof=False, most_retries=1)
    link_only = Options(on_unknown=OnUnknown.RESEND_ONCE, delivery=Delivery.LINK_ONLY)
    assert judge_look_up(shows=False, listing_read=False, retries=0, options=link_only) == NotSeen(
        reason="not shown, and a repeat costs an unused link only", proof=True, most_retries=1
    )


@pytest.mark.parametrize("duplicate", list(Duplicate))
def test_each_kind_of_repeat_has_its_words(duplicate: Duplicate) -> None:
    said = judge_look_up(shows=False, listing_read=False, retries=0, options=Options(duplicate=duplicate))
    assert isinstance(said, CannotTell)
    assert "sending again" in said.remedy


def test_a_success_whose_link_is_no_text_is_a_success_all_the_same() -> None:
    body = b'{"status": "success", "data": {"candidates": [{"url": "https://x/\\ud800"}]}}'
    assert isinstance(classify(Answered(status=200, body=body), WHO, NOW), Succeeded)
