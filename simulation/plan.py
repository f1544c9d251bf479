"""What a history is to bring: who applies, what people do, what fails. Drawn from a seed, and cut to shrink it.

What is decided request by request (losses, delays, which callback runs next) is drawn while it is played;
`without` leaves kinds of that out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

REVIEW, CODING, AFTER_CODING = "Application Review", "Coding Assessment", "Onsite"
ACCOUNTS = ("acme", "globex")
SERVICES = ("ingest", "workflow", "assessments", "greenhouse-actions")
RECONCILED = 0.4
"""Part of the histories in which the reconciler runs: there is more to do in them."""
BY_HAND = 0.3
"""Part of the histories in which a person acts by hand; drawn apart, so that the others stay as they were."""
REVIEWS = 0.3
"""Part of the histories in which a reviewer changes a score while it is read; likewise."""
REFUSES = 0.25
"""Part of the histories in which vendors refuse some writes until a person mends something; likewise."""
SLIPS = 0.5
"""Part of the histories with a reconciler in which a rejection is taken back at once; likewise."""
AWAY = 0.4
"""Part of the histories in which a vendor does not answer for a while."""
ERASES = 0.2
"""Part of the histories in which people are erased at awkward moments; likewise."""
BEHIND_SECONDS = 6.0
"""How late, at most, a change is shown in Greenhouse's lists."""
ACT_WITHIN_SECONDS = 15.0
"""How old an entry that no webhook told may be to be acted upon without a person's yes."""
THROUGH_V1 = 0.25
"""Part of the histories in which one account is connected through Harvest v1; in half of them it moves to v3."""
RESTORED = 0.12
"""Part of the histories in which the databases are put back to a backup; likewise."""
RESTORED_BELOW, RESTORED_FROM = 2500, 2 * 10**9
"""Only seeds outside of these have such histories: one in some hundred of them ends in what is not judged yet."""
TAGS = 0.2
"""Part of the histories in which recruiters keep Trellis off people by a tag; likewise."""
REUSES = 0.2
"""Part of the histories in which people apply again and recent results are reused; likewise."""
REUSED_SECONDS = (60.0, 2000.0)
"""How old a result may be to be reused: now and then too old, and never."""
POISONS = 0.12
"""Part of the histories in which messages come that cannot be handled; likewise."""
LARGE = 0.06
"""Part of the histories that are large."""
LEAST_MESSAGES = 20
"""People act until so many messages were under way."""

