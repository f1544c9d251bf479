"""Identifiers: what they stand for, and how the stable ones are derived.

Ids that must survive a retry or a restore are UUIDv5 of what they stand for. Greenhouse's ids are
64-bit numbers (greenhouse fact sheet, section 1).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", str)
"""A tenant: a slug of a-z, 0-9 and '-', chosen once in the account's file."""
ApplicationId = NewType("ApplicationId", int)
CandidateId = NewType("CandidateId", int)
JobId = NewType("JobId", int)
StageId = NewType("StageId", int)
"""A job interview stage. Not a row of Harvest v3's application_stages."""
StageRowId = NewType("StageRowId", int)
"""A row of Harvest v3's application_stages: one visit of one application to one stage."""
UserId = NewType("UserId", int)
AssessmentId = NewType("AssessmentId", str)
CommandId = NewType("CommandId", UUID)
Visit = NewType("Visit", str)
"""A stage visit of one application: `n` and our own count, or `t` and Greenhouse's `entered_at`."""

NAMESPACE = UUID("6a4cbb8e-62c1-5d0b-9a0c-5f1f3e5e7a11")
"""Root of every UUIDv5 below; changing it would make every effect look new."""

BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def stable_id(*parts: object) -> UUID:
    """Return the UUIDv5 that stands for *parts*, in this order.

    Each part is written with its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    name = "".join([f"{len(text)}:{text};" for text in map(str, parts)])
    # What uuid.uuid5 does, at half its cost: a fact takes up to ten of these.
    digest = hashlib.sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


@lru_cache(maxsize=4096)  # one batch asks for each of its streams several times
def stream_id(account: AccountId, application: ApplicationId) -> UUID:
    """Return the id of an application's event stream."""
    return stable_id("stream", account, application)


def command_id(account: AccountId, application: ApplicationId, visit: Visit, action: str, ordinal: str) -> CommandId:
    """Return the id of a command: deciding again, after a restore too, yields the same.

    Args:
        account: The tenant.
        application: The application acted upon.
        visit: The stage visit in which it was decided.
        action: The kind of effect, such as `invite`.
        ordinal: What tells two commands of one action and visit apart: the assessment of an invite;
            the rule, the action's place in it and the result's version of a note or a move.
    """
    return CommandId(stable_id("command", account, application, visit, action, ordinal))


def note_marker(command: CommandId) -> str:
    """Return the last line of the note that *command* writes, by which it is found again.

    `[ref tr-` + 12 signs of 0-9a-z + `]` (greenhouse fact sheet, 7.1). 36^12 is about 2^62.
    """
    number = command.int % 36**12
    digits = []
    for _ in range(12):
        number, digit = divmod(number, 36)
        digits.append(BASE36[digit])
    return f"[ref tr-{''.join(digits)}]"
