"""What a service supplies for each kind of effect: a check before, the request, a look-up after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from trellis.common.contracts.commands import Action, AddNote, MoveApplication, SendInvite
from trellis.common.contracts.identifiers import AccountId, ApplicationId, CandidateId, CommandId, Visit
from trellis.common.ledger.states import State

Resolved = dict[str, str | int | bool | None]
"""What was fixed before or learnt by an attempt, such as the stage that "next" means. No personal data."""

EffectCommand = SendInvite | AddNote | MoveApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One row of the ledger, as a worker holds it.

    Attributes:
        id: The command's id.
        state: Where it stood when it was claimed.
        attempt: How many attempts were begun so far.
        absent_count: Look-ups in a row that did not see the effect.
        attempted_at: When the latest attempt was begun; None before the first.
        ended_at: When its request is known to have ended, or its deadline.
        cause: Why the row is as it is: the latest reason.
        retries: How often it was proven absent and tried again.
        resolved: What earlier attempts fixed or learnt.
        correlationid: Of the command.
        claimed: Monotonic time of the claim; all that a worker does counts from it.
        lease_token: Proves that this worker still holds the row.
    """

    id: CommandId
    account: AccountId
    application_id: ApplicationId
    candidate_id: CandidateId | None
    visit: Visit
    action: Action
    command: EffectCommand
    state: State
    attempt: int
    absent_count: int
    retries: int
    cause: str
    created_at: datetime
    correlationid: str
    claimed: float
    lease_token: UUID
    attempted_at: datetime | None = None
    ended_at: datetime | None = None
    resolved: Resolved = field(default_factory=dict)


# What the check before an attempt may say.


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The attempt may begin.

    Attributes:
        request: What `Effect.send` needs; kept in memory only, it may hold an address.
        read_at: Monotonic time at which the request for the application's reading was sent; the effect
            must leave within ten seconds of it (P4).
        resolved: Merged into the row before the attempt.
    """

    request: object
    read_at: float
    resolved: Resolved = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """It must not be done any more: the world moved on."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """It cannot be done until something is mended.

    Attributes:
        reason: What is missing.
        remedy: What a person does about it.
        mended_by: The fact that mends it (`candidate.updated`), if one does.
    """

    reason: str
    remedy: str
    mended_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Not now."""

    reason: str
    wait: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthorized:
    """The credential was rejected: nothing was done, and this connection pauses."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """It need not be sent: another effect stands for it (a shared invite)."""

    reason: str
    resolved: Resolved = field(default_factory=dict)


Preparation = Ready | Overtaken | Blocked | Later | Unauthorized | Settled

# What the answer to a request may say.


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """Done, and the answer proves it."""

    reason: str = ""
    resolved: Resolved = field(default_factory=dict)
    request_id: str | None = None
    private: bytes | None = None
    """Handed to `Effect.remember` in the transaction that records the outcome, such as a private link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The answer says yes or names a state to be read: look up at once."""

    reason: str
    resolved: Resolved = field(default_factory=dict)
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotExecuted:
    """Proven not done; try later. *wait* is what the other side asked for, if it did."""

    reason: str
    wait: timedelta | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Not done, never will be."""

    reason: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """Not done; a person can mend why."""

    reason: str
    remedy: str
    mended_by: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """It may have happened."""

    reason: str
    request_id: str | None = None


Answer = Succeeded | Accepted | NotExecuted | Rejected | Unmet | Ambiguous | Unauthorized

# What a look-up may say.


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The effect is there."""

    reason: str
    resolved: Resolved = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSeen:
    """A complete reading, begun after the request ended, does not show it.

    Attributes:
        reason: What was read.
        proof: Whether this one reading is proof already; else a second one is made.
        resolved: Merged into the row (the other id space to try, for instance).
        most_retries: Proven absent more often than this, the row is parked with *remedy*.
        remedy: What a person does then.
    """

    reason: str
    proof: bool = False
    resolved: Resolved = field(default_factory=dict)
    most_retries: int = 5
    remedy: str = "look at the application, then redrive or drop this effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class CannotTell:
    """A reading neither shows nor excludes it: a person must decide."""

    reason: str
    remedy: str


LookUp = Found | NotSeen | CannotTell | Overtaken | Blocked | Later | Unauthorized


class Effect(Protocol):
    """One kind of effect on one vendor."""

    action: Action
    vendor: str
    """The connection it uses, `greenhouse` or `coderbyte`: what a pause or a brake names."""
    request_seconds: float
    """Longest time one request may take, connecting included."""

    async def prepare(self, account: AccountId, intents: Sequence[Intent]) -> Mapping[CommandId, Preparation]:
        """Read the world and say of each intent whether its attempt may begin; may raise `TransientError`."""

    async def reserve(self, intent: Intent) -> timedelta | None:
        """Take the budget for the request itself; a wait means that there is none now."""

    async def send(self, intent: Intent, request: object) -> Answer:
        """Make the one request and say what the answer proves. It never repeats and never raises."""

    async def look_up(self, intent: Intent) -> LookUp:
        """Read whether the effect is there; may raise `TransientError`."""

    async def cap(self, account: AccountId) -> int | None:
        """Return the most attempts of this action in an hour for *account*; None is no cap."""

    async def second_read(self, account: AccountId) -> timedelta:
        """Return how long after a first reading that does not show the effect the second one is made."""

    async def credential_retry(self, account: AccountId) -> timedelta:
        """Return how soon a rejected credential of *account* is tried again (`credential.retry_s`)."""
