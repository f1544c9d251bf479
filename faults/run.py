"""One run: a load, rounds of faults, and after them the wait until everything has come to its end."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import aiohttp

from faults import oracle, oracle_of_poison, poison
from faults.disk import Disk
from faults.injuries import Injuries
from faults.kept import Kept
from faults.load import HANG_SECONDS, REDELIVERY_SCALE, Tenant, announce
from faults.oracle_of_poison import Parking
from faults.plan import Fault, Plan
from faults.poisoning import Poisoner, listed
from faults.report import Result
from faults.seen import Seen
from faults.stage import LEASE_SECONDS, REQUEST_SECONDS, Stage, remove, set_up
from faults.violations import Violation
from trellis.cli import environment

ACCOUNTS = (("v3", True), ("v3", False), ("v1", True))
"""Harvest's version, and whether webhooks are missed, of each account but the canary."""
PACE_SECONDS = 1.0
"""Between two people who apply."""
_SETTLE_SECONDS = (0.0, 4.0, 2.0)
"""Of the accounts in turn, long enough for an order to send to come first; the canary is mailed at once."""
RECOVERY_SECONDS = 90.0
"""By then somebody who enters the stage after a fault is invited, or the run is in violation."""
SETTLE_SECONDS = 180.0
"""By then everything has ended or is parked, once the faults are over."""
CALM = timedelta(seconds=LEASE_SECONDS + REQUEST_SECONDS + HANG_SECONDS)
"""After the last fault is taken away: until then an answer may be lost to it."""
Say = Callable[[str], None]


async def run(folder: Path, *, minutes: float, seed: int, disk: Disk, say: Say, mistake: str = "") -> Result:
    """Hurt a fresh system for about *minutes* and return what came of it.

    Args:
        folder: What the system writes goes below it and is removed at the end; after a violation its logs, and the
            stories behind it, stay in `kept`.
        minutes: How long faults go on; what follows is bounded too.
        seed: What is broken when.
        disk: What ingest's spool lies on.
        say: Told what happens.
        mistake: One of `planted.MISTAKES`, put into every replica, which the oracle must find; none where it is empty.
    """
    remove(folder / "kept")
    if mistake:
        say(f"planted in every replica: {mistake}")
    say(f"seed {seed}; starting servers, two replicas of each service and the sandbox; a full disk: {disk.words}")
    timeout = aiohttp.ClientTimeout(total=60)
    async with set_up(folder / "run", disk, mistake) as stage, aiohttp.ClientSession(timeout=timeout) as session:
        announce(stage.system.variables())
        environ = stage.system.environment()
        url = stage.system.url("sandbox")
        kept = Kept(stage.postgres.database_url(stage.system.database))
        tenants = [
            Tenant(session, url, f"faults-{number}", seed + number, kept=kept, api_version=version, deaf=deaf)
            for number, (version, deaf) in enumerate(ACCOUNTS, 1)
        ]
        canary = Tenant(session, url, "canary", seed, kept=kept)
        for number, tenant in enumerate([*tenants, canary]):
            await tenant.open(environ, stage.folder, settle_s=_SETTLE_SECONDS[number % 3])
        await canary.call("PUT", "/time", {"time_scale": REDELIVERY_SCALE})
        names = [tenant.account for tenant in tenants]
        messages = poison.drawn(seed, names, datetime.now(UTC))
        poisoner = Poisoner(messages, lambda: stage.rabbitmq.vhost_url(stage.system.vhost), kept)
        return await _Run(stage, tenants, canary, poisoner, minutes=minutes, seed=seed, say=say).whole()


