"""Drives ledger rows: claim, check, commit the attempt, send once, record; and look up what is unknown.

A worker counts its time on its own clock, from before it commits the attempt. A request leaves only if it
will certainly have ended before the deadline that was committed, and at most ten seconds after the
application was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from trellis.common.backoff import full_jitter
from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError, StoreAwayError, TransientError
from trellis.common.failpoints import failpoint
from trellis.common.ledger import effects
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.changes import Change, of_answer, of_look_up, of_preparation
from trellis.common.ledger.effects import Answer, Effect, Intent, Preparation, Ready
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.store import LedgerStore
from trellis.common.runtime.clock import utc_now
from trellis.common.runtime.metrics import LONG_SECONDS, Metrics
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection
from trellis.common.store.tenancy import serving

log = structlog.get_logger()

LEASE = timedelta(seconds=30)
"""How long a claimed row is nobody else's; a claim that lapses costs a check, never an effect."""
SLACK_SECONDS = 3.0
"""How long after the worker set out to commit the attempt its request may leave at the latest."""
MARGIN_SECONDS = 2.0
"""Kept between a request's latest end and the deadline, for the clocks' sake."""
READING_SECONDS = 10.0
"""Oldest reading of the application an effect may rest on (P4)."""
PER_ACCOUNT = 20
"""Most rows of one account claimed at once."""
MOST_UNDER_WAY = 40
"""Most rows of one account under way in one process; fewer while its vendor only just answers again."""
RECORD_WAITS = (0.1, 0.3, 1.0, 2.0, *[3.0] * 20)
"""Waits between tries to record an answer while the database is away: about a minute."""
POLL_SECONDS = 0.5


