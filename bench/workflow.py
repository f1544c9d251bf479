"""Facts decided and appended per second: the real handler, fed from memory, against bare inserts of its rows.

Both sides run in this process on one connection at a time, one transaction a batch. The handler reads, folds,
decides, encodes and logs besides; the bare side inserts the very rows the handler wrote, read back from its tables,
into equal tables by one `unnest` statement a table.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import uvloop
from tools.dev.console import say

from bench.figures import Spread, ratios, spread
from bench.pace import paced
from bench.report import Line, Sense
from bench.stage import Stage
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import ApplicationSnapshot, ApplicationStageChanged, ApplicationStatus
from trellis.common.contracts.facts import Stage as HiringStage
from trellis.common.contracts.identifiers import (
    AccountId,
    ApplicationId,
    CandidateId,
    JobId,
    StageId,
    stable_id,
    stream_id,
)
from trellis.common.contracts.workflows import WorkflowDocument
from trellis.common.runtime import logs
from trellis.common.runtime.lifecycle import YOUNG_OBJECTS
from trellis.common.runtime.metrics import Metrics
from trellis.common.store import inbox
from trellis.common.store.migrate import migrate
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Pool, acquired, open_pool, transaction
from trellis.workflow.adapters.definition_store import put_definitions
from trellis.workflow.adapters.postgres_store import PostgresStore
from trellis.workflow.handler import Handler

LIMIT: Final = 0.25
FACTS: Final = 4000
BATCH: Final = 200
PAIRS: Final = 8
SMALL_BATCH: Final = 50
SMALL_PAIRS: Final = 4
SECONDS: Final = 40.0
"""For the runs of one batch size."""

_ACCOUNT: Final = AccountId("bench")
_TEST: Final = "backend-assessment-7kq2vd91xw"
_STAGE: Final = HiringStage(id=StageId(7_310_088_003), name="Coding Assessment")
_PACKAGES: Final = ("trellis.common.store", "trellis.workflow.adapters")
_DOCUMENT: Final[dict[str, object]] = {
    "name": "engineering",
    "settle_s": 0,
    "rules": [
        {
            "name": "send-test",
            "when": {"stage_entered": {"stage": "Coding Assessment"}},
            "then": [{"send_assessment": _TEST}],
        },
        {
            "name": "hold-cheats",
            "when": {"assessment_completed": {"assessment": _TEST}},
            "if": {"integrity": ["suspected", "detected"]},
            "then": [{"ask_approval": "The report shows signs of cheating. Move on?"}, {"move": "next"}],
        },
        {
            "name": "pass",
            "when": {"assessment_completed": {"assessment": _TEST}},
            "if": {"all": [{"qualified": True}, {"score": {"at_least": 70}}, {"integrity": "none"}]},
            "then": [{"add_note": None}, {"move": "next"}],
        },
        {
            "name": "fail",
            "when": {"assessment_completed": {"assessment": _TEST}},
            "if": {"qualified": False},
            "then": [{"add_note": "{assessment}: {score} of 100, {qualified}."}],
        },
    ],
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table the handler writes to, with the columns it fills."""

    name: str
    columns: Mapping[str, str]
    """Column -> its type in SQL."""

    @property
    def insert(self) -> str:
        """Return the statement that inserts many rows."""
        places = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(self.columns.values(), start=1))
        return f"insert into {self.name} ({', '.join(self.columns)}) select * from unnest({places})"