class _Run:
    def __init__(
        self,
        stage: Stage,
        tenants: Sequence[Tenant],
        canary: Tenant,
        poisoner: Poisoner,
        *,
        minutes: float,
        seed: int,
        say: Say,
    ) -> None:
        self._stage = stage
        self._tenants = tenants
        self._canary = canary
        self._poisoner = poisoner
        self._parking = Parking()
        self._seed = seed
        self._seconds = minutes * 60
        self._say = say
        self._dice = random.Random(seed)
        self._injuries = Injuries(stage, tenants, seed)
        self._lives: set[asyncio.Task[None]] = set()
        self._troubles: list[Violation] = []
        self._recoveries: list[float] = []
        self._done: list[tuple[Fault, bool]] = []
        self._calm_since: datetime | None = None

    async def whole(self) -> Result:
        background = [asyncio.create_task(self._stage.supervise(self._say))]
        everyone = [*self._tenants, self._canary]
        background += [asyncio.create_task(tenant.watch()) for tenant in everyone]
        disturbing = [asyncio.create_task(tenant.disturb_webhooks()) for tenant in self._tenants]
        disturbing += [
            asyncio.create_task(tenant.accept_offers()) for tenant in self._tenants if tenant.api_version == "v1"
        ]
        disturbing.append(asyncio.create_task(self._people()))
        ending = [asyncio.create_task(self._rotates(tenant)) for tenant in self._tenants]
        ending.append(asyncio.create_task(self._poisoner.run(self._seconds)))
        try:
            await self._rounds()
            await _end(disturbing)
            await asyncio.wait(ending, timeout=60)
            settled, seen = await self._settle()
        finally:
            await _end([*disturbing, *ending, *self._lives, *background])
        violations = [*self._troubles, *(violation for one in seen for violation in oracle.check(one))]
        violations += oracle_of_poison.check(self._parking)
        if violations:
            await asyncio.to_thread(self._keep, violations, seen)
        return Result(
            seed=self._seed,
            faults=self._done,
            counts=[oracle.count(one) for one in seen],
            violations=violations,
            recovery_seconds=self._recoveries,
            settle_seconds=settled,
            killed=self._injuries.killed(),
            disk=self._stage.disk.words,
            unexpected=self._stage.unexpected,
            dead=sum(len(one.dead) + one.dead_signals for one in seen),
            poison_sent=len(self._parking.sent),
            poison_parked=oracle_of_poison.parked(self._parking),
        )

    def _keep(self, violations: Sequence[Violation], seen: Sequence[Seen]) -> None:
        """Write down the stories behind *violations* for whoever looks into them."""
        stories = {one.account: one.stories for one in seen}
        told = [
            {**one.as_json(), "story": stories.get(one.account, {}).get(one.application or 0, [])} for one in violations
        ]
        kept = self._stage.folder.parent / "kept"
        kept.mkdir()
        (kept / "violations.json").write_text(json.dumps(told, indent=1), "utf-8")
        for log in (*self._stage.folder.glob("*/*.log"), *self._stage.folder.glob("system/*.log")):
            shutil.copy(log, kept)
        self._say(f"{len(violations)} violations with their stories, and the logs, are in {kept}")

    async def _people(self) -> None:
        number = 0
        while True:
            number += 1
            life = asyncio.create_task(self._live(self._dice.choice(self._tenants), f"p{number}"))
            self._lives.add(life)
            life.add_done_callback(self._lives.discard)
            await asyncio.sleep(self._dice.uniform(0.5, 1.5) * PACE_SECONDS)

    async def _rotates(self, tenant: Tenant) -> None:
        """Change the webhook secret somewhere in the middle."""
        await asyncio.sleep(self._seconds * self._dice.uniform(0.3, 0.7))
        await tenant.rotate()

    async def _live(self, tenant: Tenant, name: str) -> None:
        try:
            await tenant.one_life(name)
        except RuntimeError as error:  # somebody was faster: the application is there, or rejected, already
            if ": 409" not in str(error) and ": 422" not in str(error) and ": 404" not in str(error):
                self._say(f"{tenant.account} {name}: {error}")

    async def _rounds(self) -> None:
        end = time.monotonic() + self._seconds
        plan = Plan(self._seed, longer_than_lease=LEASE_SECONDS)
        while time.monotonic() < end:
            faults = plan.next_round()
            words = "; ".join(map(str, faults))
            self._say(words)
            done = await self._injuries.suffer(faults)
            self._done += done
            for fault in (fault for fault, happened in done if not happened):
                self._say(f"  in vain: {fault}")
                if fault.failpoint:
                    plan.owe(fault)
            await self._recover(words)

    async def _recover(self, what: str) -> None:
        """Wait until all is ready and somebody who enters the stage now is invited."""
        begun = time.monotonic()
        while not await self._stage.ready():
            if time.monotonic() > begun + RECOVERY_SECONDS:
                return self._trouble(f"a replica is not ready {RECOVERY_SECONDS:.0f} s after: {what}")
            await asyncio.sleep(0.2)
        name = f"c{len(self._recoveries)}"
        application = await self._canary.applies(name)
        await self._canary.moves(application)
        while not await self._is_served(application):
            if time.monotonic() > begun + RECOVERY_SECONDS:
                return self._trouble(f"nobody is invited {RECOVERY_SECONDS:.0f} s after: {what}")
            await asyncio.sleep(0.3)
        self._recoveries.append(time.monotonic() - begun)
        self._say(f"  recovered after {self._recoveries[-1]:.1f} s")
        return None

    async def _is_served(self, application: int) -> bool:
        if any(application in invite["application_ids"] for invite in (await self._canary.effects())["invites"]):
            return True
        if self._dice.random() < 0.8:
            return False
        async with environment.clients() as clients:
            seen = await self._canary.look_at(clients, application)
        return any(step["outcome"] == "parked" for step in seen)

    def _trouble(self, text: str) -> None:
        self._say(text)
        self._recoveries.append(RECOVERY_SECONDS)
        self._troubles.append(Violation("progress", "", None, text))

    async def _settle(self) -> tuple[float, list[Seen]]:
        """Let people finish, take every fault away, and look until nothing is unfinished."""
        for tenant in self._tenants:
            await tenant.own("DELETE", "/faults")
            await tenant.own("DELETE", "/webhook_faults")
        self._say(f"the faults are over after {len(self._done)}; {len(self._lives)} people are still at it")
        if self._lives:
            await asyncio.wait(self._lives, timeout=60)
            await _end(list(self._lives))
        self._calm_since = datetime.now(UTC) + CALM
        for tenant in self._tenants:
            await tenant.by_hand.accept_offers()
        begun = time.monotonic()
        while True:
            seen = await self._look()
            left = [violation for one in seen for violation in oracle.unfinished(one)]
            left += oracle_of_poison.unfinished(self._parking)
            if not left:
                break
            if time.monotonic() > begun + SETTLE_SECONDS:
                break
            self._say(f"{len(left)} unfinished, such as {left[0].account} {left[0].application}: {left[0].text}")
            await asyncio.sleep(4)
        settled = time.monotonic() - begun
        await asyncio.sleep(5)  # whatever would come twice comes now
        return settled, await self._look(again=True)

    async def _look(self, *, again: bool = False) -> list[Seen]:
        untaken = await asyncio.to_thread(_untaken, self._stage)
        if untaken:
            self._say(f"{untaken} dead letters are in no list")
        everyone = [*self._tenants, self._canary]
        async with environment.clients() as clients:
            rows = await listed(clients, [tenant.account for tenant in everyone])
            self._parking = await self._poisoner.parking(rows)
            expected = self._parking.expected()
            parked = {
                account: [row for row in several if (row.service, row.id) not in expected]
                for account, several in rows.items()
            }
            return [
                await tenant.look(
                    clients,
                    untaken,
                    parked=parked[tenant.account] + parked[None],
                    calm_since=self._calm_since,
                    again=again,
                )
                for tenant in everyone
            ]


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def _untaken(stage: Stage) -> int:
    """Return how many dead letters lie in the broker, where no list shows them."""
    broker, vhost = stage.rabbitmq, quote(stage.system.vhost, safe="")
    queues = broker.call("GET", f"/api/queues/{vhost}?columns=name,messages")
    return sum(
        int(queue.get("messages") or 0)
        for queue in (queues if isinstance(queues, list) else [])
        if queue["name"].endswith(".dead")
    )
