"""What messages leave behind besides intents: questions to answer, and what is known of candidates and jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateAnonymized, CandidateMerged
from trellis.common.contracts.identifiers import AccountId, JobId, StageId
from trellis.common.store.postgres import Connection as Database
from trellis.greenhouse_actions.questions import Question


class Known(Protocol):
    """Where the handler leaves it, in its transaction."""

    async def ask(self, database: Database, question: Question) -> None:
        """Record *question*; asking twice under one command is one row."""

    async def record_anonymized(
        self, database: Database, account: AccountId, fact: CandidateAnonymized, at: datetime
    ) -> None:
        """Remember that *fact* happened, told *at*; further fields are added."""

    async def record_merged(self, database: Database, account: AccountId, fact: CandidateMerged) -> None:
        """Map the old candidate to the new one, and let open rows of the ledger follow."""

    async def drop_stages(
        self, database: Database, account: AccountId, job: JobId | None, stage: StageId | None = None
    ) -> None:
        """Forget the stages of *job*; when only the *stage* is known, of all jobs that may have it."""


class Questions(Protocol):
    """Questions that wait for an answer, as the observer uses them."""

    async def claim(self, *, per_account: int, lease: timedelta) -> list[Question]:
        """Lease questions that are due, at most *per_account* of each account."""

    async def answer(self, account: AccountId, questions: Sequence[Question], facts: Sequence[Envelope]) -> None:
        """Put *facts* out and forget *questions*, in one transaction."""

    async def postpone(self, questions: Sequence[Question], reason: str, wait: timedelta) -> None:
        """Give *questions* back until later."""
