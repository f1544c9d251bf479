"""Planted bugs of the ledger and its runner; see `planted.py`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from simulation.twins import ledger as twin
from simulation.twins.memory import tx
from trellis.assessments import inviting
from trellis.common.contracts.envelope import Envelope
from trellis.common.ledger import breaker, changes, runner
from trellis.common.ledger import effects as x
from trellis.common.ledger.changes import Change
from trellis.common.ledger.states import Occurrence
from trellis.greenhouse_actions import effects as writes
from trellis.greenhouse_actions import invites as asked
from trellis.greenhouse_actions import reading
from trellis.greenhouse_actions.domain import effects as cases

_Put = Callable[[Any, str, Any], None]


def look_up_skipped(put: _Put) -> None:
    """What has no answer is tried again."""

    async def look_up(self: Any, effect: Any, intent: x.Intent) -> None:
        await self._record(effect, intent, intent.attempt, Change(occurrence=Occurrence.ABSENT, reason="tried again"))

    put(runner.Runner, "_look_up", look_up)


def cannot_tell_is_absent(put: _Put) -> None:
    """A look-up that cannot tell is taken for proof of absence."""
    real = changes.of_look_up

    def of_look_up(said: x.LookUp, intent: x.Intent, **more: Any) -> Change:
        doubtful = isinstance(said, x.CannotTell)
        return real(x.NotSeen(reason="not seen", proof=True) if doubtful else said, intent, **more)  # type: ignore[arg-type]  # whatever it is called with

    put(runner, "of_look_up", of_look_up)


def ambiguous_is_not_executed(put: _Put) -> None:
    """A write without an answer is taken for one that did nothing."""
    real = changes.of_answer

    def of_answer(answer: x.Answer, **more: Any) -> Change:
        lost = isinstance(answer, x.Ambiguous)
        return real(x.NotExecuted(reason="no answer") if lost else answer, **more)

    put(runner, "of_answer", of_answer)


def check_cached(put: _Put) -> None:
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


def old_readings_do(put: _Put) -> None:
    """Nobody looks at the age of the reading in the last instant."""
    for module in (runner, writes, inviting):
        put(module, "READING_SECONDS", 1e6)
    put(runner, "SLACK_SECONDS", 60.0)


def short_deadline(put: _Put) -> None:
    """A look-up comes before the request has ended."""
    put(runner, "MARGIN_SECONDS", -14.0)


def pause_for_all(put: _Put) -> None:
    """One account's pause stops all."""
    real: Callable[..., Awaitable[bool]] = twin.MemoryLedger.pause

    async def pause(self: Any, connection: Any, account: Any, *rest: Any) -> bool:
        for other in ("acme", "globex"):
            await real(self, connection, other, *rest)
        return True

    put(twin.MemoryLedger, "pause", pause)


def brake_before(put: _Put) -> None:
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


def unknown_command(put: _Put) -> None:
    """A command that comes twice is two rows."""

    async def take_in(self: Any, connection: Any, envelope: Envelope, vendor: str, unique_key: str | None) -> bool:
        fresh = UUID(int=envelope.data.command_id.int ^ tx(connection).memory.number())  # type: ignore[union-attr]
        renamed = replace(envelope, data=replace(envelope.data, command_id=fresh))  # type: ignore[arg-type]
        taken: bool = await unpatched(self, connection, renamed, vendor, None)
        return taken

    unpatched: Callable[..., Awaitable[bool]] = twin.MemoryLedger.take_in
    put(twin.MemoryLedger, "take_in", take_in)


def looked_up_at_once(put: _Put) -> None:
    """Nobody waits for the deadline of an attempt."""
    real: Callable[..., Awaitable[Any]] = twin.MemoryLedger.claim_unsure

    async def claim(self: Any, *, lease: timedelta, **more: Any) -> Any:
        for ident, row in list(self._session.memory.table("intent").items()):
            if row["state"] == "attempting" and row["vendor"] == more["vendor"]:
                self._session.memory.table("intent")[ident] = row | {"deadline_at": self._session.memory.now()}
        return await real(self, lease=lease, **more)

    put(twin.MemoryLedger, "claim_unsure", claim)


def note_never_found(put: _Put) -> None:
    """No note is known for ours."""
    put(cases, "is_our_note", lambda note, command, author: False)


def no_is_yes(put: _Put) -> None:
    """Whatever a vendor answers is taken for done."""
    real = changes.of_answer

    def of_answer(answer: x.Answer, **more: Any) -> Change:
        refused = isinstance(answer, x.Unmet)
        return real(x.Succeeded(reason="answered") if refused else answer, **more)

    put(runner, "of_answer", of_answer)


def never_half_open(put: _Put) -> None:
    """An open breaker lets nothing through ever again."""
    real = breaker.admitted

    def admitted(state: breaker.Breaker, now: float) -> breaker.Breaker | None:
        return None if state.phase is breaker.Phase.OPEN else real(state, now)

    put(breaker, "admitted", admitted)


def write_as_probe(put: _Put) -> None:
    """Whatever is due shows whether a vendor is back, an invite too."""
    put(breaker, "takes_writes", lambda state: True)