_ACTS = (
    *("move", "move", "move", "back", "back", "reject", "reject", "address", "note", "edit"),
    *("hire", "merge", "anonymize", "delete application", "delete candidate", "job", "stage"),
)
_COMMON = len(_ACTS) - 7
_OUTAGES = ("crash", "database away", "broker away", "connections cut", "credential rejected", "sees nothing")
_ORDERS = ("brake", "order")
CUTTABLE = (
    *("frozen", "clock off", "slow question", "late write", "slow", "out of order"),
    *("commit cut", "deadlock", "publish lost", "confirm lost", "webhook lost", "webhook doubled", "webhook late"),
    *("question failed", "call failed", "budget used up"),
    *("write refused", "write 429", "write lost", "answer lost", "500 after"),
    *("candidate leaves", "review", "yes"),
)
"""Kinds of what is drawn while a history is played."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """What a person does with an application, so long after what was done before."""

    after: float
    kind: str
    stage: str = ""


@dataclass(frozen=True, kw_only=True)
class Life:
    """One application: when it comes, into which stage, and what is done with it."""

    account: str
    at: float
    stage: str
    acts: tuple[Act, ...]


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One process of a service that is started again whenever it dies; *deaths* in so many steps each."""

    service: str
    deaths: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Outage:
    """Something fails, or a person at the console acts, so long after the beginning."""

    at: float
    kind: str
    target: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One history.

    Attributes:
        seed: Of what is drawn while it is played.
        faulty_seconds: How long people and faults act.
        lists_pending: Coderbyte lists pending invites, so that Trellis may send an invite in doubt again.
        sluggish: The vendors are slow.
        reconciles: Greenhouse is compared with the log, and some of its webhooks never come.
        erases: People are erased by hand, after merges and while invites are made ready.
        slips: A rejection is taken back at once, and only the first webhook of it comes, late.
        refuses: Vendors refuse some writes, which wait for a person then.
        reviews: A reviewer changes scores while Trellis reads them.
        by_hand: Candidates take the test uninvited, and a person acts on single applications by hand.
        through_v1: The account that is connected through Harvest v1; None is none.
        to_v3_at: When it moves to v3, if it does not at the first lost answer; None is never.
        backup_at: When the databases are backed up that are put back later; None is never.
        tags: Recruiters keep Trellis off people by a tag.
        poisons: Messages come that cannot be handled, and a person sees to what is parked of them.
        reuse_seconds: How old a result may be to be taken instead of an invite; None takes none, and nobody applies again.
        behind_seconds: How late Greenhouse's lists show a change.
        least_messages: People act a little more until so many messages were under way.
        without: Kinds of `CUTTABLE` that do not happen.
    """

    seed: int
    faulty_seconds: float
    lists_pending: bool
    sluggish: bool
    settle_seconds: int
    replicas: tuple[Replica, ...]
    lives: tuple[Life, ...]
    outages: tuple[Outage, ...]
    reconciles: bool = False
    by_hand: bool = False
    erases: bool = False
    through_v1: str | None = None
    to_v3_at: float | None = None
    backup_at: float | None = None
    tags: bool = False
    poisons: bool = False
    reuse_seconds: float | None = None
    reviews: bool = False
    slips: bool = False
    refuses: bool = False
    behind_seconds: float = 0.0
    least_messages: int = LEAST_MESSAGES
    without: frozenset[str] = frozenset()


def draw_plan(seed: int) -> Plan:
    """Return the history of *seed*."""
    draw = _apart(seed, "plan")
    is_large, reconciles = draw.random() < LARGE, draw.random() < RECONCILED
    faulty_seconds = 150.0 if is_large else 50.0 + draw.random() * 80.0
    plan = Plan(
        seed=seed,
        faulty_seconds=faulty_seconds,
        lists_pending=draw.random() < 0.3,
        sluggish=draw.random() < 0.3,
        settle_seconds=draw.choice((0, 0, 4)),
        replicas=tuple(_replicas(draw, is_large)),
        lives=tuple(
            _life(draw, account, faulty_seconds)
            for account in ACCOUNTS
            for _ in range(draw.choice((2, 2, 3) if is_large else (1, 1, 1, 1, 2)))
        ),
        outages=tuple(_outages(draw, faulty_seconds, reconciles=reconciles)),
        reconciles=reconciles,
        by_hand=_apart(seed, "by hand").random() < BY_HAND,
        erases=_apart(seed, "erases").random() < ERASES,
        slips=reconciles and _apart(seed, "slips").random() < SLIPS,
        refuses=_apart(seed, "refuses").random() < REFUSES,
        reviews=_apart(seed, "reviews").random() < REVIEWS,
        behind_seconds=draw.choice((0.0, BEHIND_SECONDS / 2, BEHIND_SECONDS)),
    )
    back = _apart(seed, "restored")
    is_known = not RESTORED_BELOW <= seed < RESTORED_FROM
    if (
        is_known and back.random() < RESTORED
    ):  # what a restore forgot is found by comparing; orders by hand are forgotten
        plan = replace(plan, backup_at=(0.1 + 0.85 * back.random()) * faulty_seconds, reconciles=True, by_hand=False)
    old = _apart(seed, "v1")
    if old.random() < THROUGH_V1:
        to_v3_at = old.choice((None, (0.2 + 0.7 * old.random()) * faulty_seconds))
        plan = replace(plan, through_v1=old.choice(ACCOUNTS), to_v3_at=to_v3_at)
    again = _apart(seed, "reuses")
    return replace(
        plan,
        outages=(*plan.outages, *_vendors_away(seed, plan.lives)),
        tags=_apart(seed, "tags").random() < TAGS,
        poisons=plan.backup_at is None and _apart(seed, "poisons").random() < POISONS,
        reuse_seconds=again.choice(REUSED_SECONDS) if again.random() < REUSES else None,
    )


def _apart(seed: int, what: str) -> random.Random:
    """Return what decides of *what* alone, so that all else of a history is as without."""
    return random.Random(f"{seed} {what}")  # noqa: S311 - a seed is what makes a history repeatable


def _replicas(draw: random.Random, is_large: bool) -> list[Replica]:
    replicas = []
    for service in SERVICES:
        for _ in range(draw.choice((1, 2) if is_large else (1, 1, 2))):
            deaths = [draw.randrange(5, 250) for _ in range(draw.choice((0, 1, 1, 2, 3) if is_large else (0, 1)))]
            replicas.append(Replica(service=service, deaths=tuple(deaths)))
    return replicas


def _life(draw: random.Random, account: str, faulty_seconds: float) -> Life:
    stage = CODING if draw.random() < 0.3 else REVIEW
    acts = []
    if stage == REVIEW:
        acts.append(Act(after=draw.choice((0.2, 1.0, draw.random() * 30.0)), kind="move", stage=CODING))
    acts += [draw_act(draw, draw.expovariate(1 / 12.0)) for _ in range(draw.choice((0, 0, 1, 1, 2, 3)))]
    return Life(account=account, at=draw.random() * 0.4 * faulty_seconds, stage=stage, acts=tuple(acts))


def draw_act(draw: random.Random, after: float) -> Act:
    """Return something that a person may do; what ends an application is rare."""
    kind = draw.choice(_ACTS if draw.random() < 0.25 else _ACTS[:_COMMON])
    stage = CODING if kind == "back" else draw.choice(("Recruiter Call", "Onsite", "Offer")) if kind == "move" else ""
    return Act(after=after, kind="move" if kind == "back" else kind, stage=stage)


def _outages(draw: random.Random, faulty_seconds: float, *, reconciles: bool) -> list[Outage]:
    outages = [_outage(draw, draw.random() * 0.6 * faulty_seconds, "crash")]
    if draw.random() < 0.5:
        seconds = 10.0 + draw.random() * 30.0
        outages.append(Outage(at=draw.random() * 30.0, kind="brake", target=draw.choice(ACCOUNTS), seconds=seconds))
    at = outages[0].at
    while (at := at + draw.expovariate(1 / 25.0)) < faulty_seconds:
        outages.append(_outage(draw, at, draw.choice(_OUTAGES + _ORDERS)))
    for account in ACCOUNTS if reconciles else ():
        at, seconds = draw.random() * 0.6 * faulty_seconds, draw.choice((0.0, 10.0, 30.0, 60.0))
        outages.append(Outage(at=at, kind="webhooks off", target=account, seconds=seconds))
        if draw.random() < 0.5:  # whoever tidies up takes rights away too
            kind, seconds = draw.choice(("sees nothing", "credential rejected")), 20.0 + draw.random() * 30.0
            outages.append(Outage(at=at + draw.random() * 10.0, kind=kind, target=account, seconds=seconds))
    return outages


def _vendors_away(seed: int, lives: Sequence[Life]) -> list[Outage]:
    """Return when vendors do not answer, from about when somebody enters the stage of the test.

    By draws of its own, so that the rest of a history is as without.
    """
    draw = _apart(seed, "vendors")
    if draw.random() >= AWAY:
        return []
    life = draw.choice(lives)
    enters = life.at + (life.acts[0].after if life.stage == REVIEW else 0.0)
    at, seconds = max(0.0, enters + draw.random() * 8.0 - 5.0), 30.0 + draw.random() * 60.0
    vendors = draw.choice((("greenhouse",), ("coderbyte",), ("greenhouse", "coderbyte"), ("coderbyte's writes",)))
    return [Outage(at=at, kind="vendor away", target=f"{life.account} {vendor}", seconds=seconds) for vendor in vendors]


def _outage(draw: random.Random, at: float, kind: str) -> Outage:
    of_account = kind in ("credential rejected", "sees nothing", *_ORDERS)
    target = draw.choice(ACCOUNTS if of_account else SERVICES)
    return Outage(at=at, kind=kind, target=target, seconds=draw.expovariate(1 / 8.0))
