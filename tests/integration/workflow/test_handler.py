"""The workflow's shell on a real database: one transaction a batch, repeats, races, timers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.databases import Databases
from tests.fakes.histories import ACCOUNT, CALL, CODING, DOCUMENT, OFFER, at, entered, result, snapshot
from tests.fakes.publisher import NoPublisher

from trellis.common.contracts import facts as f
from trellis.common.contracts.commands import AddNote, MoveApplication, SendInvite
from trellis.common.contracts.envelope import Envelope, Message, decode
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, stream_id
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.errors import ConflictError, PermanentError
from trellis.common.runtime import clock
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.migrate import migrate
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection, Pool, acquired, open_pool, transaction
from trellis.workflow.adapters import event_store
from trellis.workflow.adapters.definition_store import Definitions, put_definitions
from trellis.workflow.adapters.postgres_store import PostgresStore
from trellis.workflow.domain import events as e
from trellis.workflow.handler import Handler
from trellis.workflow.redeciding import redecide
from trellis.workflow.story import steps_of
from trellis.workflow.timers import Timers


@dataclass
class FixedClock:
    time: datetime = field(default_factory=lambda: at(0))

    def now(self) -> datetime:
        return self.time


class TimedStore(PostgresStore):
    def __init__(self, pool: Pool, clock: FixedClock) -> None:
        super().__init__(pool)
        self._clock = clock

    async def now(self, connection: Connection) -> datetime:
        return self._clock.now()


@dataclass
class Bench:
    pool: Pool
    clock: FixedClock

    @property
    def store(self) -> PostgresStore:
        return TimedStore(self.pool, self.clock)

    def handler(self) -> Handler:
        metrics, store = Metrics("test"), self.store
        return Handler(store, Relay(store.outbox, NoPublisher(), metrics), metrics)

    async def define(self, document: dict[str, object], account: AccountId = ACCOUNT) -> list[str]:
        async with transaction(self.pool) as connection:
            return await put_definitions(connection, account, [WorkflowDocument.model_validate(document)], {})

    async def commands(self) -> list[SendInvite | AddNote | MoveApplication]:
        async with acquired(self.pool) as connection:
            rows = await connection.fetch("select body from outbox order by position")
        return [decode(row["body"]).data for row in rows]  # type: ignore[misc]

    async def log(self, application: int, account: AccountId = ACCOUNT) -> list[event_store.Recorded]:
        async with acquired(self.pool) as connection:
            return await event_store.history(connection, account, ApplicationId(application))


@pytest.fixture
async def bench(databases: Databases) -> AsyncIterator[Bench]:
    database = await databases.migrated("t", ["trellis.common.store", "trellis.workflow.adapters"])
    pool = await open_pool(database, name="t", schema="t", size=8)
    bench = Bench(pool, FixedClock())
    await bench.define(DOCUMENT)
    yield bench
    await pool.close()


def envelope(
    data: Message, *, account: AccountId = ACCOUNT, ident: UUID | None = None, contentkey: str | None = None
) -> Envelope:
    return Envelope(
        id=ident or uuid4(),
        source="trellis/ingest",
        accountid=account,
        time=at(0),
        data=data,
        correlationid="c",
        contentkey=contentkey,
    )


def of(application: int, stage=CODING, minutes: float = 0) -> f.ApplicationStageChanged:  # type: ignore[no-untyped-def]
    return f.ApplicationStageChanged(
        application=snapshot(stage, minutes, application_id=application, candidate_id=application + 7)
    )


async def test_a_fact_becomes_events_a_command_and_a_read_model_in_one_transaction(bench: Bench) -> None:
    await bench.handler().handle_batch([envelope(entered())])
    (command,) = await bench.commands()
    assert isinstance(command, SendInvite)
    assert [type(item.event) for item in await bench.log(command.application_id)] == [
        e.StageEntered,
        e.StageSettled,
        e.RulesJudged,
        e.InviteRequested,
    ]
    async with acquired(bench.pool) as connection:
        row = await connection.fetchrow("select stage_id, status, version from application")
    assert row is not None
    assert (row["stage_id"], row["status"], row["version"]) == (CODING, "active", 4)


async def test_the_same_message_again_changes_nothing_by_id_by_content_and_by_state(bench: Bench) -> None:
    fact = envelope(entered(), contentkey="k")
    handler = bench.handler()
    await handler.handle_batch([fact, fact])
    await handler.handle_batch([fact])
    await handler.handle_batch([envelope(entered(), contentkey="k")])
    await handler.handle_batch([envelope(entered())])
    assert len(await bench.commands()) == 1


async def test_a_crash_before_the_commit_leaves_nothing_and_the_repeat_does_it_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(name: str) -> None:
        if name == "workflow.before_commit":
            raise RuntimeError("killed")

    monkeypatch.setattr("trellis.workflow.handler.failpoint", die)
    fact = envelope(entered())
    with pytest.raises(RuntimeError):
        await bench.handler().handle_batch([fact])
    async with acquired(bench.pool) as connection:
        for table in ("event", "outbox", "inbox", "application"):
            assert await connection.fetchval(f"select count(*) from {table}") == 0
    monkeypatch.undo()
    await bench.handler().handle_batch([fact])
    assert len(await bench.commands()) == 1


async def test_replicas_racing_for_the_same_streams_decide_each_effect_once(bench: Bench) -> None:
    facts = [envelope(of(number)) for number in range(40)]
    copies = [*facts, *(envelope(of(number)) for number in range(40))]
    shuffled = [random.sample(copies, len(copies)) for _ in range(3)]
    await asyncio.gather(*(bench.handler().handle_batch(batch) for batch in shuffled))
    commands = await bench.commands()
    assert len(commands) == 40
    assert len({command.command_id for command in commands}) == 40


async def test_the_version_constraint_decides_a_race(bench: Bench) -> None:
    await bench.handler().handle_batch([envelope(entered())])
    log = await bench.log(6200455003)
    appended = event_store.Appended(
        account=ACCOUNT,
        stream=stream_id(ACCOUNT, ApplicationId(6200455003)),
        expected=len(log) - 1,
        events=[e.StageSettled(visit=log[0].event.visit)],  # type: ignore[union-attr]
        handled_at=at(0),
        message_id=uuid4(),
        message=b"{}",
        correlationid="c",
    )
    with pytest.raises(ConflictError):
        async with transaction(bench.pool) as connection:
            await event_store.append(connection, [appended])
    assert await bench.log(6200455003) == log


async def test_events_can_not_be_changed_by_the_services_role(database: str) -> None:
    from urllib.parse import urlsplit

    parts = urlsplit(database)
    role = f"r_{uuid4().hex[:12]}"
    url = parts._replace(netloc=f"{role}:pw@{parts.hostname}:{parts.port}").geturl()
    await migrate(database, "workflow", ["trellis.common.store", "trellis.workflow.adapters"], role_url=url)
    connection = await asyncpg.connect(url)
    try:
        for statement in ("update event set version = 1", "delete from event"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
        owner = await asyncpg.connect(database)
        await owner.execute(f"drop owned by {role}")
        await owner.execute(f"drop role {role}")
        await owner.close()


async def test_a_settle_timer_fires_once_whoever_looks(bench: Bench) -> None:
    await bench.define(DOCUMENT | {"settle_s": 60})
    await bench.handler().handle_batch([envelope(of(1)), envelope(of(2))])
    assert await bench.handler().fire_due() == 0
    bench.clock.time = at(1.1)

    async def fire() -> None:
        with contextlib.suppress(ConflictError):
            await bench.handler().fire_due()

    await asyncio.gather(*(fire() for _ in range(4)))
    await fire()
    assert len(await bench.commands()) == 2
    assert await bench.handler().fire_due() == 0


async def test_entering_another_stage_sets_the_timer_anew(bench: Bench) -> None:
    document = DOCUMENT | {"settle_s": 60}
    document["rules"] = [
        *DOCUMENT["rules"],
        {"name": "offer", "when": {"stage_entered": {"stage": "Offer"}}, "then": [{"move": "next"}]},
    ]  # type: ignore[misc]
    await bench.define(document)
    handler = bench.handler()
    await handler.handle_batch([envelope(of(1))])
    bench.clock.time = at(0.5)
    await handler.handle_batch([envelope(of(1, OFFER, 0.5))])
    bench.clock.time = at(1.1)
    assert await handler.fire_due() == 0
    bench.clock.time = at(1.6)
    assert await handler.fire_due() == 1
    (command,) = await bench.commands()
    assert isinstance(command, MoveApplication)


async def test_a_candidates_fact_reaches_all_applications_of_that_account_only(bench: Bench) -> None:
    handler = bench.handler()
    other = AccountId("globex")
    await bench.define(DOCUMENT, other)
    await handler.handle_batch([envelope(of(1)), envelope(of(1), account=other)])
    merged = f.CandidateMerged(candidate_id=CandidateId(8), into_candidate_id=CandidateId(99))
    await handler.handle_batch([envelope(merged)])
    assert isinstance((await bench.log(1))[-1].event, e.CandidateChanged)
    assert not isinstance((await bench.log(1, other))[-1].event, e.CandidateChanged)


async def test_the_same_application_id_in_two_accounts_is_two_streams(bench: Bench) -> None:
    other = AccountId("globex")
    await bench.handler().handle_batch([envelope(of(1)), envelope(of(1), account=other)])
    (command,) = await bench.commands()
    assert command.application_id == 1
    assert len(await bench.log(1)) == 4
    assert len(await bench.log(1, other)) == 1, "no workflow there"


async def test_a_message_for_another_service_is_refused_for_good(bench: Bench) -> None:
    with pytest.raises(PermanentError):
        await bench.handler().handle_batch([envelope(f.JobChanged(job_id=1))])  # type: ignore[arg-type]


async def test_deciding_a_stream_again_from_its_log_gives_the_same_decisions(bench: Bench) -> None:
    handler = bench.handler()
    await bench.define(DOCUMENT | {"settle_s": 60})
    await handler.handle_batch([envelope(entered(CALL, 0))])
    await handler.handle_batch([envelope(entered(CODING, 5)), envelope(entered(CALL, 3))])
    bench.clock.time = at(10)
    await handler.fire_due()
    await bench.define(DOCUMENT | {"rules": DOCUMENT["rules"][:1]})  # type: ignore[index]
    await handler.handle_batch([envelope(result("n2"))])
    log = await bench.log(6200455003)
    pins = {(ACCOUNT, "engineering", 2), (ACCOUNT, "engineering", 3)}
    async with acquired(bench.pool) as connection:
        versions = (await Definitions().workflows(connection, [ACCOUNT], pins))[ACCOUNT].versions
    assert any(isinstance(item.event, e.MoveRequested) for item in log)
    assert redecide(ACCOUNT, ApplicationId(6200455003), log, versions) == []
    tampered = [item for item in log if not isinstance(item.event, e.MoveRequested)]
    assert len(redecide(ACCOUNT, ApplicationId(6200455003), tampered, versions)) == 1


async def test_applying_the_same_workflows_twice_changes_nothing_and_a_missing_one_is_retired(bench: Bench) -> None:
    assert await bench.define(DOCUMENT) == []
    changes = await bench.define(DOCUMENT | {"settle_s": 5})
    assert changes == ["workflow engineering: version 2 is live"]
    changes = await bench.define(DOCUMENT | {"name": "sales"})
    assert [change.split(":")[0] for change in changes] == ["workflow sales", "workflow engineering"]
    async with acquired(bench.pool) as connection:
        assert await connection.fetchval("select count(*) from workflow") == 3, "versions are kept"


async def test_the_story_names_rule_version_values_and_why_the_others_did_not_fire(bench: Bench) -> None:
    handler = bench.handler()
    await handler.handle_batch([envelope(entered())])
    await handler.handle_batch([envelope(result(qualified=False, score=41.0))])
    texts = [step["text"] for step in steps_of(await bench.log(6200455003))]
    assert any('rule "fail" of engineering v1 fired' in text and "qualified is no" in text for text in texts)
    assert any(
        'rule "pass" of engineering v1 did not fire' in text and "qualified is no (wanted: yes)" in text
        for text in texts
    )
    assert any("41" in text for text in texts)


async def test_a_timer_that_fires_while_a_rejection_is_taken_back_is_set_again(bench: Bench) -> None:
    """The one transaction still sees the rejection, the other one's time was read before the timer was due."""
    await bench.define(DOCUMENT | {"settle_s": 60})
    rejected = snapshot(None, 0.5, status=f.ApplicationStatus.REJECTED)
    await bench.handler().handle_batch([envelope(entered()), envelope(f.ApplicationRejected(application=rejected))])
    bench.clock.time = at(1.01)
    assert await bench.handler().fire_due() == 1
    bench.clock.time = at(0.99)
    await bench.handler().handle_batch([envelope(f.ApplicationUnrejected(application=snapshot(CODING, 0.8)))])
    assert await bench.commands() == []
    bench.clock.time = at(1.02)
    assert await bench.handler().fire_due() == 1
    (command,) = await bench.commands()
    assert isinstance(command, SendInvite)


