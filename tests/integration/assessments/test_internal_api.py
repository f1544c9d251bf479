"""The internal HTTP API: bound to an account, strict in what it takes, silent about people and secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.integration.assessments.bench import ACME, TEST, WHO, Bench

from trellis.assessments.internal_api import application, is_shown
from trellis.common.contracts.commands import SendInvite
from trellis.common.contracts.facts import SignalKind
from trellis.common.runtime import tokens

Json = dict[str, Any]
WANTED: Json = {
    "base_url": "https://coderbyte.com/api/",
    "organization_id": "northwind",
    "api_key": "first-secret-key",
    "settings": {"rate.max_per_second": 5, "report.poll_schedule": [1, 2.5]},
}


class Api:
    def __init__(self, client: TestClient[Any, Any], bench: Bench) -> None:
        self.client = client
        self.bench = bench
        self.caller = "greenhouse-actions"

    async def call(self, method: str, path: str, body: Any = None, *, account: str = ACME) -> tuple[int, Any]:
        token = tokens.issue(self.bench.keyring, caller=self.caller, audience="assessments")
        async with self.client.request(
            method, f"/internal/v1/accounts/{account}{path}", json=body, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            text = await answer.text()
            assert WHO not in text
            assert "secret-key" not in text
            return answer.status, await answer.json()


@pytest.fixture
async def api(bench: Bench) -> AsyncIterator[Api]:
    client = TestClient(TestServer(application(bench.one.api, bench.keyring)))
    await client.start_server()
    yield Api(client, bench)
    await client.close()


async def test_without_a_token_of_ours_everything_is_401(api: Api) -> None:
    for audience in (None, "ingest"):
        token = tokens.issue(api.bench.keyring, caller="x", audience=audience) if audience else "x"
        for method, path in (("GET", "/status"), ("PUT", "/connection"), ("POST", f"/intents/{uuid4()}/redrive")):
            async with api.client.request(
                method, f"/internal/v1/accounts/acme{path}", headers={"Authorization": f"Bearer {token}"}
            ) as answer:
                assert answer.status == 401


# -- the connection


async def test_a_connection_is_made_changed_and_left_alone(api: Api) -> None:
    put = lambda body: api.call("PUT", "/connection", body, account="fresh")  # noqa: E731
    assert (await api.call("GET", "/connection", account="fresh"))[0] == 404
    status, said = await put(WANTED | {"dry_run": True})
    assert (status, said["changes"][0]) == (200, "connection: made")
    assert (await api.call("GET", "/connection", account="fresh"))[0] == 404
    await put(WANTED)
    assert await put(WANTED) == (200, {"changes": []})
    assert await put({key: value for key, value in WANTED.items() if key != "api_key"}) == (200, {"changes": []})
    changed = WANTED | {"api_key": "second-secret-key", "settings": {"rate.max_per_second": 6}}
    api.bench.twin.api_key = "first-secret-key"
    status, refused = await put(changed)
    assert (status, refused["field"]) == (422, "api_key") and "the present connection stays in use" in refused["error"]
    assert await put(WANTED) == (200, {"changes": []})
    api.bench.twin.api_key = "second-secret-key"
    assert (await put(changed))[1]["changes"] == [
        "api_key: replaced",
        "settings.rate.max_per_second: 5 -> 6",
        'settings.report.poll_schedule: [1, 2.5] -> "default"',
    ]
    status, shown = await api.call("GET", "/connection", account="fresh")
    assert shown == {
        "base_url": "https://coderbyte.com/api",
        "organization_id": "northwind",
        "settings": {"rate.max_per_second": 6},
        "pause": None,
    }
    assert (await api.call("GET", "/connection"))[1]["organization_id"] == "acme"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"settings": {"rate.max_per_second": -1}}, 422, "settings.rate.max_per_second"),
        ({"settings": {"no.such": 1}}, 422, "settings.no.such"),
        ({"base_url": "coderbyte.com"}, 422, "base_url"),
        ({"base_url": "https://u:p@coderbyte.com"}, 422, "base_url"),
        ({"base_url": "https://coderbyte.com:99999"}, 422, "base_url"),
        ({"organization_id": ""}, 422, "organization_id"),
        ({"api_key": None}, 422, "api_key"),
        ({"api_key": "line\nbreak"}, 422, "api_key"),
        ({"surprise": 1}, 422, "surprise"),
    ],
)
async def test_a_wrong_connection_is_refused_with_field_and_expectation(
    api: Api, change: Json, status: int, field: str
) -> None:
    said = await api.call("PUT", "/connection", WANTED | change, account="fresh")
    assert (said[0], said[1]["field"]) == (status, field)
    assert said[1]["expected"]
    assert (await api.call("GET", "/connection", account="fresh"))[0] == 404


async def test_what_is_not_json_is_400(api: Api) -> None:
    token = tokens.issue(api.bench.keyring, caller="cli", audience="assessments")
    for body in (b"{", b"[]", b"\xff"):
        async with api.client.put(
            "/internal/v1/accounts/acme/connection", data=body, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert answer.status == 400
            assert (await answer.json())["field"] == "body"


async def test_a_corrected_key_ends_the_pause_at_once(api: Api) -> None:
    bench = api.bench
    await bench.connect(api_key="stale")
    await bench.take(bench.invite())
    await bench.run()
    assert (await api.call("GET", "/connection"))[1]["pause"]["remedy"]
    settings = (await api.call("GET", "/connection"))[1]["settings"]
    body = {"base_url": "http://coderbyte", "organization_id": "acme", "api_key": "key", "settings": settings}
    await api.call("PUT", "/connection", body)
    await bench.run()
    assert bench.mails() == 1


# -- questions


async def test_pickers_get_the_assessments(api: Api) -> None:
    api.bench.twin.add_assessment("old", closed=True, public=False)
    status, said = await api.call("GET", "/assessments")
    assert status == 200
    assert said["assessments"] == [
        {"id": TEST, "name": TEST, "closed": False, "invitable": True},
        {"id": "old", "name": "old", "closed": True, "invitable": False},
    ]
    await api.bench.connect(api_key="stale")
    assert (await api.call("GET", "/assessments"))[0] == 409
    api.bench.twin.fault("assessments.list", "500")
    await api.bench.connect()
    assert (await api.call("GET", "/assessments?fresh=true"))[0] == 503


async def test_the_story_of_an_application_is_its_own_accounts(api: Api) -> None:
    await api.bench.take(api.bench.invite())
    await api.bench.run()
    _, said = await api.call("GET", "/applications/1/intents")
    (story,) = said["intents"]
    assert (story["action"], story["state"]) == ("invite", "done")
    assert [entry["kind"] for entry in story["entries"]] == ["command", "attempt", "answer"]
    assert (await api.call("GET", "/applications/1/intents", account="other"))[1] == {"intents": []}
    assert (await api.call("GET", "/applications/x/intents"))[0] == 422


async def finished(bench: Bench, **report: Any) -> None:
    await bench.take(bench.invite())
    await bench.run()
    bench.twin.submit(WHO, TEST, **report)
    await bench.take(bench.signal(SignalKind.COMPLETED))
    await bench.until(bench.results)


async def test_results_are_shown_without_the_person(api: Api) -> None:
    await finished(api.bench, final_score=None)
    _, said = await api.call("GET", "/applications/1/results")
    (result,) = said["results"]
    assert (result["score"], result["version"], result["published"]) == (None, 1, True)
    assert not {"report", "address", "link"} & set(result)
    assert (await api.call("GET", "/applications/1/results", account="other"))[1] == {"results": []}


async def test_the_link_of_a_report_is_told_for_its_own_visit_and_account_only(api: Api) -> None:
    await finished(api.bench)
    path = f"/reports/link?application_id=1&visit=n1&assessment_id={TEST}"
    assert (await api.call("GET", path))[1]["link"].startswith("https://coderbyte.com/report/user")
    assert (await api.call("GET", path.replace("n1", "n2")))[1] == {"link": None}
    assert (await api.call("GET", path, account="other"))[1] == {"link": None}
    assert (await api.call("GET", "/reports/link?application_id=1"))[0] == 422
    await api.bench.connect(note__include_report_link=False)
    assert (await api.call("GET", path))[1] == {"link": None}


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("https://coderbyte.com/report/a:b", True),
        ("https://acme.coderbyte.com/report/a:b", True),
        ("http://127.0.0.1:99/report/a", True),
        ("http://coderbyte.com/report/a", False),
        ("https://coderbyte.com.evil.example/x", False),
        ("https://evilcoderbyte.com/x", False),
        ("https://user@coderbyte.com/x", False),
        ("javascript:alert(1)", False),
        ("https://coderbyte.com/a b", False),
        ("//coderbyte.com/x", False),
        ("", False),
        ("https://[::1", False),
    ],
)
def test_only_links_to_coderbyte_or_the_connections_own_host_are_shown(link: str, shown: bool) -> None:
    assert is_shown(link, "http://127.0.0.1:8099/coderbyte/api") is shown


async def test_unmatched_signals_are_listed_without_whose_they_are(api: Api) -> None:
    signal = api.bench.signal(SignalKind.COMPLETED)
    await api.bench.take(signal)
    _, said = await api.call("GET", "/unmatched")
    (shown,) = said["unmatched"]
    assert (shown["kind"], shown["assessment_id"]) == ("completed", TEST)
    assert "address_hash" not in shown
    assert (await api.call("GET", "/unmatched", account="other"))[1] == {"unmatched": []}


# -- orders


async def in_doubt(bench: Bench, kind: str = "cut_before") -> str:
    bench.twin.fault("invite", kind)
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=2)
    assert await bench.state(command) == "in_doubt"
    assert isinstance(command.data, SendInvite)
    return str(command.data.command_id)


@pytest.mark.parametrize(
    ("order", "state", "mails"), [("confirm", "done", 0), ("redrive", "done", 1), ("drop", "superseded", 0)]
)
async def test_a_person_decides_about_an_invite_in_doubt(api: Api, order: str, state: str, mails: int) -> None:
    command = await in_doubt(api.bench)
    said = f"asked {WHO} by phone"
    assert (await api.call("POST", f"/intents/{command}/{order}", {"by": "maria", "reason": said}))[0] == 200
    await api.bench.run(rounds=2)
    _, told = await api.call("GET", "/applications/1/intents")
    assert told["intents"][0]["state"] == state
    assert api.bench.mails() == mails
    assert any("maria" in entry["text"] and "by phone" in entry["text"] for entry in told["intents"][0]["entries"])
    assert (await api.call("POST", f"/intents/{command}/confirm", {}))[0] == 409


async def test_nobody_orders_for_another_account(api: Api) -> None:
    command = await in_doubt(api.bench)
    assert (await api.call("POST", f"/intents/{command}/redrive", {}, account="other"))[0] == 404
    assert (await api.call("POST", f"/intents/{uuid4()}/redrive", {}))[0] == 404
    assert (await api.call("POST", "/intents/nonsense/redrive", {}))[0] == 422
    await api.bench.run(rounds=2)
    assert api.bench.mails() == 0


# -- brakes and status


@pytest.mark.parametrize(("scope", "name"), [("account", ""), ("connection", "coderbyte"), ("workflow", "screen")])
async def test_a_brake_holds_invites_until_it_is_taken_off(api: Api, scope: str, name: str) -> None:
    bench = api.bench
    brake = {"scope": scope, "name": name, "reason": "holiday", "by": "maria"}
    _, said = await api.call("PUT", "/brakes", brake)
    assert [item["scope"] for item in said["brakes"]] == [scope]
    command = bench.invite()
    await bench.take(command)
    await bench.run(rounds=3)
    assert (await bench.state(command), bench.mails()) == ("waiting", 0)
    _, told = await api.call("GET", "/applications/1/intents")
    assert told["intents"][0]["held_by"]
    assert (await api.call("GET", "/brakes", account="other"))[1] == {"brakes": []}
    assert (await api.call("DELETE", "/brakes", brake))[1] == {"brakes": []}
    await bench.run()
    assert bench.mails() == 1


async def test_a_brake_without_a_name_it_needs_is_refused(api: Api) -> None:
    assert (await api.call("PUT", "/brakes", {"scope": "workflow"}))[0] == 422
    assert (await api.call("PUT", "/brakes", {"scope": "galaxy", "name": "x"}))[0] == 422


async def test_the_status_counts_what_is_open(api: Api) -> None:
    await in_doubt(api.bench)
    await api.bench.take(api.bench.signal(SignalKind.STARTED, who="stranger@mail.example"))
    _, said = await api.call("GET", "/status")
    assert said["connected"] is True
    assert said["open_rows"] == {"in_doubt": 1}
    assert said["invites"] == {"open": 1, "awaited": 0, "overdue": 0}
    assert said["unmatched"] == 1
    assert (await api.call("GET", "/status", account="other"))[1]["open_rows"] == {}
