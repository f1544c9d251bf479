"""Plays the backfill in simulated time: the real runner, effects, client and budget, on an in-memory ledger and vendor."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import uuid4

from simulation.loop import SeededLoop
from simulation.metrics import NoMetrics
from simulation.patching import EPOCH, installed
from simulation.process import Process
from simulation.twins import greenhouse_actions as gt
from simulation.twins.budget import MemoryBudget
from simulation.twins.ledger import MemoryLedger
from simulation.twins.memory import Memory, Session
from tests.fakes.effects import move_command, note_command

from tools.budget.vendor import WINDOW_SECONDS, Greenhouse
from trellis.common.contracts.identifiers import AccountId, ApplicationId, StageId, Visit
from trellis.common.errors import TransientError
from trellis.common.ledger import runner
from trellis.common.ledger.breakers import Breakers
from trellis.common.ledger.budget import Use
from trellis.common.ledger.effects import Later
from trellis.common.ledger.runner import Runner
from trellis.common.ledger.states import State
from trellis.common.runtime.metrics import Metrics
from trellis.common.store.outbox import Relay
from trellis.greenhouse_actions.adapters.harvest import Connected
from trellis.greenhouse_actions.adapters.harvest_v3 import HarvestV3
from trellis.greenhouse_actions.adapters.http_harvest import Shared
from trellis.greenhouse_actions.adapters.measures import Measures
from trellis.greenhouse_actions.adapters.tokens import Token
from trellis.greenhouse_actions.connection import Connection, ConnectionSettings
from trellis.greenhouse_actions.domain.invites import Asked
from trellis.greenhouse_actions.domain.requests import FromSpace
from trellis.greenhouse_actions.invites import Invites
from trellis.greenhouse_actions.moves import MoveEffect
from trellis.greenhouse_actions.notes import NoteEffect
from trellis.greenhouse_actions.reading import Reader

ACCOUNTS: Final = (AccountId("acme"), AccountId("globex"))
LIMITS: Final = (50, 40, 25)
"""Calls in 30 s that Greenhouse allows, in each third of the backfill."""
OTHERS: Final = 0.35
"""Part of the limit that another tool of the customer uses, which leaves Trellis a little more than its share."""
FRESH_EVERY: Final = 60.0
FRESH_FROM: Final = 1_000_000
"""Applications from this number on are not the backfill's."""
_METRICS = cast(Metrics, NoMetrics())


@dataclass(kw_only=True)
class Played:
    """What came of it.

    Attributes:
        calls: Of Harvest, by route, while the backfill ran.
        refused: Those answered 429.
        waits: Simulated seconds from each fresh invite's question to its answer, readings included.
        read: How many backfill readings each account had when the first was through.
        flow: Calls of one flow where nothing can be batched, by route: may it be invited, note, move, read back.
    """

    calls: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    waits: list[float] = field(default_factory=list)
    read: dict[AccountId, int] = field(default_factory=dict)
    flow: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """Part of all calls that was answered 429."""
        return self.refused / max(1, self.calls.total())

    @property
    def ratio(self) -> float:
        """What the slower account got done for each thing of the faster one."""
        return min(self.read.values()) / max(1, *self.read.values())

    def faults(self) -> list[str]:
        """Return the limits that are broken."""
        late = sum(wait > 5.0 for wait in self.waits)
        found = {
            f"{self.share:.2%} of the calls were answered 429; less than 1 % may be": self.share >= 0.01,
            f"{late} of {len(self.waits)} fresh invites waited longer than 5 s": late > 0 or not self.waits,
            f"one account got {self.ratio:.0%} of what the other got; at least 80 % is fair": self.ratio < 0.8,
            f"one flow took {self.flow.total()} calls of Harvest; 6 are the most": not 0 < self.flow.total() <= 6,
        }
        return [fault for fault, is_broken in found.items() if is_broken]


class _Bearers:
    async def bearer(self, connection: Connection, user: object) -> Token:
        return Token("token", 1)


class _Harvests:
    """See `Harvests`: Harvest v3's own client on the vendors in memory."""

    def __init__(self, greenhouses: dict[AccountId, Greenhouse], breakers: Breakers, loop: SeededLoop) -> None:
        self._shared = {
            account: Shared(
                http=cast(Any, greenhouse), breakers=breakers, tokens=cast(Any, _Bearers()), measures=Measures(_METRICS)
            )
            for account, greenhouse in greenhouses.items()
        }
        settings = ConnectionSettings.parse({"verify.second_read_s": 1})
        self._connections = {
            account: Connection(
                account=account, api_version="v3", base_url="https://harvest.example/v3", token_url="https://a.example/t",  # noqa: S106 - an address
                client_id="c", client_secret="s", service_user_id=None, settings=settings,  # noqa: S106 - of nobody
            )
            for account in greenhouses
        }  # fmt: skip
        self._budget = MemoryBudget(
            loop.time,
            limit=settings.rate_start_limit,
            window=timedelta(seconds=WINDOW_SECONDS),
            share=settings.rate_share,
        )

    async def of(self, account: AccountId, use: Use = Use.PEOPLE) -> Connected:
        connection = self._connections[account]
        return Connected(connection=connection, harvest=HarvestV3(connection, self._budget, self._shared[account], use))

    async def remember_space(self, connection: Connection, space: FromSpace) -> None:
        """See `Harvests.remember_space`."""


