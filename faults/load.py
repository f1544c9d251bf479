"""People and webhooks: candidates who apply, join, submit or vanish, recruiters who meddle, and who acts by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import asyncpg
from tools.demo.control import Sandbox, account_file, secrets_of, trellis

from faults.by_hand import ByHand
from faults.kept import Kept
from faults.oracle_of_standings import FIELD
from faults.seen import Act, Erased, Json, Seen
from trellis.cli import asking
from trellis.cli.environment import Clients
from trellis.cli.parking import Row
from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import PermanentError, TransientError
from trellis.common.runtime.keyring import Keyring

WATCHED = "Coding Assessment"
HANG_SECONDS = 6.0
"""How late the vendor carries out a call that hangs: later than the caller waits."""
REDELIVERY_SCALE = 600
"""A minute between two deliveries is a tenth of a second."""
_SETTINGS: dict[str, object] = {
    "verify.second_read_s": 1,
    "lookup.second_read_s": 2,
    "credential.retry_s": 1,
    "report.poll_schedule": [0.5, 1, 2, 4],
    "invite.poll_interval": 8,
    "reconcile.interval": 5,
    "reconcile.delay": 2,
    "rate.max_per_second": 50,
    "rate.concurrency": 8,
    "rate.share": 1.0,
    "rate.start_limit": 140,
    "standing.delay": 1,
}
_ENDINGS = (
    *("pass", "pass", "pass", "pass", "fail", "expire", "vanish"),
    *("moved", "rejected", "raced", "early", "regretted", "back"),
    *("sent", "withdrawn", "excused", "attached", "anonymised", "erased"),
)
_KNOWN_SECONDS = 2.5
"""After so long every replica knows of a new webhook secret; nobody types one into a form sooner."""
_TO_BE_ERASED = "quixotine-"
"""What the names begin with of whoever is erased, so that they can be looked for in the tables."""
_HOOK_FAULTS: tuple[Json, ...] = (
    {"kind": "duplicate", "copies": 2},
    {"kind": "duplicate", "copies": 1},
    {"kind": "delay", "seconds": 0.7},
    {"kind": "delay", "seconds": 3},
    {"kind": "reorder"},
    {"kind": "drop", "vendor": "coderbyte"},
    {"kind": "drop", "event": "candidate_rejected"},
)


class Tenant(Sandbox):
    """One account with its workflow, what its people did, and who they are.

    Args:
        session: For the sandbox.
        url: Of the sandbox.
        account: Its name.
        seed: Who does what.
        kept: What the database keeps of its people.
        api_version: Of Harvest, `v3` or `v1`.
        deaf: Whether none of Greenhouse's webhooks is sent for some seconds now and then.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        account: str,
        seed: int,
        *,
        kept: Kept,
        api_version: str = "v3",
        deaf: bool = False,
    ) -> None:
        super().__init__(session, url, account)
        self.made: Json = {}
        self.people: dict[str, int] = {}
        self.acts: list[Act] = []
        self.api_version = api_version
        self.by_hand = ByHand(account)
        self._kept = kept
        self._deaf = deaf
        self._candidates: dict[int, int] = {}
        self._erased: dict[int, Erased] = {}
        self._rotated_at: datetime | None = None
        self._endings: list[str] = []
        self._sending = asyncio.Lock()
        """Held while no webhook is sent, and by whoever does what only a webhook tells."""
        self.hung: set[str] = set()
        """Effects that a vendor was told to carry out late."""
        self._settle = timedelta()
        self._dice = random.Random(seed)
        self._effects: Json = {"invites": [], "notes": [], "moves": []}

    async def open(self, environ: dict[str, str], folder: Path, *, settle_s: float) -> None:
        """Create the account, apply its file and connect the webhooks."""
        self._settle = timedelta(seconds=settle_s)
        switches = {"rate.limit": 5000, "hook.event_id_on_retry": self._dice.choice(("same", "new"))}
        self.made = await self.create(switches=switches)
        told = {**environ, **secrets_of(self.made)}
        file = folder / f"{self.account}.yaml"
        version = self.api_version
        file.write_text(account_file(self.made, self.account, settle_s=settle_s, settings=_SETTINGS, version=version))
        await trellis("apply", "-f", str(file), environ=told)
        await self._shows_standings()
        await self.connect(json.loads(await trellis("endpoints", "--account", self.account, "--json", environ=told)))

    async def _shows_standings(self) -> None:
        """Let the credential update applications, which have a field for how they stand."""
        if self.api_version == "v1":
            await self.person("grant_permission", permission="applications.update")
        else:
            await self.person("grant_scope", scope="applications:update")
        await self.person("define_field", key=FIELD)

    def stage(self, name: str) -> int:
        """Return the id of the stage called *name*."""
        return next(int(one["id"]) for one in self.made["greenhouse"]["jobs"][0]["stages"] if one["name"] == name)

    async def applies(self, name: str) -> int:
        """Let somebody apply; the address is NAME@ACCOUNT.example."""
        email = f"{name}@{self.account}.example"
        fields = {"first_name": name, "last_name": "Fault", "emails": [email], "stage": "Recruiter Call"}
        made = await self._does("apply", **fields)
        application = int(made["application_id"])
        self.people[email] = application
        self._candidates[application] = int(made["candidate_id"])
        return application

    async def moves(self, application: int, stage: str = WATCHED, *, silent: bool = False) -> None:
        """Let a recruiter move the application."""
        await self._does("move", application_id=application, stage=stage, silent=silent)
        self.acts.append(Act(datetime.now(UTC), application, stage != WATCHED))

    async def rejects(self, application: int, *, silent: bool = False) -> None:
        """Let a recruiter reject it."""
        await self._does("reject", application_id=application, silent=silent)
        self.acts.append(Act(datetime.now(UTC), application, True))

    async def unrejects(self, application: int) -> None:
        """Let a recruiter take a rejection back, which leaves it in the watched stage."""
        await self._does("unreject", application_id=application)
        self.acts.append(Act(datetime.now(UTC), application, False))

    async def one_life(self, name: str) -> None:
        """Let somebody apply, enter the stage and go one of the ways people go."""
        dice = self._dice
        ending = self._next_ending()
        if ending in {"anonymised", "erased"}:
            name = _TO_BE_ERASED + name
        application = await self.applies(name)
        email = f"{name}@{self.account}.example"
        await asyncio.sleep(dice.uniform(0, 1))
        await self.moves(application)
        if ending == "sent":
            await self.by_hand.order(application, "send")
        if ending == "early":
            await asyncio.sleep(dice.uniform(0, 2))
            await self._meddles(application)
            return
        if ending == "regretted":
            await asyncio.sleep(dice.uniform(0, 1))
            await self.rejects(application)
            await asyncio.sleep(dice.uniform(0, 4))
            await self.unrejects(application)
        if not await self._mailed(email) or ending == "vanish":
            return
        await asyncio.sleep(dice.uniform(0, 2))
        if ending in {"withdrawn", "excused"}:
            await self.by_hand.order(application, "withdraw" if ending == "withdrawn" else "excuse")
        if ending == "attached":
            await self._takes_it_under_another_address(name, application)
            return
        if ending in {"anonymised", "erased"}:
            await self._is_erased(email, application, by_hand=ending == "erased")
        if ending in {"moved", "rejected"}:
            await self._meddles(application)
            await asyncio.sleep(dice.uniform(0, 15))
        if dice.random() < 0.7:
            await self._does("join", email=email)
            await asyncio.sleep(dice.uniform(0, 1))
        if ending == "expire":
            await self._does("expire", email=email)
            return
        score = dice.randint(5, 60) if ending == "fail" else dice.randint(75, 100)
        await self._does("submit", email=email, final_score=score, not_ready_reads=dice.choice((0, 0, 0, 2)))
        if ending == "raced":
            await asyncio.sleep(dice.uniform(0, 1.5))
            await self._meddles(application)
        elif ending == "back":
            await asyncio.sleep(12)
            await self.moves(application, "Onsite", silent=dice.random() < 0.3)
            await asyncio.sleep(13)
            await self.moves(application)

    async def disturb_webhooks(self) -> None:
        """Spoil webhooks now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._dice.uniform(0.5, 2))
            if self._deaf and self._dice.random() < 0.2:
                await self._sends_nothing(self._dice.uniform(5, 10))
            fault = self._dice.choice(_HOOK_FAULTS)
            await self.own("PUT", "/webhook_faults", [fault])
            if self._dice.random() < 0.2:
                again = {"account": self.account, "event_id": self._dice.choice(("same", "new"))}
                with contextlib.suppress(RuntimeError):  # nothing was sent yet
                    await self.call("POST", "/resend_webhook", again)

    async def accept_offers(self) -> None:
        """Say yes to what is found late, until cancelled."""
        while True:
            await asyncio.sleep(self._dice.uniform(2, 5))
            await self.by_hand.accept_offers()

    async def rotate(self) -> None:
        """Have a new webhook secret made beside the old one, and type it into Greenhouse's forms."""
        secret = await self.by_hand.rotate()
        if secret is not None:
            await asyncio.sleep(_KNOWN_SECONDS + self._dice.uniform(0, 5))
            await self._does("rotate_webhook_secret", secret=secret)
            self._rotated_at = datetime.now(UTC)

    async def watch(self) -> None:
        """Keep what the vendors saw at hand, until cancelled."""
        while True:
            self._effects = await self.effects()
            await asyncio.sleep(1)

    async def look(
        self,
        clients: Clients,
        untaken: int,
        *,
        parked: Sequence[Row] = (),
        calm_since: datetime | None = None,
        again: bool = False,
    ) -> Seen:
        """Return this account as it is seen from outside now.

        Args:
            clients: Of the services.
            untaken: Dead letters in the broker.
            parked: Messages in the lists that were to be handled.
            calm_since: From when on nothing fails any more.
            again: Whether every story is decided again.
        """
        effects = await self.effects()
        effects["invites"] = [invite for invite in effects["invites"] if invite["mailed"]]
        owners = {candidate: application for application, candidate in self._candidates.items()}
        for note in effects["notes"]:  # one that came through v1 names its candidate only
            note["application_id"] = note["application_id"] or owners.get(note["candidate_id"])
        told = await self.own("GET", "/applications")
        return Seen(
            account=self.account,
            watched_stage=self.stage(WATCHED),
            settle=self._settle,
            service_user=int(self.made["greenhouse"]["service_user_id"]),
            people=dict(self.people),
            acts=list(self.acts),
            deliveries=await self.own("GET", "/deliveries?bodies=1"),
            effects=effects,
            stories={application: await self.look_at(clients, application) for application in self.people.values()},
            dead=frozenset(row.application_id for row in parked if row.application_id is not None),
            dead_signals=sum(row.application_id is None for row in parked),
            untaken=untaken,
            redecided={one: await self._redecided(clients, one) for one in self.people.values()} if again else {},
            standings={one["application_id"]: (one["status"], one["stage_id"]) for one in told},
            orders=list(self.by_hand.orders),
            erased=await self._all_erased(again=again),
            calm_since=calm_since,
            api_version=self.api_version,
            rotated_at=self._rotated_at,
            delays={effect: timedelta(seconds=HANG_SECONDS) for effect in self.hung},
        )

    async def look_at(self, clients: Clients, application: int) -> list[Json]:
        """Return what `trellis why --json` prints; the same code, without a process for each."""
        for _ in range(30):
            try:
                steps: list[Json] = (await asking.why(clients, application, self.account))["steps"]
                if not any(step["text"].endswith("what it knows is missing here") for step in steps):
                    return steps
            except PermanentError as error:
                if "404" in str(error) or "nothing is known" in str(error):
                    return []
                raise
            except TransientError:
                pass
            await asyncio.sleep(1)
        raise RuntimeError(f"the story of application {application} cannot be had")

    async def _redecided(self, clients: Clients, application: int) -> int:
        return len((await asking.redecide(clients, application, self.account))["differences"])

    def _next_ending(self) -> str:
        """Return how the next life ends; each way is gone before one comes again."""
        if not self._endings:
            self._endings = self._dice.sample(_ENDINGS, len(_ENDINGS))
        return self._endings.pop()

    async def _sends_nothing(self, seconds: float) -> None:
        async with self._sending:
            await self.own("PUT", "/webhook_faults", [{"kind": "drop", "vendor": "greenhouse", "count": 0}])
            await asyncio.sleep(seconds)

    async def _takes_it_under_another_address(self, name: str, application: int) -> None:
        """Submit from another address, and have somebody say whose result it is."""
        other = f"{name}.at.home@{self.account}.example"
        await self._does("join", email=other, public=True)
        await self._does("submit", email=other, final_score=88)
        address_hash = keyring().address_hash(AccountId(self.account), other)
        for _ in range(60):
            with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
                if (signal := await self._kept.signal_of(self.account, address_hash)) is not None:
                    test = self.made["coderbyte"]["assessments"][0]["test_id"]
                    await self.by_hand.order(application, "attach", assessment=test, signal=signal)
                    return
            await asyncio.sleep(1)

    async def _is_erased(self, email: str, application: int, *, by_hand: bool) -> None:
        candidate = self._candidates[application]
        if by_hand:
            at = await self.by_hand.erase(candidate)
        else:
            async with self._sending:
                await self.own("DELETE", "/webhook_faults")
                await self._does("anonymize", candidate_id=candidate)
            at = datetime.now(UTC)
            self.acts.append(Act(at, application, True))
        if at is not None:
            self._erased[application] = Erased(at=at, by_hand=by_hand)

    async def _all_erased(self, *, again: bool) -> dict[int, Erased]:
        """Return every erasure with what is kept; with *again* all tables are searched for names and addresses."""
        found = {}
        emails = {application: email for email, application in self.people.items()}
        mentions = await self._kept.mentions([emails[one] for one in self._erased]) if again and self._erased else {}
        for application, erased in self._erased.items():
            email, candidate = emails[application], self._candidates[application]
            address_hash = keyring().address_hash(AccountId(self.account), email)
            kept = await self._kept.of_person(self.account, application, candidate, address_hash)
            kept += [f"the address in {table}" for table in mentions.get(email, ())]
            found[application] = replace(erased, kept=kept)
        return found

    async def _meddles(self, application: int) -> None:
        silent = self._dice.random() < 0.4
        if self._dice.random() < 0.5:
            await self.rejects(application, silent=silent)
        else:
            await self.moves(application, self._dice.choice(("Onsite", "Recruiter Call")), silent=silent)

    async def _mailed(self, email: str) -> bool:
        for _ in range(90):
            if any(invite["email"] == email and invite["mailed"] for invite in self._effects["invites"]):
                return True
            await asyncio.sleep(1)
        return False

    async def _does(self, verb: str, **fields: object) -> Json:
        done: Json = await self.own("POST", f"/people/{verb}?wait=0", fields)
        return done


def keyring() -> Keyring:
    """Return the installation's keys, by which an address is matched."""
    return Keyring.load(Path(os.environ["TRELLIS_KEYRING_FILE"]))


def announce(variables: dict[str, str]) -> None:
    """Let the command's own code in this process find the services."""
    os.environ.update({name: value for name, value in variables.items() if name.startswith("TRELLIS_")})
