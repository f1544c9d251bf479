"""Reads applications that somebody asked about, and says what Greenhouse shows as a fact.

Requests wait in a table, so an outage or a rejected credential delays them and loses none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from trellis.common.backoff import full_jitter
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import ApplicationObserved, ApplicationSnapshot, Stage
from trellis.common.contracts.identifiers import AccountId, ApplicationId, stable_id
from trellis.common.errors import ConflictError, StoreAwayError, TransientError
from trellis.common.runtime.clock import Clock
from trellis.common.store import outbox
from trellis.common.store.outbox import Relay
from trellis.common.store.postgres import Connection as Database
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.greenhouse_actions.adapters.harvest import MOST_IDS, CredentialRejectedError, Harvests
from trellis.greenhouse_actions.domain.readings import ApplicationView, Missing
from trellis.greenhouse_actions.domain.requests import Route
from trellis.greenhouse_actions.effects import DEFAULT_RETRY
from trellis.greenhouse_actions.pauses import Pauses, disproved_by
from trellis.greenhouse_actions.reading import read_applications

log = structlog.get_logger()

SOURCE: Final = "trellis/greenhouse-actions"
POLL_SECONDS: Final = 0.5
LEASE_SECONDS: Final = 60
_READ: Final = disproved_by(Route.APPLICATIONS, Route.APPLICATION_STAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to read an application."""

    command_id: UUID
    account_id: AccountId
    application_id: ApplicationId
    correlationid: str
    causationid: str
    tries: int = 0


async def ask(database: Database, question: Question) -> None:
    """Record *question*, in the caller's transaction; asking twice under one command is one row."""
    await database.execute(
        "insert into observation (command_id, account_id, application_id, correlationid, causationid) "
        "values ($1, $2, $3, $4, $5) on conflict do nothing",
        question.command_id,
        question.account_id,
        question.application_id,
        question.correlationid,
        question.causationid,
    )


class Observer:
    """Answers questions; any number may run beside each other.

    Args:
        pool: The service's database.
        harvests: The Greenhouses.
        pauses: Put when a credential is rejected, ended when it is not any more.
        relay: Woken when a fact was written.
        clock: Dates the readings.
    """

    def __init__(self, pool: Pool, harvests: Harvests, pauses: Pauses, relay: Relay, clock: Clock) -> None:
        self._pool = pool
        self._harvests = harvests
        self._pauses = pauses
        self._relay = relay
        self._clock = clock
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for questions now."""
        self._wake.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            try:
                busy = await self.answer_due()
            except (StoreAwayError, ConflictError) as error:
                log.warning("observer.waiting", reason=str(error))
                busy = 0
                await asyncio.sleep(1.0)
            if busy:
                continue
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def answer_due(self) -> int:
        """Read what is asked for, up to 50 of each account in one call; return how many were taken up."""
        claimed = await self._claim()
        accounts: dict[AccountId, list[Question]] = {}
        for question in claimed:
            accounts.setdefault(question.account_id, []).append(question)
        async with asyncio.TaskGroup() as group:
            for account, questions in accounts.items():
                group.create_task(self._answer(account, questions))
        return len(claimed)

    async def _claim(self) -> list[Question]:
        async with transaction(self._pool) as database:
            rows = await database.fetch(
                "with accounts as (select distinct account_id from observation where due_at <= clock_timestamp()), "
                "due as materialized (select picked.command_id from accounts a cross join lateral ("
                "select o.command_id from observation o where o.account_id = a.account_id "
                "and o.due_at <= clock_timestamp() and (o.lease_until is null or o.lease_until < clock_timestamp()) "
                "order by o.due_at limit $1 for update skip locked) picked) "
                "update observation o set lease_until = clock_timestamp() + make_interval(secs => $2) "
                "from due where o.command_id = due.command_id "
                "returning o.command_id, o.account_id, o.application_id, o.correlationid, o.causationid, o.tries",
                MOST_IDS,
                LEASE_SECONDS,
            )
        return [Question(**dict(row)) for row in rows]

    async def _answer(self, account: AccountId, questions: Sequence[Question]) -> None:
        retry = DEFAULT_RETRY
        try:
            connected = await self._harvests.of(account)
            retry = connected.connection.credential_retry
            wanted = dict.fromkeys((question.application_id for question in questions), None)
            await connected.harvest.allow(2)
            readings = await read_applications(connected.harvest, wanted, with_visits=True)
        except CredentialRejectedError as error:
            await self._pauses.put(account, error.said, retry)
            await self._postpone(questions, f"{error.said.reason}; {error.said.remedy}", retry)
            return
        except StoreAwayError:
            raise
        except TransientError as error:
            tries = max(question.tries for question in questions) + 1
            wait = error.retry_after or full_jitter(tries, random.random())  # noqa: S311 - jitter
            await self._postpone(questions, str(error), wait)
            return
        await self._pauses.mended(account, _READ)
        facts = [_fact(question, readings.of(question.application_id), self._clock.now()) for question in questions]
        async with transaction(self._pool) as database:
            await outbox.put(database, facts)
            await database.execute(
                "delete from observation where command_id = any($1::uuid[]) and account_id = $2",
                [question.command_id for question in questions],
                account,
            )
        self._relay.wake()

    async def _postpone(self, questions: Sequence[Question], reason: str, wait: timedelta) -> None:
        async with acquired(self._pool) as database:
            await database.execute(
                "update observation set tries = tries + 1, cause = $2, lease_until = null, "
                "due_at = clock_timestamp() + make_interval(secs => $3) where command_id = any($1::uuid[])",
                [question.command_id for question in questions],
                reason,
                wait.total_seconds(),
            )


def _fact(question: Question, shown: ApplicationView | Missing, at: datetime) -> Envelope:
    view = shown if isinstance(shown, ApplicationView) else None
    return Envelope(
        id=stable_id("observed", question.account_id, question.command_id),
        source=SOURCE,
        accountid=question.account_id,
        time=at,
        data=ApplicationObserved(
            application_id=question.application_id,
            application=None if view is None else snapshot(view),
            observed_at=at,
            entered_at=None if view is None else view.entered_at,
            asked_by=question.command_id,
        ),
        correlationid=question.correlationid,
        causationid=question.causationid,
        subject=f"application/{question.application_id}",
    )


def snapshot(view: ApplicationView) -> ApplicationSnapshot:
    """Return what *view* shows as facts tell it: ids, no direct identifier (P8)."""
    return ApplicationSnapshot(
        application_id=view.id,
        candidate_id=view.candidate_id,
        job_id=view.job_id,
        stage=None if view.stage_id is None else Stage(id=view.stage_id, name=view.stage_name),
        status=view.status,
        prospect=view.prospect,
        applied_at=view.created_at,
        rejected_at=view.rejected_at,
        last_activity_at=view.last_activity_at,
        source_id=view.source_id,
    )