class _NoLinks:
    async def link(self, *_: object) -> str | None:
        return None


def play(backfill: int, *, seed: int = 1) -> Played:
    """Play a backfill of so many readings of each account, and return what came of it."""
    loop, played, done = SeededLoop(random.Random(seed)), Played(), Counter[AccountId]()  # noqa: S311 - repeatable

    def limit() -> int:
        return LIMITS[min(2, 3 * min(done[account] for account in ACCOUNTS) // max(1, backfill))]

    world = SimpleNamespace(
        loop=loop, now=lambda: EPOCH + timedelta(seconds=loop.time()), coverage=SimpleNamespace(thing=str), uuid=uuid4
    )
    memory = Memory(world.now)
    session = Session(memory, Process("budget", random.Random(seed), lambda *_: None, lambda: False))  # noqa: S311
    ledger, breakers = MemoryLedger(session, "trellis/budget"), Breakers("greenhouse", _METRICS)
    greenhouses = {account: Greenhouse(world.now, limit) for account in ACCOUNTS}
    harvests, pauses = _Harvests(greenhouses, breakers, loop), gt.MemoryPauses(session, ledger)
    invites = Invites(harvests, pauses, pauses)

    async def read_back(account: AccountId) -> None:
        number = 0
        while number < backfill:
            connected = await harvests.of(account, Use.BACKGROUND)
            try:
                await connected.harvest.applications([ApplicationId(number + 1)])
            except TransientError as error:
                await asyncio.sleep((error.retry_after or timedelta(seconds=1)).total_seconds())
                continue
            number += 1
            done[account] = number
        played.read = played.read or dict(done)

    async def invite(account: AccountId, number: int) -> float:
        began = time.monotonic()
        asked = Asked(application_id=ApplicationId(number), stage_id=StageId(1), visit=Visit("n1"))
        while True:
            verdict = (await invites.judge(account, [asked])).verdicts[asked.application_id]
            if not isinstance(verdict, Later):
                return time.monotonic() - began
            await asyncio.sleep(verdict.wait.total_seconds())

    async def keep_inviting(account: AccountId) -> None:
        number = FRESH_FROM
        while True:
            await asyncio.sleep(FRESH_EVERY)
            number += 1
            played.waits.append(await invite(account, number))

    async def use_otherwise(account: AccountId) -> None:
        while True:
            await asyncio.sleep(WINDOW_SECONDS / (OTHERS * limit()))
            greenhouses[account].called_by_others()

    async def flow() -> None:
        before, account, number = Counter[str](), ACCOUNTS[0], 2 * FRESH_FROM
        reader = Reader()
        effects = (
            NoteEffect(harvests, gt.MemoryMoves(session), gt.MemoryCandidates(session), _NoLinks(), pauses, reader),
            MoveEffect(harvests, gt.MemoryStages(session), pauses, reader),
        )
        relay = Relay(session.outbox, cast(Any, None), _METRICS)
        driver = Runner(ledger, effects, relay, _METRICS, breakers=breakers)
        running = loop.create_task(driver.run())
        for round_ in range(2):  # the second one knows the job's plan
            await asyncio.sleep(
                4 * WINDOW_SECONDS
            )  # with a budget that is used up, note and move may need a reading each
            before = Counter(greenhouses[account].calls)
            await invite(account, number + round_)
            async with session.transaction() as connection:
                for command in (note_command(number + round_), move_command(number + round_)):
                    await ledger.take_in(connection, command, "greenhouse", None)
            driver.wake()
            waited = 0.5
            while any(row["state"] is not State.DONE for row in memory.table("intent").values()):
                await asyncio.sleep(waited)
                waited *= 1.5
        running.cancel()
        played.flow = Counter(greenhouses[account].calls) - before

    async def run() -> None:
        besides = [loop.create_task(work(account)) for account in ACCOUNTS for work in (keep_inviting, use_otherwise)]
        await asyncio.gather(*(read_back(account) for account in ACCOUNTS))
        for task in besides:
            task.cancel()
        played.seconds = loop.time()
        played.calls = sum((greenhouse.calls for greenhouse in greenhouses.values()), Counter())
        played.refused = sum(greenhouse.refused for greenhouse in greenhouses.values())
        await asyncio.wait_for(flow(), 600.0)

    with installed(cast(Any, world), random.Random(seed)):  # noqa: S311 - repeatable
        runner.POLL_SECONDS = 0.5
        loop.play(run())
        loop.end_all()
    loop.close()
    return played
