"""The internal API: what it says, whom it refuses, and that it tells no secret."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from tests.integration.greenhouse_actions.bench import Bench, a_note

from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.tokens import issue
from trellis.common.store.postgres import acquired


async def ask(bench: Bench, *people: Any, stage: str = "Coding Assessment", visit: str = "n1") -> Any:
    asked = [
        {"application_id": person["application_id"], "stage_id": bench.stage(stage), "visit": visit}
        for person in people
    ]
    status, said = await bench.call("POST", "acme/candidates-for-invite", {"applications": asked})
    assert status == 200, said
    return said["applications"] if len(people) != 1 else said["applications"][str(people[0]["application_id"])]


async def test_every_route_wants_a_service_token_for_us(bench: Bench) -> None:
    for token in (
        issue(bench.keyring, caller="test", audience="assessments"),
        issue(Keyring.generate(), caller="test", audience="greenhouse-actions"),
        "nonsense",
    ):
        for method, path in (("GET", "connection"), ("PUT", "connection"), ("GET", "status"), ("PUT", "brakes")):
            assert (await bench.call(method, f"acme/{path}", {}, token=token))[0] == 401


async def test_connecting_is_idempotent_and_says_what_changes(bare: Bench) -> None:
    body = bare.connection_body()
    assert (await bare.call("PUT", "acme/connection", body | {"dry_run": True}))[1]["changes"]
    assert (await bare.call("GET", "acme/connection"))[0] == 404
    assert len((await bare.call("PUT", "acme/connection", body))[1]["changes"]) == 1
    assert (await bare.call("PUT", "acme/connection", body))[1] == {"changes": []}
    changed = body | {"client_secret": "rotated-secret", "settings": body["settings"] | {"note.visibility": "private"}}
    status, refused = await bare.call("PUT", "acme/connection", changed)
    assert (status, refused["field"]) == (422, "credential") and "the present connection stays in use" in refused[
        "error"
    ]
    assert "rotated-secret" not in json.dumps(refused)
    assert await bare.call("PUT", "acme/connection", body) == (200, {"changes": []})
    await bare.sandbox.act("rotate_client_secret", secret="rotated-secret")
    dry = (await bare.call("PUT", "acme/connection", changed | {"dry_run": True}))[1]["changes"]
    assert dry == ["client_secret: changed", "settings.note.visibility: public -> private"]
    assert (await bare.call("PUT", "acme/connection", changed))[1]["changes"] == dry
    assert (await bare.call("PUT", "acme/connection", changed))[1] == {"changes": []}
    shown = json.dumps((await bare.call("GET", "acme/connection"))[1])
    assert "private" in shown and body["client_secret"] not in shown and "rotated-secret" not in shown
    assert body["client_id"] not in shown


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"settings": {"note.visible": "public"}}, "settings.note.visible"),
        ({"settings": {"note.visibility": "everybody"}}, "settings.note.visibility"),
        ({"settings": {"rate.share": 2}}, "settings.rate.share"),
        ({"settings": {"verify.second_read_s": -1}}, "settings.verify.second_read_s"),
        ({"api_version": "v2"}, "api_version"),
        ({"api_version": "v1"}, "api_key"),
        ({"api_key": "k"}, "api_key"),
        ({"client_secret": None}, "client_secret"),
        ({"base_url": "https://harvest.greenhouse.io/v1"}, "base_url"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "http://harvest.greenhouse.io/v3"}, "base_url"),
        ({"token_url": "https://user@auth.example/token"}, "token_url"),
        ({"client_id": ""}, "client_id"),
        ({"service_user_id": "me"}, "service_user_id"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_connection_is_refused_by_field_and_changes_nothing(
    bare: Bench, change: dict[str, Any], field: str
) -> None:
    status, said = await bare.call("PUT", "acme/connection", bare.connection_body() | change)
    assert (status, said["field"]) == (422, field), said
    assert said["expected"]
    if field == "settings.note.visible":
        assert "note.visibility" in said["expected"]
    assert (await bare.call("GET", "acme/connection"))[0] == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"api_key": None}, "api_key"),
        ({"service_user_id": None}, "service_user_id"),
        ({"client_id": "c"}, "client_id"),
        ({"token_url": "https://auth.example/token"}, "token_url"),
        ({"base_url": "https://harvest.greenhouse.io/v3"}, "base_url"),
        ({"settings": {"v1.base_url": "http://harvest.greenhouse.io/v1"}}, "settings.v1.base_url"),
    ],
)
async def test_a_wrong_connection_through_v1_is_refused_by_field(
    bare: Bench, change: dict[str, Any], field: str
) -> None:
    status, said = await bare.call("PUT", "acme/connection", bare.v1_body() | change)
    assert (status, said["field"]) == (422, field), said
    assert (await bare.call("GET", "acme/connection"))[0] == 404


async def test_moving_to_v3_says_what_changes_and_shows_no_key(bare: Bench) -> None:
    assert await bare.connect_through("v1") == ["connect Greenhouse v1 at " + bare.v1_body()["base_url"]]
    assert await bare.connect_through("v1") == []
    status, refused = await bare.call("PUT", "acme/connection", bare.v1_body(api_key="another"))
    assert (status, refused["field"]) == (422, "credential")
    shown = json.dumps((await bare.call("GET", "acme/connection"))[1])
    assert '"v1"' in shown and '"token_url": null' in shown and "another" not in shown
    changes = await bare.connect_through("v3")
    assert "api_version: v1 -> v3" in changes and "api_key: changed" in changes and "client_secret: changed" in changes
    assert any(change.startswith("token_url: none -> http") for change in changes)


async def test_durations_are_seconds_with_fractions(bench: Bench) -> None:
    await bench.connect(settings={"credential.retry_s": 0.25, "verify.second_read_s": 1.5, "reconcile.interval": 30})
    shown = (await bench.call("GET", "acme/connection"))[1]["settings"]
    assert shown == {"credential.retry_s": 0.25, "verify.second_read_s": 1.5, "reconcile.interval": 30.0}


async def test_a_body_that_is_not_json_is_400(bench: Bench) -> None:
    assert bench.server is not None and bench.session is not None
    token = issue(bench.keyring, caller="test", audience="greenhouse-actions")
    url = bench.server.make_url("/internal/v1/accounts/acme/connection")
    async with bench.session.put(url, data=b"{", headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 400 and (await answer.json())["field"] == "body"
    assert (await bench.call("GET", "ACME!/status"))[0] == 422


async def test_a_candidate_may_be_invited_at_the_personal_address(bench: Bench) -> None:
    emails = [{"value": "w@mail.example", "type": "work"}, {"value": "p@mail.example", "type": "personal"}]
    person = await bench.apply(email=None, emails=emails)
    said = await ask(bench, person)
    assert said == {
        "verdict": "ok",
        "address": "p@mail.example",
        "candidate_id": person["candidate_id"],
        "address_count": 2,
    }


async def test_the_address_is_read_anew_for_each_question(bench: Bench) -> None:
    person = await bench.apply()
    await ask(bench, person)
    await bench.sandbox.act("edit_email", candidate_id=person["candidate_id"], emails=["new@mail.example"])
    assert (await ask(bench, person))["address"] == "new@mail.example"


async def test_who_cannot_be_invited_is_said_with_a_reason(bench: Bench) -> None:
    no_mail = await bench.apply(email=None, emails=[])
    private = await bench.apply(private=True)
    unwilling = await bench.apply(can_email=False)
    rejected, moved, deleted = [await bench.apply() for _ in range(3)]
    await bench.sandbox.act("reject", application_id=rejected["application_id"])
    await bench.sandbox.act("move", application_id=moved["application_id"], stage="Onsite")
    await bench.sandbox.act("delete_application", application_id=deleted["application_id"])
    said = await ask(bench, no_mail, private, unwilling, rejected, moved, deleted)
    for person in (no_mail, private, unwilling):
        answer = said[str(person["application_id"])]
        assert (answer["verdict"], answer["mended_by"]) == ("blocked", "candidate.updated")
        assert answer["reason"] and answer["remedy"]
    for person in (rejected, moved):
        assert said[str(person["application_id"])]["verdict"] == "overtaken"
    assert said[str(deleted["application_id"])]["verdict"] == "blocked"  # nothing proves that it was deleted
    await bench.connect(settings={"invite.allow_private": True})
    assert (await ask(bench, private))["verdict"] == "ok"


async def test_a_second_visit_is_not_the_one_that_was_asked_about(bench: Bench) -> None:
    person = await bench.apply()
    rows = await bench.replica.harvests.of("acme")  # type: ignore[arg-type]
    row = (await rows.harvest.current_stages([person["application_id"]]))[person["application_id"]]
    assert row.entered_at is not None
    began = row.entered_at.strftime("t%Y-%m-%dT%H:%M:%SZ")
    assert (await ask(bench, person, visit=began))["verdict"] == "ok"
    assert (await ask(bench, person, visit="t2020-01-01T00:00:00Z"))["verdict"] == "overtaken"


async def test_many_are_asked_for_in_two_calls(bench: Bench) -> None:
    people = [await bench.apply() for _ in range(50)]
    said = await ask(bench, *people)
    assert {answer["verdict"] for answer in said.values()} == {"ok"} and len(said) == 50
    calls = (await bench.effects())["calls"]
    assert (calls["applications.list"], calls["candidates.list"]) == (1, 1)
    body = {"applications": [{"application_id": n, "stage_id": 1, "visit": "n1"} for n in range(1, 52)]}
    assert (await bench.call("POST", "acme/candidates-for-invite", body))[0] == 422


async def test_while_greenhouse_cannot_be_read_the_answer_is_later(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.fault("applications.list", "503", retry_after=7)
    said = await ask(bench, person)
    assert (said["verdict"], said["wait_seconds"]) == ("later", 7.0)
    assert (await ask(bench, person))["verdict"] == "ok"


async def test_a_rejected_credential_pauses_and_says_later(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.act("revoke_scope", scope="candidates:list")
    said = await ask(bench, person)
    assert said["verdict"] == "later" and "candidates:list" in said["reason"] and 0 < said["wait_seconds"] <= 0.2
    before = await bench.calls("candidates.list")
    assert (await ask(bench, person))["verdict"] == "later"  # held by the pause, without a call
    assert await bench.calls("candidates.list") == before
    await bench.sandbox.act("grant_scope", scope="candidates:list")

    await asyncio.sleep(0.25)
    assert (await ask(bench, person))["verdict"] == "ok"
    assert await bench.pause() is None


async def test_the_story_of_an_application_is_told(bench: Bench) -> None:
    person = await bench.apply()
    command = a_note(person)
    await bench.give(command)
    await bench.settle(command)
    status, said = await bench.call("GET", f"acme/applications/{person['application_id']}/intents")
    (story,) = said["intents"]
    assert status == 200 and (story["id"], story["action"], story["state"]) == (str(command.command_id), "note", "done")
    assert [entry["kind"] for entry in story["entries"]] == ["command", "attempt", "answer"]
    assert all(datetime.fromisoformat(entry["at"]).tzinfo for entry in story["entries"])
    assert story["entries"][2]["request_id"].startswith("sandbox-")
    assert (await bench.call("GET", f"globex/applications/{person['application_id']}/intents"))[1] == {"intents": []}
    assert (await bench.call("GET", "acme/applications/x/intents"))[0] == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [({"scope": "planet"}, "scope"), ({"scope": "workflow"}, "name"), ({"scope": "connection", "x": 1}, "x")],
)
async def test_a_wrong_brake_is_refused(bench: Bench, body: dict[str, Any], field: str) -> None:
    status, said = await bench.call("PUT", "acme/brakes", body)
    assert (status, said["field"]) == (422, field)


async def test_the_status_shows_budget_and_open_work(bench: Bench) -> None:
    person = await bench.apply()
    await ask(bench, person)
    await bench.give(a_note(person))
    _, said = await bench.call("GET", "acme/status")
    assert said["connected"] and said["pause"] is None
    assert said["budget"]["window_limit"] == 150
    assert said["open_rows"] == {"waiting": 1} and said["open_questions"] == 0


async def test_no_address_note_or_secret_is_written_down(bench: Bench) -> None:
    person = await bench.apply(email="canary.person@mail.example", first_name="Canaria")
    await ask(bench, person)
    command = a_note(person, "82 of 100.")
    await bench.give(command)
    await bench.settle(command)
    async with acquired(bench.pool) as database:
        tables = await database.fetch(
            "select table_name from information_schema.tables where table_schema = current_schema()"
        )
        text = ""
        for table in tables:
            text += "".join(row[0] for row in await database.fetch(f"select t::text from {table['table_name']} t"))
    greenhouse = bench.sandbox.account["greenhouse"]
    for secret in ("canary.person", "Canaria", greenhouse["client_id"], greenhouse["client_secret"]):
        assert secret not in text
    exposed = bench.replica.metrics.expose().decode()
    assert "canary" not in exposed and "trellis_greenhouse_actions_harvest_calls_total" in exposed
