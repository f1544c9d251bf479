"""One suite for every implementation of the port `Harvest`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.harvest.worlds import Person, TwinWorld, World

from trellis.common.contracts.commands import AddNote, MoveApplication, Origin
from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    CandidateId,
    JobId,
    StageId,
    Visit,
    command_id,
)
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError
from trellis.greenhouse_actions.domain.outcomes import Answered, NeverLeft, Reply
from trellis.greenhouse_actions.domain.readings import ChangeField, Missing, Window
from trellis.greenhouse_actions.domain.requests import FromSpace, NoteStyle, move_request, note_request
from trellis.greenhouse_actions.domain.standing import (
    LONGEST,
    Done,
    Hidden,
    NotAllowed,
    Said,
    classify,
    standing_request,
)
from trellis.greenhouse_actions.reading import read_applications

ORIGIN = Origin(workflow="w", version=1, rule="r", reason="")
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


async def move_to(world: World, person: Person, target: StageId, start: StageId | None = None) -> Reply:
    view = (await world.harvest.applications([person.application]))[person.application]
    command = MoveApplication(
        command_id=command_id(AccountId("a"), person.application, Visit("n1"), "move", "1"),
        application_id=person.application,
        candidate_id=None,
        job_id=None,
        visit=Visit("n1"),
        from_stage_id=start or person.stage,
        origin=ORIGIN,
    )
    request = move_request(command, view, target, FromSpace.JOB_INTERVIEW_STAGE)
    assert request is not None
    return await world.harvest.send(request, leave_before=time.monotonic() + 5)


async def write(world: World, person: Person, text: str, *, late: bool = False) -> Reply:
    command = AddNote(
        command_id=command_id(AccountId("a"), person.application, Visit("n1"), "note", text),
        application_id=person.application,
        candidate_id=None,
        job_id=None,
        visit=Visit("n1"),
        stage_id=person.stage,
        text=text,
        origin=ORIGIN,
    )
    request = note_request(command, person.candidate, world.service_user, NoteStyle(), None)
    return await world.harvest.send(request, leave_before=time.monotonic() + (-1 if late else 5))


async def test_an_application_is_shown_with_its_stage(world: World) -> None:
    person = await world.apply()
    view = (await world.harvest.applications([person.application]))[person.application]
    assert (view.candidate_id, view.job_id, view.stage_id) == (person.candidate, person.job, person.stage)
    assert view.is_active and view.stage_name == "Coding Assessment"
    rows = await world.harvest.current_stages([person.application])
    if not world.harvest.capabilities.stage_history:
        assert rows == {} and view.row_id is None and view.entered_at is None
        return
    row = rows[person.application]
    assert (row.id, row.stage_id) == (view.row_id, person.stage)
    assert row.id != person.stage


async def test_unknown_ids_are_absent(world: World) -> None:
    nobody = ApplicationId(1)
    assert not await world.harvest.applications([nobody])
    assert not await world.harvest.current_stages([nobody])
    assert not await world.harvest.candidates([CandidateId(1)])
    assert not await world.harvest.visible_jobs([JobId(1)])


async def test_more_than_fifty_ids_are_asked_for_in_several_calls(world: World) -> None:
    people = [await world.apply() for _ in range(60)]
    ids = [person.application for person in people]
    assert set(await world.harvest.applications(ids)) == set(ids)
    assert set(await world.harvest.current_stages(ids)) == (
        set(ids) if world.harvest.capabilities.stage_history else set()
    )
    assert set(await world.harvest.stage_history(ids)) == set(await world.harvest.current_stages(ids))
    assert len(await world.harvest.candidates([person.candidate for person in people])) == 60


@pytest.mark.parametrize("status", [ApplicationStatus.REJECTED, ApplicationStatus.HIRED])
async def test_an_ended_application_is_shown_as_that(world: World, status: ApplicationStatus) -> None:
    person = await world.apply()
    await world.end(person, status)
    view = (await world.harvest.applications([person.application]))[person.application]
    assert view.status is status and not view.is_active


async def test_entering_a_stage_again_is_another_visit_where_visits_are_told(world: World) -> None:
    if not world.harvest.capabilities.stage_history:
        await _is_told_as_an_activity(world)
        return
    person = await world.apply()
    first = (await world.harvest.current_stages([person.application]))[person.application]
    await world.move(person, "Onsite")
    await world.move(person, "Coding Assessment")
    second = (await world.harvest.current_stages([person.application]))[person.application]
    assert second.stage_id == first.stage_id
    assert second.id != first.id


async def _is_told_as_an_activity(world: World) -> None:
    """Without visits, that it left and came back shows as a later activity: that is all that is known."""
    person = await world.apply()
    first = (await world.harvest.applications([person.application]))[person.application]
    await asyncio.sleep(0.02)
    await world.move(person, "Onsite")
    await world.move(person, "Coding Assessment")
    second = (await world.harvest.applications([person.application]))[person.application]
    assert second.stage_id == first.stage_id
    assert first.last_activity_at is not None and second.last_activity_at is not None
    assert second.last_activity_at > first.last_activity_at


@pytest.mark.parametrize("change", ["entered", "rejected", "applied"])
async def test_what_changed_within_a_window_is_listed_and_nothing_else(world: World, change: str) -> None:
    before = await world.apply()
    await asyncio.sleep(0.02)
    since = datetime.now(UTC)
    await asyncio.sleep(0.02)
    changed = await world.apply() if change == "applied" else before
    if change == "entered":
        await world.move(changed, "Onsite")
    elif change == "rejected":
        await world.end(changed, ApplicationStatus.REJECTED)
    window = Window(since=since, until=datetime.now(UTC) + timedelta(seconds=5))
    field = changes_by(world)
    found = await world.harvest.changed(field, window)
    assert [view.id for view in found] == [changed.application]
    if change == "rejected":
        assert found[0].status is ApplicationStatus.REJECTED
    past = Window(since=since - timedelta(days=2), until=since - timedelta(days=1))
    assert await world.harvest.changed(field, past) == []


def changes_by(world: World) -> ChangeField:
    """The time by which every version that has no other lists changes."""
    return ChangeField.UPDATED_AT if world.harvest.capabilities.updated_filter else ChangeField.LAST_ACTIVITY_AT


async def test_a_list_of_changes_by_a_time_without_a_filter_is_none(world: World) -> None:
    await world.apply()
    window = Window(since=LONG_AGO, until=datetime.now(UTC) + timedelta(seconds=5))
    if world.harvest.capabilities.updated_filter:
        assert len(await world.harvest.changed(ChangeField.UPDATED_AT, window)) == 1
        return
    with pytest.raises(TransientError, match="updated_at"):
        await world.harvest.changed(ChangeField.UPDATED_AT, window)


async def test_a_list_of_changes_turns_empty_for_a_lesser_user(read_as_user: World) -> None:
    world = read_as_user
    await world.apply()
    await world.drop_site_admin()
    window = Window(since=datetime.now(UTC) - timedelta(days=1), until=datetime.now(UTC) + timedelta(seconds=5))
    try:
        assert await world.harvest.changed(ChangeField.UPDATED_AT, window) == []
        assert not await world.harvest.sees_anything()
    except CredentialRejectedError:
        pass  # the other answer that Greenhouse may give


async def test_a_candidates_addresses_are_shown(world: World) -> None:
    person = await world.apply(emails=("a@mail.example", "b@mail.example"))
    view = (await world.harvest.candidates([person.candidate]))[person.candidate]
    assert [address.value for address in view.addresses] == ["a@mail.example", "b@mail.example"]
    assert view.can_email and not view.private


async def test_a_candidates_tags_are_shown(world: World) -> None:
    person, other = await world.apply(), await world.apply()
    await world.tag(person, "No Trellis")
    seen = await world.harvest.candidates([person.candidate, other.candidate])
    assert (seen[person.candidate].tags, seen[other.candidate].tags) == (("No Trellis",), ())


async def test_a_deleted_application_is_gone_and_one_of_a_confidential_job_is_hidden(world: World) -> None:
    deleted, hidden, there = await world.apply(), await world.apply_on_hidden_job(), await world.apply()
    await world.delete(deleted)
    wanted = {person.application: person.job for person in (deleted, hidden, there)}
    readings = await read_applications(world.harvest, wanted, with_visits=True)
    assert readings.missing == {deleted.application: Missing.GONE, hidden.application: Missing.HIDDEN}
    assert set(readings.applications) == {there.application}


async def test_an_application_whose_job_is_not_known_is_never_taken_for_deleted(world: World) -> None:
    deleted = await world.apply()
    await world.delete(deleted)
    readings = await read_applications(world.harvest, {deleted.application: None}, with_visits=False)
    assert readings.missing == {deleted.application: Missing.HIDDEN}


async def test_empty_lists_of_a_lesser_user_are_not_taken_for_an_empty_account(read_as_user: World) -> None:
    world = read_as_user
    person = await world.apply()
    await world.drop_site_admin()
    assert not await world.harvest.sees_anything()
    with pytest.raises(CredentialRejectedError, match="Site Admin"):
        await read_applications(world.harvest, {person.application: person.job}, with_visits=False)


async def test_deleted_stages_are_listed_as_inactive(world: World) -> None:
    person = await world.apply()
    gone = world.stage("Onsite")
    await world.delete_stage("Onsite")
    stages = {stage.id: stage for stage in await world.harvest.stages(person.job)}
    assert len(stages) == 5
    assert [ident for ident, stage in stages.items() if not stage.active] == [gone]


async def test_a_move_is_answered_with_a_yes_and_shows(world: World) -> None:
    person = await world.apply()
    reply = await move_to(world, person, world.stage("Onsite"))
    assert isinstance(reply, Answered) and reply.status in range(200, 300)
    view = (await world.harvest.applications([person.application]))[person.application]
    assert view.stage_id == world.stage("Onsite")
    assert await world.move_count() == 1


async def test_a_move_from_a_stage_it_left_is_refused_and_changes_nothing(world: World) -> None:
    person = await world.apply()
    await world.move(person, "Recruiter Call")
    reply = await move_to(world, person, world.stage("Onsite"))
    assert isinstance(reply, Answered) and reply.status == 422 and reply.message
    view = (await world.harvest.applications([person.application]))[person.application]
    assert view.stage_id == world.stage("Recruiter Call")
    assert await world.move_count() == 0


async def show(world: World, application: ApplicationId, text: str) -> Said:
    request = standing_request(application, "trellis_standing", "list", text)
    return classify(await world.harvest.send(request, leave_before=time.monotonic() + 5), "trellis_standing")


async def test_how_an_application_stands_is_shown_changed_and_taken_back(world: World) -> None:
    person = await world.apply()
    await world.allow_standing()
    for text in ("Assessment sent", "x" * LONGEST, "", ""):
        assert await show(world, person.application, text) == Done()
        assert await world.standing_of(person) == text
    await world.end(person, ApplicationStatus.REJECTED)
    assert await show(world, person.application, "Assessment sent") == Done()


async def test_without_the_permission_or_the_field_it_is_said_which(world: World) -> None:
    person = await world.apply()
    if isinstance(world, TwinWorld):
        world.harvest.may_update = False
    refused = await show(world, person.application, "Assessment sent")
    assert isinstance(refused, NotAllowed) and "Update Application" in refused.reason
    await world.allow_standing(with_field=False)
    refused = await show(world, person.application, "Assessment sent")
    assert isinstance(refused, NotAllowed) and "trellis_standing" in refused.reason
    assert await world.standing_of(person) == ""


async def test_a_deleted_application_is_not_shown_as_anything(world: World) -> None:
    person = await world.apply()
    await world.allow_standing()
    await world.delete(person)
    assert await show(world, person.application, "Assessment sent") == Hidden()


async def test_an_ended_application_is_not_moved(world: World) -> None:
    person = await world.apply()
    await world.end(person, ApplicationStatus.REJECTED)
    reply = await move_to(world, person, world.stage("Onsite"))
    assert isinstance(reply, Answered) and reply.status == 422
    assert await world.move_count() == 0


async def test_nobody_is_moved_into_a_deleted_stage(world: World) -> None:
    person = await world.apply()
    target = world.stage("Onsite")
    await world.delete_stage("Onsite")
    reply = await move_to(world, person, target)
    assert isinstance(reply, Answered) and reply.status == 422
    assert await world.move_count() == 0


async def test_when_a_stage_was_entered_is_told_by_the_stages_and_not_by_the_application(world: World) -> None:
    person = await world.apply()
    assert (await world.harvest.applications([person.application]))[person.application].entered_at is None
    if not world.harvest.capabilities.stage_history:
        assert not await world.harvest.current_stages([person.application])
        return
    entered = (await world.harvest.current_stages([person.application]))[person.application].entered_at
    assert entered is not None
    assert abs(entered - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_rejected_credential_is_told_by_every_reading(world: World) -> None:
    person = await world.apply()
    await world.reject_credential()
    readings = [
        world.harvest.applications([person.application]),
        world.harvest.candidates([person.candidate]),
        world.harvest.stages(person.job),
        world.harvest.changed(changes_by(world), Window(since=LONG_AGO, until=datetime.now(UTC))),
        world.harvest.notes(person.application, None, LONG_AGO),
        world.harvest.sees_anything(),
        world.harvest.visible_jobs([person.job]),
    ]
    if world.harvest.capabilities.stage_history:
        readings.append(world.harvest.current_stages([person.application]))
        readings.append(world.harvest.stage_history([person.application]))
    for asked in readings:
        with pytest.raises(CredentialRejectedError):
            await asked


async def test_a_note_that_names_another_candidate_is_never_one_of_the_application(world: World) -> None:
    person, other = await world.apply(), await world.apply(emails=("p@mail.example",))
    reply = await write(world, replace(person, candidate=other.candidate), "ours")
    assert isinstance(reply, Answered)
    assert (reply.status == 422) == world.harvest.capabilities.note_on_application  # else nobody can notice
    assert await world.harvest.notes(person.application, None, LONG_AGO) == []


async def test_a_note_is_answered_with_itself_and_found_by_application_and_author(world: World) -> None:
    person, other = await world.apply(), await world.apply()
    await world.write_note(person, "a person's")
    reply = await write(world, person, "ours")
    await write(world, other, "another's")
    assert isinstance(reply, Answered) and reply.status in (200, 201) and reply.note_id is not None
    (found,) = await world.harvest.notes(person.application, world.service_user, LONG_AGO)
    assert found.id == reply.note_id and found.body.startswith("ours\n[ref tr-")
    assert len(await world.harvest.notes(person.application, None, LONG_AGO)) == 2


async def test_a_note_that_names_no_application_is_found_when_its_candidates_are_asked_for(world: World) -> None:
    person, other = await world.apply(), await world.apply()
    note_id = await world.write_note_through_v1(person, "ours, through v1")
    await world.write_note_through_v1(other, "another's")
    (found,) = await world.harvest.notes(person.application, world.service_user, LONG_AGO, of_candidate=True)
    assert (found.id, found.application_id) == (note_id, None)
    narrow = await world.harvest.notes(person.application, world.service_user, LONG_AGO)
    assert len(narrow) == (0 if world.harvest.capabilities.note_on_application else 1)


async def test_nothing_is_told_of_the_notes_of_an_application_that_is_not_shown(world: World) -> None:
    deleted = await world.apply()
    await world.delete(deleted)
    assert await world.harvest.notes(deleted.application, None, LONG_AGO, of_candidate=True) == []
    assert await world.harvest.notes(deleted.application, None, LONG_AGO) == []


async def test_notes_before_the_given_time_are_left_out(world: World) -> None:
    person = await world.apply()
    await write(world, person, "ours")
    assert not await world.harvest.notes(
        person.application, world.service_user, datetime.now(UTC) + timedelta(minutes=1)
    )


async def test_nothing_leaves_too_late(world: World) -> None:
    person = await world.apply()
    assert isinstance(await write(world, person, "late", late=True), NeverLeft)
    assert not await world.harvest.notes(person.application, None, LONG_AGO)