INBOX: Final = Table("inbox", {"account_id": "text", "key": "text"})
EVENT: Final = Table(
    "event",
    {
        "stream": "uuid", "version": "int", "account_id": "text", "type": "text", "body": "bytea",
        "handled_at": "timestamptz", "message_id": "uuid", "message": "bytea", "correlationid": "text",
    },
)  # fmt: skip
APPLICATION: Final = Table(
    "application",
    {
        "account_id": "text", "application_id": "bigint", "stream": "uuid", "candidate_id": "bigint",
        "job_id": "bigint", "stage_id": "bigint", "stage_name": "text", "status": "text", "visit": "text",
        "version": "int", "deleted": "boolean",
    },
)  # fmt: skip
OUTBOX: Final = Table("outbox", {"id": "uuid", "account_id": "text", "routing_key": "text", "body": "bytea"})
TABLES: Final = (INBOX, EVENT, APPLICATION, OUTBOX)
_ORDER: Final = {"event": "stream, version", "inbox": "account_id, key", "application": "account_id, application_id"}

Insert = tuple[str, tuple[list[Any], ...]]


class _NoPublisher:
    """Nothing is relayed here."""

    async def publish(self, *_: object, **__: object) -> None:
        raise AssertionError("nothing is relayed in this bench")


def facts(count: int) -> list[Envelope]:
    """Return *count* facts as `ingest` sends them: somebody entered the stage, each time another application."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    return [_fact(number, now) for number in range(count)]


def _fact(number: int, at: datetime) -> Envelope:
    ident = stable_id("bench", number)
    snapshot = ApplicationSnapshot(
        application_id=ApplicationId(6_300_000_000 + number),
        candidate_id=CandidateId(5_700_000_000 + number),
        job_id=JobId(4_120_077_003),
        stage=_STAGE,
        status=ApplicationStatus.ACTIVE,
        prospect=False,
        applied_at=at - timedelta(days=3),
        last_activity_at=at,
        source_id=4_000_013_003,
        department_ids=(25_907_003,),
        office_ids=(60_010_003, 60_011_003),
    )
    return Envelope(
        id=ident,
        source="trellis/ingest",
        accountid=_ACCOUNT,
        time=at,
        data=ApplicationStageChanged(application=snapshot),
        correlationid=str(ident),
        subject=f"application/{snapshot.application_id}",
        contentkey=f"{number:064x}",
    )


def batches(items: Sequence[Envelope], size: int) -> list[list[Envelope]]:
    """Cut *items* into batches of *size*."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def run(stage: Stage) -> Line:
    """Measure batches of 200, which are judged, and of 50, which are told."""
    with (stage.folder / "workflow-bench.log").open("w") as log:
        with contextlib.redirect_stdout(log):  # one line a message is written in earnest, too
            logs.configure("workflow", importlib.metadata.version("trellis-common"), "info")
        assert sys.stdout is not log
        large, small = uvloop.run(_measure_all(stage))
    ours, bare = large
    small_ratio = spread(ratios(*small))
    return Line(
        name="workflow",
        unit="facts/s",
        ratio=spread(ratios(ours, bare)),
        ours=spread(ours),
        bare=spread(bare),
        limit=LIMIT,
        sense=Sense.AT_LEAST,
        details={
            "batch": BATCH,
            "facts_a_run": FACTS,
            "connections_at_a_time": 1,
            "batch_50": {
                "ratio": small_ratio.as_json(),
                "ours": spread(small[0]).as_json(),
                "bare": spread(small[1]).as_json(),
            },
        },
        remarks=(
            _words(spread(small[0]), spread(small[1]), small_ratio),
            "one connection at a time on both sides; a fact is 4 events, 2 inbox keys, a command and a projection",
        ),
    )


def _words(ours: Spread, bare: Spread, ratio: Spread) -> str:
    return (
        f"batches of {SMALL_BATCH}: ratio {ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f}), "
        f"{ours.median:,.0f} of {bare.median:,.0f} facts/s"
    )


Rates = tuple[list[float], list[float]]


