"""What waits for a person, effects and messages, in a person's words: grouped by cause, with what it means for whoever waits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trellis.common.errors import InputError

_MEANINGS: Final = {
    ("invite", True): "nobody knows whether the candidate got the invite; it counts as sent once the candidate joins",
    ("invite", False): "the candidate has no invite and waits without knowing",
    ("note", True): "the note may be in Greenhouse already; the candidate notices nothing",
    ("note", False): "recruiters do not see the result in Greenhouse; the candidate notices nothing",
    ("move", True): "the application may be in its next stage already",
    ("move", False): "the application stays where it is: the candidate does not come further",
}


_UNHANDLED: Final = {
    "invite.send": _MEANINGS["invite", False],
    "note.add": _MEANINGS["note", False],
    "application.move": _MEANINGS["move", False],
    "invite.withdraw": "an invite that was taken back may still go out",
    "result.attach": "the result that a person attached is not read",
    "standing.show": "recruiters see an older state of the application; the candidate notices nothing",
    "command.settled": "what follows an invite, note or move that was made waits",
}
_UNHANDLED_KINDS: Final = {
    "assessment": "what the candidate did in the assessment is not known here: no result, no next step",
    "address": "data that is to be erased may still be kept",
    "candidate": "what changed of the candidate is not known here; an erasure may still be open",
}
_UNHANDLED_ELSE: Final = "what it told is not known here: nothing is begun or stopped because of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that is parked: an effect, or a message that could not be handled.

    Attributes:
        service: The service that has it.
        application_id: Whom it is about; None when a message does not say, or is about a candidate.
        action: `invite`, `note` or `move`; a message's type.
        in_doubt: It may have happened.
        since: When it was parked, ISO.
        is_message: It is a message.
        subject: What a message is about, `application/7`; empty when it does not say.
        ends_process: Whoever took the message ended, so the broker set it aside.
        tried: How often a message was tried and put back, in words.
    """

    id: str
    service: str
    application_id: int | None
    action: str
    cause: str
    remedy: str
    in_doubt: bool
    since: str
    is_message: bool = False
    subject: str = ""
    ends_process: bool = False
    tried: str = ""

    @property
    def what(self) -> str:
        """What it is, and about whom."""
        if not self.is_message:
            return f"{self.action} for application {self.application_id}"
        about = f" about {self.subject.replace('/', ' ')}" if self.subject else ""
        return f"message {self.action}{about} to {self.service}"

    @property
    def unhandled(self) -> str:
        """That a message could not be handled, as the story of its application tells it."""
        return f"{self.service} could not handle {self.action}: {self.cause}; it waits in `trellis parked list`"

    @property
    def meaning(self) -> str:
        """What it means for the person who waits."""
        if self.is_message:
            kind = _UNHANDLED_KINDS.get(self.action.partition(".")[0], _UNHANDLED_ELSE)
            return _UNHANDLED.get(self.action, kind)
        return _MEANINGS.get((self.action, self.in_doubt), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What an order would do to one row: nothing when there is a reason to skip it."""

    row: Row
    skipped: str = ""


def rows_of(answer: Iterable[dict[str, Any]], service: str) -> list[Row]:
    """Return the rows of one service's answer."""
    return [
        Row(
            id=str(item["id"]),
            service=service,
            application_id=int(item["application_id"]),
            action=str(item["action"]),
            cause=str(item["cause"]),
            remedy=str(item["remedy"] or ""),
            in_doubt=bool(item["in_doubt"]),
            since=str(item["since"]),
        )
        for item in answer
    ]


def messages_of(answer: Iterable[dict[str, Any]], service: str) -> list[Row]:
    """Return the rows of one service's messages that could not be handled."""
    return [
        Row(
            id=str(item["id"]),
            service=service,
            application_id=_application(item["subject"] or ""),
            action=str(item["type"]),
            cause=str(item["cause"]),
            remedy=str(item["remedy"]),
            in_doubt=False,
            since=str(item["since"]),
            is_message=True,
            subject=str(item["subject"] or ""),
            ends_process=bool(item["ends_process"]),
            tried=f"{item['attempts']} times, and redriven {item['redriven_count']} times before",
        )
        for item in answer
    ]


def _application(subject: str) -> int | None:
    kind, _, number = subject.partition("/")
    return int(number) if kind == "application" and number.isdigit() else None


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Return *rows* by cause: the cause that most wait for first, within one the oldest first."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.since):
        found.setdefault(row.cause, []).append(row)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def chosen(rows: Sequence[Row], ids: Sequence[str], cause: str | None, *, everything: bool) -> list[Row]:
    """Return the rows that a person means: by id, by words of the cause, or all.

    Raises:
        InputError: None or more than one of the three ways was used.
    """
    if sum((bool(ids), cause is not None, everything)) != 1:
        raise InputError("COMMANDS, --cause, --all", "exactly one of them")
    if ids:
        return [row for row in rows if row.id in set(ids)]
    if cause is not None:
        return [row for row in rows if cause.lower() in row.cause.lower()]
    return list(rows)


def planned(order: str, rows: Sequence[Row], ids: Sequence[str]) -> list[Planned]:
    """Return what *order* does to each of *rows*; what may mail somebody twice is not done in bulk.

    Args:
        order: `confirm`, `redrive` or `drop`.
        rows: What was chosen.
        ids: What was named one by one; one of these that is parked no more is told as skipped elsewhere.
    """
    is_bulk = len(rows) > 1 or not ids
    plan = []
    for row in rows:
        skipped = ""
        if order == "redrive" and row.in_doubt and row.action == "invite" and is_bulk:
            skipped = "it may have been sent: ask the candidate, then confirm or redrive it alone"
        elif order == "redrive" and row.ends_process and is_bulk:
            skipped = "it seems to end the process that handles it: mend that, then redrive it alone"
        elif order == "confirm" and row.is_message:
            skipped = "a message is not confirmed: redrive or drop it"
        elif order == "confirm" and not row.in_doubt:
            skipped = "it surely did not happen: redrive or drop it"
        plan.append(Planned(row=row, skipped=skipped))
    return plan


def unknown(rows: Sequence[Row], ids: Sequence[str]) -> list[str]:
    """Return those of *ids* that are not parked: dealt with before, or never known."""
    known = {row.id for row in rows}
    return [ident for ident in ids if ident not in known]
