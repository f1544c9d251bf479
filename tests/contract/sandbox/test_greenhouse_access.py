"""Tokens, scopes, the Site Admin rule and the rate window of Harvest v3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.contract.sandbox.harness import Sandbox

ERRORS = json.loads(Path("tests/data/sandbox/greenhouse/harvest_v3_errors.json").read_text(encoding="utf-8"))


async def test_token_lasts_an_hour_and_says_so_in_iso(sandbox: Sandbox) -> None:
    answer = await sandbox.ask_token()
    assert set(answer.json) == {"token_type", "access_token", "expires_at"}
    assert answer.json["expires_at"].endswith("Z")
    sandbox.token = answer.json["access_token"]
    await sandbox.control("PUT", "/time", {"advance_s": 3590})
    assert (await sandbox.harvest("GET", "jobs")).status == 200
    await sandbox.control("PUT", "/time", {"advance_s": 20})
    assert (await sandbox.harvest("GET", "jobs")).status == 401


@pytest.mark.parametrize(
    ("style", "field", "kind"),
    [("expires_in", "expires_in", int), ("expires_at_epoch", "expires_at", int), ("expires_at", "expires_at", str)],
)
async def test_expiry_has_three_spellings(sandbox: Sandbox, style: str, field: str, kind: type) -> None:
    await sandbox.switch("token.expiry_field", style)
    assert isinstance((await sandbox.ask_token()).json[field], kind)


async def test_wrong_secret_is_an_invalid_client(sandbox: Sandbox) -> None:
    answer = await sandbox.ask_token("wrong")
    assert (answer.status, answer.json) == (401, ERRORS["token_bad_client"]["body"])


@pytest.mark.parametrize(
    ("form", "error"),
    [({"sub": "4400999999"}, "invalid_grant"), ({"grant_type": "password"}, "unsupported_grant_type")],
)
async def test_unknown_subject_or_grant_is_refused(sandbox: Sandbox, form: dict[str, str], error: str) -> None:
    answer = await sandbox.ask_token(**form)
    assert (answer.status, answer.json["error"]) == (400, error)


async def test_without_subject_the_service_account_acts(sandbox: Sandbox) -> None:
    sandbox.token = (await sandbox.ask_token(sub="")).json["access_token"]
    person = await sandbox.act("apply", email="a@x.example")
    author = (await sandbox.note(person)).json["user_id"]
    assert author not in [user["id"] for user in await sandbox.rows("users")]
    shown = await sandbox.rows("users?show_service_accounts=true")
    assert author in [user["id"] for user in shown]
    assert "primary_email" not in next(user for user in shown if user["id"] == author)


async def test_new_token_revokes_the_earlier_one(sandbox: Sandbox) -> None:
    await sandbox.ask_token()
    answer = await sandbox.harvest("GET", "jobs")
    assert (answer.status, answer.json) == (401, ERRORS["token_revoked"]["body"])


async def test_two_tokens_may_live_side_by_side(sandbox: Sandbox) -> None:
    await sandbox.switch("token.single_active", False)
    await sandbox.ask_token()
    assert (await sandbox.harvest("GET", "jobs")).status == 200


async def test_unreadable_token_is_told_apart(sandbox: Sandbox) -> None:
    sandbox.token = "nonsense"
    answer = await sandbox.harvest("GET", "jobs")
    assert (answer.status, answer.json) == (401, ERRORS["token_undecodable"]["body"])
    assert answer.headers["x-request-id"]


async def test_token_route_has_a_limit_of_its_own(sandbox: Sandbox) -> None:
    await sandbox.switch("token.limit", 2)
    assert (await sandbox.ask_token()).status == 200
    answer = await sandbox.ask_token()
    assert answer.status == 429
    assert answer.headers["retry-after"]


async def test_rotated_secret_lives_beside_the_new_one(sandbox: Sandbox) -> None:
    new = (await sandbox.act("rotate_client_secret"))["client_secret"]
    assert (await sandbox.ask_token()).status == 200
    assert (await sandbox.ask_token(new)).status == 200
    await sandbox.act("rotate_client_secret", secret="third", keep_old=False)
    assert (await sandbox.ask_token(new)).status == 401
    assert (await sandbox.ask_token("third")).status == 200


async def test_introspection_tells_scopes_and_role(sandbox: Sandbox) -> None:
    greenhouse = sandbox.account["greenhouse"]
    auth = {"client": greenhouse["client_id"], "secret": greenhouse["client_secret"]}
    from aiohttp import encode_basic_auth

    headers = {"Authorization": encode_basic_auth(auth["client"], auth["secret"])}
    answer = await sandbox.call("POST", "/greenhouse/introspect", headers=headers, data={"token": sandbox.token})
    assert answer.json["active"] is True
    assert answer.json["sub"] == str(greenhouse["service_user_id"])
    assert "harvest:applications:move" in answer.json["scope"].split()
    assert answer.json["https://auth.greenhouse.io/claims"]["user_role"] == "site_admin"
    await sandbox.act("revoke_tokens")
    answer = await sandbox.call("POST", "/greenhouse/introspect", headers=headers, data={"token": sandbox.token})
    assert answer.json == {"active": False}


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("applications:list", "applications"),
        ("application_stages:list", "application_stages"),
        ("job_interview_stages:list", "job_interview_stages"),
        ("candidates:list", "candidates"),
        ("jobs:list", "jobs"),
        ("openings:list", "openings"),
        ("job_posts:list", "job_posts"),
        ("users:list", "users"),
        ("notes:list", "notes"),
        ("scorecards:list", "scorecards"),
        ("interviews:list", "interviews"),
        ("interviewers:list", "interviewers"),
        ("job_interviews:list", "job_interviews"),
    ],
)
async def test_each_list_asks_for_its_scope(sandbox: Sandbox, scope: str, path: str) -> None:
    assert (await sandbox.harvest("GET", path)).status == 200
    await sandbox.act("revoke_scope", scope=scope)
    answer = await sandbox.harvest("GET", path)
    assert (answer.status, answer.json["errors"]) == (403, [f"Missing scope harvest:{scope}"])
    await sandbox.act("grant_scope", scope=scope)
    assert (await sandbox.harvest("GET", path)).status == 200


async def test_writes_ask_for_their_scopes(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example")
    for scope in ("notes:create", "applications:move"):
        await sandbox.act("revoke_scope", scope=scope)
    assert (await sandbox.note(person)).json == ERRORS["missing_scope"]["body"]
    moved = await sandbox.move(person, from_stage_id=person["stage_id"])
    assert moved.json["errors"] == ["Missing scope harvest:applications:move"]
    effects = await sandbox.effects()
    assert (effects["notes"], effects["moves"]) == ([], [])


async def test_lists_need_a_site_admin(sandbox: Sandbox) -> None:
    await sandbox.act("drop_site_admin")
    assert (await sandbox.harvest("GET", "jobs")).status == 403
    await sandbox.switch("list.non_admin", "empty")
    assert await sandbox.rows("jobs") == []
    await sandbox.act("give_site_admin")
    assert len(await sandbox.rows("jobs")) == 1


async def test_rate_window_refuses_and_opens_again(bare: Sandbox) -> None:
    await bare.open(greenhouse={"rate_limit": 3})
    await bare.sign_in()
    answers = [await bare.harvest("GET", "jobs") for _ in range(4)]
    assert [a.status for a in answers] == [200, 200, 200, 429]
    assert [a.headers["x-ratelimit-remaining"] for a in answers] == ["2", "1", "0", "0"]
    assert {a.headers["x-ratelimit-limit"] for a in answers} == {"3"}
    assert 1 <= int(answers[3].headers["retry-after"]) <= 30
    assert answers[3].json == ERRORS["rate"]["body"]
    await bare.control("PUT", "/time", {"advance_s": 30})
    assert (await bare.harvest("GET", "jobs")).status == 200
    effects = await bare.effects()
    assert effects["max_calls_in_window"] == 4
    assert effects["calls"]["jobs.list"] == 5
    assert effects["calls_by_status"]["429"] == 1


async def test_rate_headers_and_request_id_are_on_errors_too(sandbox: Sandbox) -> None:
    answer = await sandbox.harvest("GET", "nowhere")
    assert (answer.status, answer.json) == (404, ERRORS["no_route"]["body"])
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id"} <= set(answer.headers)


async def test_window_gets_shorter_with_the_time_factor(sandbox: Sandbox) -> None:
    await sandbox.switch("rate.limit", 1)
    await sandbox.switch("rate.time_scale", 30_000)
    import asyncio

    for _ in range(3):
        assert (await sandbox.harvest("GET", "jobs")).status == 200
        await asyncio.sleep(0.002)


async def test_accounts_do_not_see_each_other(sandbox: Sandbox) -> None:
    await sandbox.act("apply", email="a@x.example")
    other = Sandbox(sandbox.session, sandbox.base, sandbox.receiver, sandbox.world)
    await other.open("other")
    await other.sign_in()
    assert await other.rows("applications") == []
    assert len(await sandbox.rows("applications")) == 1
    taken = {"name": "third", "greenhouse": {"client_id": "other-client"}}
    await sandbox.control("POST", "/accounts", taken, status=409)
