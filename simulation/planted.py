"""Bugs to be found: each is a small patch of the running code, with the number of seeds within which it must show.

A bug that is not found means that the simulator looks away. Each stands here with why it is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from simulation.planted_erasures import (
    bodies_are_left,
    erased_is_forgotten,
    erasure_forgets_the_address,
    late_bodies_are_kept,
    merge_brings_the_erased,
)
from simulation.planted_finding import (
    absent_is_gone,
    empty_list_is_believed,
    found_is_another,
    found_known_by_application,
    mark_moved_first,
    old_entries_count,
    old_reading_wins,
    passed_again_and_again,
    passed_is_past,
    reading_without_a_trace,
    refusal_is_no_change,
    window_without_overlap,
)
from simulation.planted_ledger import (
    ambiguous_is_not_executed,
    brake_before,
    cannot_tell_is_absent,
    check_cached,
    look_up_skipped,
    looked_up_at_once,
    never_half_open,
    no_is_yes,
    note_never_found,
    old_readings_do,
    pause_for_all,
    short_deadline,
    unknown_command,
    write_as_probe,
)
from simulation.planted_orders import no_tombstone, sent_again
from simulation.planted_poison import letter_acknowledged_first, put_back_after_commit
from simulation.planted_restores import (
    decided_again_is_new,
    restore_is_not_noticed,
    restored_is_not_doubted,
    stale_look_is_believed,
    under_way_is_lost,
)
from simulation.planted_results import signal_lost_while_reading
from simulation.planted_settings import (
    any_tag_keeps_off,
    invites_whatever_the_tag,
    old_results_are_reused,
    others_results_are_reused,
    recent_is_not_seen,
    reused_is_not_told,
    writes_whatever_the_tag,
)
from simulation.planted_standings import hidden_is_gone, never_taken_back
from simulation.planted_versions import (
    away_and_back_is_not_seen,
    notes_of_v1_name_applications,
    v1_lists_as_v3,
    version_of_a_note_forgotten,
)
from simulation.process import CURRENT
from simulation.twins.workflow import MemoryStore
from trellis.common.bus import consumer
from trellis.common.contracts import identifiers
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import AssessmentSignalled
from trellis.common.contracts.identifiers import stable_id
from trellis.common.errors import StoreAwayError
from trellis.common.runtime import clock
from trellis.common.store import outbox
from trellis.ingest import translation
from trellis.ingest.delivery import Delivered, Outlet
from trellis.ingest.spool import Drain
from trellis.workflow import handler
from trellis.workflow.domain import decisions, judging

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


def _late_is_current(put: _Put) -> None:
    put(decisions, "_order", lambda told, known: "newer")


def _id_from_log_position(put: _Put) -> None:
    numbers = iter(range(10**9))
    put(judging, "command_id", lambda *parts: stable_id("command", *parts, next(numbers)))


def _id_without_account(put: _Put) -> None:
    real = identifiers.command_id
    put(judging, "command_id", lambda account, *parts: real("", *parts))  # type: ignore[arg-type]


def _stream_without_account(put: _Put) -> None:
    put(handler, "stream_id", lambda account, application: stable_id("stream", application))


def _failures_are_dropped(put: _Put) -> None:
    """A message that fails for now is acknowledged and forgotten."""

    async def refuse(self: Any, delivery: consumer.Delivery, error: Exception) -> None:
        await delivery.message.ack()

    put(consumer.Consumer, "_refuse", refuse)


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


BUGS = (
    Bug(name="what recruiters see never taken back", within=60, patch=never_taken_back),
    Bug(name="hidden application read as gone for what recruiters see", within=400, patch=hidden_is_gone),
    Bug(name="invite whatever the tag", within=60, patch=invites_whatever_the_tag),
    Bug(name="note and move whatever the tag", within=60, patch=writes_whatever_the_tag),
    Bug(name="any tag keeps Trellis off", within=60, patch=any_tag_keeps_off),
    Bug(name="old result reused", within=120, patch=old_results_are_reused),
    Bug(name="another person's result reused", within=300, patch=others_results_are_reused),
    Bug(name="reused result told to nobody", within=60, patch=reused_is_not_told),
    Bug(name="recent result not looked for", within=400, patch=recent_is_not_seen),
    Bug(name="away and back not seen through v1", within=400, patch=away_and_back_is_not_seen),
    Bug(name="note of v1 looked for by its application", within=300, patch=notes_of_v1_name_applications),
    Bug(name="version of a note forgotten with the move to v3", within=500, patch=version_of_a_note_forgotten),
    Bug(name="list by updated_at asked of v1", within=60, patch=v1_lists_as_v3),
    Bug(name="dead letter acknowledged before its row is committed", within=120, patch=letter_acknowledged_first),
    Bug(name="message put back after the redrive is committed", within=120, patch=put_back_after_commit),
    Bug(name="restore not noticed", within=60, patch=restore_is_not_noticed),
    Bug(name="row of a restored database not doubted", within=400, patch=restored_is_not_doubted),
    Bug(name="decided again after a restore and not looked up", within=600, patch=decided_again_is_new),
    Bug(name="message under way at the backup lost", within=400, patch=under_way_is_lost),
    Bug(name="stale look begins restored mode", within=700, patch=stale_look_is_believed),
    Bug(name="withdrawal without tombstone", within=600, patch=no_tombstone),
    Bug(name="each order to send an invite of its own", within=120, patch=sent_again),
    Bug(name="look-up skipped", within=40, patch=look_up_skipped),
    Bug(name="cannot tell treated as absent", within=60, patch=cannot_tell_is_absent),
    Bug(name="no answer treated as not executed", within=40, patch=ambiguous_is_not_executed),
    Bug(name="no treated as done", within=60, patch=no_is_yes),
    Bug(name="ack before commit", within=40, patch=_ack_before_commit),
    Bug(name="database away treated as committed", within=120, patch=_away_is_handled),
    Bug(name="outbox row after commit", within=60, patch=_outbox_after_commit),
    Bug(name="outbox row marked before it is published", within=40, patch=_marked_before_published),
    Bug(name="timer removed before it is told", within=200, patch=_timer_removed_first),
    Bug(name="pre-check cached", within=200, patch=check_cached),
    Bug(name="age of the reading not looked at", within=800, patch=old_readings_do),
    Bug(name="late webhook made current", within=40, patch=_late_is_current),
    Bug(name="deadline shorter than the request", within=400, patch=short_deadline),
    Bug(name="command id from log position", within=20, patch=_id_from_log_position),
    Bug(name="command id without the account", within=20, patch=_id_without_account),
    Bug(name="stream id without the account", within=20, patch=_stream_without_account),
    Bug(name="one account's pause pausing all", within=120, patch=pause_for_all),
    Bug(name="brake checked before instead of inside", within=500, patch=brake_before),
    Bug(name="note never found again", within=100, patch=note_never_found),
    Bug(name="failed message forgotten", within=100, patch=_failures_are_dropped),
    Bug(name="effect not known by its command", within=20, patch=unknown_command),
    Bug(name="attempt looked up while it may run", within=500, patch=looked_up_at_once),
    Bug(name="dedupe by delivery id only", within=60, patch=_known_by_delivery_alone),
    Bug(name="dedupe of equal Coderbyte bodies", within=120, patch=_equal_coderbyte_bodies_are_one),
    Bug(name="spooled fact removed before it is published", within=60, patch=_spooled_is_removed_first),
    Bug(name="address kept after an erasure", within=60, patch=erasure_forgets_the_address),
    Bug(name="erased person sealed again", within=400, patch=erased_is_forgotten),
    Bug(name="late merge brings an erased person back", within=60, patch=merge_brings_the_erased),
    Bug(name="late body of an erased person kept", within=60, patch=late_bodies_are_kept),
    Bug(name="bodies of an erased person left", within=60, patch=bodies_are_left),
    Bug(name="webhook taken before it is safe", within=60, patch=_taken_before_safe),
    Bug(name="each replica's clock trusted", within=120, patch=_own_clock),
    Bug(name="mark moved before the window is whole", within=60, patch=mark_moved_first),
    Bug(name="refused list read as nothing changed", within=120, patch=refusal_is_no_change),
    Bug(name="empty list believed", within=120, patch=empty_list_is_believed),
    Bug(name="what a list does not show read as gone", within=250, patch=absent_is_gone),
    Bug(name="old entry acted upon", within=60, patch=old_entries_count),
    Bug(name="found entry not known again", within=60, patch=found_is_another),
    Bug(name="found fact known by its application alone", within=120, patch=found_known_by_application),
    Bug(name="stay recorded whatever is known of it", within=30, patch=passed_again_and_again),
    Bug(name="windows without overlap", within=120, patch=window_without_overlap),
    Bug(name="signal lost while its report is read", within=60, patch=signal_lost_while_reading),
    Bug(name="reading without a trace of its time", within=120, patch=reading_without_a_trace),
    Bug(name="stay between two looks not recorded", within=500, patch=passed_is_past),
    Bug(name="breaker never half-opens", within=60, patch=never_half_open),
    Bug(name="write as the probe", within=120, patch=write_as_probe),
    Bug(name="older reading believed", within=500, patch=old_reading_wins),
)
