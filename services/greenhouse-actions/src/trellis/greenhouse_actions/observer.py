"""Reads applications that somebody asked about, and says what Greenhouse shows as a fact.

Requests wait in a table, so an outage or a rejected credential delays them and loses none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from trellis.common.backoff import full_jitter
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import ApplicationObserved, ApplicationSnapshot, Stage
from trellis.common.contracts.identifiers import AccountId, stable_id
from trellis.common.errors import StoreAwayError, TransientError
from trellis.common.runtime.clock import Clock
from trellis.common.store.outbox import Relay
from trellis.common.store.tenancy import serving
from trellis.greenhouse_actions.adapters.harvest import MOST_IDS, CredentialRejectedError, Harvests
from trellis.greenhouse_actions.domain.readings import ApplicationView, Missing
from trellis.greenhouse_actions.domain.requests import Route
from trellis.greenhouse_actions.effects import DEFAULT_RETRY
from trellis.greenhouse_actions.known import Questions
from trellis.greenhouse_actions.pauses import Pauses, disproved_by
from trellis.greenhouse_actions.polling import drive
from trellis.greenhouse_actions.questions import Question
from trellis.greenhouse_actions.reading import read_applications

log = structlog.get_logger()

SOURCE: Final = "trellis/greenhouse-actions"
LEASE: Final = timedelta(seconds=60)
_READ: Final = disproved_by(Route.APPLICATIONS, Route.APPLICATION_STAGES)


class Observer:
    """Answers questions; any number may run beside each other.

    Args:
        questions: What is to be read.
        harvests: The Greenhouses.
        pauses: Put when a credential is rejected, ended when it is not any more.
        relay: Woken when a fact was written.
        clock: Dates the readings.
    """

    def __init__(self, questions: Questions, harvests: Harvests, pauses: Pauses, relay: Relay, clock: Clock) -> None:
        self._questions = questions
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
        await drive("observer", self.answer_due, self._wake)

    async def answer_due(self) -> int:
        """Read what is asked for, up to 50 of each account in one call; return how many were taken up."""
        claimed = await self._questions.claim(per_account=MOST_IDS, lease=LEASE)
        accounts: dict[AccountId, list[Question]] = {}
        for question in claimed:
            accounts.setdefault(question.account_id, []).append(question)
        async with asyncio.TaskGroup() as group:
            for account, questions in accounts.items():
                group.create_task(self._answer(account, questions))
        return len(claimed)

    async def _answer(self, account: AccountId, questions: Sequence[Question]) -> None:
        with serving(account):
            await self._read_and_tell(account, questions)

    async def _read_and_tell(self, account: AccountId, questions: Sequence[Question]) -> None:
        retry = DEFAULT_RETRY
        try:
            connected = await self._harvests.of(account)
            retry, capabilities = connected.connection.credential_retry, connected.harvest.capabilities
            most = capabilities.together
            if len(questions) > most:  # what is read first would be old when the last one is
                for first in range(0, len(questions), most):
                    await self._read_and_tell(account, questions[first : first + most])
                return
            wanted = dict.fromkeys((question.application_id for question in questions), None)
            await connected.harvest.allow(capabilities.calls(len(wanted), with_visits=True))
            readings = await read_applications(connected.harvest, wanted, with_visits=True)
        except CredentialRejectedError as error:
            await self._pauses.put(account, error.said, retry)
            await self._questions.postpone(questions, f"{error.said.reason}; {error.said.remedy}", retry)
            return
        except StoreAwayError:
            raise
        except TransientError as error:
            tries = max(question.tries for question in questions) + 1
            wait = error.retry_after or full_jitter(tries, random.random())  # noqa: S311 - jitter
            await self._questions.postpone(questions, str(error), wait)
            return
        await self._pauses.mended(account, _READ)
        facts = [_fact(question, readings.of(question.application_id), self._clock.now()) for question in questions]
        await self._questions.answer(account, questions, facts)
        self._relay.wake()


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
