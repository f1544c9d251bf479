"""Bugs to be found: each is a small patch of the running code, with the number of seeds within which it must show.

A bug that is not found means that the simulator looks away. Each stands here with why it is wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from simulation.planted_orders import no_tombstone, sent_again
from simulation.planted_standings import hidden_is_gone, never_taken_back
from simulation.process import CURRENT
from simulation.twins import assessments, people
from simulation.twins import ledger as twin
from simulation.twins.ingest import MemoryBodies
from simulation.twins.memory import tx
from simulation.twins.people import MemoryPeople
from simulation.twins.workflow import MemoryStore
from simulation.vendors import SimulatedHarvest
from trellis.assessments import inviting
from trellis.assessments.adapters.people_store import Erased
from trellis.common.bus import consumer
from trellis.common.contracts import identifiers
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import AssessmentSignalled
from trellis.common.contracts.identifiers import stable_id
from trellis.common.errors import StoreAwayError
from trellis.common.ledger import breaker, changes, runner
from trellis.common.ledger import effects as x
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence
from trellis.common.runtime import clock
from trellis.common.store import outbox
from trellis.greenhouse_actions import effects as writes
from trellis.greenhouse_actions import invites as asked
from trellis.greenhouse_actions import reading, reconciler
from trellis.greenhouse_actions.adapters.harvest import CredentialRejectedError
from trellis.greenhouse_actions.domain import effects as cases
from trellis.greenhouse_actions.domain import readings
from trellis.greenhouse_actions.domain.reconciling import next_step
from trellis.ingest import translation
from trellis.ingest.delivery import Delivered, Outlet
from trellis.ingest.spool import Drain
from trellis.workflow import handler
from trellis.workflow.domain import decisions, entering, judging

Patch = Callable[[Callable[[Any, str, Any], None]], None]


@dataclass(frozen=True, kw_only=True)
class Bug:
    """One planted bug.

    Attributes:
        within: Seeds, of those from 0 on, in which it must have broken a promise at least once.
        patch: Given how to replace an attribute, plants it.
    """

    name: str
    within: int
    patch: Patch


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Run the block with *bug* in the code."""
    undo: list[tuple[Any, str, Any]] = []

    def put(target: Any, name: str, value: Any) -> None:
        undo.append((target, name, getattr(target, name)))
        setattr(target, name, value)

    try:
        bug.patch(put)
        yield
    finally:
        for target, name, value in reversed(undo):
            setattr(target, name, value)


_Put = Callable[[Any, str, Any], None]


def _look_up_skipped(put: _Put) -> None:
    """What has no answer is tried again."""

    async def look_up(self: Any, effect: Any, intent: x.Intent) -> None:
        await self._record(effect, intent, intent.attempt, Change(occurrence=Occurrence.ABSENT, reason="tried again"))

    put(runner.Runner, "_look_up", look_up)


def _cannot_tell_is_absent(put: _Put) -> None:
    real = changes.of_look_up

    def of_look_up(said: x.LookUp, intent: x.Intent, **more: Any) -> Change:
        doubtful = isinstance(said, x.CannotTell)
        return real(x.NotSeen(reason="not seen", proof=True) if doubtful else said, intent, **more)  # type: ignore[arg-type]  # whatever it is called with

    put(runner, "of_look_up", of_look_up)


def _ambiguous_is_not_executed(put: _Put) -> None:
    real = changes.of_answer

    def of_answer(answer: x.Answer, **more: Any) -> Change:
        lost = isinstance(answer, x.Ambiguous)
        return real(x.NotExecuted(reason="no answer") if lost else answer, **more)

    put(runner, "of_answer", of_answer)


def _ack_before_commit(put: _Put) -> None:
    async def attempt(self: Any, batch: list[consumer.Delivery]) -> None:
        for delivery in batch:
            await delivery.message.ack()
        await self._handle_held([delivery.envelope for delivery in batch])

    put(consumer.Consumer, "_try", attempt)


def _away_is_handled(put: _Put) -> None:
    """A database that is away is taken for one that has committed."""

    async def held(self: Any, batch: Sequence[Envelope]) -> None:
        try:
            await self._handle(batch)
        except StoreAwayError:
            return

    put(consumer.Consumer, "_handle_held", held)


