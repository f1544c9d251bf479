"""The invite as data: what may be invited to, what the request says, what a look-up proves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trellis.assessments.domain.invites import (
    Assessment,
    InviteRequest,
    choose,
    judge_look_up,
    parse_assessments,
    to_body,
    to_request,
)
from trellis.assessments.domain.options import Delivery, Duplicate, InternalIds, OnUnknown, Options
from trellis.common.contracts.identifiers import ApplicationId, AssessmentId
from trellis.common.ledger.effects import Blocked, CannotTell, Found, NotSeen

DATA = Path(__file__).parents[2] / "data" / "coderbyte"
WHO = "priya.raman@example.com"


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


def test_an_open_assessment_with_a_link_is_chosen() -> None:
    open_one, closed = recorded()
    assert choose([closed, open_one], open_one.id) == open_one


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


def test_an_invite_is_mailed_unless_it_says_otherwise() -> None:
    request = InviteRequest(address=WHO, assessment_url="https://x", read_at=0.0)
    assert to_body(request) == {"candidates": [WHO], "assessment_url": "https://x"}


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
