"""One suite for what is kept of how applications stand, on PostgreSQL and on the twin."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulation.process import Process
from simulation.twins.greenhouse_actions import MemoryPauses
from simulation.twins.ledger import MemoryLedger, put_brake, release_brake
from simulation.twins.memory import Memory, Session
from simulation.twins.standings import MemoryStandings
from tests.databases import Databases
from tests.fakes.effects import note_command

from trellis.common.contracts.commands import ShowStanding, Standing
from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CommandId, StageId, Visit, stable_id
from trellis.common.ledger.brakes import Brakes, Scope
from trellis.common.ledger.effects import Unauthorized
from trellis.common.ledger.store import LedgerStore
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.keyring import Keyring
from trellis.common.runtime.sealer import Sealer
from trellis.common.store.database import Database, PostgresDatabase
from trellis.common.store.postgres import acquired, open_pool
from trellis.greenhouse_actions.adapters.connection_store import ConnectionStore
from trellis.greenhouse_actions.adapters.standing_store import StandingStore
from trellis.greenhouse_actions.app import SERVICE
from trellis.greenhouse_actions.connection import VENDOR
from trellis.greenhouse_actions.domain.standing import NotAllowed
from trellis.greenhouse_actions.pauses import LedgerPauses, Pauses
from trellis.greenhouse_actions.standings import Standings, Wanted

ACME, GLOBEX = AccountId("acme"), AccountId("globex")
LEASE, NOW, HOUR = timedelta(seconds=30), timedelta(), timedelta(hours=1)
NO = NotAllowed(reason="no scope", remedy="tick it")


@dataclass
class Kept:
    """The port under test, and what its claims depend on."""

    database: Database
    ledger: LedgerStore
    standings: Standings
    pauses: Pauses
    brake: Any
    release: Any

    async def want(self, *commands: ShowStanding, account: AccountId = ACME) -> None:
        async with self.database.transaction() as connection:
            for command in commands:
                await self.standings.want(connection, account, command, "c-1")

    async def claim(self, lease: timedelta = LEASE, per_account: int = 10) -> list[Wanted]:
        return await self.standings.claim(per_account=per_account, lease=lease)

    async def claim_one(self) -> Wanted:
        (wanted,) = await self.claim()
        return wanted


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Kept]:
    if request.param == "memory":
        process = Process("test", random.Random(1), lambda *_: None, lambda: False)
        memory = Memory(lambda: datetime.now(UTC))
        session = Session(memory, process)
        ledger = MemoryLedger(session, "trellis/test")
        standings = MemoryStandings(session, ledger, lambda _: NOW, lambda account: 1 if account == ACME else 2)

        async def release() -> None:
            release_brake(memory, ACME)

        yield Kept(session, ledger, standings, MemoryPauses(session, ledger), lambda: put_brake(session, ACME), release)
        return
    database = await databases.migrated(SERVICE.schema, SERVICE.migrations)
    pool = await open_pool(database, name="test", schema=SERVICE.schema, size=6)
    table = Ledger(pool, "trellis/test")
    async with acquired(pool) as connection:
        for account, revision in ((ACME, 1), (GLOBEX, 2)):
            await connection.execute(
                "insert into harvest_connection (account_id, api_version, base_url, sealed_credential, settings, revision) "
                "values ($1, 'v3', 'https://harvest.example', '\\x00', '{\"standing.delay\": 0}', $2)",
                account,
                revision,
            )
    brakes = Brakes(pool)
    assert ConnectionStore(pool, Sealer(Keyring.generate()), table)
    yield Kept(
        PostgresDatabase(pool), table, StandingStore(pool, table), LedgerPauses(pool, table),
        lambda: brakes.put(ACME, Scope.ACCOUNT, "", reason="r", by="test"),
        lambda: brakes.release(ACME, Scope.ACCOUNT, ""),
    )  # fmt: skip
    await pool.close()


def show(application: int = 1, ordinal: int = 1, standing: Standing | None = Standing.INVITED) -> ShowStanding:
    return ShowStanding(
        command_id=CommandId(stable_id(application, ordinal)),
        application_id=ApplicationId(application),
        candidate_id=None,
        job_id=None,
        visit=Visit("n1"),
        stage_id=StageId(7),
        standing=standing,
        detail="",
        ordinal=ordinal,
    )


async def test_the_latest_wins_in_whatever_order_they_come_and_however_often(kept: Kept) -> None:
    await kept.want(show(ordinal=2, standing=Standing.STARTED), show(ordinal=1), show(ordinal=2))
    assert await kept.claim() == [
        Wanted(
            account=ACME, command=show(ordinal=2, standing=Standing.STARTED), correlationid="c-1", shown="",
            is_unsure=False, tries=0,
        )
    ]  # fmt: skip
    assert await kept.claim() == []


async def test_what_is_shown_is_claimed_again_only_for_something_later(kept: Kept) -> None:
    await kept.want(show())
    await kept.standings.settle(await kept.claim_one(), "Assessment sent", None)
    await kept.want(show())
    assert await kept.claim() == []
    await kept.want(show(ordinal=2, standing=None))
    wanted = await kept.claim_one()
    assert (wanted.shown, wanted.is_unsure, wanted.command.ordinal) == ("Assessment sent", False, 2)


async def test_who_claims_what_another_began_knows_that_it_may_be_written(kept: Kept) -> None:
    await kept.want(show())
    await kept.claim(timedelta(seconds=0.2))
    await asyncio.sleep(0.3)
    assert (await kept.claim_one()).is_unsure


async def test_one_that_ends_after_a_later_one_is_made_good(kept: Kept) -> None:
    await kept.want(show())
    slow = (await kept.claim(timedelta(seconds=0.2)))[0]
    await kept.want(show(ordinal=2, standing=None))
    await asyncio.sleep(0.3)
    await kept.standings.settle(await kept.claim_one(), "", None)
    assert await kept.claim() == []
    await kept.standings.settle(slow, "Assessment sent", None)
    assert (await kept.claim_one()).command.ordinal == 2


async def test_what_is_wanted_while_it_waits_comes_no_later_and_begins_its_tries_anew(kept: Kept) -> None:
    await kept.want(show())
    await kept.standings.postpone([await kept.claim_one()], "away", timedelta(seconds=0.3))
    assert await kept.claim() == []
    await kept.want(show(ordinal=2))
    assert await kept.claim() == []
    await asyncio.sleep(0.4)
    assert (await kept.claim_one()).tries == 0


async def test_a_postponed_one_counts_its_tries(kept: Kept) -> None:
    await kept.want(show())
    await kept.standings.postpone([await kept.claim_one()], "away", NOW)
    assert (await kept.claim_one()).tries == 1


async def test_of_each_account_no_more_than_its_share_is_claimed(kept: Kept) -> None:
    await kept.want(show(1), show(2), show(3))
    await kept.want(show(1), account=GLOBEX)
    claimed = await kept.claim(per_account=2)
    assert sorted(item.account for item in claimed) == [ACME, ACME, GLOBEX]


async def test_a_brake_and_a_pause_hold_their_account_only(kept: Kept) -> None:
    await kept.want(show())
    await kept.want(show(), account=GLOBEX)
    await kept.brake()
    await kept.pauses.put(GLOBEX, Unauthorized(reason="rejected", remedy="a new key"), HOUR)
    assert await kept.claim() == []
    await kept.release()
    assert [item.account for item in await kept.claim()] == [ACME]
    await kept.pauses.mended(GLOBEX, ["rejected"])
    assert [item.account for item in await kept.claim()] == [GLOBEX]


async def test_a_refusal_holds_its_account_until_it_is_over_or_the_connection_is_another(kept: Kept) -> None:
    await kept.want(show())
    await kept.want(show(), account=GLOBEX)
    await kept.standings.refuse(ACME, 1, NO, HOUR)
    await kept.standings.refuse(GLOBEX, 1, NO, HOUR)  # globex's connection is at revision 2
    assert [item.account for item in await kept.claim()] == [GLOBEX]
    assert await kept.standings.refusal(ACME, 1) == NO
    assert await kept.standings.refusal(ACME, 2) is None
    await kept.standings.refuse(ACME, 1, replace(NO, reason="no field"), NOW)
    assert [item.account for item in await kept.claim()] == [ACME]


async def test_a_note_becomes_an_intent_once_with_what_is_recorded(kept: Kept) -> None:
    await kept.want(show())
    wanted, note = await kept.claim_one(), note_command(1)
    assert isinstance(note, Envelope)
    await kept.standings.settle(wanted, "Problem", note)
    await kept.standings.settle(wanted, "Problem", note)
    intents = await kept.ledger.claim_due(lease=LEASE, per_account=20, vendor=VENDOR)
    assert len(intents) == 1
    assert await kept.claim() == []
