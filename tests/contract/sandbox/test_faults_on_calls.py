"""Faults: what the caller sees, and whether the effect happened."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from tests.contract.sandbox.harness import Answer, Sandbox

EMAIL = "a@x.example"


async def invite(sandbox: Sandbox) -> Answer | None:
    """The answer of an invite, or `None` if the connection was cut."""
    try:
        return await sandbox.invite(EMAIL)
    except aiohttp.ClientError:
        return None


async def invites(sandbox: Sandbox) -> int:
    return len((await sandbox.effects())["invites"])


@pytest.mark.parametrize(
    ("kind", "status", "effects"),
    [
        ("429", 429, 0),
        ("500", 500, 0),
        ("502", 502, 0),
        ("503", 503, 0),
        ("cut_before", None, 0),
        ("204_without_effect", 204, 0),
        ("500_after", 500, 1),
        ("502_after", 502, 1),
        ("cut_after", None, 1),
        ("truncated_json", 200, 1),
    ],
)
async def test_effect_of_an_invite_under_each_fault(
    sandbox: Sandbox, kind: str, status: int | None, effects: int
) -> None:
    await sandbox.fault("invite", kind)
    answer = await invite(sandbox)
    assert (answer.status if answer else None) == status
    assert await invites(sandbox) == effects
    assert len(await sandbox.own("GET", "/mailbox")) == effects
    again = await invite(sandbox)
    assert again is not None
    assert again.status == 200


async def test_lost_answer_of_a_move_still_moved_and_told_everybody(sandbox: Sandbox) -> None:
    await sandbox.hooks(events=["candidate_stage_change"])
    person = await sandbox.act("apply", email=EMAIL)
    await sandbox.fault("move", "cut_after")
    with pytest.raises(aiohttp.ClientError):
        await sandbox.move(person, from_stage_id=person["stage_id"])
    assert len((await sandbox.effects())["moves"]) == 1
    await sandbox.receiver.wait_for(1)
    assert (await sandbox.effects())["calls_by_status"]["cut"] == 1


async def test_move_answered_with_204_did_nothing(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email=EMAIL)
    await sandbox.fault("move", "204_without_effect")
    assert (await sandbox.move(person, from_stage_id=person["stage_id"])).status == 204
    assert (await sandbox.effects())["moves"] == []


async def test_headers_of_refusals(sandbox: Sandbox) -> None:
    await sandbox.fault("invite", "429")
    await sandbox.fault("invite", "429", retry_after=7)
    await sandbox.fault("invite", "503", retry_after=3)
    first, second, third = [await sandbox.invite(EMAIL) for _ in range(3)]
    assert "retry-after" not in first.headers
    assert second.headers["retry-after"] == "7"
    assert third.headers["retry-after"] == "3"


async def test_broken_bodies(sandbox: Sandbox) -> None:
    await sandbox.fault("jobs.list", "truncated_json")
    await sandbox.fault("jobs.list", "502")
    answer = await sandbox.harvest("GET", "jobs")
    with pytest.raises(ValueError, match=r"."):
        json.loads(answer.text)
    answer = await sandbox.harvest("GET", "jobs")
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("kind", "effects"), [("hang", 1), ("hang_after", 1), ("hang_cut", 0)])
async def test_hanging_calls(sandbox: Sandbox, kind: str, effects: int) -> None:
    """A caller that gives up does not know; only the sandbox does."""
    await sandbox.fault("invite", kind, seconds=0.5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await sandbox.invite(EMAIL)
    assert await invites(sandbox) == (1 if kind == "hang_after" else 0)
    await asyncio.sleep(0.4)
    async with asyncio.timeout(5):
        while await invites(sandbox) < effects:
            await asyncio.sleep(0.02)
    assert await invites(sandbox) == effects


async def test_sandbox_stops_although_a_call_hangs(bare: Sandbox) -> None:
    await bare.open()
    await bare.fault("invite", "hang", seconds=600)
    task = asyncio.create_task(invite(bare))
    await asyncio.sleep(0.05)
    task.cancel()
    # The fixture's end must not wait for the ten minutes.


async def test_token_dies_in_the_middle_of_a_call(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email=EMAIL)
    await sandbox.fault("notes.create", "token_revoked")
    assert (await sandbox.note(person)).status == 401
    assert (await sandbox.note(person)).status == 401
    assert (await sandbox.effects())["notes"] == []
    await sandbox.sign_in()
    assert (await sandbox.note(person)).status == 201


async def test_cursor_expires(sandbox: Sandbox) -> None:
    for n in range(2):
        await sandbox.act("apply", email=f"p{n}@x.example")
    link = (await sandbox.harvest("GET", "applications?per_page=1")).headers["link"]
    await sandbox.fault("applications.list", "cursor_expired")
    path = link.partition("/greenhouse/v3/")[2].partition(">")[0]
    assert (await sandbox.harvest("GET", path)).status == 422
    assert (await sandbox.harvest("GET", path)).status == 200


async def test_filter_is_ignored_once(sandbox: Sandbox) -> None:
    for n in range(2):
        await sandbox.act("apply", email=f"p{n}@x.example")
    await sandbox.fault("applications.list", "filter_ignored")
    assert len(await sandbox.rows("applications?ids=1")) == 2
    assert await sandbox.rows("applications?ids=1") == []


async def test_faults_can_be_taken_back(sandbox: Sandbox) -> None:
    await sandbox.fault("invite", "500", count=0)
    await sandbox.own("DELETE", "/faults")
    assert (await sandbox.invite(EMAIL)).status == 200
    assert (await sandbox.own("GET", "/faults"))["calls"] == []


async def test_log_names_the_fault_and_holds_no_secret(sandbox: Sandbox) -> None:
    await sandbox.fault("invite", "cut_after")
    await invite(sandbox)
    log = await sandbox.control("GET", "/calls?route=invite")
    assert [(call["status"], call["fault"], call["account"]) for call in log] == [("cut", "cut_after", "northwind")]
    whole = json.dumps(await sandbox.control("GET", "/calls"))
    account = sandbox.account
    for secret in (sandbox.token, account["greenhouse"]["client_secret"], account["coderbyte"]["api_key"]):
        assert secret not in whole
