"""Messages that no release can handle: what they look like, and which are sent when. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from faults.plan import SERVICES

KINDS: Final = ("unreadable", "unknown", "misfit", "misdirected")
"""Bytes that are not JSON; a type nobody knows; data that does not fit its type; a good message that is another service's."""
_EACH: Final = 2
"""Kinds that each service is sent in one run."""
_NOBODY: Final = 9_000_000
"""Candidates from here on are nobody's."""
_Draw = random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """One message that is to be parked.

    Attributes:
        service: Whose inbound queue it is put on.
        kind: One of `KINDS`.
        account: Whose it says it is; None where it cannot say.
        routing_key: Type and version under which it is published.
        body: Its bytes; no two are equal.
        at: When it is sent, as a part of the run from 0 to 1.
        copies: How often, as a message may come twice.
    """

    service: str
    kind: str
    account: str | None
    routing_key: str
    body: bytes = field(repr=False)
    at: float
    copies: int

    @property
    def queue(self) -> str:
        """The queue it is put on."""
        return f"{self.service}.inbound"

    def __str__(self) -> str:
        return f"message to {self.service} ({self.kind})"


def drawn(seed: int, accounts: Sequence[str], now: datetime) -> list[Poison]:
    """Return what is sent in a run, in order: two kinds to each service, and every kind to two services.

    Args:
        seed: The same seed, the same messages.
        accounts: Whose they may say they are.
        now: When they say they were written, aware.
    """
    dice = random.Random(f"{seed} poison")
    kinds = dice.sample(KINDS, len(KINDS))
    found = []
    for place, service in enumerate(dice.sample(SERVICES, len(SERVICES))):
        for further in range(_EACH):
            kind = kinds[(place + further) % len(kinds)]
            account = None if kind == "unreadable" else dice.choice(accounts)
            key, body = _MADE[kind](dice, service, account, now)
            at, copies = round(dice.uniform(0.05, 0.85), 3), dice.choice((1, 1, 2))
            found.append(
                Poison(service=service, kind=kind, account=account, routing_key=key, body=body, at=at, copies=copies)
            )
    return sorted(found, key=lambda one: one.at)


def _unreadable(dice: _Draw, service: str, account: str | None, now: datetime) -> tuple[str, bytes]:
    return "candidate.updated.v1", b"\xff{" + dice.randbytes(24)


def _unknown(dice: _Draw, service: str, account: str | None, now: datetime) -> tuple[str, bytes]:
    return "candidate.knighted.v1", _envelope(dice, "candidate.knighted", account, now, {})


def _misfit(dice: _Draw, service: str, account: str | None, now: datetime) -> tuple[str, bytes]:
    return "candidate.updated.v1", _envelope(dice, "candidate.updated", account, now, {"candidate_id": "nobody"})


def _misdirected(dice: _Draw, service: str, account: str | None, now: datetime) -> tuple[str, bytes]:
    """A fact that decodes, so that only the handler can refuse it, perhaps amid others that are good."""
    name, about = (
        ("application.deleted", "application_id") if service == "greenhouse-actions" else ("job.changed", "job_id")
    )
    return f"{name}.v1", _envelope(dice, name, account, now, {about: _NOBODY + dice.randrange(1000)})


_MADE: Final[dict[str, Callable[[_Draw, str, str | None, datetime], tuple[str, bytes]]]] = {
    "unreadable": _unreadable,
    "unknown": _unknown,
    "misfit": _misfit,
    "misdirected": _misdirected,
}


def _envelope(dice: _Draw, name: str, account: str | None, now: datetime, data: dict[str, object]) -> bytes:
    head = {
        "specversion": "1.0",
        "id": str(UUID(int=dice.getrandbits(128), version=4)),
        "source": "trellis/ingest",
        "type": name,
        "time": now.isoformat(),
        "dataschema": f"urn:trellis:schema:{name}:v1",
        "accountid": account,
        "correlationid": f"poison-{dice.getrandbits(32):08x}",
        "subject": f"candidate/{_NOBODY + dice.randrange(1000)}",
        "data": data,
    }
    return json.dumps(head).encode()
