"""The stages of jobs, kept for all replicas; Greenhouse tells of no new or renamed stage, so they expire.

Source: greenhouse fact sheet, section 8 ("Stage renamed, no event").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, Protocol

from trellis.common.contracts.identifiers import AccountId, JobId, StageId
from trellis.common.store.postgres import Connection as Database
from trellis.common.store.postgres import Pool, acquired
from trellis.greenhouse_actions.domain.readings import JobStage

FRESH_MINUTES: Final = 15


class StageStore(Protocol):
    """Where stages are kept between readings."""

    async def get(self, account: AccountId, job: JobId) -> list[JobStage] | None:
        """Return the stages of *job* if they were read less than 15 minutes ago."""

    async def put(self, account: AccountId, job: JobId, stages: Sequence[JobStage]) -> None:
        """Keep the stages of *job* as just read."""


class StageCache:
    """Stages in the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, account: AccountId, job: JobId) -> list[JobStage] | None:
        """See `StageStore.get`."""
        async with acquired(self._pool) as database:
            text = await database.fetchval(
                "select stages from stage_cache where account_id = $1 and job_id = $2 "
                "and read_at > clock_timestamp() - make_interval(mins => $3)",
                account,
                job,
                FRESH_MINUTES,
            )
        if text is None:
            return None
        return [
            JobStage(
                id=StageId(item["id"]),
                job_id=job,
                name=item["name"],
                sort_order=item["sort_order"],
                active=item["active"],
            )
            for item in json.loads(text)
        ]

    async def put(self, account: AccountId, job: JobId, stages: Sequence[JobStage]) -> None:
        """See `StageStore.put`."""
        async with acquired(self._pool) as database:
            await database.execute(
                "insert into stage_cache (account_id, job_id, stages) values ($1, $2, $3) "
                "on conflict (account_id, job_id) do update set stages = excluded.stages, read_at = clock_timestamp()",
                account,
                job,
                json.dumps([asdict(stage) for stage in stages]),
            )


async def drop(database: Database, account: AccountId, job: JobId | None, stage: StageId | None = None) -> None:
    """Forget the stages of *job*; when only the *stage* is known, of all jobs of *account* that may have it."""
    if job is None and stage is not None:
        await database.execute("delete from stage_cache where account_id = $1", account)
    else:
        await database.execute("delete from stage_cache where account_id = $1 and job_id = $2", account, job)
