"""The v1 adapter against every switch and fault that concerns it, and its end (fact sheet, sections 4 and 9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.harvest.test_port import LONG_AGO, move_to, write
from tests.contract.harvest.worlds import V1World

from trellis.common.errors import TransientError
from trellis.greenhouse_actions.adapters import harvest_v1
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError, NotShownError, TooLongError
from trellis.greenhouse_actions.domain.outcomes import Answered, Cut
from trellis.greenhouse_actions.domain.readings import ChangeField, Window
from trellis.greenhouse_actions.reading import read_applications

READS = ["500", "502", "503", "429", "cut_before", "truncated_json", "204_without_effect", "hang"]
CALLS: list[tuple[str, str, Any]] = [
    ("applications.retrieve", "Retrieve Application", lambda h, p: h.applications([p.application])),
    ("applications.list", "List Applications", lambda h, p: h.changed(ChangeField.LAST_ACTIVITY_AT, ALL)),
    ("candidates.list", "List Candidates", lambda h, p: h.candidates([p.candidate])),
    ("activity_feed.retrieve", "Retrieve Activity Feed", lambda h, p: h.notes(p.application, None, LONG_AGO)),
    ("jobs.retrieve", "Retrieve Job", lambda h, p: h.visible_jobs([p.job])),
    ("jobs.list", "List Jobs", lambda h, p: h.sees_anything()),
]
ALL = Window(since=LONG_AGO, until=datetime.now(UTC) + timedelta(days=1))


@pytest.mark.parametrize("kind", READS)
@pytest.mark.parametrize(("route", "_name", "call"), CALLS, ids=[route for route, _, _ in CALLS])
async def test_a_reading_that_is_not_whole_is_no_reading(
    v1: V1World, kind: str, route: str, _name: str, call: Any
) -> None:
    person = await v1.apply()
    # aiohttp repeats a GET once by itself when its connection is cut
    await v1.sandbox.fault(f"v1.{route}", kind, count=2, retry_after=7, seconds=3)
    if kind == "truncated_json" and route == "jobs.retrieve":
        assert await call(v1.harvest, person)  # that it is there is all that is asked
        return
    with pytest.raises(TransientError) as caught:
        await call(v1.harvest, person)
    assert "mail.example" not in str(caught.value) and "127.0.0.1" not in str(caught.value)
    if kind in ("429", "503"):
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(("route", "name", "call"), CALLS, ids=[route for route, _, _ in CALLS])
async def test_an_endpoint_that_is_not_ticked_is_named(v1: V1World, route: str, name: str, call: Any) -> None:
    person = await v1.apply()
    await v1.sandbox.act("revoke_permission", permission=route)
    with pytest.raises(CredentialRejectedError) as caught:
        await call(v1.harvest, person)
    assert caught.value.said.reason.endswith(name) and name in caught.value.said.remedy


@pytest.mark.parametrize(("route", "name"), [("applications.move", "Move Application"), ("notes.create", "Add Note")])
async def test_a_write_that_is_not_ticked_is_named(v1: V1World, route: str, name: str) -> None:
    person = await v1.apply()
    await v1.sandbox.act("revoke_permission", permission=route)
    reply = await (write(v1, person, "ours") if route == "notes.create" else move_to(v1, person, v1.stage("Onsite")))
    assert isinstance(reply, Answered) and reply.status == 403
    assert reply.denied is not None and reply.denied.reason.endswith(name)


async def test_stages_are_read_from_the_list_of_all_where_those_of_a_job_are_not_ticked(
    v1: V1World, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await v1.apply()
    await v1.sandbox.own("POST", "/jobs", {"name": "Other", "stages": ["A", "B"]})
    monkeypatch.setitem(harvest_v1._FIRST, "per_page", "2")
    of_job = await v1.harvest.stages(person.job)
    await v1.sandbox.act("revoke_permission", permission="job_stages.list_for_job")
    assert len(of_job) == 5 and await v1.harvest.stages(person.job) == of_job
    await v1.sandbox.act("revoke_permission", permission="job_stages.list")
    with pytest.raises(CredentialRejectedError, match="List Job Stages"):
        await v1.harvest.stages(person.job)


async def test_an_ignored_filter_is_noticed(v1: V1World) -> None:
    person, _other = await v1.apply(), await v1.apply()
    await v1.sandbox.fault("v1.candidates.list", "filter_ignored")
    with pytest.raises(TransientError, match="ignored the filter"):
        await v1.harvest.candidates([person.candidate])
    await v1.sandbox.control("PUT", "/time", {"advance_s": 3600})
    at = datetime.now(UTC) + timedelta(hours=1)
    await v1.sandbox.fault("v1.applications.list", "filter_ignored")
    with pytest.raises(TransientError, match="does not narrow"):
        window = Window(since=at - timedelta(minutes=10), until=at + timedelta(minutes=10))
        await v1.harvest.changed(ChangeField.LAST_ACTIVITY_AT, window)


async def test_changes_are_read_page_by_page_to_the_end_of_the_window(
    v1: V1World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(harvest_v1._FIRST, "per_page", "2")
    people = [await v1.apply() for _ in range(5)]
    until = datetime.now(UTC) + timedelta(minutes=10)
    await v1.sandbox.control("PUT", "/time", {"advance_s": 3600})
    await v1.apply()
    found = await v1.harvest.changed(ChangeField.LAST_ACTIVITY_AT, Window(since=LONG_AGO, until=until))
    assert {view.id for view in found} == {person.application for person in people}
    monkeypatch.setattr(harvest_v1, "MOST_PAGES", 2)
    with pytest.raises(TransientError, match="does not end") as caught:
        await v1.harvest.changed(ChangeField.LAST_ACTIVITY_AT, Window(since=LONG_AGO, until=until))
    assert not isinstance(caught.value, TooLongError)  # a shorter window would be as long


async def test_a_feed_that_is_too_long_or_not_shown_is_no_feed_without_notes(
    v1: V1World, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await v1.apply()
    await write(v1, person, "ours")
    with monkeypatch.context() as patch:
        patch.setattr(harvest_v1, "MOST_BYTES", 100)
        with pytest.raises(TooLongError):
            await v1.harvest.notes(person.application, v1.service_user, LONG_AGO)
    candidates = v1.sandbox.world.accounts["northwind"].greenhouse.candidates
    del candidates[person.candidate]
    with pytest.raises(NotShownError):
        await v1.harvest.notes(person.application, v1.service_user, LONG_AGO)


@pytest.mark.parametrize("rewrite", ["none", "trim", "escape_html"])
@pytest.mark.parametrize("status", [200, 201])
async def test_a_note_is_taken_in_whatever_way_it_is_answered(v1: V1World, rewrite: str, status: int) -> None:
    await v1.sandbox.switch("note.body_rewrite", rewrite)
    await v1.sandbox.switch("note.v1_status", status)
    person = await v1.apply()
    reply = await write(v1, person, "ours")
    assert isinstance(reply, Answered) and reply.status == status and reply.note_id is not None
    assert [n.id for n in await v1.harvest.notes(person.application, v1.service_user, LONG_AGO)] == [reply.note_id]


async def test_half_a_note_is_no_proof_of_a_note(v1: V1World) -> None:
    person = await v1.apply()
    await v1.sandbox.fault("v1.notes.create", "truncated_json")
    reply = await write(v1, person, "ours")
    assert isinstance(reply, Answered) and reply.status == 200 and reply.note_id is None


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "hang_cut", "hang_after"])
async def test_a_write_that_left_and_got_no_answer_is_cut(v1: V1World, kind: str) -> None:
    person = await v1.apply()
    await v1.sandbox.fault("v1.notes.create", kind, seconds=2)
    assert isinstance(await write(v1, person, "ours"), Cut)
    assert len(await v1.sandbox.control("GET", "/calls?route=v1.notes.create")) <= 1  # never repeated by the client


@pytest.mark.parametrize("code", [422, 409, 404])
async def test_a_stale_move_is_a_no_whatever_its_code(v1: V1World, code: int) -> None:
    await v1.sandbox.act("grant_permission", permission="users.retrieve")
    await v1.sandbox.switch("move.stale_code", code)
    person = await v1.apply()
    await v1.move(person, "Recruiter Call")
    reply = await move_to(v1, person, v1.stage("Onsite"))
    assert isinstance(reply, Answered) and reply.status == code and reply.message


@pytest.mark.parametrize("may_look", [True, False])
async def test_a_user_whom_greenhouse_does_not_know_is_told_from_a_record_where_users_may_be_read(
    v1: V1World, may_look: bool
) -> None:
    if may_look:
        await v1.sandbox.act("grant_permission", permission="users.retrieve")
    person = await v1.apply()
    del v1.sandbox.world.accounts["northwind"].greenhouse.users[v1.service_user]
    if may_look:
        with pytest.raises(CredentialRejectedError) as caught:
            await write(v1, person, "ours")
        assert str(v1.service_user) in caught.value.said.reason and "service_user_id" in caught.value.said.remedy
    else:
        reply = await write(v1, person, "ours")
        assert isinstance(reply, Answered) and reply.status == 404
    assert not (await v1.sandbox.effects())["notes"]


@pytest.mark.parametrize("state", ["401", "404", "410"])
async def test_its_end_is_told_by_every_reading_and_write_and_names_version_3(v1: V1World, state: str) -> None:
    person = await v1.apply()
    await v1.sandbox.switch("v1.state", state)
    wanted = {person.application: person.job}
    asked = [
        *(call(v1.harvest, person) for _, _, call in CALLS),
        read_applications(v1.harvest, wanted, with_visits=True),
        v1.harvest.stages(person.job),
        write(v1, person, "ours"),
    ]
    for one in asked:
        with pytest.raises(CredentialRejectedError) as caught:
            await one
        assert "api_version: v3" in caught.value.said.remedy
    with pytest.raises(CredentialRejectedError):
        await v1.harvest.notes(person.application, None, LONG_AGO)
    assert not (await v1.sandbox.effects())["notes"]


@pytest.mark.parametrize("means", ["outage", "ended"])
async def test_no_answer_at_all_is_an_outage_or_its_end_as_the_account_says(v1: V1World, means: str) -> None:
    person = await v1.apply()
    harvest = v1.connect(**{"v1.unreachable": means})
    await v1.sandbox.switch("v1.state", "refused")
    with pytest.raises(CredentialRejectedError if means == "ended" else TransientError) as caught:
        await harvest.applications([person.application])
    if isinstance(caught.value, CredentialRejectedError):
        assert "api_version: v3" in caught.value.said.remedy
    assert "v3" in str(caught.value) or means == "ended"
    assert isinstance(await write(v1, person, "ours"), Cut)  # the sandbox reads before it cuts


async def test_a_missing_record_is_missing_only_while_v1_is_on(v1: V1World) -> None:
    person = await v1.apply()
    await v1.delete(person)
    assert await v1.harvest.applications([person.application]) == {}
    await v1.sandbox.act("revoke_permission", permission="jobs.list")
    assert await v1.connect().applications([person.application]) == {}  # a 403 is an answer of a living v1
    await v1.sandbox.act("grant_permission", permission="jobs.list")
    await v1.sandbox.fault("v1.jobs.list", "500")
    with pytest.raises(TransientError):
        await v1.connect().applications([person.application])


async def test_the_budget_hears_what_headers_say(v1: V1World) -> None:
    person = await v1.apply()
    await v1.harvest.applications([person.application])
    assert v1.budget.heard[-1] == (50, 49, None)
    await v1.sandbox.fault("v1.applications.retrieve", "429", retry_after=9)
    with pytest.raises(TransientError):
        await v1.harvest.applications([person.application])
    assert v1.budget.heard[-1][2] == timedelta(seconds=9)


async def test_a_reading_takes_the_calls_that_it_says(v1: V1World) -> None:
    people = [await v1.apply() for _ in range(3)]
    wanted = {person.application: person.job for person in people}
    await v1.harvest.allow(v1.harvest.capabilities.calls(3, with_visits=True))
    await read_applications(v1.harvest, wanted, with_visits=True)
    assert v1.budget.spent == 3 == len(await v1.sandbox.control("GET", "/calls?account=northwind"))
