"""One account as it is seen from outside: what entered, what the vendors saw, what people did. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Json = dict[str, Any]
_ASKED = {
    "send": "a person asked to send an invite",
    "withdraw": "a person asked to withdraw the invite",
    "excuse": "a person asked to excuse it",
    "attach": "a person asked to attach an unmatched result",
}
ORDERS = tuple(_ASKED)
"""What a person may order by hand."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something a person did to an application, which ended or began a stay; *at* by the vendor's clock."""

    at: datetime
    application: int
    out: bool
    """Whether Trellis has nothing to do there any more: moved elsewhere, rejected."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Orders of one kind that a person gave about an application, and that the API took.

    Attributes:
        application: About which.
        word: `send`, `withdraw`, `excuse` or `attach`.
        count: How often it was said that it is ordered.
    """

    application: int
    word: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """A person of whom nothing is to be kept.

    Attributes:
        at: When it was ordered, or the person was anonymised in Greenhouse.
        by_hand: Whether it was ordered by the command.
        kept: Where something readable of the person is.
    """

    at: datetime
    by_hand: bool
    kept: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One account as seen from outside.

    Attributes:
        account: Its name; the addresses of its people end in `@NAME.example`.
        watched_stage: Id of the stage whose entry invites.
        settle: How long after an entry it counts.
        service_user: Who its notes must be from.
        people: Address -> application.
        acts: What its people did, also where the webhook was lost.
        deliveries: The sandbox's log with bodies.
        effects: What the sandbox saw.
        stories: Application -> the steps of its story.
        dead: Applications of which a message that could not be handled is parked.
        dead_signals: Parked messages that name no application.
        untaken: Dead letters that are still in the broker, where no list shows them.
        redecided: Application -> how many of its decisions come out otherwise when they are decided again.
        standings: Application -> status and stage in Greenhouse, where what recruiters see is judged.
        orders: What a person ordered by hand.
        erased: Application -> the erasure of its person.
        calm_since: From when on nothing fails any more.
        api_version: Of Harvest, `v3` or `v1`.
        rotated_at: When a new webhook secret was typed into Greenhouse.
        delays: Effect -> longest time by which the vendor itself carried it out late, for `invite`, `note`, `move`.
    """

    account: str
    watched_stage: int
    service_user: int
    people: Mapping[str, int]
    acts: Sequence[Act]
    deliveries: Sequence[Json]
    effects: Json
    stories: Mapping[int, Sequence[Json]]
    dead: frozenset[int] = frozenset()
    dead_signals: int = 0
    untaken: int = 0
    redecided: Mapping[int, int] = field(default_factory=dict)
    settle: timedelta = timedelta()
    delays: Mapping[str, timedelta] = field(default_factory=dict)
    standings: Mapping[int, tuple[str, int | None]] = field(default_factory=dict)
    orders: Sequence[Ordered] = ()
    erased: Mapping[int, Erased] = field(default_factory=dict)
    calm_since: datetime | None = None
    api_version: str = "v3"
    rotated_at: datetime | None = None


def effects_of(seen: Seen) -> Iterator[tuple[str, int, datetime]]:
    """Return kind, application and time of every effect of ours."""
    for invite in mailed(seen):
        if invite["email"] in seen.people:
            yield "invite", seen.people[invite["email"]], moment(invite["at"])
    for note in seen.effects["notes"]:
        yield "note", note["application_id"], moment(note["at"])
    for move in own_moves(seen):
        yield "move", move["application_id"], moment(move["at"])


def entries_of(seen: Seen, application: int) -> list[datetime]:
    """Return when *application* entered the watched stage."""
    moves = by_application(seen.effects["moves"]).get(application, [])
    return [moment(move["at"]) for move in moves if move["to_stage_id"] == seen.watched_stage]


def acts_of(seen: Seen, application: int) -> list[Act]:
    """Return what people did to *application*, in order."""
    return sorted((act for act in seen.acts if act.application == application), key=lambda act: act.at)


def orders_of(seen: Seen, application: int) -> set[str]:
    """Return what a person ordered of *application* by hand."""
    return {order.word for order in seen.orders if order.application == application}


def asked(story: Sequence[Json], word: str) -> list[Json]:
    """Return the steps of *story* that tell of a person's order, refused ones too."""
    return [step for step in story if step["kind"] == "fact" and step["text"].startswith(_ASKED[word])]


def mailed(seen: Seen) -> list[Json]:
    """Return the invites that reached somebody."""
    return [invite for invite in seen.effects["invites"] if invite["mailed"]]


def own_moves(seen: Seen) -> list[Json]:
    """Return the moves that Trellis made."""
    return [move for move in seen.effects["moves"] if move["by"] == "api"]


def by_application(moves: Iterable[Json]) -> dict[int, list[Json]]:
    """Return *moves* by application, in their order."""
    found: dict[int, list[Json]] = {}
    for move in moves:
        found.setdefault(move["application_id"], []).append(move)
    return found


def texts(value: object) -> Iterator[str]:
    """Yield every text within *value*."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def parsed(body: object) -> Json:
    """The body's object; a Coderbyte webhook may be anything."""
    found = json.loads(body) if isinstance(body, str) and body.startswith("{") else {}
    return found if isinstance(found, dict) else {}


def moment(text: str) -> datetime:
    """Return the moment that *text* names."""
    return datetime.fromisoformat(text)
