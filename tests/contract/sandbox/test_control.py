"""The control API and the command line."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from tests.contract.sandbox.harness import Sandbox

from trellis.sandbox.accounts import create_account
from trellis.sandbox.bodies import Body
from trellis.sandbox.control import VERBS
from trellis.sandbox.main import show_mailbox
from trellis.sandbox.world import World


async def test_sandbox_is_ready_and_empty(bare: Sandbox) -> None:
    assert (await bare.call("GET", "/health/ready")).status == 200
    assert await bare.control("GET", "/accounts") == []


async def test_account_comes_with_a_job_stages_an_assessment_and_a_service_user(sandbox: Sandbox) -> None:
    greenhouse = sandbox.account["greenhouse"]
    stages = [stage["name"] for stage in greenhouse["jobs"][0]["stages"]]
    assert stages == ["Application Review", "Recruiter Call", "Coding Assessment", "Onsite", "Offer"]
    assert greenhouse["users"][0]["site_admin"] is True
    assert greenhouse["service_user_id"] == greenhouse["users"][0]["id"]
    assert sandbox.assessment["qualifying_score"] == 70
    assert await sandbox.own("GET", "") == sandbox.account


async def test_account_is_made_as_it_is_asked_for(bare: Sandbox) -> None:
    account = await bare.open(
        "acme",
        greenhouse={
            "client_id": "c",
            "client_secret": "s",
            "scopes": ["jobs:list"],
            "service_user": {"name": "Bot", "site_admin": False},
            "jobs": [{"name": "Cook", "stages": ["In", "Out"]}],
        },
        coderbyte={"organization_id": "acmeorg", "api_key": "k", "assessments": [{"test_id": "t-1"}]},
        switches={"rate.limit": 10},
    )
    assert account["greenhouse"]["scopes"] == ["harvest:jobs:list"]
    assert account["coderbyte"]["assessments"][0]["test_id"] == "t-1"
    assert account["switches"]["rate.limit"] == 10
    await bare.sign_in()
    assert (await bare.harvest("GET", "jobs")).status == 403


@pytest.mark.parametrize(
    "body",
    [
        {"switches": {"nope": 1}},
        {"greenhouse": []},
        {"greenhouse": {"jobs": "x"}},
        {"greenhouse": {"service_user": {"site_admin": "yes"}}},
    ],
)
async def test_wrong_account_is_refused_and_leaves_nothing(bare: Sandbox, body: dict[str, object]) -> None:
    await bare.control("POST", "/accounts", {"name": "x", **body}, status=422)
    assert await bare.control("GET", "/accounts") == []


async def test_reset_forgets_everything_and_repeats_itself(sandbox: Sandbox) -> None:
    first = await sandbox.act("apply", email="a@x.example")
    link = (await sandbox.invite("a@x.example")).text
    await sandbox.control("POST", "/reset")
    assert await sandbox.control("GET", "/accounts") == []
    await sandbox.open()
    second = await sandbox.act("apply", email="a@x.example")
    assert {**first, "deliveries": []} == {**second, "deliveries": []}
    assert (await sandbox.invite("a@x.example")).text == link


async def test_unknown_verb_account_or_person_says_so(sandbox: Sandbox) -> None:
    await sandbox.act("levitate", expect=404)
    await sandbox.act("move", email="nobody@x.example", stage="Onsite", expect=404)
    await sandbox.control("GET", "/accounts/nobody", status=404)
    await sandbox.act("move", application_id="seven", expect=422)


async def test_people_are_found_by_application_or_address(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", emails=["a@x.example", {"value": "work@x.example", "type": "work"}])
    moved = await sandbox.act("move", email="WORK@x.example", stage="Onsite")
    assert moved["application_id"] == person["application_id"]
    await sandbox.act("move", email="a@x.example", stage="Onsite", expect=409)


async def test_stages_can_be_renamed_reordered_added_and_deleted(sandbox: Sandbox) -> None:
    await sandbox.act("rename_stage", stage="Onsite", name="Visit")
    await sandbox.act("add_stage", name="Party")
    await sandbox.act("reorder_stages", order=["Party", "Visit"])
    await sandbox.act("delete_stage", stage="Offer")
    rows = await sandbox.rows("job_interview_stages?active=true")
    by_order = [row["name"] for row in sorted(rows, key=lambda row: (row["sort_order"], row["id"]))]
    assert by_order[0] == "Application Review"
    assert set(by_order) == {"Application Review", "Recruiter Call", "Coding Assessment", "Visit", "Party"}
    assert {row["name"]: row["sort_order"] for row in rows}["Party"] == 0


async def test_scorecards_and_interviews_can_be_driven(sandbox: Sandbox) -> None:
    await sandbox.hooks(events=["scorecard_deleted", "interview_deleted"])
    person = await sandbox.act("apply", email="a@x.example")
    which = {"application_id": person["application_id"]}
    interview = (await sandbox.act("schedule_interview", **which))["interview_id"]
    await sandbox.act("set_interview_status", interview_id=interview, status="complete")
    card = (await sandbox.act("submit_scorecard", **which, rating="strong_yes"))["scorecard_id"]
    path = f"scorecards?application_ids={person['application_id']}&status=complete"
    assert [row["candidate_rating"] for row in await sandbox.rows(path)] == ["strong_yes"]
    assert [row["scorecard_id"] for row in await sandbox.rows("interviewers")] == [card]
    await sandbox.act("delete_scorecard", scorecard_id=card)
    await sandbox.act("delete_interview", interview_id=interview)
    assert sandbox.receiver.events() == ["scorecard_deleted", "interview_deleted"]


async def test_notes_of_people_are_not_counted_as_ours(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example")
    imani = sandbox.account["greenhouse"]["users"][1]["id"]
    which = {"application_id": person["application_id"]}
    await sandbox.act("write_note", **which, body="Nice person.\n[ref tr-k3v9x2m4q7ab]", user_id=imani)
    assert [row["user_id"] for row in await sandbox.rows("notes")] == [imani]
    assert (await sandbox.effects())["notes"] == []


async def test_nobody_waits_for_webhooks_if_told_so(sandbox: Sandbox) -> None:
    await sandbox.hooks(events=["new_candidate_application"])
    result = await sandbox.own("POST", "/people/apply?wait=0", {"email": "a@x.example"})
    assert result["deliveries"][0]["attempts"] == []
    await sandbox.receiver.wait_for(1)


async def test_deliveries_can_be_read_with_their_bodies_but_without_signatures(sandbox: Sandbox) -> None:
    await sandbox.hooks(events=["new_candidate_application"], secret="very-secret")
    await sandbox.act("apply", email="a@x.example")
    log = await sandbox.own("GET", "/deliveries?bodies=1")
    assert json.loads(log[-1]["body"])["action"] == "new_candidate_application"
    assert "very-secret" not in json.dumps(log)
    assert "sha256" not in json.dumps(log)


async def test_every_route_counts_its_calls(sandbox: Sandbox) -> None:
    await sandbox.rows("jobs")
    await sandbox.coderbyte("GET", "assessments")
    await sandbox.coderbyte("GET", "candidates/a%40x.example")
    await sandbox.coderbyte("GET", "candidates/a%40x.example/t")
    calls = (await sandbox.effects())["calls"]
    assert calls == {"token": 1, "jobs.list": 1, "assessments.list": 1, "candidate": 1, "report": 1}


async def test_mailbox_command_shows_what_arrived(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await sandbox.invite("a@x.example")
    code = await asyncio.to_thread(show_mailbox, sandbox.base, None, as_json=False)
    out = capsys.readouterr().out
    assert code == 0
    assert "to a@x.example" in out
    assert "1 invite arrived" in out
    await asyncio.to_thread(show_mailbox, sandbox.base, "northwind", as_json=True)
    (mail,) = json.loads(capsys.readouterr().out)
    assert (mail["account"], mail["to"]) == ("northwind", "a@x.example")
    assert await asyncio.to_thread(show_mailbox, "http://127.0.0.1:9", None, as_json=True) == 1


async def test_command_serves_on_a_free_port_and_stops_when_asked() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "trellis.sandbox.main",
        "serve",
        "--listen",
        "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    assert line.startswith("sandbox ready on http://127.0.0.1:")
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0


def test_world_can_be_used_without_a_server() -> None:
    world = World()
    account = create_account(world, Body({"name": "northwind"}))
    person = VERBS["apply"](account, Body({"email": "a@x.example"}))
    VERBS["move"](account, Body({"application_id": person["application_id"], "stage": "Onsite"}))
    assert [move["by"] for move in account.greenhouse.moves] == ["person"]
