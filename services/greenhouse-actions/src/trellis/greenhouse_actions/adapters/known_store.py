"""Questions, and what facts told, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateAnonymized, CandidateMerged
from trellis.common.contracts.identifiers import AccountId, JobId, StageId
from trellis.common.store import outbox
from trellis.common.store.postgres import Connection as Database
from trellis.common.store.postgres import Pool, acquired, transaction
from trellis.greenhouse_actions.adapters import candidate_store, stage_cache
from trellis.greenhouse_actions.questions import Question


class KnownStore:
    """See `known.Known` and `known.Questions`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(self, database: Database, question: Question) -> None:
        """See `Known.ask`."""
        await database.execute(
            "insert into observation (command_id, account_id, application_id, correlationid, causationid) "
            "values ($1, $2, $3, $4, $5) on conflict do nothing",
            question.command_id,
            question.account_id,
            question.application_id,
            question.correlationid,
            question.causationid,
        )

    async def record_anonymized(
        self, database: Database, account: AccountId, fact: CandidateAnonymized, at: datetime
    ) -> None:
        """See `Known.record_anonymized`."""
        await candidate_store.record_anonymized(database, account, fact, at)

    async def record_merged(self, database: Database, account: AccountId, fact: CandidateMerged) -> None:
        """See `Known.record_merged`."""
        await candidate_store.record_merged(database, account, fact)

    async def drop_stages(
        self, database: Database, account: AccountId, job: JobId | None, stage: StageId | None = None
    ) -> None:
        """See `Known.drop_stages`."""
        await stage_cache.drop(database, account, job, stage)

    async def claim(self, *, per_account: int, lease: timedelta) -> list[Question]:
        """See `Questions.claim`."""
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
                per_account,
                lease.total_seconds(),
            )
        return [Question(**dict(row)) for row in rows]

    async def answer(self, account: AccountId, questions: Sequence[Question], facts: Sequence[Envelope]) -> None:
        """See `Questions.answer`."""
        async with transaction(self._pool) as database:
            await outbox.put(database, facts)
            await database.execute(
                "delete from observation where command_id = any($1::uuid[]) and account_id = $2",
                [question.command_id for question in questions],
                account,
            )

    async def postpone(self, questions: Sequence[Question], reason: str, wait: timedelta) -> None:
        """See `Questions.postpone`."""
        async with acquired(self._pool) as database:
            await database.execute(
                "update observation set tries = tries + 1, cause = $2, lease_until = null, "
                "due_at = clock_timestamp() + make_interval(secs => $3) where command_id = any($1::uuid[])",
                [question.command_id for question in questions],
                reason,
                wait.total_seconds(),
            )
