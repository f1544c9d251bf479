"""The keys that seal rotate while everything runs: what lay under the old one lies under the new one afterwards."""

from __future__ import annotations

import os
from dataclasses import replace

from tests.integration.tenants.walking import VICTIM, Walk

from trellis.common.runtime.keyring import Keyring, NamedKey
from trellis.common.runtime.metrics import Metrics
from trellis.common.runtime.resealing import Resealing


def resealings(walk: Walk, keyring: Keyring) -> list[Resealing]:
    """Return what each service runs in the background, with another ring."""
    found = []
    for running in walk.installation.services.values():
        for task in running.parts.tasks:
            own = getattr(task, "__self__", None)
            if isinstance(own, Resealing):
                found.append(Resealing(running.pool, keyring, own._columns, Metrics("test")))
    return found


async def under(walk: Walk, header: bytes) -> dict[str, int]:
    """Return how many values of any column begin with *header*, whoever knows of the column."""
    found = {}
    for running in walk.installation.services.values():
        for table, columns in (await walk.installation.tables(running.service.schema)).items():
            for column in (name for name, kind in columns.items() if kind == "bytea"):
                count = await walk.installation.eyes.fetchval(
                    f"select count(*) from {running.service.schema}.{table} "
                    f"where substring({column} from 1 for length($1::bytea)) = $1",
                    header,
                )
                if count:
                    found[f"{running.service.schema}.{table}.{column}"] = count
    return found


async def test_nothing_is_left_under_an_old_key_and_the_new_one_opens_all(walk: Walk) -> None:
    old = walk.installation.keyring
    rotated = replace(old, keys=(NamedKey("k2", os.urandom(32)), *old.keys))
    before = await under(walk, old.header(old.keys[0]))
    assert before.keys() >= {
        "ingest.endpoint.token_sealed",
        "ingest.endpoint_secret.sealed",
        "ingest.data_key.wrapped",
        "assessments.connection.api_key",
        "assessments.data_key.wrapped",
        "greenhouse_actions.data_key.wrapped",
    }
    for resealing in resealings(walk, rotated):
        assert await resealing.reseal() > 0
        assert await resealing.reseal() == 0
    assert await under(walk, old.header(old.keys[0])) == {}
    assert await under(walk, rotated.header(rotated.keys[0])) == before
    new_alone = replace(rotated, keys=rotated.keys[:1])
    for resealing in resealings(walk, new_alone):
        for column in resealing._columns:
            async with resealing._pool.acquire() as connection:
                for row in await connection.fetch(f"select *, {column.column} as sealed from {column.table}"):
                    assert new_alone.open(row["sealed"], column.place(row))


async def test_what_does_not_open_is_left_and_keeps_nothing_else_from_being_sealed_anew(walk: Walk) -> None:
    old = walk.installation.keyring
    rotated = replace(old, keys=(NamedKey("k2", os.urandom(32)), *old.keys))
    elsewhere = old.seal(b"x" * 32, "another place")
    await walk.installation.eyes.execute(
        "insert into ingest.data_key (account_id, subject, wrapped) values ($1, 'copied', $2)", VICTIM, elsewhere
    )
    for resealing in resealings(walk, rotated):
        await resealing.reseal()
    assert await under(walk, old.header(old.keys[0])) == {"ingest.data_key.wrapped": 1}


async def test_a_ring_with_one_key_has_nothing_to_do(walk: Walk) -> None:
    assert [await resealing.reseal() for resealing in resealings(walk, walk.installation.keyring)] == [0, 0, 0]
