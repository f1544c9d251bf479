"""The shell around the decider: one transaction for a batch of messages.

In it the inbox drops repeats, the streams are loaded in one query, each message is decided in order,
and events, commands, timers and the read model are written together, or nothing is. The decider's only
clock is the database's, one for all replicas: a timer that one of them fired is in the past of every other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from trellis.common.contracts import facts as f
from trellis.common.contracts import outcomes as o
from trellis.common.contracts.commands import Command
from trellis.common.contracts.envelope import Envelope, encode
from trellis.common.contracts.facts import FoundBy
from trellis.common.contracts.identifiers import AccountId, ApplicationId, stable_id, stream_id
from trellis.common.errors import ConflictError, PermanentError
from trellis.common.failpoints import failpoint
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection
from trellis.workflow.adapters.event_store import Appended
from trellis.workflow.adapters.timer_store import Timer
from trellis.workflow.domain import events as e
from trellis.workflow.domain.application import Application, fold, initial_state
from trellis.workflow.domain.decisions import Message, SettleElapsed
from trellis.workflow.domain.outgoing import commands_for
from trellis.workflow.domain.rules import Workflows
from trellis.workflow.domain.standing import respond
from trellis.workflow.store import Store

log = structlog.get_logger()

MOST_TRIES = 5
"""Tries of a batch whose streams others write to at the same time."""
SOURCE = "trellis/workflow"

_OF_APPLICATION = (
    f.ApplicationStageChanged,
    f.ApplicationCreated,
    f.ApplicationUpdated,
    f.ApplicationRejected,
    f.ApplicationUnrejected,
    f.ApplicationHired,
    f.ApplicationUnhired,
)
_BY_ID = (
    f.ApplicationDeleted,
    f.ApplicationObserved,
    f.EntryAccepted,
    f.InviteOrdered,
    o.CommandSettled,
    o.AssessmentStarted,
    o.AssessmentCompleted,
)
_OF_CANDIDATE = (f.CandidateUpdated, f.CandidateMerged, f.CandidateDeleted, f.CandidateAnonymized, f.CandidateErased)


@dataclass(slots=True)
class _Stream:
    """One application while a batch is decided."""

    state: Application
    version: int
    loaded: int
    batches: list[Appended] = field(default_factory=list)
    commands: list[tuple[Command, Envelope]] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    found: list[e.Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One message for one application."""

    account: AccountId
    application_id: ApplicationId
    message: Message
    message_id: UUID
    stored: bytes
    correlationid: str
    traceparent: str | None


