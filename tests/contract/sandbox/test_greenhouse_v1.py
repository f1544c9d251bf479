"""Harvest v1 of the sandbox: key, permissions, window, pages, records, writes on behalf of a user, and its end."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.contract.sandbox.harness import Sandbox

DATA = Path("tests/data/sandbox/greenhouse")


def sample(name: str) -> Any:
    return json.loads((DATA / f"harvest_{name}.json").read_text(encoding="utf-8"))


ERRORS = sample("errors")


async def test_the_key_is_the_user_of_basic_authentication_with_an_empty_password(sandbox: Sandbox) -> None:
    assert (await sandbox.v1("GET", "jobs")).status == 200
    answer = await sandbox.v1("GET", "jobs", key="wrong")
    assert (answer.status, answer.json) == (401, ERRORS["bad_key"]["body"])
    key = sandbox.account["greenhouse"]["api_key"]
    for header in (f"Bearer {key}", "Basic " + base64.b64encode(f"{key}:x".encode()).decode(), "Basic %"):
        answer = await sandbox.call("GET", "/greenhouse/v1/jobs", headers={"Authorization": header})
        assert answer.status == 401
    assert (await sandbox.call("GET", "/greenhouse/v1/jobs")).status == 401


async def test_each_endpoint_is_ticked_separately(sandbox: Sandbox) -> None:
    await sandbox.act("revoke_permission", permission="jobs.list")
    answer = await sandbox.v1("GET", "jobs")
    assert (answer.status, answer.json) == (403, ERRORS["endpoint_not_ticked"]["body"])
    job = sandbox.account["greenhouse"]["jobs"][0]["id"]
    assert (await sandbox.v1("GET", f"jobs/{job}")).status == 200
    assert (await sandbox.v1("GET", f"users/{sandbox.account['greenhouse']['service_user_id']}")).status == 403
    await sandbox.act("grant_permission", permission="jobs.list")
    assert (await sandbox.v1("GET", "jobs")).status == 200


async def test_a_reading_with_a_body_is_forbidden(sandbox: Sandbox) -> None:
    assert (await sandbox.v1("GET", "jobs", json={})).status == 403


async def test_the_window_has_fifty_calls_in_ten_seconds_and_says_so(sandbox: Sandbox) -> None:
    answers = [await sandbox.v1("GET", "jobs") for _ in range(51)]
    assert [a.status for a in answers] == [200] * 50 + [429]
    assert answers[0].headers["x-ratelimit-limit"] == "50" and answers[0].headers["x-ratelimit-remaining"] == "49"
    assert "x-ratelimit-reset" not in answers[0].headers
    assert 1 <= int(answers[50].headers["retry-after"]) <= 10 and answers[50].headers["x-ratelimit-reset"]
    await sandbox.control("PUT", "/time", {"advance_s": 11})
    assert (await sandbox.v1("GET", "jobs")).status == 200


async def test_lists_come_in_pages_that_link_to_each_other(sandbox: Sandbox) -> None:
    people = [await sandbox.act("apply", email=f"p{n}@x.example") for n in range(5)]
    first = await sandbox.v1("GET", "applications?per_page=2")
    links = first.headers["link"]
    assert 'page=2>; rel="next"' in links and 'page=3>; rel="last"' in links and "prev" not in links
    found, answer = first.json, await sandbox.v1("GET", "applications?per_page=2&page=2&skip_count=true")
    assert 'rel="last"' not in answer.headers["link"] and "page=1" in answer.headers["link"]
    assert "per_page=2" in answer.headers["link"] and "skip_count=true" in answer.headers["link"]
    found += answer.json
    answer = await sandbox.v1("GET", "applications?per_page=2&page=3")
    assert 'rel="next"' not in answer.headers["link"]
    found += answer.json
    assert {row["id"] for row in found} == {person["application_id"] for person in people}
    assert "link" not in (await sandbox.v1("GET", "applications")).headers
    assert (await sandbox.v1("GET", "applications?per_page=501")).status == 422
    assert (await sandbox.v1("GET", "applications?page=0")).status == 422


async def test_records_look_like_the_samples(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example", stage="Coding Assessment")
    await sandbox.act("write_note", application_id=person["application_id"], body="hello")
    application = (await sandbox.v1("GET", f"applications/{person['application_id']}")).json
    assert set(application) == set(sample("application"))
    assert application["current_stage"] == {"id": person["stage_id"], "name": "Coding Assessment"}
    assert [job["id"] for job in application["jobs"]] == [person["job_id"]]
    candidate = (await sandbox.v1("GET", f"candidates/{person['candidate_id']}")).json
    assert set(candidate) == set(sample("candidate"))
    assert [row["id"] for row in candidate["applications"]] == candidate["application_ids"]
    stages = (await sandbox.v1("GET", f"jobs/{person['job_id']}/stages")).json
    assert set(stages[0]) == set(sample("job_stages")[0]) and len(stages) == 5
    assert (await sandbox.v1("GET", "job_stages")).json == stages
    feed = (await sandbox.v1("GET", f"candidates/{person['candidate_id']}/activity_feed")).json
    assert set(feed) == set(sample("activity_feed")) and feed["activities"]
    assert set(feed["notes"][0]) == set(sample("activity_feed")["notes"][0])
    assert set((await sandbox.v1("GET", f"jobs/{person['job_id']}")).json) | {"hiring_team"} == set(sample("job"))
    await sandbox.act("grant_permission", permission="users.retrieve")
    user = sandbox.account["greenhouse"]["service_user_id"]
    assert set((await sandbox.v1("GET", f"users/{user}")).json) <= set(sample("user"))
    for path in ("applications/1", "candidates/1", "candidates/1/activity_feed", "jobs/1", "jobs/1/stages", "users/1"):
        assert (await sandbox.v1("GET", path)).status == 404, path


async def test_a_confidential_job_and_its_applications_are_not_found(sandbox: Sandbox) -> None:
    job = await sandbox.own("POST", "/jobs", {"name": "Secret", "stages": ["A"], "confidential": True})
    person = await sandbox.act("apply", job=job["id"], stage="A", email="s@x.example")
    for path in (f"applications/{person['application_id']}", f"jobs/{job['id']}", f"jobs/{job['id']}/stages"):
        assert (await sandbox.v1("GET", path)).status == 404
    assert (await sandbox.v1("GET", "applications")).json == []


async def test_applications_are_narrowed_and_a_misspelt_filter_filters_nothing(sandbox: Sandbox) -> None:
    old = await sandbox.act("apply", email="a@x.example")
    await sandbox.control("PUT", "/time", {"advance_s": 3600})
    new = await sandbox.act("apply", email="b@x.example")
    at = (await sandbox.v1("GET", f"applications/{new['application_id']}")).json["applied_at"]

    async def ids(query: str) -> list[int]:
        return [row["id"] for row in (await sandbox.v1("GET", f"applications?{query}")).json]

    both = [old["application_id"], new["application_id"]]
    assert await ids(f"last_activity_after={at}") == await ids(f"created_after={at}") == both[1:]
    assert await ids(f"created_before={at}") == both[:1]
    assert await ids(f"updated_after={at}") == both  # v1 has no such filter
    assert await ids("status=active") == both and await ids("status=nonsense") == []
    await sandbox.act("reject", application_id=both[0])
    assert await ids("status=rejected") == both[:1]
    assert (await sandbox.v1("GET", "applications?created_after=yesterday")).status == 422
    wanted = f"candidates?candidate_ids={new['candidate_id']},1"
    assert [row["id"] for row in (await sandbox.v1("GET", wanted)).json] == [new["candidate_id"]]
    assert (await sandbox.v1("GET", "candidates?candidate_ids=" + ",".join(["1"] * 51))).status == 422


async def test_a_move_names_both_stages_and_is_answered_with_the_application(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example", stage="Coding Assessment")
    path = f"applications/{person['application_id']}/move"
    body = {"from_stage_id": person["stage_id"], "to_stage_id": sandbox.stage("Onsite")}
    for name in body:
        answer = await sandbox.v1("POST", path, json={k: v for k, v in body.items() if k != name})
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, name)
    answer = await sandbox.v1("POST", path, json=body)
    assert (answer.status, answer.json["current_stage"]["name"]) == (200, "Onsite")
    stale = await sandbox.v1("POST", path, json=body | {"to_stage_id": sandbox.stage("Offer")})
    assert (stale.status, stale.json) == (422, ERRORS["stale_from_stage"]["body"])
    rows = await sandbox.rows(f"application_stages?application_ids={person['application_id']}&current=true")
    assert rows[0]["job_interview_stage_id"] == sandbox.stage("Onsite")  # one state behind both versions
    by_row = {"from_stage_id": rows[0]["id"], "to_stage_id": sandbox.stage("Offer")}
    assert (await sandbox.v1("POST", path, json=by_row)).status == 422
    assert len((await sandbox.effects())["moves"]) == 1


async def test_only_active_applications_of_open_jobs_are_moved(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example", stage="Coding Assessment")
    body = {"from_stage_id": person["stage_id"], "to_stage_id": sandbox.stage("Onsite")}
    await sandbox.act("reject", application_id=person["application_id"])
    assert (await sandbox.v1("POST", f"applications/{person['application_id']}/move", json=body)).status == 422
    await sandbox.act("unreject", application_id=person["application_id"])
    await sandbox.act("close_job")
    assert (await sandbox.v1("POST", f"applications/{person['application_id']}/move", json=body)).status == 422


async def test_advance_and_transfer(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example", stage="Recruiter Call")
    base = f"applications/{person['application_id']}"
    answer = await sandbox.v1("POST", f"{base}/advance", json={"from_stage_id": person["stage_id"]})
    assert answer.json["current_stage"]["name"] == "Coding Assessment"
    job = await sandbox.own("POST", "/jobs", {"name": "Other", "stages": ["A", "B"]})
    answer = await sandbox.v1("POST", f"{base}/transfer_to_job", json={"new_job_id": job["id"]})
    assert (answer.json["jobs"][0]["id"], answer.json["current_stage"]["name"]) == (job["id"], "A")
    first = sandbox.account["greenhouse"]["jobs"][0]["id"]
    body = {"new_job_id": first, "new_stage_id": sandbox.stage("Onsite")}
    answer = await sandbox.v1("POST", f"{base}/transfer_to_job", json=body)
    assert answer.json["current_stage"]["name"] == "Onsite"
    assert (await sandbox.v1("POST", f"{base}/transfer_to_job", json={"new_job_id": 1})).status == 422


async def test_a_note_names_its_author_and_no_application(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example")
    path = f"candidates/{person['candidate_id']}/activity_feed/notes"
    user = sandbox.account["greenhouse"]["service_user_id"]
    body = {"user_id": user, "body": "82 of 100.\n[ref tr-k3v9x2m4q7ab]", "visibility": "private"}
    answer = await sandbox.v1("POST", path, json={k: v for k, v in body.items() if k != "body"})
    assert (answer.status, answer.json) == (422, ERRORS["note_field_missing"]["body"])
    answer = await sandbox.v1("POST", path, json=body | {"visibility": "everybody"})
    assert (answer.status, answer.json) == (422, ERRORS["validation"]["body"])
    answer = await sandbox.v1("POST", path, json=body)
    assert answer.status == 200 and set(answer.json) == set(sample("writes")["add_note"]["response"]["body"])
    assert (answer.json["user"]["id"], answer.json["private"]) == (user, True)
    await sandbox.switch("note.v1_status", 201)
    assert (await sandbox.v1("POST", path, json=body)).status == 201
    rows = await sandbox.rows(f"notes?candidate_ids={person['candidate_id']}")
    assert [row["application_id"] for row in rows] == [None, None]
    assert await sandbox.rows(f"notes?application_ids={person['application_id']}") == []


@pytest.mark.parametrize("wrong", ["On-Behalf-Of", "user_id", "candidate"])
async def test_an_unknown_candidate_author_or_user_is_the_same_404(sandbox: Sandbox, wrong: str) -> None:
    person = await sandbox.act("apply", email="a@x.example")
    user = sandbox.account["greenhouse"]["service_user_id"]
    candidate = 1 if wrong == "candidate" else person["candidate_id"]
    body = {"user_id": 1 if wrong == "user_id" else user, "body": "x", "visibility": "public"}
    acting = 1 if wrong == "On-Behalf-Of" else user
    answer = await sandbox.v1("POST", f"candidates/{candidate}/activity_feed/notes", json=body, user=acting)
    expected = ERRORS["unknown_candidate_or_user_or_on_behalf_of"]
    assert (answer.status, answer.json) == (404, expected["body"])


async def test_a_write_on_behalf_of_nobody_is_refused(sandbox: Sandbox) -> None:
    person = await sandbox.act("apply", email="a@x.example")
    answer = await sandbox.v1("POST", f"candidates/{person['candidate_id']}/activity_feed/notes", json={}, user="")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "On-Behalf-Of")
    assert not (await sandbox.effects())["notes"]


@pytest.mark.parametrize("state", ["401", "404", "410"])
async def test_when_it_has_ended_every_call_gets_the_same(sandbox: Sandbox, state: str) -> None:
    await sandbox.switch("v1.state", state)
    person = await sandbox.act("apply", email="a@x.example")
    for path in ("jobs", f"applications/{person['application_id']}", "nonsense"):
        assert (await sandbox.v1("GET", path)).status == int(state)
    note = await sandbox.v1("POST", f"candidates/{person['candidate_id']}/activity_feed/notes", json={})
    assert note.status == int(state)
    assert (await sandbox.v1("GET", "jobs", key="wrong")).status == int(state)
    assert (await sandbox.harvest("GET", "jobs")).status == 200


async def test_when_it_refuses_connections_nothing_is_answered(sandbox: Sandbox) -> None:
    await sandbox.switch("v1.state", "refused")
    with pytest.raises(aiohttp.ClientError):
        await sandbox.v1("GET", "jobs")


async def test_faults_reach_v1_too(sandbox: Sandbox) -> None:
    for kind, status in (("500", 500), ("429", 429), ("token_revoked", 401)):
        await sandbox.fault("v1.jobs.list", kind)
        assert (await sandbox.v1("GET", "jobs")).status == status
    await sandbox.fault("v1.applications.list", "filter_ignored")
    await sandbox.act("apply", email="a@x.example")
    assert len((await sandbox.v1("GET", "applications?status=nonsense")).json) == 1


async def test_a_key_belongs_to_one_account(sandbox: Sandbox) -> None:
    taken = {"name": "globex", "greenhouse": {"api_key": sandbox.account["greenhouse"]["api_key"]}}
    await sandbox.control("POST", "/accounts", taken, status=409)
