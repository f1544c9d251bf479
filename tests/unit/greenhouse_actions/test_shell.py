"""The effects' shell on the in-memory Greenhouse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.fakes.harvest import FakeHarvests
from tests.unit.greenhouse_actions.given import intent, move, note

from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, CommandId, JobId, UserId
from trellis.common.errors import TransientError
from trellis.common.ledger.effects import (
    Accepted,
    Blocked,
    CannotTell,
    Found,
    Later,
    NotExecuted,
    NotSeen,
    Overtaken,
    Ready,
    Succeeded,
    Unauthorized,
    Unmet,
)
from trellis.greenhouse_actions.adapters.harvest import V1, V3, Capabilities, NotShownError, TooLongError
from trellis.greenhouse_actions.domain.effects import OwnMove
from trellis.greenhouse_actions.domain.outcomes import Answered
from trellis.greenhouse_actions.domain.readings import JobStage
from trellis.greenhouse_actions.moves import MoveEffect
from trellis.greenhouse_actions.notes import NoteEffect
from trellis.greenhouse_actions.reading import Reader

ACME = AccountId("acme")


class NoMoves:
    async def of(
        self, account: AccountId, applications: Sequence[ApplicationId]
    ) -> Mapping[ApplicationId, list[OwnMove]]:
        return {}


class NoAnonymizations:
    async def notes_anonymized_at(
        self, account: AccountId, candidates: Sequence[CandidateId]
    ) -> Mapping[CandidateId, datetime]:
        return {}


class NoPauses:
    async def put(self, account: AccountId, said: Unauthorized, retry: timedelta) -> None:
        return None

    async def mended(self, account: AccountId, reasons: Iterable[str]) -> None:
        return None


class SlowLinks:
    def __init__(self) -> None:
        self.at: list[float] = []
        self.fails = False

    async def link(self, *_: object) -> str | None:
        if self.fails:
            raise TransientError("assessments cannot be reached")
        await asyncio.sleep(0.05)
        self.at.append(time.monotonic())
        return "https://coderbyte.com/r"


class NoCache:
    async def get(self, account: AccountId, job: JobId) -> list[JobStage] | None:
        return None

    async def put(self, account: AccountId, job: JobId, stages: Sequence[JobStage]) -> None:
        return None


@pytest.fixture
def greenhouse() -> FakeHarvests:
    return FakeHarvests()


@pytest.fixture
def links() -> SlowLinks:
    return SlowLinks()


@pytest.fixture
def notes(greenhouse: FakeHarvests, links: SlowLinks) -> NoteEffect:
    return NoteEffect(greenhouse, NoMoves(), NoAnonymizations(), links, NoPauses(), Reader())


@pytest.fixture
def moves(greenhouse: FakeHarvests) -> MoveEffect:
    return MoveEffect(greenhouse, NoCache(), NoPauses(), Reader())


def row(greenhouse: FakeHarvests, make: Any, **more: Any) -> Any:
    view = greenhouse.harvest.apply()
    place = {"stage_id": view.stage_id} if make is note else {"from_stage_id": view.stage_id}
    command = make(application_id=view.id, candidate_id=view.candidate_id, job_id=view.job_id, **place, **more)
    return intent(command, application_id=view.id, attempt=0)


async def ready(effect: Any, one: Any) -> Ready:
    said = (await effect.prepare(ACME, [one]))[one.id]
    assert isinstance(said, Ready), said
    return said


async def test_a_note_is_written_and_its_answer_is_proof(greenhouse: FakeHarvests, notes: NoteEffect) -> None:
    one = row(greenhouse, note)
    answer = await notes.send(one, (await ready(notes, one)).request)
    assert isinstance(answer, Succeeded) and len(greenhouse.harvest.written) == 1
    assert isinstance(await notes.look_up(one), Found)


async def test_a_lost_note_whose_candidate_is_hidden_since_is_held(greenhouse: FakeHarvests, notes: NoteEffect) -> None:
    one = row(greenhouse, note)
    greenhouse.harvest.people.clear()
    assert isinstance(await notes.look_up(one), CannotTell)


async def test_a_move_is_accepted_and_found_by_reading(greenhouse: FakeHarvests, moves: MoveEffect) -> None:
    one = row(greenhouse, move)
    said = await ready(moves, one)
    answer = await moves.send(one, said.request)
    assert isinstance(answer, Accepted)
    after = intent(one.command, application_id=one.application_id, resolved=said.resolved | answer.resolved)
    assert isinstance(await moves.look_up(after), Found)
    assert greenhouse.connection.from_space is not None


async def test_a_write_on_an_old_reading_never_leaves(
    greenhouse: FakeHarvests, moves: MoveEffect, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = row(greenhouse, move)
    request = (await ready(moves, one)).request
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 10.5)
    assert isinstance(await moves.send(one, request), NotExecuted)
    assert not greenhouse.harvest.moves


async def test_a_note_is_found_by_the_user_it_was_written_as_when_the_connection_acts_as_another_since(
    greenhouse: FakeHarvests, notes: NoteEffect
) -> None:
    one = row(greenhouse, note)
    said = await ready(notes, one)
    await notes.send(one, said.request)
    greenhouse.connection = replace(greenhouse.connection, service_user_id=UserId(7), revision=2)
    assert isinstance(await notes.look_up(replace(one, resolved=said.resolved)), Found)


@pytest.mark.parametrize("make", [note, move])
async def test_what_was_made_for_the_connection_as_it_was_does_not_leave_through_another(
    greenhouse: FakeHarvests, notes: NoteEffect, moves: MoveEffect, make: Any
) -> None:
    effect: Any = notes if make is note else moves
    one = row(greenhouse, make)
    request = (await ready(effect, one)).request
    greenhouse.connection = replace(greenhouse.connection, revision=2)
    assert isinstance(await effect.send(one, request), NotExecuted)
    assert not greenhouse.harvest.written and not greenhouse.harvest.moves
    assert isinstance(await effect.send(one, (await ready(effect, one)).request), Succeeded | Accepted)


async def test_through_v1_a_few_applications_are_read_at_once_and_the_others_wait(
    greenhouse: FakeHarvests, moves: MoveEffect
) -> None:
    greenhouse.harvest.capabilities = V1
    rows = [row(greenhouse, move) for _ in range(V1.together + 2)]
    rows = [replace(one, id=CommandId(UUID(int=n))) for n, one in enumerate(rows)]
    said = await moves.prepare(ACME, rows)
    assert [type(said[one.id]) for one in rows] == [Ready] * V1.together + [Later] * 2


@pytest.mark.parametrize(("before", "after"), [(V1, V3), (V3, V1), (V1, V1)], ids=["v1-v3", "v3-v1", "v1-v1"])
@pytest.mark.parametrize("arrived", [True, False])
async def test_a_note_sent_through_one_version_is_looked_up_through_another(
    greenhouse: FakeHarvests, notes: NoteEffect, before: Capabilities, after: Capabilities, arrived: bool
) -> None:
    greenhouse.harvest.capabilities = before
    one = row(greenhouse, note)
    said = await ready(notes, one)
    if arrived:
        await notes.send(one, said.request)
    greenhouse.harvest.capabilities = after
    found = await notes.look_up(replace(one, resolved=said.resolved))
    assert isinstance(found, Found if arrived else NotSeen)


async def test_a_note_of_v1_of_which_a_restored_database_knows_nothing_is_found_through_v3(
    greenhouse: FakeHarvests, notes: NoteEffect
) -> None:
    greenhouse.harvest.capabilities = V1
    one = row(greenhouse, note)
    await notes.send(one, (await ready(notes, one)).request)
    greenhouse.harvest.capabilities = V3
    assert isinstance(await notes.look_up(replace(one, resolved={}, attempt=0)), Found)


@pytest.mark.parametrize(("before", "after"), [(V1, V3), (V3, V1), (V1, V1)], ids=["v1-v3", "v3-v1", "v1-v1"])
@pytest.mark.parametrize(
    ("done", "said_of_it"),
    [("nothing", NotSeen), ("moved", Found), ("moved and back", (Overtaken, CannotTell)), ("elsewhere", Overtaken)],
)
async def test_a_move_sent_through_one_version_is_judged_through_another(
    greenhouse: FakeHarvests, moves: MoveEffect, before: Capabilities, after: Capabilities, done: str, said_of_it: Any
) -> None:
    harvest = greenhouse.harvest
    harvest.capabilities = before
    one = row(greenhouse, move)
    entered = datetime.now(UTC) - timedelta(hours=1)
    harvest.truth[one.application_id] = replace(
        harvest.truth[one.application_id], entered_at=entered, last_activity_at=entered, updated_at=entered
    )
    said = await ready(moves, one)
    if done.startswith("moved"):
        await moves.send(one, said.request)
    if done == "moved and back":
        harvest.enter(one.application_id, one.command.from_stage_id)
    elif done == "elsewhere":
        harvest.enter(one.application_id, harvest.stage("Application Review"))
    harvest.capabilities = after
    found = await moves.look_up(replace(one, resolved=said.resolved, attempted_at=datetime.now(UTC)))
    assert isinstance(found, said_of_it), found
    if done == "moved and back":
        assert isinstance(found, CannotTell if after is V1 else Overtaken)


async def test_a_feed_that_is_not_shown_or_too_long_cannot_tell_whether_the_note_is_there(
    greenhouse: FakeHarvests, notes: NoteEffect, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = row(greenhouse, note)
    for error in (NotShownError("not shown"), TooLongError("too long")):

        async def raises(*_: Any, error: Exception = error, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(greenhouse.harvest, "notes", raises)
        said = await notes.look_up(one)
        assert isinstance(said, CannotTell) and said.remedy


async def test_a_403_is_the_connections_until_another_write_passed(greenhouse: FakeHarvests, notes: NoteEffect) -> None:
    one, two = row(greenhouse, note), row(greenhouse, note)
    first, second = (await ready(notes, one)).request, (await ready(notes, two)).request
    greenhouse.harvest.next_replies = [lambda _: Answered(status=403)]
    assert isinstance(await notes.send(one, first), Unauthorized)
    assert isinstance(await notes.send(two, second), Succeeded)
    greenhouse.harvest.next_replies = [lambda _: Answered(status=403)]
    assert isinstance(await notes.send(one, first), Unmet)


async def test_a_rejected_credential_is_said_of_every_row_and_by_the_lookup(
    greenhouse: FakeHarvests, notes: NoteEffect, moves: MoveEffect
) -> None:
    rejected = Unauthorized(reason="no", remedy="yes")
    rows = [row(greenhouse, note), row(greenhouse, note)]
    one = row(greenhouse, move)
    greenhouse.harvest.rejects = rejected
    assert set((await notes.prepare(ACME, rows)).values()) == {rejected}
    assert await moves.look_up(one) is rejected


async def test_links_are_asked_for_before_the_reading_and_at_once(
    greenhouse: FakeHarvests, notes: NoteEffect, links: SlowLinks
) -> None:
    one = row(greenhouse, note, text="{report_link}", assessment_id="a")
    said = await ready(notes, one)
    assert links.at and max(links.at) <= said.read_at


async def test_without_links_nothing_is_read(greenhouse: FakeHarvests, notes: NoteEffect, links: SlowLinks) -> None:
    links.fails = True
    one = row(greenhouse, note, text="{report_link}", assessment_id="a")
    assert isinstance((await notes.prepare(ACME, [one]))[one.id], Later)
    assert greenhouse.harvest.readings == 0


async def test_the_second_reading_comes_when_the_account_says() -> None:
    slow = FakeHarvests(**{"verify.second_read_s": 12, "credential.retry_s": 0.5})
    effect = MoveEffect(slow, NoCache(), NoPauses(), Reader())
    assert await effect.second_read(ACME) == timedelta(seconds=12)
    assert await effect.credential_retry(ACME) == timedelta(seconds=0.5)


async def test_a_note_names_whom_the_application_shows_and_reads_no_candidate(
    greenhouse: FakeHarvests, notes: NoteEffect
) -> None:
    one = replace(row(greenhouse, note), candidate_id=CandidateId(1))  # merged away since the command was made
    said = await ready(notes, one)
    assert said.resolved["candidate_id"] == greenhouse.harvest.truth[one.application_id].candidate_id
    assert greenhouse.harvest.readings == 1
    assert isinstance(await notes.send(one, said.request), Succeeded)


def _counted(greenhouse: FakeHarvests) -> list[object]:
    """Count the readings of candidates from now on."""
    asked: list[object] = []
    read = greenhouse.harvest.candidates

    async def counted(ids: Any) -> Any:
        asked.append(ids)
        return await read(ids)

    greenhouse.harvest.candidates = counted  # type: ignore[method-assign]
    return asked


async def test_a_recruiters_tag_keeps_notes_and_moves_off_with_one_reading_of_the_candidate_for_both() -> None:
    greenhouse, reader = FakeHarvests(**{"keep_off.tag": "no trellis"}), Reader()
    notes = NoteEffect(greenhouse, NoMoves(), NoAnonymizations(), SlowLinks(), NoPauses(), reader)
    moves = MoveEffect(greenhouse, NoCache(), NoPauses(), reader)
    one = row(greenhouse, note)
    view = greenhouse.harvest.truth[one.application_id]
    two = intent(
        move(application_id=view.id, candidate_id=view.candidate_id, job_id=view.job_id, from_stage_id=view.stage_id),
        application_id=view.id,
        attempt=0,
    )
    candidate = greenhouse.harvest.people[view.candidate_id]
    greenhouse.harvest.people[view.candidate_id] = replace(candidate, tags=("No Trellis",))
    asked = _counted(greenhouse)
    for effect, item in ((notes, one), (moves, two)):
        assert (await effect.prepare(ACME, [item]))[item.id] == Overtaken(reason="a recruiter's tag keeps Trellis off")
    assert len(asked) == 1


async def test_whose_tags_are_not_shown_is_left_to_a_person() -> None:
    greenhouse = FakeHarvests(**{"keep_off.tag": "no trellis"})
    notes = NoteEffect(greenhouse, NoMoves(), NoAnonymizations(), SlowLinks(), NoPauses(), Reader())
    one = row(greenhouse, note)
    greenhouse.harvest.people.clear()
    said = (await notes.prepare(ACME, [one]))[one.id]
    assert isinstance(said, Blocked) and "keep_off.tag" in said.remedy


async def test_another_tag_keeps_nobody_off_and_without_the_setting_no_tag_is_read(greenhouse: FakeHarvests) -> None:
    tagging = FakeHarvests(**{"keep_off.tag": "no trellis"})
    for world, readings in ((tagging, 1), (greenhouse, 0)):
        moves = MoveEffect(world, NoCache(), NoPauses(), Reader())
        one = row(world, move)
        people = world.harvest.people
        people.update({ident: replace(view, tags=("vip",)) for ident, view in people.items()})
        asked = _counted(world)
        assert isinstance(await ready(moves, one), Ready)
        assert len(asked) == readings