class Handler:
    """Handles batches of facts and outcomes, and timers.

    Args:
        store: What the service keeps.
        relay: Woken after a commit that wrote commands.
        metrics: The service's.
    """

    def __init__(self, store: Store, relay: Relay, metrics: Metrics) -> None:
        self._store = store
        self._relay = relay
        self._events_total = metrics.counter("events", "Events appended, by type", ("type",))
        self._conflicts_total = metrics.counter("version_conflicts", "Batches decided again after a lost race")
        self._found_total = metrics.counter(
            "found_by_reconciliation", "Events that no webhook led to: each is a missed webhook", ("account", "type")
        )
        self._repeats_total = metrics.counter("repeats", "Messages dropped as repeats")

    async def handle_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Record and decide *envelopes*; when this returns it is committed.

        Raises:
            ConflictError: Others kept writing to the same streams.
            StoreAwayError: The database is away; nothing was committed, or it was and a repeat is harmless.
            PermanentError: A message of a type this service does not take.
        """
        for tries in range(1, MOST_TRIES + 1):
            try:
                async with self._store.transaction() as connection:
                    fresh = await self._store.take_in(connection, envelopes)
                    told = await self._addressed(connection, fresh)
                    streams = await self._decide(connection, told)
                    await self._write(connection, streams)
                    failpoint("workflow.before_commit")
                break
            except ConflictError:
                self._conflicts_total.inc()
                if tries == MOST_TRIES:
                    raise
        failpoint("workflow.after_commit")
        self._repeats_total.inc(len(envelopes) - len(fresh))
        self._relay.wake()
        self._tell(streams, fresh)

    async def due_timers(self) -> list[Timer]:
        """Return the timers that are due now, the oldest first."""
        async with self._store.acquired() as connection:
            return await self._store.due(connection, await self._store.now(connection))

    async def fire_due(self) -> int:
        """Tell due timers to their streams and return how many were due."""
        timers = await self.due_timers()
        await self.fire(timers)
        return len(timers)

    async def fire(self, timers: Sequence[Timer]) -> None:
        """Tell *timers* to their streams; each goes in the transaction of what it led to.

        Raises:
            ConflictError: Another replica fires them too, or a fact came at the same time.
        """
        if not timers:
            return
        async with self._store.transaction() as connection:
            now = await self._store.now(connection)
            streams = await self._decide(connection, [self._timer_message(timer, now) for timer in timers])
            await self._write(connection, streams)
            await self._store.remove(connection, timers)
        self._relay.wake()
        self._tell(streams, ())

    def _timer_message(self, timer: Timer, now: datetime) -> _Told:
        data = SettleElapsed(application_id=timer.application_id, visit=timer.visit)
        return _Told(
            account=timer.account,
            application_id=timer.application_id,
            message=Message(name="timer.settle_elapsed", data=data, handled_at=now),
            message_id=timer.message_id,
            stored=f'{{"timer":"settle","visit":"{timer.visit}"}}'.encode(),
            correlationid=timer.correlationid,
            traceparent=None,
        )

    async def _addressed(self, connection: Connection, envelopes: Iterable[Envelope]) -> list[_Told]:
        """Address each message to its applications; a candidate's goes to all of them."""
        envelopes = list(envelopes)
        pairs = [(item.accountid, item.data.candidate_id) for item in envelopes if isinstance(item.data, _OF_CANDIDATE)]
        of_candidate = await self._store.applications_of(connection, pairs) if pairs else {}
        now = await self._store.now(connection)
        told: list[_Told] = []
        for item in envelopes:
            data = item.data
            if isinstance(data, _OF_APPLICATION):
                ids = [data.application.application_id]
            elif isinstance(data, _BY_ID):
                ids = [data.application_id]
            elif isinstance(data, _OF_CANDIDATE):
                ids = list(of_candidate.get((item.accountid, data.candidate_id), []))
                if isinstance(data, f.CandidateDeleted):
                    ids = sorted({*ids, *data.application_ids})
            else:
                raise PermanentError(f"{item.type} is not for this service")
            stored = encode(item)
            told += [
                _Told(
                    account=item.accountid,
                    application_id=ident,
                    message=Message(name=item.type, data=data, handled_at=now),
                    message_id=item.id,
                    stored=stored,
                    correlationid=item.correlationid,
                    traceparent=item.traceparent,
                )
                for ident in ids
            ]
        return told

    async def _decide(self, connection: Connection, told: Sequence[_Told]) -> dict[UUID, _Stream]:
        addressed = dict.fromkeys((item.account, item.application_id) for item in told)
        recorded = await self._store.load(connection, [stream_id(*pair) for pair in addressed])
        streams: dict[UUID, _Stream] = {}
        for account, application in addressed:
            ident = stream_id(account, application)
            past = recorded[ident]
            state = fold(initial_state(account, application), (item.event for item in past))
            streams[ident] = _Stream(state=state, version=len(past), loaded=len(past))
        pinned = {
            (stream.state.account, name, version)
            for stream in streams.values()
            if stream.state.visit is not None
            for name, version in stream.state.visit.pins.items()
        }
        accounts = dict.fromkeys(account for account, _ in addressed)
        workflows = await self._store.workflows(connection, accounts, pinned)
        for item in told:
            _decide_one(streams[stream_id(item.account, item.application_id)], item, workflows[item.account])
        return streams

    async def _write(self, connection: Connection, streams: dict[UUID, _Stream]) -> None:
        changed = [stream for stream in streams.values() if stream.version > stream.loaded]
        await self._store.append(connection, [batch for stream in changed for batch in stream.batches])
        await self._store.project(connection, [(stream.state, stream.version) for stream in changed])
        await self._store.schedule(connection, [timer for stream in changed for timer in stream.timers])
        await self._store.put_out(connection, [envelope for stream in changed for _, envelope in stream.commands])

    def _tell(self, streams: dict[UUID, _Stream], envelopes: Sequence[Envelope]) -> None:
        appended = Counter(
            type(event).__name__ for stream in streams.values() for batch in stream.batches for event in batch.events
        )
        for name, count in appended.items():
            self._events_total.labels(name).inc(count)
        for stream in streams.values():
            for event in stream.found:
                self._found_total.labels(stream.state.account, type(event).__name__).inc()
        for item in envelopes:
            log.info(
                "message.handled",
                account=item.accountid,
                correlation_id=item.correlationid,
                message_id=str(item.id),
                message_type=item.type,
                subject=item.subject,
                outcome="handled",
                duration_ms=round((utc_now() - item.time).total_seconds() * 1000, 1),
            )


def _decide_one(stream: _Stream, told: _Told, workflows: Workflows) -> None:
    """Decide one message on *stream* and bring it forward."""
    events = respond(stream.state, told.message, workflows)
    if not events:
        return
    if isinstance(told.message.data, f.ApplicationObserved) and told.message.data.found_by is FoundBy.RECONCILIATION:
        stream.found += events
    before = stream.version
    for event in events:
        stream.state = fold(stream.state, [event])
        stream.version += 1
        for command in commands_for(stream.state, event):
            stream.commands.append((command, _command_envelope(told, command)))
    stream.timers += _settling(stream.state, events, told)
    stream.batches.append(
        Appended(
            account=told.account,
            stream=stream_id(told.account, told.application_id),
            expected=before,
            events=events,
            handled_at=told.message.handled_at,
            message_id=told.message_id,
            message=told.stored,
            correlationid=told.correlationid,
        )
    )


def _settling(state: Application, events: Sequence[e.Event], told: _Told) -> list[Timer]:
    """Return the timer of an entry that is to settle: when it begins, and when the application is active again.

    Then too, because the first may be firing at this moment for an application that it still sees rejected.
    """
    visit = state.visit
    begins = any(isinstance(event, e.StageEntered | e.StatusChanged) for event in events)
    if not begins or visit is None or visit.settled or visit.settle_due_at is None:
        return []
    return [
        Timer(
            account=told.account,
            application_id=told.application_id,
            visit=visit.name,
            due_at=visit.settle_due_at,
            correlationid=told.correlationid,
        )
    ]


def _command_envelope(told: _Told, command: Command) -> Envelope:
    return Envelope(
        id=stable_id("message", command.command_id),
        source=SOURCE,
        accountid=told.account,
        time=told.message.handled_at,
        data=command,
        correlationid=told.correlationid,
        causationid=str(told.message_id),
        subject=f"application/{command.application_id}",
        traceparent=told.traceparent,
    )
