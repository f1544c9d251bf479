"""Whom may be invited, and at which address (fact sheet, 2.5 and section 8)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.greenhouse_actions.given import APPLICATION, CALL, CANDIDATE, CODING, ONSITE, shown

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import Visit
from trellis.common.ledger.effects import Blocked, Overtaken
from trellis.greenhouse_actions.domain.invites import Asked, Invitable, judge, still_there
from trellis.greenhouse_actions.domain.readings import Address, ApplicationView, CandidateView, Missing

WORK, HOME, OTHER = (Address(value=f"{kind}@mail.example", type=kind) for kind in ("work", "personal", "other "))


def asked(visit: str = "n1") -> Asked:
    return Asked(application_id=APPLICATION, stage_id=CODING, visit=Visit(visit))


def person(*addresses: Address, **more: Any) -> CandidateView:
    return CandidateView(id=CANDIDATE, addresses=addresses, **more)


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        ((WORK, HOME), HOME.value),
        ((WORK, OTHER), WORK.value),
        ((Address(value=" ", type="personal"), WORK), WORK.value),
        ((WORK, Address(value=" odd@mail.example ", type="Personal ")), "odd@mail.example"),
    ],
)
def test_the_personal_address_is_taken_then_the_first(addresses: tuple[Address, ...], chosen: str) -> None:
    said = judge(person(*addresses), allow_private=False)
    assert isinstance(said, Invitable) and said.address == chosen and said.address_count == len(addresses)


@pytest.mark.parametrize(
    "candidate", [None, person(), person(HOME, private=True), person(HOME, can_email=False)],
    ids=["not shown", "no address", "private", "no mail"],
)  # fmt: skip
def test_a_candidate_who_cannot_be_invited_is_blocked_until_edited(candidate: CandidateView | None) -> None:
    said = judge(candidate, allow_private=False)
    assert isinstance(said, Blocked) and said.mended_by == "candidate.updated" and said.remedy


def test_an_account_may_allow_private_candidates() -> None:
    assert isinstance(judge(person(HOME, private=True, can_email=False), allow_private=True), Invitable)
    assert isinstance(judge(person(private=True), allow_private=True), Blocked)


def test_a_recruiters_tag_keeps_trellis_off_whatever_else_is_there() -> None:
    tagged = person(HOME, tags=("vip", " no  TRELLIS"))
    said = judge(tagged, allow_private=True, keep_off="No Trellis")
    assert said == Overtaken(reason="a recruiter's tag keeps Trellis off")
    assert isinstance(judge(tagged, allow_private=True), Invitable)
    assert isinstance(
        judge(person(HOME, tags=("no trellis please",)), allow_private=True, keep_off="no trellis"), Invitable
    )


@pytest.mark.parametrize(
    "reading",
    [shown(CALL), shown(ONSITE), shown(status=ApplicationStatus.REJECTED), shown(None, prospect=True), Missing.GONE],
)
def test_an_application_that_moved_on_is_overtaken(reading: Any) -> None:
    assert isinstance(still_there(asked(), reading), Overtaken)


def test_a_later_visit_of_the_same_stage_is_overtaken() -> None:
    assert isinstance(still_there(asked("t2026-11-20T07:00:00Z"), shown()), Overtaken)
    assert isinstance(still_there(asked("t2026-11-20T08:31:07Z"), shown()), ApplicationView)


def test_no_address_shows_in_what_python_prints() -> None:
    assert HOME.value not in repr(person(HOME)) + repr(judge(person(HOME), allow_private=False))
