"""Coderbyte's API, its reports and its webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.contract.sandbox.harness import Sandbox

DATA = Path("tests/data/sandbox/coderbyte")
EMAIL = "priya+test@x.example"


def sample(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


async def reports(sandbox: Sandbox, email: str = EMAIL) -> Any:
    answer = await sandbox.coderbyte("GET", f"candidates/{quote(email, safe='')}/{sandbox.assessment['test_id']}")
    assert answer.status == 200, answer.text
    return answer.json["data"]["reports"]


def claims(token: str, key: str) -> Any:
    """The claims of a JWT, after its signature was checked."""
    signed, _, mark = token.rpartition(".")
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)) == digest
    payload = signed.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}])
async def test_key_is_asked_for(sandbox: Sandbox, header: dict[str, str]) -> None:
    answer = await sandbox.call("GET", "/coderbyte/api/organization/assessments", headers=header)
    assert (answer.status, answer.json["status"]) == (401, "error")


async def test_assessments_have_the_keys_of_the_sample(sandbox: Sandbox) -> None:
    await sandbox.own("POST", "/assessments", {"display_name": "Retired", "closed": True, "public_url": None})
    answer = (await sandbox.coderbyte("GET", "assessments")).json
    expected = sample("assessments")["data"]["assessments"][0]
    found = answer["data"]["assessments"]
    assert answer["status"] == "success"
    assert set(found[0]) == set(expected)
    assert set(found[0]["overview_stats"]) == set(expected["overview_stats"])
    assert (found[1]["closed"], found[1]["public_url"]) == (True, None)


async def test_each_invite_makes_a_link_and_a_mail(sandbox: Sandbox) -> None:
    first, second = await sandbox.invite(EMAIL), await sandbox.invite(EMAIL)
    data = first.json["data"]
    assert set(data) == set(sample("invite_response")["data"])
    assert data["candidates"][0]["email"] == EMAIL
    assert data["candidates"][0]["url"] != second.json["data"]["candidates"][0]["url"]
    effects = await sandbox.effects()
    assert effects["invite_counts"] == {f"{EMAIL} {sandbox.assessment['test_id']}": 2}
    assert [mail["to"] for mail in await sandbox.own("GET", "/mailbox")] == [EMAIL, EMAIL]


async def test_skip_send_keeps_the_mail_back_unless_ignored(sandbox: Sandbox) -> None:
    await sandbox.invite(EMAIL, skip_send=True)
    assert await sandbox.own("GET", "/mailbox") == []
    await sandbox.switch("coderbyte.invite.skip_send", "ignored")
    await sandbox.invite(EMAIL, skip_send=True)
    effects = await sandbox.effects()
    assert [invite["mailed"] for invite in effects["invites"]] == [False, True]


@pytest.mark.parametrize(
    ("behaviour", "status", "mails", "links"), [("new_mail", 200, 2, 2), ("same_link", 200, 1, 1), ("error", 409, 1, 1)]
)
async def test_second_invite(sandbox: Sandbox, behaviour: str, status: int, mails: int, links: int) -> None:
    await sandbox.switch("coderbyte.invite.duplicate_behaviour", behaviour)
    await sandbox.invite(EMAIL)
    assert (await sandbox.invite(EMAIL.upper())).status == status
    assert len(await sandbox.own("GET", "/mailbox")) == mails
    assert len({invite["url"] for invite in (await sandbox.effects())["invites"]}) == links


@pytest.mark.parametrize(
    "body",
    [
        {"assessment_url": "https://coderbyte.com/sl-candidate?promo=no"},
        {"assessment_url": None},
        {"candidates": []},
        {"candidates": ["not an address"]},
        {"candidates": "a@x.example"},
        {"candidates": [f"p{n}@x.example" for n in range(51)]},
        {"skip_send": "true"},
    ],
)
async def test_wrong_invites_are_refused_whole(sandbox: Sandbox, body: dict[str, object]) -> None:
    answer = await sandbox.invite(EMAIL, **body)
    assert (answer.status, answer.json["status"]) == (400, "error")
    assert (await sandbox.effects())["invites"] == []


async def test_assessment_id_is_no_assessment_url(sandbox: Sandbox) -> None:
    assert (await sandbox.invite(EMAIL, assessment_url=sandbox.assessment["test_id"])).status == 400


async def test_closed_assessment_takes_no_invites(sandbox: Sandbox) -> None:
    await sandbox.act("close_assessment")
    assert (await sandbox.invite(EMAIL)).status == 400
    await sandbox.switch("coderbyte.error.closed_assessment", 422)
    assert (await sandbox.invite(EMAIL)).status == 422


async def test_internal_id_in_parentheses(sandbox: Sandbox) -> None:
    assert (await sandbox.invite(f"{EMAIL} (ghapp_1)")).status == 400
    await sandbox.switch("coderbyte.invite.internal_id_mode", "parentheses")
    assert (await sandbox.invite(f"{EMAIL} (ghapp_1)")).json["data"]["candidates"][0]["email"] == EMAIL
    await sandbox.act("submit", email=EMAIL)
    assert (await reports(sandbox))[0]["internal_id"] == "ghapp_1"


async def test_unstarted_invites_are_shown_only_by_the_switch(sandbox: Sandbox) -> None:
    await sandbox.invite(EMAIL)
    path = f"candidates/{quote(EMAIL, safe='')}"
    assert (await sandbox.coderbyte("GET", path)).status == 404
    await sandbox.switch("coderbyte.lookup.unknown_candidate", "empty")
    assert (await sandbox.coderbyte("GET", path)).json["data"] == {"assessments": []}
    await sandbox.switch("coderbyte.lookup.lists_pending_invites", True)
    found = (await sandbox.coderbyte("GET", path)).json["data"]["assessments"]
    assert [entry["test_id"] for entry in found] == [sandbox.assessment["test_id"]]
    await sandbox.switch("coderbyte.lookup.shape", "array")
    assert isinstance((await sandbox.coderbyte("GET", path)).json["data"], list)


@pytest.mark.parametrize("email", ["a+b@x.example", "a/b@x.example", "a%40b@x.example", "ä@x.example"])
async def test_address_in_the_path_is_decoded_once(sandbox: Sandbox, email: str) -> None:
    from yarl import URL

    await sandbox.invite(email)
    await sandbox.act("join", email=email)
    path = f"/coderbyte/api/organization/candidates/{quote(email, safe='')}/{sandbox.assessment['test_id']}"
    headers = {"Authorization": f"Bearer {sandbox.account['coderbyte']['api_key']}"}
    async with sandbox.session.get(URL(sandbox.base + path, encoded=True), headers=headers) as answer:
        found = (await answer.json())["data"]["reports"]
    assert [report["email"] for report in found] == [email]


async def test_report_has_the_keys_of_the_sample(sandbox: Sandbox) -> None:
    await sandbox.invite(EMAIL)
    await sandbox.act("submit", email=EMAIL, final_score=82, code_score=80, mc_score=88, scorecard={"style": 4})
    (report,) = await reports(sandbox)
    assert set(report) == set(sample("report")["data"]["reports"][0])
    assert (report["final_score"], report["qualified"], report["qualifying_score"]) == (82, True, 70)
    assert report["report_ready"] is True


async def test_running_attempt_has_no_scores_and_is_not_ready(sandbox: Sandbox) -> None:
    await sandbox.invite(EMAIL)
    await sandbox.act("join", email=EMAIL)
    (report,) = await reports(sandbox)
    assert (report["status"], report["report_ready"], report["final_score"]) == ("In progress", False, None)


async def test_grading_takes_reads_or_a_person(sandbox: Sandbox) -> None:
    await sandbox.invite(EMAIL)
    await sandbox.act("submit", email=EMAIL, final_score=82, not_ready_reads=2)
    ready = [(await reports(sandbox))[0]["report_ready"] for _ in range(3)]
    assert ready == [False, False, True]
    await sandbox.invite("b@x.example")
    await sandbox.act("submit", email="b@x.example", report_ready=False)
    assert (await reports(sandbox, "b@x.example"))[0]["final_score"] is None
    await sandbox.act("finish_grading", email="b@x.example", final_score=40)
    assert [(r["final_score"], r["qualified"]) for r in await reports(sandbox, "b@x.example")] == [(40, False)]


async def test_tolerances_of_reports(sandbox: Sandbox) -> None:
    await sandbox.invite(EMAIL)
    await sandbox.act("submit", email=EMAIL, final_score=82.5, empty_reads=1, scorecard={"style": 4})

    async def with_switch(name: str, value: object) -> Any:
        await sandbox.switch(f"coderbyte.report.{name}", value)
        found = (await reports(sandbox))[0]
        await sandbox.switch(f"coderbyte.report.{name}", None)
        return found

    assert await reports(sandbox) == []
    assert (await with_switch("missing_scores", "null"))["final_score"] is None
    assert "final_score" not in await with_switch("missing_scores", "absent")
    assert isinstance((await with_switch("video_responses", "object"))["video_responses"], dict)
    assert (await with_switch("scorecard", "array"))["scorecard"] == []
    assert (await with_switch("numeric_text", True))["final_score"] == "82.5"
    assert "report_ready" not in await with_switch("report_ready_field", False)
    assert (await with_switch("score_scale", 10))["final_score"] == 8.25
    assert (await with_switch("time_taken_unit", "seconds"))["time_taken"] == 52 * 60
    await sandbox.switch("coderbyte.report.empty", True)
    assert await reports(sandbox) == []


async def test_several_attempts_in_both_orders(sandbox: Sandbox) -> None:
    for score in (40, 90):
        await sandbox.invite(EMAIL)
        await sandbox.act("join", email=EMAIL)
        await sandbox.act("submit", email=EMAIL, final_score=score)
    assert [r["final_score"] for r in await reports(sandbox)] == [40, 90]
    await sandbox.switch("coderbyte.report.attempt_order", "newest_first")
    assert [r["final_score"] for r in await reports(sandbox)] == [90, 40]
    assert len({r["report_link"] for r in await reports(sandbox)}) == 2


async def test_qualified_can_be_unknown(sandbox: Sandbox) -> None:
    await sandbox.invite(EMAIL)
    await sandbox.act("submit", email=EMAIL, final_score=None, qualified=None)
    (report,) = await reports(sandbox)
    assert (report["final_score"], report["qualified"]) == (None, None)


async def test_webhooks_are_shaped_and_signed_as_the_samples(sandbox: Sandbox) -> None:
    await sandbox.coderbyte_hooks()
    person = await sandbox.act("apply", email=EMAIL)
    await sandbox.invite(EMAIL)
    which = {"application_id": person["application_id"]}
    await sandbox.act("join", **which)
    await sandbox.act("expire", **which, final_score=30)
    await sandbox.act("review", **which, recommendation="thumb_up", comment="Clear.")
    await sandbox.act("finish_interview", **which)
    for operation in ("candidate_joined", "assessment_completed", "scorecard_updated", "interview_completed"):
        request = sandbox.receiver.last(operation)
        assert set(request.body) == set(sample(f"webhook_{operation}"))
        (value,) = request.header("Authorization")
        assert claims(value.removeprefix("Bearer "), "northwind-api-key-0001") == {"iss": "northwind"}
        assert request.body["organization_id"] == "northwind"
    completed = sandbox.receiver.last("assessment_completed").body
    assert (completed["time_expired"], completed["report_ready"]) == (True, True)
    assert (await reports(sandbox))[0]["report_link"] == completed["report_url"]


async def test_tokens_can_be_wrong_in_several_ways(sandbox: Sandbox) -> None:
    await sandbox.coderbyte_hooks()
    key = "northwind-api-key-0001"

    async def token(**switches: object) -> str:
        for name, value in switches.items():
            await sandbox.switch(f"coderbyte.webhook.{name}", value)
        await sandbox.act("finish_interview", email=EMAIL)
        for name in switches:
            await sandbox.switch(f"coderbyte.webhook.{name}", None)
        return sandbox.receiver.received[-1].header("Authorization")[0].removeprefix("Bearer ")

    assert claims(await token(signature="wrong_iss"), key)["iss"] != "northwind"
    assert set(claims(await token(iat=True, exp="past"), key)) == {"iss", "iat", "exp"}
    assert (await token(signature="alg_none")).endswith(".")
    with pytest.raises(AssertionError):
        claims(await token(signature="wrong_key"), key)


async def test_key_may_be_read_as_base64(sandbox: Sandbox) -> None:
    await sandbox.coderbyte_hooks()
    await sandbox.act("rotate_api_key", api_key=base64.b64encode(b"raw-key").decode())
    await sandbox.switch("coderbyte.webhook.key_encoding", "base64")
    await sandbox.act("finish_interview", email=EMAIL)
    value = sandbox.receiver.received[-1].header("Authorization")[0]
    assert claims(value.removeprefix("Bearer "), "raw-key") == {"iss": "northwind"}


async def test_older_body_of_the_completed_webhook(sandbox: Sandbox) -> None:
    await sandbox.coderbyte_hooks()
    await sandbox.switch("coderbyte.webhook.completed_body", "challenges_being_graded")
    await sandbox.invite(EMAIL)
    await sandbox.act("submit", email=EMAIL, report_ready=False)
    body = sandbox.receiver.last("assessment_completed").body
    assert body["challenges_being_graded"] is True
    assert "report_ready" not in body


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (2, 3)])
async def test_webhooks_are_sent_at_most_once_unless_switched(sandbox: Sandbox, retries: int, requests: int) -> None:
    await sandbox.coderbyte_hooks()
    await sandbox.switch("coderbyte.webhook.retries", retries)
    await sandbox.switch("hook.time_scale", 1e9)
    sandbox.receiver.statuses = [500] * 5
    await sandbox.act("finish_interview", email=EMAIL)
    await sandbox.receiver.wait_for(requests)
    assert len(sandbox.receiver.events()) == requests


async def test_rotated_key_signs_and_opens_at_the_same_instant(sandbox: Sandbox) -> None:
    await sandbox.coderbyte_hooks()
    await sandbox.act("rotate_api_key", api_key="second-key")
    assert (await sandbox.coderbyte("GET", "assessments")).status == 401
    sandbox.account["coderbyte"]["api_key"] = "second-key"
    assert (await sandbox.coderbyte("GET", "assessments")).status == 200
    await sandbox.act("finish_interview", email=EMAIL)
    value = sandbox.receiver.received[-1].header("Authorization")[0]
    assert claims(value.removeprefix("Bearer "), "second-key") == {"iss": "northwind"}


async def test_nobody_joins_without_an_invite_except_by_the_public_link(sandbox: Sandbox) -> None:
    await sandbox.act("join", email=EMAIL, expect=409)
    await sandbox.act("join", email=EMAIL, public=True)
    assert len(await reports(sandbox)) == 1
