"""A vendor that is away for hours, in simulated time: how often it is asked, and what happens when it is back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from simulation.loop import SeededLoop
from simulation.metrics import NoMetrics
from simulation.patching import EPOCH, installed
from simulation.process import Process
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Memory, Session
from tests.fakes.effects import ScriptedEffect, note_command

from trellis.common.contracts.identifiers import AccountId, ApplicationId, CommandId
from trellis.common.errors import VendorAwayError
from trellis.common.ledger import breaker, runner
from trellis.common.ledger import effects as x
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.states import State
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.outbox import Relay

ACME = AccountId("acme")
HOURS = 4
POLL_SECONDS = 2.0
ROWS = 60
WRITE_SECONDS = 0.4
_METRICS = cast(Metrics, NoMetrics())


class Vendor(ScriptedEffect):
    """Is away until it is back; remembers what it was asked, and how many writes were under way then."""

    def __init__(self, loop: SeededLoop, breakers: Breakers) -> None:
        super().__init__()
        self.loop = loop
        self.breakers = breakers
        self.is_away = True
        self.asked: list[float] = []
        self.written: list[tuple[ApplicationId, int]] = []
        self.under_way = 0

    async def prepare(self, account: AccountId, intents: Sequence[x.Intent]) -> Mapping[CommandId, x.Preparation]:
        with self.breakers.reading(account):
            self.asked.append(self.loop.time())
            await asyncio.sleep(0.1)
            if self.is_away:
                raise VendorAwayError("it does not answer")
        return await super().prepare(account, intents)

    async def send(self, intent: x.Intent, request: object) -> x.Answer:
        self.under_way += 1
        self.written.append((intent.application_id, self.under_way))
        await asyncio.sleep(WRITE_SECONDS)
        self.under_way -= 1
        self.breakers.answered(intent.account)
        return x.Succeeded()


def played(hours: float) -> tuple[Vendor, list[Any], float]:
    """Return the vendor, the rows as they stood just before it came back, and how long the backlog then took."""
    loop = SeededLoop(random.Random(1))
    world = SimpleNamespace(
        loop=loop, now=lambda: EPOCH + timedelta(seconds=loop.time()), coverage=SimpleNamespace(thing=str), uuid=uuid4
    )
    memory = Memory(world.now)
    session = Session(memory, Process("test", random.Random(2), lambda *_: None, lambda: False))
    ledger, breakers = MemoryLedger(session, "trellis/test"), Breakers("greenhouse", _METRICS)
    vendor = Vendor(loop, breakers)

    async def play() -> tuple[list[Any], float]:
        driver = Runner(ledger, [vendor], Relay(session.outbox, cast(Any, None), _METRICS), _METRICS, breakers=breakers)
        running = loop.create_task(driver.run())
        for number in range(1, ROWS + 1):
            async with session.transaction() as connection:
                await ledger.take_in(connection, note_command(number), "greenhouse", None)
            await asyncio.sleep(hours * 3600 / ROWS)
        stood = [dict(row) for row in memory.table("intent").values()]
        vendor.is_away, back = False, loop.time()
        while any(row["state"] is not State.DONE for row in memory.table("intent").values()):
            await asyncio.sleep(0.5)
        took = loop.time() - back
        running.cancel()
        return stood, took

    with installed(cast(Any, world), random.Random(3)):
        runner.POLL_SECONDS = POLL_SECONDS
        stood, took = loop.play(play())
        loop.end_all()
    loop.close()
    return vendor, stood, took


def test_a_vendor_that_is_away_for_hours_is_asked_seldom_and_by_readings_and_the_backlog_says_until_when_it_waits() -> (
    None
):
    vendor, stood, took = played(HOURS)
    during = [at for at in vendor.asked if at < HOURS * 3600]
    assert len(during) < HOURS * 3600 / (breaker.LONGEST_SECONDS / 2) + 20
    assert {row["state"] for row in stood} == {State.WAITING}
    assert all("does not answer; waiting until" in row["cause"] for row in stood[:-1])
    assert took < breaker.LONGEST_SECONDS + 30


def test_when_it_is_back_the_oldest_goes_first_alone_and_then_more_and_more_at_a_time() -> None:
    vendor, _, _ = played(1)
    order = [application for application, _ in vendor.written]
    side_by_side = [count for _, count in vendor.written]
    assert sorted(order) == list(range(1, ROWS + 1))
    assert all(number <= 2 * place + 2 for place, number in enumerate(order)), order  # what begins together ends anyhow
    assert side_by_side[0] == 1
    assert all(count <= place + 1 for place, count in enumerate(side_by_side))
    assert max(side_by_side[:8]) <= 4
    assert max(side_by_side[:31]) <= 16
    assert max(side_by_side) <= runner.MOST_UNDER_WAY


def test_without_the_breaker_it_would_be_asked_far_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "FAILURES", 10**9)
    vendor, _, _ = played(0.2)
    assert len(vendor.asked) > 200
