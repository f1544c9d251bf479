"""Paging, filters and rows of Harvest v3 lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.contract.sandbox.harness import Sandbox

DATA = Path("tests/data/sandbox/greenhouse")
ERRORS = json.loads((DATA / "harvest_v3_errors.json").read_text(encoding="utf-8"))


async def people(sandbox: Sandbox, count: int) -> list[Any]:
    return [await sandbox.act("apply", email=f"p{i}@x.example") for i in range(count)]


async def test_pages_follow_the_link_in_descending_order(sandbox: Sandbox) -> None:
    made = [person["application_id"] for person in await people(sandbox, 5)]
    seen: list[int] = []
    path = "applications?per_page=2&status=active"
    while path:
        answer = await sandbox.harvest("GET", path)
        seen += [row["id"] for row in answer.json]
        link = answer.headers.get("link", "")
        assert not link or link.endswith('>; rel="next"')
        path = link.partition("/greenhouse/v3/")[2].partition(">")[0]
    assert seen == sorted(made, reverse=True)


async def test_cursor_stands_alone(sandbox: Sandbox) -> None:
    await people(sandbox, 2)
    link = (await sandbox.harvest("GET", "applications?per_page=1")).headers["link"]
    cursor = link.partition("cursor=")[2].partition(">")[0]
    answer = await sandbox.harvest("GET", f"applications?cursor={cursor}&per_page=1")
    assert (answer.status, answer.json) == (422, ERRORS["cursor_with_filters"]["body"])
    assert (await sandbox.harvest("GET", f"candidates?cursor={cursor}")).status == 422
    assert (await sandbox.harvest("GET", "applications?cursor=abc")).status == 422


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("candidate_id=1", ["Invalid query params: candidate_id"]),
        ("page=2", ["Invalid query params: page"]),
        ("per_page=501", [{"per_page": "`501` number is greater than: 500"}]),
        ("per_page=0", [{"per_page": "`0` number is less than: 1"}]),
        ("ids=1,x", [{"ids": "`x` must be an integer"}]),
        ("status=in_process", None),
        ("prospect=maybe", None),
        ("updated_at=yesterday", None),
        ("updated_at=gte|soon", None),
        ("updated_at[since]=2026-01-01", None),
        ("created_at=gte|2026-01-01T00:00:00Z&updated_at=gte|2026-01-01T00:00:00Z", None),
    ],
)
async def test_what_is_not_understood_is_422(sandbox: Sandbox, query: str, errors: object) -> None:
    answer = await sandbox.harvest("GET", f"applications?{query}")
    assert (answer.status, answer.json["message"]) == (422, "Unprocessable Content")
    if errors is not None:
        assert answer.json["errors"] == errors


@pytest.mark.parametrize("parameter", ["ids", "candidate_ids", "job_ids"])
async def test_fifty_ids_are_the_most(sandbox: Sandbox, parameter: str) -> None:
    numbers = [str(n) for n in range(51)]
    assert (await sandbox.harvest("GET", f"applications?{parameter}={','.join(numbers[:50])}")).status == 200
    assert (await sandbox.harvest("GET", f"applications?{parameter}={','.join(numbers)}")).status == 422


async def test_no_item_routes_and_missing_ids_are_left_out(sandbox: Sandbox) -> None:
    person = (await people(sandbox, 1))[0]
    number = person["application_id"]
    assert (await sandbox.harvest("GET", f"applications/{number}")).status == 404
    assert [row["id"] for row in await sandbox.rows(f"applications?ids={number},12")] == [number]


@pytest.mark.parametrize(
    ("syntax", "pipe", "bracket"),
    [
        ("both", 1, 1),
        ("pipe", 1, None),
        ("bracket", None, 1),
        ("bracket_ignored", 1, 2),
    ],
)
async def test_both_spellings_of_a_range(sandbox: Sandbox, syntax: str, pipe: int | None, bracket: int | None) -> None:
    """Two applications, of which one was updated in the range; `None` is a 422."""
    await people(sandbox, 1)
    await sandbox.control("PUT", "/time", {"advance_s": 60})
    late = (await people(sandbox, 1))[0]
    since = (await sandbox.rows(f"applications?ids={late['application_id']}"))[0]["updated_at"]
    await sandbox.switch("filters.range_syntax", syntax)
    for query, expected in ((f"updated_at={quote(f'gte|{since}')}", pipe), (f"updated_at[gte]={since}", bracket)):
        answer = await sandbox.harvest("GET", f"applications?{query}")
        assert (answer.status if expected is None else len(answer.json)) == (expected or 422)


async def test_two_sided_ranges(sandbox: Sandbox) -> None:
    first = (await people(sandbox, 1))[0]["application_id"]
    await sandbox.control("PUT", "/time", {"advance_s": 60})
    second = (await people(sandbox, 1))[0]["application_id"]
    at = {row["id"]: row["last_activity_at"] for row in await sandbox.rows("applications")}
    for query in (
        f"last_activity_at=gte|{at[first]}|lt|{at[second]}",
        f"last_activity_at[gte]={at[first]}&last_activity_at[lt]={at[second]}",
    ):
        assert [row["id"] for row in await sandbox.rows(f"applications?{query}")] == [first]


async def test_filters_find_what_they_name(sandbox: Sandbox) -> None:
    first, second = await people(sandbox, 2)
    await sandbox.act("reject", application_id=second["application_id"])
    await sandbox.act("add_tag", application_id=first["application_id"], tag="Rust")

    async def found(path: str) -> list[int]:
        return [row["id"] for row in await sandbox.rows(path)]

    assert await found("applications?status=active") == [first["application_id"]]
    assert await found("applications?status=rejected") == [second["application_id"]]
    assert await found(f"applications?stage_ids={first['stage_row_id']}") == [first["application_id"]]
    assert await found(f"applications?stage_ids={first['stage_id']}") == []
    assert await found("candidates?email=P1@X.EXAMPLE") == [second["candidate_id"]]
    assert await found("candidates?tag=Rust") == [first["candidate_id"]]
    rows = f"application_stages?application_ids={first['application_id']}&current=true"
    assert await found(rows) == [first["stage_row_id"]]
    assert await found("jobs?status=closed") == []


async def test_columns_can_be_chosen(sandbox: Sandbox) -> None:
    assert set((await sandbox.rows("jobs?fields=id,name"))[0]) == {"id", "name"}
    assert (await sandbox.harvest("GET", "jobs?fields=id,nope")).status == 422


async def test_confidential_job_is_hidden_but_its_webhook_comes(sandbox: Sandbox) -> None:
    job = await sandbox.own("POST", "/jobs", {"name": "Secret", "confidential": True})
    await sandbox.hooks(events=["new_candidate_application"])
    person = await sandbox.act("apply", email="a@x.example", job="Secret")
    assert sandbox.receiver.events() == ["new_candidate_application"]
    assert job["id"] not in [row["id"] for row in await sandbox.rows("jobs")]
    assert await sandbox.rows("applications") == []
    assert (await sandbox.move(person, from_stage_id=person["stage_id"])).status == 404


@pytest.mark.parametrize(
    "resource",
    [
        "applications",
        "application_stages",
        "job_interview_stages",
        "candidates",
        "jobs",
        "openings",
        "job_posts",
        "users",
        "notes",
        "scorecards",
        "interviews",
        "interviewers",
    ],
)
async def test_rows_have_the_keys_of_the_samples(sandbox: Sandbox, resource: str) -> None:
    person = (await people(sandbox, 1))[0]
    await sandbox.note(person)
    await sandbox.act("schedule_interview", application_id=person["application_id"])
    await sandbox.act("submit_scorecard", application_id=person["application_id"])
    sample = json.loads((DATA / f"harvest_v3_{resource}.json").read_text(encoding="utf-8"))[0]
    row = (await sandbox.rows(resource))[0]
    assert set(row) == set(sample)
    for name, value in sample.items():
        if isinstance(value, bool | int | str | list) and row[name] is not None:
            assert isinstance(row[name], type(value)), name


async def test_field_of_job_interview_stage_may_be_missing(sandbox: Sandbox) -> None:
    await people(sandbox, 1)
    await sandbox.switch("app.has_job_interview_stage_id", False)
    assert "job_interview_stage_id" not in (await sandbox.rows("applications"))[0]


async def test_ended_applications_have_no_stage_ids(sandbox: Sandbox) -> None:
    person = (await people(sandbox, 1))[0]
    await sandbox.act("hire", application_id=person["application_id"])
    row = (await sandbox.rows("applications"))[0]
    assert (row["status"], row["stage_id"], row["job_interview_stage_id"]) == ("hired", None, None)
    assert [r["current"] for r in await sandbox.rows("application_stages")] == [False]