async def test_late_timers_after_downtime_still_fire(bench: Bench) -> None:
    await bench.define(DOCUMENT | {"settle_s": 60})
    await bench.handler().handle_batch([envelope(entered())])
    bench.clock.time = at(0) + timedelta(days=2)
    assert await bench.handler().fire_due() == 1
    assert len(await bench.commands()) == 1


@pytest.mark.parametrize("ahead_seconds", [-300, 300])
async def test_a_replica_whose_clock_is_wrong_neither_sets_nor_fires_a_timer_at_another_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ahead_seconds: int
) -> None:
    await bench.define(DOCUMENT | {"settle_s": 60})
    metrics, store = Metrics("test"), PostgresStore(bench.pool)
    handler = Handler(store, Relay(store.outbox, NoPublisher(), metrics), metrics)
    (tmp_path / "offset").write_text(str(ahead_seconds))
    monkeypatch.setattr(clock, "_OFFSET_FILE", str(tmp_path / "offset"))
    await handler.handle_batch([envelope(entered())])
    async with store.acquired() as connection:
        due_at = await store.next_due(connection)
    assert due_at is not None
    assert timedelta(seconds=30) < due_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert await handler.fire_due() == 0


async def test_one_timer_that_fails_does_not_stop_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.define(DOCUMENT | {"settle_s": 60})
    handler = bench.handler()
    await handler.handle_batch([envelope(of(1)), envelope(of(2)), envelope(of(3))])
    bench.clock.time = at(2)
    from trellis.workflow import handler as module

    real = module.respond

    def failing(state, message, workflows):  # type: ignore[no-untyped-def]
        if state.application_id == 2:
            raise ZeroDivisionError
        return real(state, message, workflows)

    monkeypatch.setattr(module, "respond", failing)
    timers = Timers(bench.store, handler, Metrics("test"))
    await timers.fire()
    assert sorted(command.application_id for command in await bench.commands()) == [1, 3]
    monkeypatch.undo()
    bench.clock.time = at(30)
    await timers.fire()
    assert len(await bench.commands()) == 3


async def test_the_story_says_waiting_only_while_it_waits(bench: Bench) -> None:
    await bench.define(DOCUMENT | {"settle_s": 60})
    handler = bench.handler()
    await handler.handle_batch([envelope(entered())])

    async def waiting() -> list[str]:
        return [step["until"] for step in steps_of(await bench.log(6200455003)) if step["outcome"] == "waiting"]

    assert await waiting() == [at(1).isoformat()]
    bench.clock.time = at(2)
    await handler.fire_due()
    assert await waiting() == []
