"""The workflow service's store in memory: the twin of `adapters/postgres_store.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from simulation.process import Process
from simulation.twins.memory import Memory, Row, Session, tx
from trellis.common.contracts.facts import FoundBy
from trellis.common.contracts.identifiers import AccountId, ApplicationId, stream_id
from trellis.common.errors import ConflictError
from trellis.common.store.postgres import Connection
from trellis.workflow.adapters.codec import from_stored, to_stored
from trellis.workflow.adapters.definition_store import Key
from trellis.workflow.adapters.event_store import Appended, Recorded
from trellis.workflow.adapters.timer_store import Timer
from trellis.workflow.domain.application import Application
from trellis.workflow.domain.diagnosis import Missed
from trellis.workflow.domain.rules import Workflow, Workflows

MOST_DUE = 200
"""As many as `adapters/timer_store.py` reads at once."""


class MemoryStore(Session):
    """See `Store`."""

    def __init__(self, memory: Memory, process: Process, workflow: Workflow) -> None:
        super().__init__(memory, process)
        self._workflow = workflow

    async def load(self, connection: Connection, streams: Sequence[UUID]) -> Mapping[UUID, Sequence[Recorded]]:
        """See `Store.load`."""
        opened = tx(connection)
        await opened.statement("load")
        found: dict[UUID, list[Recorded]] = {}
        for stream in streams:
            found[stream] = []
            while (row := opened.get("event", (stream, len(found[stream]) + 1))) is not None:
                found[stream].append(row["loaded"])
        return found

    async def append(self, connection: Connection, batch: Sequence[Appended]) -> None:
        """See `Store.append`."""
        opened = tx(connection)
        await opened.statement("append")
        for item in sorted(batch, key=lambda item: (item.stream, item.expected)):
            for number, event in enumerate(item.events):
                version = item.expected + 1 + number
                recorded = Recorded(
                    version=version,
                    event=from_stored(*to_stored(event)),
                    recorded_at=opened.now,
                    handled_at=item.handled_at,
                    message_id=item.message_id,
                    correlationid=item.correlationid,
                    message=item.message if number == 0 else None,
                )
                loaded = replace(recorded, message=None) if number == 0 else recorded
                row = {"recorded": recorded, "loaded": loaded, "account": item.account, "stream": item.stream}
                if not await opened.insert("event", (item.stream, version), row):
                    raise ConflictError("an event lost a race for its stream")

    async def project(self, connection: Connection, states: Sequence[tuple[Application, int]]) -> None:
        """See `Store.project`."""
        opened = tx(connection)
        await opened.statement("project")
        for state, version in sorted(states, key=lambda item: (item[0].account, item[0].application_id)):
            key = (state.account, state.application_id)
            await opened.lock("application", key)
            opened.put("application", key, {"candidate": state.candidate_id, "state": state, "version": version})

    async def applications_of(
        self, connection: Connection, pairs: Sequence[tuple[AccountId, int]]
    ) -> Mapping[tuple[AccountId, int], Sequence[ApplicationId]]:
        """See `Store.applications_of`."""
        opened = tx(connection)
        await opened.statement("applications of candidates")
        found: dict[tuple[AccountId, int], list[ApplicationId]] = {}
        for (account, application), row in sorted(opened.rows("application"), key=_key):
            if (account, row["candidate"]) in pairs:
                found.setdefault((account, row["candidate"]), []).append(application)
        return found

    async def workflows(
        self, connection: Connection, accounts: Iterable[AccountId], pinned: Iterable[Key]
    ) -> Mapping[AccountId, Workflows]:
        """See `Store.workflows`; every account has the one workflow."""
        await tx(connection).statement("workflows")
        only = self._workflow
        known = Workflows(live=(only,), versions={(only.name, only.version): only})
        return dict.fromkeys(accounts, known)

    async def schedule(self, connection: Connection, timers: Sequence[Timer]) -> None:
        """See `Store.schedule`."""
        opened = tx(connection)
        for timer in timers:
            stream = stream_id(timer.account, timer.application_id)
            known = await opened.lock("timer", stream)
            generation = 1 if known is None else known["generation"] + 1
            opened.put("timer", stream, {"timer": timer, "generation": generation, "due_at": timer.due_at})

    async def due(self, connection: Connection, now: datetime) -> list[Timer]:
        """See `Store.due`."""
        opened = tx(connection)
        await opened.statement("due timers")
        rows = [row for _, row in opened.rows("timer") if row["due_at"] <= now]
        return [_timer(row["timer"], row["generation"], row["due_at"]) for row in sorted(rows, key=_due_at)[:MOST_DUE]]

    async def remove(self, connection: Connection, timers: Sequence[Timer]) -> None:
        """See `Store.remove`."""
        opened = tx(connection)
        await opened.statement("remove timers")
        for timer in timers:
            stream = stream_id(timer.account, timer.application_id)
            row = await opened.lock("timer", stream)
            if row is not None and row["generation"] == timer.generation:
                opened.put("timer", stream, None)

    async def put_off(self, connection: Connection, timer: Timer, wait: timedelta) -> None:
        """See `Store.put_off`."""
        opened = tx(connection)
        stream = stream_id(timer.account, timer.application_id)
        row = await opened.lock("timer", stream)
        if row is not None and row["generation"] == timer.generation:
            opened.put("timer", stream, row | {"due_at": row["due_at"] + wait})

    async def accounts(self, connection: Connection) -> Sequence[AccountId]:
        """See `Store.accounts`."""
        opened = tx(connection)
        await opened.statement("accounts")
        return sorted({account for (account, _), _ in opened.rows("application")})

    async def missed(self, connection: Connection, account: AccountId, since: datetime) -> Missed:
        """See `Store.missed`."""
        opened = tx(connection)
        await opened.statement("missed")
        visits = [
            row["state"].visit
            for (owner, _), row in opened.rows("application")
            if owner == account and not row["state"].deleted and row["state"].visit is not None
        ]
        begun = [visit for visit in visits if visit.entered_at is not None and visit.entered_at > since]
        told = max((visit.entered_at for visit in begun if visit.found_by is FoundBy.WEBHOOK), default=None)
        found = [
            visit.entered_at
            for visit in begun
            if visit.found_by is FoundBy.RECONCILIATION and (told is None or visit.entered_at > told)
        ]
        return Missed(count=len(found), since=told or min(found, default=None))

    async def next_due(self, connection: Connection) -> datetime | None:
        """See `Store.next_due`."""
        return min((row["due_at"] for _, row in tx(connection).rows("timer")), default=None)


def _key(item: tuple[tuple[AccountId, ApplicationId], Row]) -> tuple[AccountId, ApplicationId]:
    return item[0]


def _due_at(row: dict[str, datetime]) -> datetime:
    return row["due_at"]


def _timer(timer: Timer, generation: int, due_at: datetime) -> Timer:
    return Timer(
        account=timer.account,
        application_id=timer.application_id,
        visit=timer.visit,
        due_at=due_at,
        correlationid=timer.correlationid,
        generation=generation,
    )