def _outbox_after_commit(put: _Put) -> None:
    real: Callable[..., Awaitable[None]] = handler.Handler.handle_batch

    async def handle_batch(self: Any, envelopes: Sequence[Envelope]) -> None:
        kept, write = list[Envelope](), self._store.put_out

        async def later(connection: Any, commands: Sequence[Envelope]) -> None:
            kept[:] = commands

        self._store.put_out = later
        try:
            await real(self, envelopes)
        finally:
            self._store.put_out = write
        async with self._store.transaction() as connection:
            await write(connection, kept)

    put(handler.Handler, "handle_batch", handle_batch)


def _marked_before_published(put: _Put) -> None:
    async def relay_pending(self: Any) -> int:
        rows = await self._outbox.claim(most=outbox.BATCH, lease_seconds=outbox.LEASE_SECONDS)
        await self._outbox.settle([row.position for row in rows], [])
        works = (self._publisher.publish(row.body, row.routing_key) for row in rows)
        await asyncio.gather(*works, return_exceptions=True)
        return len(rows)

    put(outbox.Relay, "relay_pending", relay_pending)


def _timer_removed_first(put: _Put) -> None:
    real: Callable[..., Awaitable[None]] = handler.Handler.fire

    async def fire(self: Any, timers: Sequence[Any]) -> None:
        async with self._store.transaction() as connection:
            await self._store.remove(connection, timers)
        await real(self, timers)

    put(handler.Handler, "fire", fire)


