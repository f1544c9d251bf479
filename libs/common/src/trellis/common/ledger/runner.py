"""Drives ledger rows: claim, check, commit the attempt, send once, record; and look up what is unknown.

A worker counts its time on its own clock, from before it commits the attempt. A request leaves only if it
will certainly have ended before the deadline that was committed, and at most ten seconds after the
application was read.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from trellis.common.backoff import full_jitter
from trellis.common.contracts.commands import Action
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import ConflictError, StoreAwayError, TransientError
from trellis.common.failpoints import failpoint
from trellis.common.ledger import effects
from trellis.common.ledger.effects import Answer, Effect, Intent, LookUp, Preparation, Ready
from trellis.common.ledger.states import Occurrence, State
from trellis.common.ledger.table import Change, Ledger
from trellis.common.runtime.metrics import LONG_SECONDS, Metrics
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection, Pool, transaction

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
POLL_SECONDS = 0.5
MOST_UNKNOWN = 8
"""Ambiguous answers in a row after which a person looks at it."""


class Runner:
    """Performs the effects of one vendor's connections; any number may run beside each other.

    Args:
        pool: The service's database.
        ledger: Its rows.
        effects: One per action, all of one vendor.
        relay: Woken when an outcome was written.
        metrics: The service's.
        lease: How long a claim holds.
    """

    def __init__(
        self,
        pool: Pool,
        ledger: Ledger,
        effects: Sequence[Effect],
        relay: Relay,
        metrics: Metrics,
        *,
        lease: timedelta = LEASE,
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._effects: Mapping[Action, Effect] = {effect.action: effect for effect in effects}
        (self._vendor,) = {effect.vendor for effect in effects}
        self._relay = relay
        self._lease = lease
        self._wake = asyncio.Event()
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
        """Perform and look up until cancelled."""
        while True:
            busy = 0
            try:
                busy = await self.perform_due() + await self.look_up_due()
                self._last_pass.set(time.time())
                if not busy:
                    await self._count()
            except* (StoreAwayError, ConflictError) as errors:  # from a task of a group, too
                log.warning("ledger.waiting", reason=str(_first(errors)))
                await asyncio.sleep(1.0)
            if busy:
                continue
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _count(self) -> None:
        counts = await self._ledger.counts()
        self._rows.clear()
        for (account, state), count in counts.items():
            self._rows.labels(account, state).set(count)

    # -- attempts

    async def perform_due(self) -> int:
        """Claim due rows and perform them; return how many were claimed."""
        claimed = await self._ledger.claim_due(lease=self._lease, per_account=PER_ACCOUNT, vendor=self._vendor)
        if claimed:
            failpoint("ledger.after_claim")
            async with asyncio.TaskGroup() as group:
                for (account, action), intents in _grouped(claimed).items():
                    group.create_task(self._perform_group(account, self._effects[action], intents))
            self._relay.wake()
        return len(claimed)

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
            case effects.Overtaken(reason=reason):
                await self._record(
                    effect, intent, intent.attempt, Change(occurrence=Occurrence.OVERTAKEN, reason=reason)
                )
            case effects.Blocked(reason=reason, remedy=remedy, mended_by=mended_by):
                change = Change(occurrence=Occurrence.BLOCKED, reason=reason, remedy=remedy, mended_by=mended_by)
                await self._record(effect, intent, intent.attempt, change)
            case effects.Settled(reason=reason, resolved=resolved):
                change = Change(occurrence=Occurrence.SUCCEEDED, reason=reason, resolved=resolved)
                await self._record(effect, intent, intent.attempt, change)

    async def _attempt(self, effect: Effect, intent: Intent, ready: Ready) -> None:
        wait = await effect.reserve(intent)
        if wait is not None:
            change = Change(occurrence=Occurrence.POSTPONED, reason="the rate budget is used up for now", wait=wait)
            return await self._hold_back(intent, change)
        started = time.monotonic()
        begun = await self._ledger.begin(
            intent,
            deadline_seconds=SLACK_SECONDS + effect.request_seconds + MARGIN_SECONDS,
            cap=await effect.cap(intent.account),
            resolved=ready.resolved,
        )
        if isinstance(begun, datetime):
            wait = begun - datetime.now(begun.tzinfo)
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
        match answer:
            case effects.Succeeded(reason=reason, resolved=resolved, request_id=request_id):
                change = Change(
                    occurrence=Occurrence.SUCCEEDED,
                    reason=reason,
                    resolved=resolved,
                    request_id=request_id,
                    kind="answer",
                )
                await self._record(effect, intent, attempt, change, answer.private)
            case effects.Accepted(reason=reason, resolved=resolved, request_id=request_id):
                change = Change(
                    occurrence=Occurrence.ACCEPTED,
                    reason=reason,
                    resolved=resolved,
                    request_id=request_id,
                    kind="answer",
                )
                await self._record(effect, intent, attempt, change)
            case effects.NotExecuted(reason=reason, wait=wait, request_id=request_id):
                delay = wait if wait is not None else full_jitter(attempt, random.random())  # noqa: S311 - jitter
                change = Change(
                    occurrence=Occurrence.NOT_EXECUTED, reason=reason, wait=delay, request_id=request_id, kind="answer"
                )
                await self._record(effect, intent, attempt, change)
            case effects.Rejected(reason=reason, request_id=request_id):
                change = Change(occurrence=Occurrence.REJECTED, reason=reason, request_id=request_id, kind="answer")
                await self._record(effect, intent, attempt, change)
            case effects.Unmet(reason=reason, remedy=remedy, mended_by=mended_by, request_id=request_id):
                change = Change(
                    occurrence=Occurrence.UNMET, reason=reason, remedy=remedy, mended_by=mended_by,
                    request_id=request_id, kind="answer",
                )  # fmt: skip
                await self._record(effect, intent, attempt, change)
            case effects.Ambiguous(reason=reason, request_id=request_id):
                change = Change(occurrence=Occurrence.AMBIGUOUS, reason=reason, request_id=request_id, kind="answer")
                await self._record(effect, intent, attempt, change)
            case effects.Unauthorized(reason=reason):
                change = Change(occurrence=Occurrence.NOT_EXECUTED, reason=reason, kind="answer")
                await self._record(effect, intent, attempt, change)
                await self._pause(effect, intent, answer)

    async def _record(
        self, effect: Effect, intent: Intent, attempt: int, change: Change, private: bytes | None = None
    ) -> None:
        async with transaction(self._pool) as connection:
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
            age = datetime.now(intent.created_at.tzinfo) - intent.created_at
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
        async with transaction(self._pool) as connection:
            fresh = await self._ledger.pause(connection, intent.account, self._vendor, said.reason, said.remedy, retry)
        await self._ledger.postpone(
            intent, Change(occurrence=Occurrence.POSTPONED, reason=f"{said.reason}; {said.remedy}", wait=wait)
        )
        if fresh:
            log.error(
                "connection.paused", account=intent.account, vendor=self._vendor, reason=said.reason, remedy=said.remedy
            )

    # -- look-ups

    async def look_up_due(self) -> int:
        """Claim unknown rows and look their effects up; return how many were claimed."""
        claimed = await self._ledger.claim_unsure(lease=self._lease, per_account=PER_ACCOUNT, vendor=self._vendor)
        async with asyncio.TaskGroup() as group:
            for intent in claimed:
                group.create_task(self._look_up(self._effects[intent.action], intent))
        if claimed:
            self._relay.wake()
        return len(claimed)

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
                await self._record(effect, intent, intent.attempt, self._verdict(intent, said, second_read))
        except ConflictError as error:
            log.warning("ledger.conflict", command_id=str(intent.id), reason=str(error))

    def _verdict(self, intent: Intent, said: LookUp, second_read: timedelta) -> Change:
        match said:
            case effects.Found(reason=reason, resolved=resolved):
                return Change(occurrence=Occurrence.FOUND, reason=reason, resolved=resolved, kind="look-up")
            case effects.NotSeen(reason=reason) if not said.proof and intent.absent_count == 0:
                again = f"{reason}; read again in {second_read.total_seconds():g} s"
                return Change(
                    occurrence=Occurrence.POSTPONED, reason=again, wait=second_read, absent=True,
                    resolved=said.resolved, kind="look-up",
                )  # fmt: skip
            case effects.NotSeen(reason=reason) if intent.retries >= said.most_retries:
                return Change(
                    occurrence=Occurrence.BLOCKED, reason=f"{reason}, {intent.attempt} attempts made", remedy=said.remedy,
                    kind="look-up",
                )  # fmt: skip
            case effects.NotSeen(reason=reason, resolved=resolved):
                return Change(
                    occurrence=Occurrence.ABSENT, reason=f"proven absent: {reason}", resolved=resolved, kind="look-up",
                    wait=full_jitter(intent.retries + 1, random.random()),  # noqa: S311 - jitter
                )  # fmt: skip
            case effects.CannotTell(reason=reason, remedy=remedy):
                return Change(occurrence=Occurrence.CANNOT_TELL, reason=reason, remedy=remedy, kind="look-up")
            case effects.Overtaken(reason=reason):
                return Change(occurrence=Occurrence.OVERTAKEN, reason=reason, kind="look-up")
            case effects.Blocked(reason=reason, remedy=remedy, mended_by=mended_by):
                return Change(
                    occurrence=Occurrence.BLOCKED, reason=reason, remedy=remedy, mended_by=mended_by, kind="look-up"
                )
            case effects.Later(reason=reason, wait=wait):
                return Change(occurrence=Occurrence.POSTPONED, reason=reason, wait=wait, kind="look-up")
            case effects.Unauthorized():
                raise TypeError("a rejected credential is no verdict on the effect")


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _grouped(intents: Sequence[Intent]) -> dict[tuple[AccountId, Action], list[Intent]]:
    groups: dict[tuple[AccountId, Action], list[Intent]] = {}
    for intent in intents:
        groups.setdefault((intent.account, intent.action), []).append(intent)
    return groups
