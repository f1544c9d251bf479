"""Move, advance, transfer and note, with what they must leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.sandbox.harness import Sandbox

ERRORS = json.loads(Path("tests/data/sandbox/greenhouse/harvest_v3_errors.json").read_text(encoding="utf-8"))


async def applied(sandbox: Sandbox, **body: Any) -> Any:
    return await sandbox.act("apply", **{"email": "a@x.example", **body})


async def stage_name(sandbox: Sandbox, application: Any) -> str:
    rows = await sandbox.rows(f"applications?ids={application['application_id']}")
    return str(rows[0]["stage_name"])


async def test_move_leaves_row_activity_times_count_and_webhook(sandbox: Sandbox) -> None:
    await sandbox.hooks(events=["candidate_stage_change"])
    person = await applied(sandbox)
    await sandbox.control("PUT", "/time", {"advance_s": 5})
    target = sandbox.stage("Coding Assessment")
    answer = await sandbox.move(person, from_stage_id=person["stage_id"], to_stage_id=target)
    assert (answer.status, answer.text) == (204, "")
    state = await sandbox.own("GET", f"/applications/{person['application_id']}")
    now, before = state["application_stages"][1], state["application_stages"][0]
    assert (now["job_interview_stage_id"], now["current"]) == (target, True)
    assert (before["current"], before["exited_at"]) == (False, now["entered_at"])
    application = state["application"]
    assert application["updated_at"] == application["last_activity_at"] == now["entered_at"]
    assert state["activities"][-1]["text"] == "moved into Coding Assessment"
    moves = (await sandbox.effects())["moves"]
    assert [(m["from_stage_id"], m["to_stage_id"], m["by"]) for m in moves] == [(person["stage_id"], target, "api")]
    await sandbox.receiver.wait_for(1)
    webhook = sandbox.receiver.last("candidate_stage_change").body
    assert webhook["payload"]["application"]["current_stage"]["id"] == target


@pytest.mark.parametrize(
    ("space", "by_stage", "by_row"),
    [("job_interview_stage", 204, 422), ("application_stage", 422, 204), ("either", 204, 204)],
)
async def test_from_stage_id_has_one_space_at_a_time(sandbox: Sandbox, space: str, by_stage: int, by_row: int) -> None:
    await sandbox.switch("move.from_stage_space", space)
    for field, status in (("stage_id", by_stage), ("stage_row_id", by_row)):
        person = await applied(sandbox)
        assert (await sandbox.move(person, from_stage_id=person[field])).status == status


@pytest.mark.parametrize("code", [422, 409, 404])
async def test_stale_move_changes_nothing(sandbox: Sandbox, code: int) -> None:
    await sandbox.switch("move.stale_code", code)
    person = await applied(sandbox)
    await sandbox.act("move", application_id=person["application_id"], stage="Onsite")
    answer = await sandbox.move(person, from_stage_id=person["stage_id"], to_stage_id=sandbox.stage("Offer"))
    assert answer.status == code
    if code == 422:
        assert answer.json == ERRORS["stale_from_stage"]["body"]
    assert await stage_name(sandbox, person) == "Onsite"
    assert [m["by"] for m in (await sandbox.effects())["moves"]] == ["person"]


async def test_advance_takes_the_next_active_stage(sandbox: Sandbox) -> None:
    await sandbox.act("delete_stage", stage="Recruiter Call")
    person = await applied(sandbox)
    assert (await sandbox.move(person, from_stage_id=person["stage_id"])).status == 204
    assert await stage_name(sandbox, person) == "Coding Assessment"
    last = await applied(sandbox, stage="Offer")
    assert (await sandbox.move(last, from_stage_id=last["stage_id"])).status == 422


@pytest.mark.parametrize("target", [7_310_000_999, "row", "Recruiter Call"])
async def test_target_must_be_an_active_stage_of_the_job(sandbox: Sandbox, target: int | str) -> None:
    await sandbox.act("delete_stage", stage="Recruiter Call")
    person = await applied(sandbox)
    number = {"row": person["stage_row_id"], "Recruiter Call": sandbox.stage("Recruiter Call")}.get(str(target), target)
    answer = await sandbox.move(person, from_stage_id=person["stage_id"], to_stage_id=number)
    assert answer.status == 422


@pytest.mark.parametrize("verb", ["reject", "hire"])
async def test_ended_applications_do_not_move(sandbox: Sandbox, verb: str) -> None:
    person = await applied(sandbox)
    await sandbox.act(verb, application_id=person["application_id"])
    assert (await sandbox.move(person, from_stage_id=person["stage_id"])).status == 422


async def test_prospects_and_closed_jobs_do_not_move(sandbox: Sandbox) -> None:
    prospect = await applied(sandbox, prospect=True)
    assert (await sandbox.move(prospect, from_stage_id=1)).status == 422
    person = await applied(sandbox)
    await sandbox.act("close_job", job="Backend Engineer")
    assert (await sandbox.move(person, from_stage_id=person["stage_id"])).status == 422


async def test_unknown_application_is_not_found(sandbox: Sandbox) -> None:
    answer = await sandbox.harvest("POST", "applications/6200000999/move", json={"from_stage_id": 1})
    assert (answer.status, answer.json) == (404, ERRORS["no_record"]["body"])


@pytest.mark.parametrize("body", [{}, {"from_stage_id": "7"}, {"from_stage_id": 7, "note": "x"}])
async def test_move_needs_its_fields(sandbox: Sandbox, body: dict[str, object]) -> None:
    person = await applied(sandbox)
    assert (await sandbox.move(person, **body)).status == 422


@pytest.mark.parametrize(
    ("together", "status", "lands_in"),
    [("reject_422", 422, "Application Review"), ("accept", 204, "Test"), ("ignore_stage", 204, "Screen")],
)
async def test_transfer_with_a_stage(sandbox: Sandbox, together: str, status: int, lands_in: str) -> None:
    await sandbox.switch("move.to_stage_with_to_job", together)
    job = await sandbox.own("POST", "/jobs", {"name": "Other", "stages": ["Screen", "Test"]})
    person = await applied(sandbox)
    answer = await sandbox.move(
        person, from_stage_id=person["stage_id"], to_job_id=job["id"], to_stage_id=job["stages"][1]["id"]
    )
    assert answer.status == status
    assert await stage_name(sandbox, person) == lands_in


@pytest.mark.parametrize(
    ("fires", "events"),
    [
        ("both", ["application_updated", "candidate_stage_change"]),
        ("application_updated", ["application_updated"]),
        ("stage_change", ["candidate_stage_change"]),
        ("none", []),
    ],
)
async def test_transfer_fires_what_the_switch_says(sandbox: Sandbox, fires: str, events: list[str]) -> None:
    job = await sandbox.own("POST", "/jobs", {"name": "Other"})
    await sandbox.hooks(events=["application_updated", "candidate_stage_change"])
    await sandbox.switch("hook.transfer_fires", fires)
    person = await applied(sandbox)
    moved = await sandbox.act("transfer", application_id=person["application_id"], to_job="Other")
    assert (moved["application_id"], moved["job_id"]) == (person["application_id"], job["id"])
    assert sorted(sandbox.receiver.events()) == events


async def test_reads_show_the_old_stage_for_a_while(sandbox: Sandbox) -> None:
    await sandbox.switch("move.delay_visible_s", 40)
    person = await applied(sandbox)
    rows = f"application_stages?application_ids={person['application_id']}&current=true"
    await sandbox.move(person, from_stage_id=person["stage_id"])
    assert await stage_name(sandbox, person) == "Application Review"
    assert [row["id"] for row in await sandbox.rows(rows)] == [person["stage_row_id"]]
    assert (await sandbox.move(person, from_stage_id=person["stage_id"])).status == 422
    await sandbox.control("PUT", "/time", {"advance_s": 41})
    assert await stage_name(sandbox, person) == "Recruiter Call"
    assert [row["id"] for row in await sandbox.rows(rows)] != [person["stage_row_id"]]


@pytest.mark.parametrize(
    ("style", "rows", "nulls"), [("new_row", 3, 0), ("reuse_row", 2, 0), ("null_entered_at", 3, 1)]
)
async def test_coming_back_to_a_stage(sandbox: Sandbox, style: str, rows: int, nulls: int) -> None:
    await sandbox.switch("app_stages.reentry", style)
    person = await applied(sandbox)
    for stage in ("Onsite", "Application Review"):
        await sandbox.act("move", application_id=person["application_id"], stage=stage)
    found = await sandbox.rows("application_stages")
    assert len(found) == rows
    assert len([row for row in found if row["entered_at"] is None]) == nulls
    current = [row["job_interview_stage_id"] for row in found if row["current"]]
    assert current == [sandbox.stage("Application Review")]


async def test_stage_rules_that_mail_are_counted(bare: Sandbox) -> None:
    stages = ["Review", {"name": "Test", "sends_email": True}]
    await bare.open(greenhouse={"jobs": [{"name": "J", "stages": stages}]})
    await bare.sign_in()
    person = await applied(bare)
    await bare.move(person, from_stage_id=person["stage_id"])
    assert [e["application_id"] for e in (await bare.effects())["stage_emails"]] == [person["application_id"]]


async def test_note_is_kept_read_back_and_counted(sandbox: Sandbox) -> None:
    person = await applied(sandbox)
    answer = await sandbox.note(person)
    assert answer.status == 201
    assert (answer.json["type"], answer.json["visibility"]) == ("NOTE", "publicly_visible")
    assert answer.json["user_id"] == sandbox.account["greenhouse"]["service_user_id"]
    path = f"notes?application_ids={person['application_id']}&user_ids={answer.json['user_id']}"
    assert await sandbox.rows(path) == [answer.json]
    assert [n["id"] for n in (await sandbox.effects())["notes"]] == [answer.json["id"]]
    await sandbox.note(person)
    assert len(await sandbox.rows(path)) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"candidate_id": None},
        {"body": None},
        {"body": "  "},
        {"visibility": "publicly_visible"},
        {"note_type": "SMS"},
        {"application_id": 6_200_000_999},
        {"user_id": 4_400_000_999},
        {"colour": "red"},
    ],
)
async def test_note_needs_its_fields(sandbox: Sandbox, body: dict[str, object]) -> None:
    person = await applied(sandbox)
    assert (await sandbox.note(person, **body)).status == 422
    assert (await sandbox.effects())["notes"] == []


async def test_note_of_another_candidates_application_is_refused(sandbox: Sandbox) -> None:
    person, other = await applied(sandbox), await applied(sandbox, email="b@x.example")
    assert (await sandbox.note(person, application_id=other["application_id"])).status == 422


async def test_unknown_candidate_is_not_noticed_unless_switched(sandbox: Sandbox) -> None:
    person = await applied(sandbox)
    ghost = {"candidate_id": 5_600_000_999, "application_id": None}
    assert (await sandbox.note(person, **ghost)).status == 201
    await sandbox.switch("note.unknown_candidate", "404")
    assert (await sandbox.note(person, **ghost)).status == 404


@pytest.mark.parametrize(("style", "stored"), [("none", " a<b \n"), ("trim", "a<b"), ("escape_html", " a&lt;b \n")])
async def test_body_may_be_rewritten(sandbox: Sandbox, style: str, stored: str) -> None:
    await sandbox.switch("note.body_rewrite", style)
    assert (await sandbox.note(await applied(sandbox), body=" a<b \n")).json["body"] == stored


async def test_note_types_work_in_both_cases(sandbox: Sandbox) -> None:
    assert (await sandbox.note(await applied(sandbox), note_type="note")).json["type"] == "NOTE"