def _check_cached(put: _Put) -> None:
    """The application is read once and for all."""

    def cached(real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        known: dict[Any, Any] = {}

        async def read(harvest: Any, wanted: Any, *, with_visits: bool) -> Any:
            key = (id(harvest), tuple(wanted), with_visits)
            if key not in known:
                known[key] = harvest, await real(harvest, wanted, with_visits=with_visits)
            return replace(known[key][1], read_at=time.monotonic())

        return read

    put(asked, "read_applications", cached(reading.read_applications))
    put(reading, "read_applications", cached(reading.read_applications))


def _old_readings_do(put: _Put) -> None:
    """Nobody looks at the age of the reading in the last instant."""
    for module in (runner, writes, inviting):
        put(module, "READING_SECONDS", 1e6)
    put(runner, "SLACK_SECONDS", 60.0)


def _late_is_current(put: _Put) -> None:
    put(decisions, "_order", lambda told, known: "newer")


def _short_deadline(put: _Put) -> None:
    """A look-up comes before the request has ended."""
    put(runner, "MARGIN_SECONDS", -14.0)


def _id_from_log_position(put: _Put) -> None:
    numbers = iter(range(10**9))
    put(judging, "command_id", lambda *parts: stable_id("command", *parts, next(numbers)))


def _id_without_account(put: _Put) -> None:
    real = identifiers.command_id
    put(judging, "command_id", lambda account, *parts: real("", *parts))  # type: ignore[arg-type]


def _stream_without_account(put: _Put) -> None:
    put(handler, "stream_id", lambda account, application: stable_id("stream", application))


def _pause_for_all(put: _Put) -> None:
    real: Callable[..., Awaitable[bool]] = twin.MemoryLedger.pause

    async def pause(self: Any, connection: Any, account: Any, *rest: Any) -> bool:
        for other in ("acme", "globex"):
            await real(self, connection, other, *rest)
        return True

    put(twin.MemoryLedger, "pause", pause)


def _brake_before(put: _Put) -> None:
    """The brake is looked at when a row is claimed, not where its attempt is committed."""

    begins: ContextVar[bool] = ContextVar("begins", default=False)
    unpatched: Callable[..., Awaitable[Any]] = twin.MemoryLedger.begin
    brakes = twin.brakes

    async def begin(self: Any, intent: x.Intent, **more: Any) -> Any:
        token = begins.set(True)
        try:
            return await unpatched(self, intent, **more)
        finally:
            begins.reset(token)

    put(twin.MemoryLedger, "begin", begin)
    put(twin, "brakes", lambda opened, row: not begins.get() and brakes(opened, row))


def _note_never_found(put: _Put) -> None:
    put(cases, "is_our_note", lambda note, command, author: False)


def _failures_are_dropped(put: _Put) -> None:
    """A message that fails for now is acknowledged and forgotten."""

    async def refuse(self: Any, delivery: consumer.Delivery, error: Exception) -> None:
        await delivery.message.ack()

    put(consumer.Consumer, "_refuse", refuse)


def _unknown_command(put: _Put) -> None:
    """A command that comes twice is two rows."""

    async def take_in(self: Any, connection: Any, envelope: Envelope, vendor: str, unique_key: str | None) -> bool:
        fresh = UUID(int=envelope.data.command_id.int ^ tx(connection).memory.number())  # type: ignore[union-attr]
        renamed = replace(envelope, data=replace(envelope.data, command_id=fresh))  # type: ignore[arg-type]
        taken: bool = await unpatched(self, connection, renamed, vendor, None)
        return taken

    unpatched: Callable[..., Awaitable[bool]] = twin.MemoryLedger.take_in
    put(twin.MemoryLedger, "take_in", take_in)


def _looked_up_at_once(put: _Put) -> None:
    """Nobody waits for the deadline of an attempt."""
    real: Callable[..., Awaitable[Any]] = twin.MemoryLedger.claim_unsure

    async def claim(self: Any, *, lease: timedelta, **more: Any) -> Any:
        for ident, row in list(self._session.memory.table("intent").items()):
            if row["state"] == "attempting" and row["vendor"] == more["vendor"]:
                self._session.memory.table("intent")[ident] = row | {"deadline_at": self._session.memory.now()}
        return await real(self, lease=lease, **more)

    put(twin.MemoryLedger, "claim_unsure", claim)


def _known_by_delivery_alone(put: _Put) -> None:
    """A webhook that comes again under another delivery's id is another one."""
    put(translation, "_content_key", lambda message, delivery, action: None)


def _equal_coderbyte_bodies_are_one(put: _Put) -> None:
    real = translation._content_key

    def content_key(message: Any, delivery: translation.Delivery, action: str) -> str | None:
        return delivery.digest if isinstance(message, AssessmentSignalled) else real(message, delivery, action)

    put(translation, "_content_key", content_key)


def _spooled_is_removed_first(put: _Put) -> None:
    """A spooled fact is deleted before the broker has it."""

    async def drain(self: Any) -> int:
        messages = await self._store.claim(50, 10.0)
        if messages:
            await self._store.remove([message.position for message in messages])
        await asyncio.gather(*(self._publish(message) for message in messages))
        return len(messages)

    put(Drain, "drain_pending", drain)


def _erasure_forgets_the_address(put: _Put) -> None:
    """Whoever is erased keeps the address in the invite."""

    async def erase(self: Any, connection: Any, *rest: Any) -> Erased:
        return Erased(commands=(), address_hashes=())

    put(MemoryPeople, "erase", erase)


def _erased_is_forgotten(put: _Put) -> None:
    """Nobody asks who was erased before an address is sealed: what was read before and is written after stays."""
    for module in (people, assessments):
        put(module, "is_erased", lambda *_: False)


def _merge_brings_the_erased(put: _Put) -> None:
    """A merge that is told after its survivor's erasure is a merge like any other."""
    real = MemoryPeople.merge

    async def merge(self: Any, *rest: Any) -> Any:
        survivor, _ = await real(self, *rest)
        return survivor, None

    put(MemoryPeople, "merge", merge)


def _late_bodies_are_kept(put: _Put) -> None:
    """The bodies of an erased person go, and those that come later stay."""
    real = MemoryBodies.forget

    async def forget(self: Any, connection: Any, account: Any, hashes: Sequence[str]) -> int:
        count = await real(self, connection, account, hashes)
        for hashed in hashes:
            tx(connection).put("erased_address", (account, hashed), None)
        return count

    put(MemoryBodies, "forget", forget)


def _bodies_are_left(put: _Put) -> None:
    """Ingest is not told whose addresses are to be forgotten."""

    async def forget(self: Any, *_: Any) -> int:
        return 0

    put(MemoryBodies, "forget", forget)


def _mark_moved_first(put: _Put) -> None:
    """The mark moves before what the window shows is told."""
    real: Callable[..., Awaitable[None]] = reconciler.Reconciler._compare

    async def compare(self: Any, claim: Any, connected: Any) -> None:
        store = self._reconciliations
        window = next_step(
            claim.mark or claim.now - connected.connection.pace.depth, claim.now, connected.connection.pace
        )
        async with store._session.transaction() as connection:
            row = await tx(connection).lock("reconciliation", claim.account)
            tx(connection).put("reconciliation", claim.account, row | {"mark": window.mark})  # type: ignore[operator]  # it is claimed
        await real(self, replace(claim, mark=window.mark), connected)

    put(reconciler.Reconciler, "_compare", compare)


def _refusal_is_no_change(put: _Put) -> None:
    """A list that Greenhouse refuses to show is taken for an empty one."""
    real: Callable[..., Awaitable[Any]] = SimulatedHarvest.changed

    async def changed(self: Any, *asked: Any) -> Any:
        try:
            return await real(self, *asked)
        except CredentialRejectedError:
            return []

    async def sees_anything(self: Any) -> bool:
        return True

    put(SimulatedHarvest, "changed", changed)
    put(SimulatedHarvest, "sees_anything", sees_anything)


def _empty_list_is_believed(put: _Put) -> None:
    """Nobody asks whether a service user who is shown no application is shown anything at all."""

    async def sees_anything(self: Any) -> bool:
        return True

    put(SimulatedHarvest, "sees_anything", sees_anything)


def _absent_is_gone(put: _Put) -> None:
    """Whatever a list does not show is taken for deleted."""

    async def missing(harvest: Any, absent: Any) -> Any:
        return dict.fromkeys(absent, readings.Missing.GONE)

    put(reading, "_missing", missing)


def _old_entries_count(put: _Put) -> None:
    put(entering, "_is_in_time", lambda *given: True)


def _found_is_another(put: _Put) -> None:
    """What the reconciler finds is not known again by its time when a webhook told of it."""
    put(decisions, "_entered_anew", lambda visit, reading: reading.entered_at != visit.entered_at)


def _found_known_by_application(put: _Put) -> None:
    """What is found of one application is one fact for ever."""
    real = reconciler._fact

    def fact(claim: Any, view: Any, pace: Any) -> Envelope:
        return replace(real(claim, view, pace), id=stable_id("reconciled", claim.account, view.id))

    put(reconciler, "_fact", fact)


def _window_without_overlap(put: _Put) -> None:
    """A window begins where the last one ended, and ends now."""

    def bare(mark: Any, now: Any, pace: Any, **more: Any) -> Any:
        return next_step(mark, now, replace(pace, overlap=timedelta(), delay=timedelta()), **more)

    put(reconciler, "next_step", bare)


def _old_reading_wins(put: _Put) -> None:
    put(decisions, "_is_overtaken", lambda state, reading, snapshot: False)


def _taken_before_safe(put: _Put) -> None:
    """A webhook is answered 200 before the broker or the spool has its fact."""
    real: Callable[..., Awaitable[Any]] = Outlet.deliver

    async def deliver(self: Any, envelopes: Sequence[Envelope]) -> Delivered:
        async def later() -> None:
            with suppress(StoreAwayError):
                await real(self, envelopes)

        process = CURRENT.get()
        if process is not None:
            process.start(later())
        return Delivered.PUBLISHED

    put(Outlet, "deliver", deliver)


def _own_clock(put: _Put) -> None:
    """Each replica dates decisions and fires timers by its own clock."""

    async def now(self: Any, connection: Any) -> Any:
        return clock.utc_now()

    put(MemoryStore, "now", now)


def _never_half_open(put: _Put) -> None:
    real = breaker.admitted

    def admitted(state: breaker.Breaker, now: float) -> breaker.Breaker | None:
        return None if state.phase is breaker.Phase.OPEN else real(state, now)

    put(breaker, "admitted", admitted)


def _write_as_probe(put: _Put) -> None:
    """Whatever is due shows whether a vendor is back, an invite too."""
    put(breaker, "takes_writes", lambda state: True)


BUGS = (
    Bug(name="what recruiters see never taken back", within=60, patch=never_taken_back),
    Bug(name="hidden application read as gone for what recruiters see", within=400, patch=hidden_is_gone),
    Bug(name="withdrawal without tombstone", within=600, patch=no_tombstone),
    Bug(name="each order to send an invite of its own", within=120, patch=sent_again),
    Bug(name="look-up skipped", within=40, patch=_look_up_skipped),
    Bug(name="cannot tell treated as absent", within=60, patch=_cannot_tell_is_absent),
    Bug(name="no answer treated as not executed", within=40, patch=_ambiguous_is_not_executed),
    Bug(name="ack before commit", within=40, patch=_ack_before_commit),
    Bug(name="database away treated as committed", within=150, patch=_away_is_handled),
    Bug(name="outbox row after commit", within=60, patch=_outbox_after_commit),
    Bug(name="outbox row marked before it is published", within=40, patch=_marked_before_published),
    Bug(name="timer removed before it is told", within=300, patch=_timer_removed_first),
    Bug(name="pre-check cached", within=60, patch=_check_cached),
    Bug(name="age of the reading not looked at", within=600, patch=_old_readings_do),
    Bug(name="late webhook made current", within=40, patch=_late_is_current),
    Bug(name="deadline shorter than the request", within=200, patch=_short_deadline),
    Bug(name="command id from log position", within=20, patch=_id_from_log_position),
    Bug(name="command id without the account", within=20, patch=_id_without_account),
    Bug(name="stream id without the account", within=20, patch=_stream_without_account),
    Bug(name="one account's pause pausing all", within=120, patch=_pause_for_all),
    Bug(name="brake checked before instead of inside", within=400, patch=_brake_before),
    Bug(name="note never found again", within=100, patch=_note_never_found),
    Bug(name="failed message forgotten", within=100, patch=_failures_are_dropped),
    Bug(name="effect not known by its command", within=20, patch=_unknown_command),
    Bug(name="attempt looked up while it may run", within=200, patch=_looked_up_at_once),
    Bug(name="dedupe by delivery id only", within=60, patch=_known_by_delivery_alone),
    Bug(name="dedupe of equal Coderbyte bodies", within=250, patch=_equal_coderbyte_bodies_are_one),
    Bug(name="spooled fact removed before it is published", within=60, patch=_spooled_is_removed_first),
    Bug(name="address kept after an erasure", within=60, patch=_erasure_forgets_the_address),
    Bug(name="erased person sealed again", within=400, patch=_erased_is_forgotten),
    Bug(name="late merge brings an erased person back", within=60, patch=_merge_brings_the_erased),
    Bug(name="late body of an erased person kept", within=60, patch=_late_bodies_are_kept),
    Bug(name="bodies of an erased person left", within=60, patch=_bodies_are_left),
    Bug(name="webhook taken before it is safe", within=60, patch=_taken_before_safe),
    Bug(name="each replica's clock trusted", within=120, patch=_own_clock),
    Bug(name="mark moved before the window is whole", within=60, patch=_mark_moved_first),
    Bug(name="refused list read as nothing changed", within=120, patch=_refusal_is_no_change),
    Bug(name="empty list believed", within=250, patch=_empty_list_is_believed),
    Bug(name="what a list does not show read as gone", within=250, patch=_absent_is_gone),
    Bug(name="old entry acted upon", within=60, patch=_old_entries_count),
    Bug(name="found entry not known again", within=60, patch=_found_is_another),
    Bug(name="found fact known by its application alone", within=120, patch=_found_known_by_application),
    Bug(name="windows without overlap", within=250, patch=_window_without_overlap),
    Bug(name="breaker never half-opens", within=60, patch=_never_half_open),
    Bug(name="write as the probe", within=600, patch=_write_as_probe),
    Bug(name="older reading believed", within=250, patch=_old_reading_wins),
)