async def _measure_all(stage: Stage) -> tuple[Rates, Rates]:
    async with stage.database("bench_workflow") as url:
        for schema in ("ours", "bare"):
            await migrate(url, schema, _PACKAGES)
        ours = await open_pool(url, name="bench-ours", schema="ours")
        bare = await open_pool(url, name="bench-bare", schema="bare")
        try:
            async with transaction(ours) as connection:
                await put_definitions(connection, _ACCOUNT, [WorkflowDocument.model_validate(_DOCUMENT)], {})
            fed = facts(FACTS)
            large = await _measure(ours, bare, batches(fed, BATCH), PAIRS)
            small = await _measure(ours, bare, batches(fed, SMALL_BATCH), SMALL_PAIRS)
            return large, small
        finally:
            await ours.close()
            await bare.close()


async def _measure(ours: Pool, bare: Pool, fed: list[list[Envelope]], pairs: int) -> Rates:
    handler = _handler(ours)
    for pool in (ours, bare):
        await _truncate(pool)
    await _feed(handler, fed)  # warms up, and writes the rows that the bare side inserts
    rows = [await _read_back(ours, batch) for batch in fed]
    await _insert(bare, rows)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)  # as the service has it
    count = sum(map(len, fed))
    rates: Rates = ([], [])
    for number in paced(pairs, seconds=SECONDS):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            pool = bare if side else ours
            await _truncate(pool)
            gc.collect()
            started = time.perf_counter()
            await (_insert(bare, rows) if side else _feed(handler, fed))
            rates[side].append(count / (time.perf_counter() - started))
        say(
            f"workflow {number + 1}/{pairs}, batches of {len(fed[0])}: {rates[0][-1]:,.0f} of {rates[1][-1]:,.0f} facts a second"
        )
    return rates


def _handler(pool: Pool) -> Handler:
    metrics = Metrics("workflow")
    store = PostgresStore(pool)
    return Handler(store, Relay(store.outbox, _NoPublisher(), metrics), metrics)


async def _feed(handler: Handler, fed: list[list[Envelope]]) -> None:
    for batch in fed:
        await handler.handle_batch(batch)


async def _insert(pool: Pool, rows: list[list[Insert]]) -> None:
    for batch in rows:
        async with transaction(pool) as connection:
            for statement, columns in batch:
                await connection.execute(statement, *columns)


async def _truncate(pool: Pool) -> None:
    async with acquired(pool) as connection:
        await connection.execute(f"truncate {', '.join(table.name for table in TABLES)}")


async def _read_back(pool: Pool, batch: Sequence[Envelope]) -> list[Insert]:
    """Return the inserts of the rows that *batch* led to, column by column."""
    streams = [stream_id(item.accountid, _application(item)) for item in batch]
    causes = [item.id for item in batch]
    keys = [key for item in batch for key in inbox.keys_of(item)]
    wheres: dict[str, tuple[str, list[Any]]] = {
        "inbox": ("key = any($1::text[])", keys),
        "event": ("stream = any($1::uuid[])", streams),
        "application": ("stream = any($1::uuid[])", streams),
        "outbox": ("convert_from(body, 'UTF8')::json ->> 'causationid' = any($1::text[])", list(map(str, causes))),
    }
    inserts: list[Insert] = []
    async with acquired(pool) as connection:
        for table in TABLES:
            where, values = wheres[table.name]
            order = _ORDER.get(table.name, "position")
            found = await connection.fetch(
                f"select {', '.join(table.columns)} from {table.name} where {where} order by {order}", values
            )
            inserts.append((table.insert, tuple([row[column] for row in found] for column in table.columns)))
    _check(inserts, len(batch))
    return inserts


def _application(item: Envelope) -> ApplicationId:
    if not isinstance(item.data, ApplicationStageChanged):
        raise TypeError(type(item.data).__name__)
    return item.data.application.application_id


def _check(inserts: list[Insert], count: int) -> None:
    """Make sure that the handler did the work it is to be measured on."""
    found = {table.name: len(columns[0]) for table, (_, columns) in zip(TABLES, inserts, strict=True)}
    wanted = {"inbox": 2 * count, "event": 4 * count, "application": count, "outbox": count}
    if found != wanted:
        raise RuntimeError(f"{count} facts led to {found} rows, not to {wanted}")
