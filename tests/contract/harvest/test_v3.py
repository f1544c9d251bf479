"""The v3 adapter against every switch and fault that concerns it (fact sheet, section 9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.harvest.test_port import LONG_AGO, move_to, write
from tests.contract.harvest.worlds import Person, V3World

from trellis.common.errors import TransientError
from trellis.greenhouse_actions.adapters import harvest_v3
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError, TooLongError
from trellis.greenhouse_actions.adapters.mint import HttpMint
from trellis.greenhouse_actions.domain.outcomes import Answered, Cut
from trellis.greenhouse_actions.domain.readings import ChangeField, Window
from trellis.greenhouse_actions.reading import read_applications

READS = ["500", "502", "503", "429", "cut_before", "cut_after", "truncated_json", "filter_ignored", "hang"]


@pytest.mark.parametrize("kind", READS)
async def test_a_reading_that_is_not_whole_is_no_reading(v3: V3World, kind: str) -> None:
    person, _other = await v3.apply(), await v3.apply()
    # aiohttp repeats a GET once by itself when its connection is cut
    await v3.sandbox.fault("applications.list", kind, count=2, retry_after=7, seconds=3)
    with pytest.raises(TransientError) as caught:
        await v3.harvest.applications([person.application])
    assert "mail" not in str(caught.value) and "127.0.0.1" not in str(caught.value)
    if kind in ("429", "503"):
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("resource", ["application_stages", "candidates"])
async def test_an_ignored_filter_is_noticed_on_every_list_of_ids(v3: V3World, resource: str) -> None:
    person, _other = await v3.apply(), await v3.apply()
    await v3.sandbox.fault(f"{resource}.list", "filter_ignored")
    with pytest.raises(TransientError, match="ignored the filter"):
        if resource == "candidates":
            await v3.harvest.candidates([person.candidate])
        else:
            await v3.harvest.current_stages([person.application])


async def test_an_ignored_filter_of_notes_shows_no_others_note(v3: V3World) -> None:
    person, other = await v3.apply(), await v3.apply()
    await write(v3, other, "another's")
    await v3.write_note(person, "a person's")
    await v3.sandbox.fault("notes.list", "filter_ignored")
    assert not await v3.harvest.notes(person.application, v3.service_user, LONG_AGO)


@pytest.mark.parametrize("has_field", [True, False])
async def test_the_stage_is_known_whether_or_not_applications_tell_it(v3: V3World, has_field: bool) -> None:
    await v3.sandbox.switch("app.has_job_interview_stage_id", has_field)
    person = await v3.apply()
    readings = await read_applications(v3.harvest, {person.application: person.job}, with_visits=False)
    assert readings.applications[person.application].stage_id == person.stage


@pytest.mark.parametrize("style", ["new_row", "reuse_row", "null_entered_at"])
async def test_a_second_visit_is_told_from_the_first_where_greenhouse_tells(v3: V3World, style: str) -> None:
    await v3.sandbox.switch("app_stages.reentry", style)
    person = await v3.apply()
    first = (await v3.harvest.current_stages([person.application]))[person.application]
    await v3.move(person, "Onsite")
    await v3.sandbox.control("PUT", "/time", {"advance_s": 60})
    await v3.move(person, "Coding Assessment")
    second = (await v3.harvest.current_stages([person.application]))[person.application]
    assert (first.id, first.entered_at) != (second.id, second.entered_at)
    assert (second.entered_at is None) == (style == "null_entered_at")


@pytest.mark.parametrize("setting", ["auto", "pipe", "bracket"])
@pytest.mark.parametrize("syntax", ["both", "pipe", "bracket", "bracket_ignored"])
async def test_notes_are_found_by_any_spelling_of_a_range(v3: V3World, syntax: str, setting: str) -> None:
    await v3.sandbox.switch("filters.range_syntax", syntax)
    person = await v3.apply()
    await write(v3, person, "ours")
    v3.connect(**{"v3.range_syntax": setting})
    assert len(await v3.harvest.notes(person.application, v3.service_user, LONG_AGO)) == 1
    assert not await v3.harvest.notes(person.application, v3.service_user, datetime.now(UTC) + timedelta(minutes=1))


async def test_the_spelling_that_worked_is_remembered(v3: V3World) -> None:
    await v3.sandbox.switch("filters.range_syntax", "bracket")
    person = await v3.apply()
    for _ in range(3):
        await v3.harvest.notes(person.application, v3.service_user, LONG_AGO)
    calls = await v3.sandbox.control("GET", "/calls?route=notes.list")
    assert [call["status"] for call in calls] == ["422", "200", "200", "200"]


async def _one_old_and_one_new(v3: V3World) -> tuple[Person, Window]:
    await v3.apply()
    await v3.sandbox.control("PUT", "/time", {"advance_s": 3600})
    new = await v3.apply()
    at = datetime.now(UTC) + timedelta(hours=1)
    return new, Window(since=at - timedelta(minutes=10), until=at + timedelta(minutes=10))


@pytest.mark.parametrize("field", list(ChangeField))
@pytest.mark.parametrize("setting", ["auto", "pipe", "bracket"])
@pytest.mark.parametrize("syntax", ["both", "pipe", "bracket", "bracket_ignored"])
async def test_changes_are_found_by_any_spelling_or_not_at_all(
    v3: V3World, syntax: str, setting: str, field: ChangeField
) -> None:
    new, window = await _one_old_and_one_new(v3)
    await v3.sandbox.switch("filters.range_syntax", syntax)
    harvest = v3.connect(**{"v3.range_syntax": setting})
    works = {"both": ("pipe", "bracket"), "bracket_ignored": ("pipe",)}.get(syntax, (syntax,))
    if setting != "auto" and setting not in works:
        with pytest.raises(TransientError, match="does not narrow"):
            await harvest.changed(field, window)
        return
    assert [view.id for view in await harvest.changed(field, window)] == [new.application]


async def test_a_list_of_changes_that_was_not_narrowed_is_none(v3: V3World) -> None:
    _, window = await _one_old_and_one_new(v3)
    await v3.sandbox.fault("applications.list", "filter_ignored", count=2)
    with pytest.raises(TransientError, match="does not narrow"):
        await v3.harvest.changed(ChangeField.UPDATED_AT, window)


async def test_changes_are_read_page_by_page_and_anew_after_a_dead_cursor(
    v3: V3World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harvest_v3, "MOST_ROWS", 2)
    persons = [await v3.apply() for _ in range(5)]
    window = Window(since=LONG_AGO, until=datetime.now(UTC) + timedelta(minutes=1))
    await v3.sandbox.fault("applications.list", "cursor_expired", nth=2)
    found = await v3.harvest.changed(ChangeField.UPDATED_AT, window)
    assert {view.id for view in found} == {person.application for person in persons}
    monkeypatch.setattr(harvest_v3, "MOST_PAGES", 2)
    with pytest.raises(TooLongError):
        await v3.harvest.changed(ChangeField.UPDATED_AT, window)


async def test_notes_are_read_page_by_page_to_the_end(v3: V3World) -> None:
    person = await v3.apply()
    reply = await write(v3, person, "ours")
    for number in range(120):
        await v3.write_note(person, f"a person's {number}")
    found = await v3.harvest.notes(person.application, None, LONG_AGO)
    assert len(found) == 121
    assert isinstance(reply, Answered) and found[-1].id == reply.note_id


async def test_a_note_on_the_second_page_that_cannot_be_read_is_not_called_absent(v3: V3World) -> None:
    person = await v3.apply()
    await write(v3, person, "ours")
    for number in range(120):
        await v3.write_note(person, f"a person's {number}")
    for kind in ("500", "truncated_json"):
        await v3.sandbox.fault("notes.list", kind, nth=2)
        with pytest.raises(TransientError):
            await v3.harvest.notes(person.application, None, LONG_AGO)


async def test_an_expired_cursor_starts_the_list_anew(v3: V3World) -> None:
    person = await v3.apply()
    await write(v3, person, "ours")
    for number in range(120):
        await v3.write_note(person, f"a person's {number}")
    await v3.sandbox.fault("notes.list", "cursor_expired", nth=2)
    assert len(await v3.harvest.notes(person.application, None, LONG_AGO)) == 121


@pytest.mark.parametrize("field", ["expires_at", "expires_in", "expires_at_epoch"])
async def test_a_tokens_life_is_read_in_every_spelling(v3: V3World, field: str) -> None:
    await v3.sandbox.switch("token.expiry_field", field)
    await v3.sandbox.switch("token.lifetime_s", 1800)
    minted = await HttpMint(v3.http).mint(v3.connection, v3.service_user)
    assert timedelta(seconds=1750) < minted.life <= timedelta(seconds=1800)


async def test_a_dead_token_is_renewed_once(v3: V3World) -> None:
    person = await v3.apply()
    await v3.harvest.applications([person.application])
    await v3.sandbox.act("revoke_tokens")
    assert await v3.harvest.applications([person.application])
    assert v3.tokens.minted == 2


async def test_a_second_401_is_a_rejected_credential(v3: V3World) -> None:
    await v3.sandbox.fault("applications.list", "token_revoked", count=2)
    with pytest.raises(CredentialRejectedError, match="client id or secret"):
        await v3.harvest.applications([(await v3.apply()).application])


async def test_a_401_on_a_write_discards_the_token_and_claims_nothing(v3: V3World) -> None:
    person = await v3.apply()
    await v3.sandbox.fault("notes.create", "token_revoked")
    reply = await write(v3, person, "ours")
    assert isinstance(reply, Answered) and reply.status == 401
    again = await write(v3, person, "ours")
    assert isinstance(again, Answered) and again.status == 201


@pytest.mark.parametrize("answer", ["403", "empty"])
async def test_a_service_user_without_site_admin_is_noticed(v3: V3World, answer: str) -> None:
    person = await v3.apply()
    await v3.sandbox.switch("list.non_admin", answer)
    await v3.sandbox.act("drop_site_admin")
    with pytest.raises(CredentialRejectedError) as caught:
        await read_applications(v3.harvest, {person.application: person.job}, with_visits=False)
    assert "Site Admin" in caught.value.said.remedy


@pytest.mark.parametrize(
    ("scope", "call"),
    [
        ("applications:list", lambda h, p: h.applications([p.application])),
        ("application_stages:list", lambda h, p: h.current_stages([p.application])),
        ("candidates:list", lambda h, p: h.candidates([p.candidate])),
        ("job_interview_stages:list", lambda h, p: h.stages(p.job)),
        ("notes:list", lambda h, p: h.notes(p.application, None, LONG_AGO)),
        ("jobs:list", lambda h, p: h.visible_jobs([p.job])),
    ],
)
async def test_a_missing_permission_of_a_list_is_named(v3: V3World, scope: str, call: Any) -> None:
    person = await v3.apply()
    await v3.sandbox.act("revoke_scope", scope=scope)
    with pytest.raises(CredentialRejectedError) as caught:
        await call(v3.harvest, person)
    assert f"harvest:{scope}" in caught.value.said.reason


async def test_without_the_permission_to_list_jobs_a_missing_application_is_hidden_not_gone(v3: V3World) -> None:
    person = await v3.apply()
    await v3.delete(person)
    await v3.sandbox.act("revoke_scope", scope="jobs:list")
    readings = await read_applications(v3.harvest, {person.application: person.job}, with_visits=False)
    assert readings.of(person.application) == "hidden"


@pytest.mark.parametrize(("route", "scope"), [("move", "applications:move"), ("note", "notes:create")])
async def test_a_missing_permission_of_a_write_is_told_apart(v3: V3World, route: str, scope: str) -> None:
    person = await v3.apply()
    await v3.sandbox.act("revoke_scope", scope=scope)
    reply = await (move_to(v3, person, v3.stage("Onsite")) if route == "move" else write(v3, person, "ours"))
    assert isinstance(reply, Answered) and reply.status == 403 and reply.names_scope


@pytest.mark.parametrize("code", [422, 409, 404])
async def test_a_stale_move_is_a_no_whatever_its_code(v3: V3World, code: int) -> None:
    await v3.sandbox.switch("move.stale_code", code)
    person = await v3.apply()
    await v3.move(person, "Recruiter Call")
    reply = await move_to(v3, person, v3.stage("Onsite"))
    assert isinstance(reply, Answered) and reply.status == code


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "hang_cut", "hang_after"])
async def test_a_write_that_left_and_got_no_answer_is_cut(v3: V3World, kind: str) -> None:
    person = await v3.apply()
    await v3.sandbox.fault("notes.create", kind, seconds=2)
    assert isinstance(await write(v3, person, "ours"), Cut)
    calls = await v3.sandbox.control("GET", "/calls?route=notes.create")
    assert len(calls) <= 1  # never repeated by the client


async def test_half_a_note_is_no_proof_of_a_note(v3: V3World) -> None:
    person = await v3.apply()
    await v3.sandbox.fault("notes.create", "truncated_json")
    reply = await write(v3, person, "ours")
    assert isinstance(reply, Answered) and reply.note_id is None


async def test_the_budget_hears_what_headers_say(v3: V3World) -> None:
    person = await v3.apply()
    await v3.harvest.applications([person.application])
    assert v3.budget.heard[-1][0] == 150
    await v3.sandbox.fault("applications.list", "429", retry_after=9)
    with pytest.raises(TransientError):
        await v3.harvest.applications([person.application])
    assert v3.budget.heard[-1][2] == timedelta(seconds=9)


async def test_what_is_allowed_beforehand_is_paid_once(v3: V3World) -> None:
    person = await v3.apply()
    await v3.harvest.allow(2)
    await read_applications(v3.harvest, {person.application: person.job}, with_visits=True)
    assert v3.budget.spent == 2