class Runner:
    """Performs the effects of one vendor's connections; any number may run beside each other.

    Args:
        ledger: The service's rows.
        effects: One per action, all of one vendor.
        relay: Woken when an outcome was written.
        metrics: The service's.
        breakers: Tell which connections answer.
        lease: How long a claim holds.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        effects: Sequence[Effect],
        relay: Relay,
        metrics: Metrics,
        *,
        breakers: Breakers,
        lease: timedelta = LEASE,
    ) -> None:
        self._ledger = ledger
        self._effects: Mapping[Action, Effect] = {effect.action: effect for effect in effects}
        (self._vendor,) = {effect.vendor for effect in effects}
        self._relay = relay
        self._breakers = breakers
        self._lease = lease
        self._wake = asyncio.Event()
        self._draining = False
        self._under_way: set[asyncio.Future[None]] = set()
        self._counts: dict[AccountId, int] = {}
        self._effects_total = metrics.counter("effects", "What came of attempts and look-ups", ("action", "outcome"))
        self._wait_seconds = metrics.histogram(
            "effect_wait_seconds", "From command to settled outcome", ("action",), LONG_SECONDS
        )
        self._rows = metrics.gauge("ledger_rows", "Open ledger rows", ("account", "state"))
        self._last_pass = metrics.gauge("ledger_last_pass_seconds", "Unix time of the last look for due rows")

    def wake(self) -> None:
        """Look for due rows now; called when a command was taken in."""
        self._wake.set()

    async def run(self) -> None:
        """Perform and look up until cancelled or drained; a slow account keeps only its own rows waiting."""
        while not self._draining:
            try:
                started = await self._start_due() + await self._start_look_ups()
                self._last_pass.set(utc_now().timestamp())
                if not started:
                    await self._count()
            except (StoreAwayError, ConflictError) as error:
                log.warning("ledger.waiting", reason=str(error))
                started = 0
                await asyncio.sleep(1.0)
            if started:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def drain(self) -> None:
        """Begin nothing new and wait until what is under way is recorded."""
        self._draining = True
        self._wake.set()
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _count(self) -> None:
        counts = await self._ledger.counts()
        self._rows.clear()
        for (account, state), count in counts.items():
            self._rows.labels(account, state).set(count)

    # -- attempts

    async def perform_due(self) -> int:
        """Perform all rows that are due now to their end; return how many were claimed."""
        claimed = await self._start_due()
        await self._settle_down()
        return claimed

    async def look_up_due(self) -> int:
        """Look up all unknown rows that are due now to their end; return how many were claimed."""
        claimed = await self._start_look_ups()
        await self._settle_down()
        return claimed

    async def _settle_down(self) -> None:
        """Wait for what is under way; raises what one of it raised."""
        if self._under_way:
            done, _ = await asyncio.wait(self._under_way)
            for task in done:
                task.result()

    async def _start_due(self) -> int:
        for account in self._breakers.shut():
            wait, reason = self._breakers.wait(account), self._breakers.reason(account)
            await self._ledger.put_off(account, self._vendor, wait, reason)
        claimed = await self._ledger.claim_due(
            lease=self._lease, per_account=PER_ACCOUNT, vendor=self._vendor, room=self._room()
        )
        if claimed:
            failpoint("ledger.after_claim")
        for (account, action), intents in _grouped(claimed).items():
            self._start(account, len(intents), self._perform_group(account, self._effects[action], intents))
        return len(claimed)

    async def _start_look_ups(self) -> int:
        claimed = await self._ledger.claim_unsure(
            lease=self._lease, per_account=PER_ACCOUNT, vendor=self._vendor, room=self._room()
        )
        for intent in claimed:
            self._start(intent.account, 1, self._look_up(self._effects[intent.action], intent))
        return len(claimed)

    def _room(self) -> dict[AccountId, int]:
        return self._breakers.room(self._counts, MOST_UNDER_WAY)

    def _start(self, account: AccountId, rows: int, work: Coroutine[Any, Any, None]) -> None:
        self._counts[account] = self._counts.get(account, 0) + rows
        task = asyncio.ensure_future(self._guarded(account, work))
        self._under_way.add(task)

        def ended(done: asyncio.Future[None]) -> None:
            self._under_way.discard(done)
            self._counts[account] -= rows
            if not self._counts[account]:
                del self._counts[account]
            self._relay.wake()
            if self._breakers.is_limited(account):
                self._wake.set()

        task.add_done_callback(ended)

    async def _guarded(self, account: AccountId, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*, which serves *account*; an outage or a bug leaves its rows to their lease or their deadline."""
        try:
            with serving(account):
                await work
        except* TransientError as errors:
            log.warning("ledger.interrupted", reason="; ".join(str(error) for error in _leaves(errors)))
        except* Exception as errors:
            for error in _leaves(errors):
                log.error("ledger.failed", exc_info=error)

    async def _perform_group(self, account: AccountId, effect: Effect, intents: list[Intent]) -> None:
        try:
            prepared = await effect.prepare(account, intents)
        except TransientError as error:
            if isinstance(error, StoreAwayError):
                raise
            wait = error.retry_after or full_jitter(1, random.random(), base=timedelta(seconds=4))  # noqa: S311
            for intent in intents:
                await self._ledger.postpone(
                    intent, Change(occurrence=Occurrence.POSTPONED, reason=str(error), wait=wait)
                )
            await self._ledger.probe_again(account, self._vendor, wait)
            return
        failpoint("ledger.after_prepare")
        async with asyncio.TaskGroup() as group:
            for intent in intents:
                group.create_task(self._perform(effect, intent, prepared[intent.id]))

    async def _perform(self, effect: Effect, intent: Intent, prepared: Preparation) -> None:
        try:
            if isinstance(prepared, Ready):
                await self._attempt(effect, intent, prepared)
            else:
                await self._settle_unattempted(effect, intent, prepared)
        except ConflictError as error:  # the row is claimed again when its lease lapses
            log.warning("ledger.conflict", command_id=str(intent.id), reason=str(error))

    async def _settle_unattempted(self, effect: Effect, intent: Intent, prepared: Preparation) -> None:
        if not isinstance(prepared, effects.Unauthorized):
            # The one row that tested a paused connection said nothing of its credential: test with the next.
            wait = prepared.wait if isinstance(prepared, effects.Later) else timedelta()
            await self._ledger.probe_again(intent.account, self._vendor, wait)
        match prepared:
            case effects.Later(reason=reason, wait=wait):
                await self._ledger.postpone(intent, Change(occurrence=Occurrence.POSTPONED, reason=reason, wait=wait))
            case effects.Unauthorized():
                await self._pause(effect, intent, prepared)
            case effects.Overtaken() | effects.Blocked() | effects.Settled():
                await self._record(effect, intent, intent.attempt, of_preparation(prepared))
            case effects.Ready():
                raise TypeError("a row that is ready is attempted")

    async def _attempt(self, effect: Effect, intent: Intent, ready: Ready) -> None:
        if not self._breakers.takes_writes(intent.account):
            until, reason = self._breakers.wait(intent.account), self._breakers.reason(intent.account)
            return await self._hold_back(intent, Change(occurrence=Occurrence.POSTPONED, reason=reason, wait=until))
        wait = await effect.reserve(intent)
        if wait is not None:
            change = Change(occurrence=Occurrence.POSTPONED, reason="the rate budget is used up for now", wait=wait)
            return await self._hold_back(intent, change)
        started = time.monotonic()
        try:
            begun = await self._ledger.begin(
                intent,
                deadline_seconds=SLACK_SECONDS + effect.request_seconds + MARGIN_SECONDS,
                cap=await effect.cap(intent.account),
                resolved=ready.resolved,
            )
        except StoreAwayError:
            # Whether the attempt was committed is not known, but that nothing was sent is.
            nothing = effects.NotExecuted(reason="the database went away before the request", wait=timedelta())
            return await self._record_answer(effect, intent, intent.attempt + 1, nothing)
        if isinstance(begun, datetime):
            wait = begun - utc_now()
            reason = f"the account's cap for an hour is reached; next at {begun:%H:%M:%S} UTC"
            change = Change(occurrence=Occurrence.POSTPONED, reason=reason, wait=max(wait, timedelta(seconds=1)))
            return await self._hold_back(intent, change)
        if begun is None:
            change = Change(
                occurrence=Occurrence.POSTPONED, reason="held back just before the attempt", wait=timedelta(seconds=1)
            )
            return await self._hold_back(intent, change)
        failpoint("ledger.after_attempting")
        answer = await self._send_in_time(effect, intent, ready, started)
        failpoint("ledger.after_request")
        await self._record_answer(effect, intent, begun, answer)
        failpoint("ledger.after_outcome")
        if not isinstance(answer, effects.Unauthorized):
            await self._ledger.probe_again(intent.account, self._vendor, timedelta(seconds=1))
        return None

    async def _hold_back(self, intent: Intent, change: Change) -> None:
        await self._ledger.postpone(intent, change)
        await self._ledger.probe_again(intent.account, self._vendor, change.wait)

    async def _send_in_time(self, effect: Effect, intent: Intent, ready: Ready, started: float) -> Answer:
        """Check, in the last instant, that the request will have ended before the deadline; then send it."""
        now = time.monotonic()
        if now - started > SLACK_SECONDS:
            return effects.NotExecuted(reason="too late to begin: the deadline is near")
        if now - ready.read_at > READING_SECONDS:
            return effects.NotExecuted(reason="the application was read too long ago", wait=timedelta())
        return await effect.send(intent, ready.request)

    async def _record_answer(self, effect: Effect, intent: Intent, attempt: int, answer: Answer) -> None:
        """Record what came of the request, again while the database is away: an answer is not asked for twice."""
        change = of_answer(answer, attempt=attempt, fraction=random.random())  # noqa: S311 - jitter
        private = answer.private if isinstance(answer, effects.Succeeded) else None
        for wait in (*RECORD_WAITS, None):
            try:
                await self._record(effect, intent, attempt, change, private)
                break
            except (StoreAwayError, ConflictError) as error:
                if wait is None:
                    raise
                log.warning("ledger.answer_waits", command_id=str(intent.id), reason=str(error))
                await asyncio.sleep(wait)
        if isinstance(answer, effects.Unauthorized):
            await self._pause(effect, intent, answer)

    async def _record(
        self, effect: Effect, intent: Intent, attempt: int, change: Change, private: bytes | None = None
    ) -> None:
        async with self._ledger.transaction() as connection:
            if change.occurrence in (Occurrence.SUCCEEDED, Occurrence.ACCEPTED):
                await self._ledger.unpause(connection, intent.account, self._vendor)
            state = await self._ledger.record(connection, intent, attempt, change)
            if private is not None:
                await self._remember(effect, connection, intent, private)
        self._relay.wake()
        if state in (State.UNKNOWN, State.WAITING):
            self._wake.set()
        self._effects_total.labels(intent.action.value, change.occurrence.value).inc()
        if state in (State.DONE, State.REFUSED, State.SUPERSEDED):
            age = utc_now() - intent.created_at
            self._wait_seconds.labels(intent.action.value).observe(age.total_seconds())
        log.info(
            "effect.recorded",
            account=intent.account,
            application_id=intent.application_id,
            command_id=str(intent.id),
            correlation_id=intent.correlationid,
            action=intent.action.value,
            attempt=attempt,
            outcome=change.occurrence.value,
            state=None if state is None else state.value,
            reason=change.reason,
        )

    async def _remember(self, effect: Effect, connection: Connection, intent: Intent, private: bytes) -> None:
        remember = getattr(effect, "remember", None)
        if remember is not None:
            await remember(connection, intent, private)

    async def _pause(self, effect: Effect, intent: Intent, said: effects.Unauthorized) -> None:
        retry = await effect.credential_retry(intent.account)
        # A waiting row stays due, for the pause holds it; a look-up is held by nothing but its own wait.
        wait = retry if intent.state is State.UNKNOWN else timedelta()
        async with self._ledger.transaction() as connection:
            fresh = await self._ledger.pause(connection, intent.account, self._vendor, said.reason, said.remedy, retry)
        await self._ledger.postpone(
            intent, Change(occurrence=Occurrence.POSTPONED, reason=f"{said.reason}; {said.remedy}", wait=wait)
        )
        if fresh:
            log.error(
                "connection.paused", account=intent.account, vendor=self._vendor, reason=said.reason, remedy=said.remedy
            )

    # -- look-ups

    async def _look_up(self, effect: Effect, intent: Intent) -> None:
        try:
            said = await effect.look_up(intent)
        except StoreAwayError:
            raise
        except TransientError as error:
            wait = error.retry_after or full_jitter(intent.absent_count + 3, random.random())  # noqa: S311
            await self._ledger.postpone(
                intent, Change(occurrence=Occurrence.POSTPONED, reason=str(error), wait=wait, kind="look-up")
            )
            return
        failpoint("ledger.after_lookup")
        try:
            if isinstance(said, effects.Unauthorized):
                await self._pause(effect, intent, said)
            else:
                second_read = await effect.second_read(intent.account)
                change = of_look_up(said, intent, second_read=second_read, fraction=random.random())  # noqa: S311
                await self._record(effect, intent, intent.attempt, change)
        except ConflictError as error:
            log.warning("ledger.conflict", command_id=str(intent.id), reason=str(error))


def _grouped(intents: Sequence[Intent]) -> dict[tuple[AccountId, Action], list[Intent]]:
    groups: dict[tuple[AccountId, Action], list[Intent]] = {}
    for intent in intents:
        groups.setdefault((intent.account, intent.action), []).append(intent)
    return groups


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
