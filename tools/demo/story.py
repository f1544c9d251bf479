"""The story: seven people, what happens to each, and what must have come of it."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.demo.control import Sandbox, account_file, secrets_of, trellis, why

ACCOUNT = "northwind"
SETTINGS: dict[str, object] = {
    "verify.second_read_s": 1,
    "credential.retry_s": 2,
    "report.poll_schedule": [0.5, 1, 2],
    "rate.max_per_second": 20,
    "rate.share": 1.0,
    "rate.start_limit": 100,
    "standing.delay": 1,
}
"""Shorter waits than in earnest, so that the story fits into a minute."""
PATIENCE_SECONDS = 60.0
Say = Callable[[str], None]


@dataclass(slots=True)
class Person:
    """One candidate of the story and what must have come of the application; *shows* is what recruiters see begin with."""

    name: str
    story: str
    invites: int
    notes: int = 0
    moves: int = 0
    held: int = 0
    parked: int = 0
    shows: str = ""
    application: int = 0
    candidate: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def email(self) -> str:
        """The address the person is invited at."""
        return f"{self.name.lower()}@mail.example"


CAST = (
    Person("Odessa", "passes: noted and moved on", invites=1, notes=1, moves=1),
    Person("Bram", "fails: noted, not moved", invites=1, notes=1, shows="Assessment finished"),
    Person("Chiara", "the report shows cheating: held for a person", invites=1, held=1, shows="Waiting for a person"),
    Person("Dmitri", "has no e-mail address: parked with the reason", invites=0, parked=1, shows="Problem"),
    Person("Esi", "a recruiter moved her by hand first: hands off", invites=1),
    Person("Femi", "his webhook came three times: one mail, and passes", invites=1, notes=1, moves=1),
    Person("Gita", "the invite's answer was lost: held, then settled by her report", invites=1, notes=1, moves=1),
)


class Story:
    """Plays the story on the system whose addresses are in the environment."""

    def __init__(self, sandbox: Sandbox, say: Say) -> None:
        self._sandbox = sandbox
        self._say = say
        self.cast = {person.name: person for person in CAST}
        self._environ: dict[str, str] = {}
        self.started = time.monotonic()

    async def play(self) -> None:
        """Play all of it; returns when everybody is where the story ends or patience is over."""
        await self._connect()
        await self._enter()
        await self._take_tests()
        await self._settle()

    async def _connect(self) -> None:
        made = await self._sandbox.create()
        await self._sandbox.person("grant_scope", scope="applications:update")
        await self._sandbox.person("define_field", key="trellis_standing")
        self._environ = secrets_of(made)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trellis.yaml"
            file.write_text(account_file(made, ACCOUNT, settle_s=0.5, settings=SETTINGS))
            await trellis("apply", "-f", str(file), environ=self._environ)
        endpoints = json.loads(await trellis("endpoints", "--account", ACCOUNT, "--json"))
        await self._sandbox.connect(endpoints)
        self._say("connected Greenhouse and Coderbyte (both sandboxes) and published workflow engineering v1")

    async def _enter(self) -> None:
        for person in self.cast.values():
            emails = [] if person.name == "Dmitri" else [person.email]
            made = await self._sandbox.person("apply", first_name=person.name, last_name="Demo", emails=emails)
            person.application, person.candidate = made["application_id"], made["candidate_id"]
        await self._move("Odessa", "Bram", "Chiara", "Dmitri", "Esi")
        await self._sandbox.webhook_fault("duplicate", event="candidate_stage_change", copies=2)
        await self._move("Femi")
        self._say("Femi's webhook was delivered three times")
        await self._until("everybody with an address has one invite", self._invited(6 - 1))
        await self._sandbox.fault("invite", "cut_after")
        await self._move("Gita")
        await self._until("Gita's invite went out, its answer was lost", self._invited(6))
        await self._until("Gita's invite is held: nobody can tell, so nobody guesses", self._shows("Gita", "parked"))
        await self._until("Dmitri is parked: no e-mail address", self._shows("Dmitri", "parked"))

    async def _move(self, *names: str) -> None:
        for name in names:
            await self._sandbox.person("move", application_id=self.cast[name].application, stage="Coding Assessment")
            self._say(f"{name} entered Coding Assessment")

    async def _take_tests(self) -> None:
        # Its webhook is lost: only the reading before each write can know of it.
        await self._sandbox.person("move", application_id=self.cast["Esi"].application, stage="Onsite", silent=True)
        self._say("a recruiter moved Esi to Onsite by hand, and the webhook was lost")
        results: dict[str, dict[str, object]] = {
            "Odessa": {"final_score": 91},
            "Bram": {"final_score": 38},
            "Chiara": {"final_score": 97, "cheating_flag": "Detected"},
            "Esi": {"final_score": 88},
            "Femi": {"final_score": 74},
            "Gita": {"final_score": 82},
        }
        for name, scores in results.items():
            await self._sandbox.person("submit", email=self.cast[name].email, **scores)
            self._say(f"{name} handed the test in")

    async def _settle(self) -> None:
        await self._until("notes are written", self._seen("notes", 4))
        await self._until("those who passed are moved on", self._moved(3))
        await self._until("Chiara is held for a person", self._is_held("Chiara"))
        await self._until("Esi is left alone: the recruiter wins", self._shows("Esi", "superseded"))
        await self._until("recruiters see in Greenhouse who needs them", self._is_shown)
        await asyncio.sleep(3.0)  # a second effect would show by now
        for person in self.cast.values():
            person.steps = await why(person.application, ACCOUNT)

    async def _until(self, what: str, check: Callable[[], Awaitable[bool]]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not await check():
            if time.monotonic() > end:
                self._say(f"WAITED IN VAIN: {what}")
                return
            await asyncio.sleep(0.2)
        self._say(what)

    def _invited(self, count: int) -> Callable[[], Awaitable[bool]]:
        return self._seen("invites", count)

    def _seen(self, effect: str, count: int) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            return len((await self._sandbox.effects())[effect]) >= count

        return check

    def _moved(self, count: int) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            moves = (await self._sandbox.effects())["moves"]
            return len([move for move in moves if move["by"] == "api"]) >= count

        return check

    def _shows(self, name: str, outcome: str) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            steps = await _steps(self.cast[name].application)
            return any(step["kind"] == "outcome" and step["outcome"] == outcome for step in steps)

        return check

    def _is_held(self, name: str) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            return held_of(await _steps(self.cast[name].application)) > 0

        return check

    async def _is_shown(self) -> bool:
        shown = await self.shown()
        return all(_fits(shown.get(person.application, ""), person) for person in self.cast.values())

    async def shown(self) -> dict[int, str]:
        """Return what the custom field of each application says in the sandbox."""
        return {field["application_id"]: field["value"] for field in (await self._sandbox.effects())["fields"]}

    async def counts(self) -> dict[str, int | float]:
        """Return the story in numbers: effects as the sandbox saw them, held and parked as `trellis why` tells."""
        effects = await self._sandbox.effects()
        moves = [move for move in effects["moves"] if move["by"] == "api"]
        invited = Counter((item["email"], item["assessment_id"]) for item in effects["invites"] if item["mailed"])
        noted = Counter(item["body"].rstrip().rsplit("\n", 1)[-1] for item in effects["notes"])
        moved = Counter(move["application_id"] for move in moves)
        people = self.cast.values()
        return {
            "applications": len(self.cast),
            "invites_sent": sum(invited.values()),
            "notes": len(effects["notes"]),
            "moves": len(moves),
            "held": sum(held_of(person.steps) for person in people),
            "parked": sum(parked_of(person.steps) for person in people),
            "duplicate_effects": sum(count - 1 for counted in (invited, noted, moved) for count in counted.values()),
            "lost": sum(not _entered(person.steps) for person in people),
            "seconds": round(time.monotonic() - self.started, 1),
        }

    async def faults(self) -> list[str]:
        """Return whatever did not come out as it must; empty when all is well."""
        effects, shown = await self._sandbox.effects(), await self.shown()
        found = []
        for person in self.cast.values():
            seen = {
                "invites": sum(item["email"] == person.email for item in effects["invites"]),
                "notes": sum(item["application_id"] == person.application for item in effects["notes"]),
                "moves": sum(
                    item["application_id"] == person.application and item["by"] == "api" for item in effects["moves"]
                ),
                "held": held_of(person.steps),
                "parked": parked_of(person.steps),
            }
            for what, count in seen.items():
                wanted = getattr(person, what)
                if count != wanted:
                    found.append(f"{person.name}: {count} {what}, not {wanted}")
            if not _fits(shown.get(person.application, ""), person):
                found.append(
                    f"{person.name}: Greenhouse shows {shown.get(person.application, '')!r}, not {person.shows!r}"
                )
        return found


def _fits(shown: str, person: Person) -> bool:
    return shown.startswith(person.shows) and bool(shown) == bool(person.shows)


async def _steps(application: int) -> list[dict[str, Any]]:
    """The story so far; empty while nothing is known of the application yet."""
    try:
        return await why(application, ACCOUNT)
    except RuntimeError:
        return []


def held_of(steps: list[dict[str, Any]]) -> int:
    """How many approvals are asked for and not given."""
    return sum(step["kind"] == "decision" and bool(step.get("held")) and step["outcome"] == "waiting" for step in steps)


def parked_of(steps: list[dict[str, Any]]) -> int:
    """How many effects are parked."""
    return sum(step["kind"] == "outcome" and step["outcome"] == "parked" for step in steps)


def _entered(steps: list[dict[str, Any]]) -> bool:
    return any(step["kind"] == "fact" and "Coding Assessment" in step["text"] for step in steps)


def sandbox_url() -> str:
    """Return the address of the sandbox from the environment."""
    return os.environ["TRELLIS_SANDBOX_URL"]
