"""The Coderbyte port: the twin and the client over HTTP give the same account of the same events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.coderbyte.conftest import CLOSED, LINKLESS, TEST, Driver

from trellis.assessments.adapters.coderbyte import CredentialError
from trellis.assessments.domain.invites import Answered, Assessment, InviteRequest, Lost, NeverLeft, Seen, classify
from trellis.assessments.domain.options import Options
from trellis.assessments.domain.results import Report, Result, parse_report, to_result
from trellis.common.contracts.identifiers import AssessmentId
from trellis.common.errors import TransientError
from trellis.common.ledger.effects import Ambiguous, Answer, NotExecuted, Succeeded, Unauthorized, Unmet

WHO = "odessa+tag@mail.example"
AWKWARD = [
    "odessa@mail.example",
    "a+b@mail.example",
    "a/b@mail.example",
    "a%2Fb@mail.example",
    "o'neil&co=?#@mail.example",
]


async def listing(driver: Driver) -> dict[str, Assessment]:
    return {item.id: item for item in await driver.port.assessments(driver.organization)}


async def request_for(driver: Driver, test_id: str = TEST, who: str = WHO, **changes: Any) -> InviteRequest:
    url = (await listing(driver))[test_id].public_url
    return replace(InviteRequest(address=who, assessment_url=url or "", read_at=0.0), **changes)


async def send(driver: Driver, **changes: Any) -> Seen:
    return await driver.port.invite(driver.organization, await request_for(driver, **changes))


def proves(seen: Seen) -> Answer:
    return classify(seen, WHO, datetime.now(UTC))


async def reports(driver: Driver, who: str = WHO) -> list[Report]:
    raw = await driver.port.reports(driver.organization, who, AssessmentId(TEST))
    return [parse_report(entry) for entry in raw]


async def listed(driver: Driver, who: str = WHO) -> bool:
    return AssessmentId(TEST) in await driver.port.listed(driver.organization, who)


async def the_result(driver: Driver, options: Options | None = None) -> Result:
    (report,) = await reports(driver)
    return to_result(report, options or Options(), attempt_count=1, time_expired=None)


# -- the list


async def test_the_list_tells_what_can_be_invited_to(driver: Driver) -> None:
    found = await listing(driver)
    assert set(found) == {TEST, CLOSED, LINKLESS}
    assert found[CLOSED].closed
    assert found[LINKLESS].public_url is None


# -- inviting


async def test_an_invite_is_one_mail_and_a_private_link(driver: Driver) -> None:
    said = proves(await send(driver))
    assert isinstance(said, Succeeded)
    assert said.private is not None
    assert await driver.mails(WHO) == 1


async def test_a_second_invite_is_a_second_mail(driver: Driver) -> None:
    await send(driver)
    await send(driver)
    assert await driver.mails(WHO) == 2


async def test_same_link_means_no_second_mail(driver: Driver) -> None:
    await driver.switch("invite.duplicate_behaviour", "same_link")
    await send(driver)
    assert isinstance(proves(await send(driver)), Succeeded)
    assert await driver.mails(WHO) == 1


async def test_a_refused_repeat_is_looked_up_rather_than_believed(driver: Driver) -> None:
    await driver.switch("invite.duplicate_behaviour", "error")
    await send(driver)
    seen = await send(driver)
    assert isinstance(seen, Answered)
    assert seen.status == 409
    assert isinstance(proves(seen), Ambiguous)


async def test_skip_send_makes_a_link_and_no_mail(driver: Driver) -> None:
    assert isinstance(proves(await send(driver, skip_send=True)), Succeeded)
    assert await driver.mails(WHO) == 0


async def test_where_skip_send_is_ignored_the_mail_goes_out(driver: Driver) -> None:
    await driver.switch("invite.skip_send", "ignored")
    await send(driver, skip_send=True)
    assert await driver.mails(WHO) == 1


async def test_an_internal_id_is_taken_where_the_vendor_reads_it(driver: Driver) -> None:
    assert isinstance(proves(await send(driver, internal_id="ghapp_7")), Unmet)
    await driver.switch("invite.internal_id_mode", "parentheses")
    assert isinstance(proves(await send(driver, internal_id="ghapp_7")), Succeeded)
    assert await driver.mails(WHO) == 1


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_closed_assessment_and_an_unknown_link_are_refused_and_mendable(driver: Driver, status: int) -> None:
    await driver.switch("error.closed_assessment", status)
    await driver.switch("error.unknown_link", status)
    for request in (
        await request_for(driver, CLOSED),
        await request_for(driver, assessment_url="https://coderbyte.com/sl-candidate?promo=other"),
    ):
        said = proves(await driver.port.invite(driver.organization, request))
        assert isinstance(said, Unmet)
        assert said.reason.startswith(f"Coderbyte answered {status}: ")
    assert await driver.mails(WHO) == 0


async def test_a_wrong_key_is_a_matter_of_the_credential(driver: Driver) -> None:
    wrong = replace(driver.organization, api_key="another")
    request = await request_for(driver)
    assert isinstance(proves(await driver.port.invite(wrong, request)), Unauthorized)
    for read in (
        driver.port.assessments(wrong),
        driver.port.listed(wrong, WHO),
        driver.port.reports(wrong, WHO, AssessmentId(TEST)),
    ):
        with pytest.raises(CredentialError):
            await read
    assert await driver.mails(WHO) == 0


@pytest.mark.parametrize(
    ("kind", "retry_after", "proof", "mails"),
    [
        ("429", None, NotExecuted, 0),
        ("429", 3, NotExecuted, 0),
        ("503", 3, NotExecuted, 0),
        ("500", None, Ambiguous, 0),
        ("502", None, Ambiguous, 0),
        ("500_after", None, Ambiguous, 1),
        ("502_after", None, Ambiguous, 1),
        ("cut_before", None, Ambiguous, 0),
        ("cut_after", None, Ambiguous, 1),
        ("truncated_json", None, Ambiguous, 1),
    ],
)
async def test_what_each_fault_of_an_invite_proves(
    driver: Driver, kind: str, retry_after: int | None, proof: type, mails: int
) -> None:
    await driver.fault("invite", kind, retry_after)
    said = proves(await send(driver))
    assert isinstance(said, proof)
    if isinstance(said, NotExecuted):
        assert said.wait == (None if retry_after is None else timedelta(seconds=retry_after))
    assert await driver.mails(WHO) == mails


# -- what a person's page shows


async def test_nobody_known_is_an_empty_answer_in_both_forms(driver: Driver) -> None:
    for form in ("404", "empty"):
        await driver.switch("lookup.unknown_candidate", form)
        assert await reports(driver, "nobody@mail.example") == []
        assert not await listed(driver, "nobody@mail.example")


async def test_an_invite_not_begun_is_listed_only_where_the_vendor_lists_it(driver: Driver) -> None:
    await send(driver)
    assert not await listed(driver)
    assert await reports(driver) == []
    await driver.switch("lookup.lists_pending_invites", True)
    assert await listed(driver)
    assert await reports(driver) == []


async def test_one_who_began_is_listed_and_has_a_report_that_is_not_ready(driver: Driver) -> None:
    await send(driver)
    await driver.join(WHO)
    assert await listed(driver)
    (report,) = await reports(driver)
    assert not report.is_ready
    assert not report.is_finished


async def test_the_address_is_found_in_any_case(driver: Driver) -> None:
    await send(driver)
    await driver.join(WHO)
    assert len(await reports(driver, WHO.upper())) == 1


async def test_a_finished_attempt_keeps_an_identity_it_had_before(driver: Driver) -> None:
    await send(driver)
    await driver.join(WHO)
    (before,) = await reports(driver)
    await driver.submit(WHO)
    (after,) = await reports(driver)
    assert set(before.keys) & set(after.keys)


@pytest.mark.parametrize("who", AWKWARD)
async def test_an_address_is_one_segment_of_the_path(driver: Driver, who: str) -> None:
    await send(driver, who=who)
    await driver.join(who)
    assert len(await reports(driver, who)) == 1
    assert await listed(driver, who)


# -- reports


async def test_a_ready_report_tells_the_result(driver: Driver) -> None:
    await send(driver)
    await driver.submit(WHO, final_score=82, mc_score=88, cheating_flag="Likely")
    (report,) = await reports(driver)
    assert report.is_ready
    result = await the_result(driver)
    assert (result.score, result.qualified, result.qualifying_score) == (82.0, True, 70.0)
    assert result.integrity == "suspected"


async def test_a_report_in_grading_is_finished_and_not_ready_until_it_is(driver: Driver) -> None:
    await driver.switch("report.not_ready_reads", 2)
    await send(driver)
    await driver.submit(WHO)
    for _ in range(2):
        (report,) = await reports(driver)
        assert (report.is_finished, report.is_ready, dict(report.scores).get("final")) == (True, False, None)
    (report,) = await reports(driver)
    assert report.is_ready


async def test_a_report_may_be_missing_for_a_while(driver: Driver) -> None:
    await driver.switch("report.empty_reads", 1)
    await send(driver)
    await driver.submit(WHO)
    assert await reports(driver) == []
    assert len(await reports(driver)) == 1


async def test_reports_may_be_empty_altogether(driver: Driver) -> None:
    await driver.switch("report.empty", True)
    await send(driver)
    await driver.submit(WHO)
    assert await reports(driver) == []


@pytest.mark.parametrize("how", ["null", "absent"])
async def test_missing_scores_stay_unknown(driver: Driver, how: str) -> None:
    await driver.switch("report.missing_scores", how)
    await send(driver)
    await driver.submit(WHO)
    result = await the_result(driver)
    assert (result.score, result.code_score, result.qualified) == (None, None, None)


async def test_without_the_field_a_final_score_makes_a_report_ready(driver: Driver) -> None:
    await driver.switch("report.report_ready_field", False)
    await send(driver)
    await driver.join(WHO)
    assert not (await reports(driver))[0].is_ready
    await driver.submit(WHO)
    assert (await reports(driver))[0].is_ready


async def test_every_attempt_has_a_report_in_the_vendors_order(driver: Driver) -> None:
    await send(driver)
    await driver.submit(WHO, final_score=10)
    await driver.join(WHO)
    await driver.submit(WHO, final_score=90)
    assert [report.scores["final"] for report in await reports(driver)] == [10, 90]
    await driver.switch("report.attempt_order", "newest_first")
    assert [report.scores["final"] for report in await reports(driver)] == [90, 10]


async def test_a_report_is_of_the_assessment_that_was_asked_for(driver: Driver) -> None:
    await send(driver)
    await driver.submit(WHO)
    assert len(await reports(driver)) == 1
    assert await driver.port.reports(driver.organization, WHO, AssessmentId(CLOSED)) == ()


@pytest.mark.parametrize("route", ["assessments.list", "candidate", "report"])
@pytest.mark.parametrize(("kind", "retry_after"), [("429", 3), ("500", None), ("503", 2), ("truncated_json", None)])
async def test_a_failed_reading_may_be_tried_again(
    driver: Driver, route: str, kind: str, retry_after: int | None
) -> None:
    await send(driver)
    await driver.join(WHO)  # an unknown person's 404 would be an answer, whatever its body
    await driver.fault(route, kind, retry_after)
    read = {
        "assessments.list": lambda: driver.port.assessments(driver.organization),
        "candidate": lambda: driver.port.listed(driver.organization, WHO),
        "report": lambda: driver.port.reports(driver.organization, WHO, AssessmentId(TEST)),
    }[route]
    with pytest.raises(TransientError) as caught:
        await read()
    assert caught.value.retry_after == (None if retry_after is None else timedelta(seconds=retry_after))
    assert WHO not in str(caught.value)
    await read()


def test_the_kinds_of_what_was_seen_are_told_apart() -> None:
    assert {type(proves(NeverLeft(reason="x"))), type(proves(Lost(reason="x")))} == {NotExecuted, Ambiguous}
