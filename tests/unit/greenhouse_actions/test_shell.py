"""The effects' shell on the in-memory Greenhouse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fakes.harvest import FakeHarvests
from tests.unit.greenhouse_actions.given import intent, move, note

from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, JobId
from trellis.common.errors import TransientError
from trellis.common.ledger.effects import (
    Accepted,
    Found,
    Later,
    NotExecuted,
    Overtaken,
    Ready,
    Succeeded,
    Unauthorized,
    Unmet,
)
from trellis.greenhouse_actions.domain.effects import OwnMove
from trellis.greenhouse_actions.domain.outcomes import Answered
from trellis.greenhouse_actions.domain.readings import JobStage
from trellis.greenhouse_actions.effects import MoveEffect, NoteEffect
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


async def test_a_private_candidate_who_is_not_shown_gets_no_orphan_note(
    greenhouse: FakeHarvests, notes: NoteEffect
) -> None:
    one = row(greenhouse, note)
    greenhouse.harvest.people.clear()
    said = (await notes.prepare(ACME, [one]))[one.id]
    assert not isinstance(said, Ready | Overtaken) and "candidate" in said.reason  # type: ignore[union-attr]
