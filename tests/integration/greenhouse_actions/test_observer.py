"""Observing: what Greenhouse shows, as a fact, once for each question."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.greenhouse_actions.bench import Bench, a_move, an_observation

from trellis.common.contracts.facts import ApplicationObserved, ApplicationStatus, FoundBy, JobChanged, StageDeleted
from trellis.common.contracts.identifiers import JobId
from trellis.common.store.postgres import acquired


async def observed(bench: Bench, count: int = 1) -> list[ApplicationObserved]:
    async with asyncio.timeout(10):
        while True:
            await bench.replica.observer.answer_due()
            found = [m for m in await bench.messages() if isinstance(m, ApplicationObserved)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_an_application_is_told_with_stage_status_and_the_time_it_entered(bench: Bench) -> None:
    person = await bench.apply()
    question = an_observation(person["application_id"])
    await bench.give(question)
    (fact,) = await observed(bench)
    assert fact.application is not None and fact.application.stage is not None
    assert fact.application.stage.id == person["stage_id"]
    assert fact.application.stage.name == "Coding Assessment"
    assert fact.application.status is ApplicationStatus.ACTIVE
    assert fact.application.candidate_id == person["candidate_id"]
    assert (fact.asked_by, fact.found_by) == (question.command_id, FoundBy.READING)
    assert fact.entered_at is not None and abs((fact.observed_at - fact.entered_at).total_seconds()) < 30


async def test_a_rejected_one_and_an_unknown_one_are_told_as_they_are(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.act("reject", application_id=person["application_id"])
    await bench.give(an_observation(person["application_id"]))
    await bench.give(an_observation(123))
    facts = {fact.application_id: fact for fact in await observed(bench, 2)}
    rejected = facts[person["application_id"]].application
    assert rejected is not None and rejected.status is ApplicationStatus.REJECTED and rejected.rejected_at
    assert facts[123].application is None  # type: ignore[index]


async def test_many_questions_are_one_reading(bench: Bench) -> None:
    people = [await bench.apply() for _ in range(30)]
    for person in people:
        await bench.give(an_observation(person["application_id"]))
    assert len(await observed(bench, 30)) == 30
    assert await bench.calls("applications.list") == 1


async def test_a_question_asked_twice_is_answered_once_and_under_one_id(bench: Bench) -> None:
    person = await bench.apply()
    for _ in range(2):
        await bench.give(an_observation(person["application_id"]))
    await observed(bench)
    await bench.give(an_observation(person["application_id"]))
    await bench.replica.observer.answer_due()
    async with acquired(bench.pool) as database:
        ids = await database.fetch("select distinct id from outbox")
    assert len(ids) == 1


@pytest.mark.parametrize("kind", ["500", "429", "cut_before", "truncated_json", "filter_ignored"])
async def test_an_outage_delays_the_answer_and_never_falsifies_it(bench: Bench, kind: str) -> None:
    person, _ = await bench.apply(), await bench.apply()
    await bench.sandbox.fault("applications.list", kind, count=2)
    await bench.give(an_observation(person["application_id"]))
    (fact,) = await observed(bench)
    assert fact.application is not None and fact.application.application_id == person["application_id"]


async def test_an_account_that_sees_nothing_is_not_told_that_an_application_is_gone(bench: Bench) -> None:
    person = await bench.apply()
    await bench.sandbox.switch("list.non_admin", "empty")
    await bench.sandbox.act("drop_site_admin")
    await bench.give(an_observation(person["application_id"]))
    await bench.replica.observer.answer_due()
    assert not await bench.messages()
    assert await bench.pause() is not None


async def test_a_changed_job_or_deleted_stage_drops_what_is_cached(bench: Bench) -> None:
    async def cached() -> int:
        async with acquired(bench.pool) as database:
            count: int = await database.fetchval("select count(*) from stage_cache")
        return count

    person = await bench.apply()
    for fact in (
        JobChanged(job_id=JobId(person["job_id"])),
        StageDeleted(stage_id=bench.stage("Onsite"), job_id=JobId(person["job_id"])),
        StageDeleted(stage_id=bench.stage("Onsite")),
    ):
        move = a_move(await bench.apply())
        await bench.give(move)
        await bench.settle(move)
        assert await cached() == 1
        await bench.give(fact)
        assert await cached() == 0
