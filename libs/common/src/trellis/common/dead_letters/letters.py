"""A dead letter and its words. Pure: what the broker handed over comes in, what people read goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from trellis.common.contracts.envelope import REDRIVEN, glimpse
from trellis.common.contracts.identifiers import AccountId, stable_id

UNKNOWN: Final = "unknown"
"""Type of a message that came without one."""
_MOST_WORDS: Final = 500
_TOO_OFTEN: Final = "it came back unacknowledged more than"


class State(StrEnum):
    """How a dead letter stands."""

    WAITING = "waiting"
    REDRIVEN = "redriven"
    DROPPED = "dropped"


class Order(StrEnum):
    """What a person may order of one that waits."""

    REDRIVE = "redrive"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One message as it was found among the dead letters of a queue.

    Attributes:
        id: Derived from queue and body, so that the same message found twice is one.
        queue: The queue it could not be handled from, and goes back to.
        account: Whose it is; None when it does not say.
        routing_key: Type and version, as it was published.
        subject: `application/123` or `candidate/123`; None when it does not say.
        reason: Why it was set aside.
        attempts: How often it was tried since it was put on its queue.
        redriven_count: How often a person had put it back when this copy of it was published.
    """

    id: UUID
    queue: str
    account: AccountId | None
    routing_key: str
    subject: str | None
    correlation_id: str | None
    reason: str
    attempts: int
    redriven_count: int
    body: bytes = field(repr=False)

    @property
    def type(self) -> str:
        """The message's type without its version."""
        return self.routing_key.rpartition(".v")[0] or self.routing_key

    @property
    def ends_process(self) -> bool:
        """Whether the broker set it aside because nobody who took it ever acknowledged it."""
        return self.reason.startswith(_TOO_OFTEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that could not be handled, as it is kept."""

    death: Death
    state: State
    dead_at: datetime


def death_of(
    queue: str,
    body: bytes,
    routing_key: str | None,
    headers: Mapping[str, object],
    *,
    limit: int,
) -> Death:
    """Return what is known of a message among the dead letters of *queue*.

    Args:
        queue: The queue it comes from.
        body: Its bytes, which need not be an envelope.
        routing_key: Its type as the broker keeps it.
        headers: `x-reason` is ours; without it the broker itself set the message aside.
        limit: Redeliveries after which the broker does.
    """
    seen, reason = glimpse(body), headers.get("x-reason")
    if isinstance(reason, str):
        words, attempts = _line(reason), _count(headers.get("x-attempt"), 1)
    else:
        words, attempts = f"{_TOO_OFTEN} {limit} times: handling it seems to end the process", limit + 1
    return Death(
        id=stable_id("dead letter", queue, sha256(body).hexdigest()),
        queue=queue,
        account=seen.account,
        routing_key=_line(routing_key or "") or UNKNOWN,
        subject=seen.subject,
        correlation_id=seen.correlation_id,
        reason=words,
        attempts=attempts,
        redriven_count=_count(headers.get(REDRIVEN), 0),
        body=body,
    )


def remedy_of(death: Death) -> str:
    """Return what a person can do about it."""
    service = death.queue.removesuffix(".inbound")
    if death.ends_process:
        return f"find out why {service} ended (its log, its memory) and mend that, then redrive it alone, or drop it"
    if death.account is None:
        return "no release here can read it: redrive it under the release that wrote it, or drop it"
    return f"mend the cause (`message.dead` in the log of {service} tells more), then redrive it, or drop it"


def latest(deaths: list[Death]) -> list[Death]:
    """Return *deaths* with each message once, as it was redriven most often, in the order of their ids."""
    found: dict[UUID, Death] = {}
    for death in deaths:
        known = found.get(death.id)
        if known is None or known.redriven_count <= death.redriven_count:
            found[death.id] = death
    return [found[ident] for ident in sorted(found)]


def _line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)[:_MOST_WORDS]


def _count(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else otherwise
