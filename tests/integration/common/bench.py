"""A ledger and its runner on a real database, with an effect whose vendor is scripted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tests.fakes.effects import ScriptedEffect
from tests.fakes.publisher import NoPublisher

from trellis.common.contracts.commands import AddNote
from trellis.common.contracts.envelope import Envelope, decode
from trellis.common.contracts.identifiers import AccountId
from trellis.common.contracts.outcomes import CommandSettled
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.table import Ledger
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.outbox import PostgresOutbox, Relay
from trellis.common.store.postgres import Pool, acquired, transaction

ACME = AccountId("acme")


def runner_of(pool: Pool, ledger: Ledger, effect: ScriptedEffect, breakers: Breakers, *, lease: float = 30.0) -> Runner:
    """The runner of one process, which leaves in the outbox what it has to tell; *lease* in seconds."""
    metrics = Metrics("test")
    relay = Relay(PostgresOutbox(pool), NoPublisher(), metrics)
    return Runner(ledger, [effect], relay, metrics, breakers=breakers, lease=timedelta(seconds=lease))


@dataclass
class Bench:
    pool: Pool
    ledger: Ledger
    effect: ScriptedEffect
    breakers: Breakers = field(default_factory=lambda: Breakers("greenhouse", Metrics("breakers")))

    def runner(self, *, lease: float = 30.0) -> Runner:
        return runner_of(self.pool, self.ledger, self.effect, self.breakers, lease=lease)

    async def take(self, *envelopes: Envelope) -> list[bool]:
        async with transaction(self.pool) as connection:
            return [await self.ledger.take_in(connection, item, "greenhouse", None) for item in envelopes]

    async def state(self, envelope: Envelope) -> tuple[str, int, str]:
        assert isinstance(envelope.data, AddNote)
        async with acquired(self.pool) as connection:
            row = await connection.fetchrow(
                "select state, attempt, cause from intent where id = $1", envelope.data.command_id
            )
        assert row is not None
        return row["state"], row["attempt"], row["cause"]

    async def outcomes(self) -> list[CommandSettled]:
        async with acquired(self.pool) as connection:
            rows = await connection.fetch("select body from outbox order by position")
        found = [decode(row["body"]).data for row in rows]
        assert all(isinstance(item, CommandSettled) for item in found)
        return found  # type: ignore[return-value]

    async def run_until(self, check: Callable[[str], bool], envelope: Envelope, runner: Runner | None = None) -> str:
        runner = runner or self.runner()
        end = time.monotonic() + 10
        while True:
            await runner.perform_due()
            await runner.look_up_due()
            state, _, cause = await self.state(envelope)
            if check(state):
                return state
            assert time.monotonic() < end, f"still {state}: {cause}"
            await asyncio.sleep(0.02)
