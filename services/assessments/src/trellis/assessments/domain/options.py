"""The settings of one account's Coderbyte connection: their names, defaults and what each accepts. Pure.

The names are those of the Coderbyte fact sheet, section 10, plus the paths, the cap and the two waits that
are ours. Durations are seconds, fractions allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from trellis.common.errors import InputError

Value = object
HOURLY: Final = 3600.0


class OnUnknown(StrEnum):
    """What becomes of an invite whose answer was lost and which no look-up shows."""

    HOLD = "hold"
    RESEND_ONCE = "resend_once"


class Reinvite(StrEnum):
    """Whether an application is invited again to an assessment in a later stage visit."""

    NEVER = "never"
    IF_NOT_STARTED = "if_not_started"
    ALWAYS = "always"


class OnCollision(StrEnum):
    """Whose a result is when several open invites of one person name the same assessment."""

    ALL_OPEN = "all_open"
    NEWEST = "newest"
    HOLD = "hold"


class PickAttempt(StrEnum):
    """Which of several assessment attempts counts."""

    LATEST = "latest"
    FIRST = "first"
    BEST = "best"


class Delivery(StrEnum):
    """Who writes to the candidate."""

    CODERBYTE_EMAIL = "coderbyte_email"
    LINK_ONLY = "link_only"


class InternalIds(StrEnum):
    """Whether an invite's entry carries our id, as `address (id)`."""

    OFF = "off"
    PARENTHESISED = "parenthesised"


class Duplicate(StrEnum):
    """What the vendor does with a repeated invite; told to the person who decides about one in doubt."""

    NEW_MAIL = "new_mail"
    SAME_LINK = "same_link"
    ERROR = "error"


class TimeUnit(StrEnum):
    """What a report's `time_taken` counts."""

    MINUTES = "minutes"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """One path per endpoint, below the base URL; `{email}` and `{assessment_id}` stand for one segment each."""

    assessments: str = "/organization/assessments"
    invite: str = "/organization/candidates/invite"
    candidate: str = "/organization/candidates/{email}"
    report: str = "/organization/candidates/{email}/{assessment_id}"


def _then_hourly(waits: tuple[float, ...]) -> tuple[float, ...]:
    return waits + (HOURLY,) * max(0, int((24 * HOURLY - sum(waits)) // HOURLY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an account sets of its Coderbyte connection.

    Attributes:
        poll_schedule: Waits between readings of a report that is not ready: those named, then hourly to 24
            hours (fact sheet, section 5). Used up, a person is told, and it is read at *poll_interval*.
        poll_interval: How often an open invite's report is read without any webhook.
        max_per_second: Calls a second, over all replicas.
        concurrency: Calls at once of one replica.
        invites_per_hour: Most invites an hour; None is no cap.
        credential_retry: How soon a rejected credential is tried again.
        second_read: Between the two readings that prove an invite absent.
        reuse_within: How old a candidate's result may be to be taken instead of an invite; None takes none.
        score_scale: What a full score is worth in a report.
        include_report_link: Whether notes may carry the report's link, which anyone can open who has it.
    """

    paths: Paths = Paths()
    delivery: Delivery = Delivery.CODERBYTE_EMAIL
    internal_ids: InternalIds = InternalIds.OFF
    duplicate: Duplicate = Duplicate.NEW_MAIL
    on_unknown: OnUnknown = OnUnknown.HOLD
    reinvite: Reinvite = Reinvite.NEVER
    lists_pending: bool = False
    pick_attempt: PickAttempt = PickAttempt.LATEST
    on_collision: OnCollision = OnCollision.ALL_OPEN
    time_unit: TimeUnit = TimeUnit.MINUTES
    score_scale: float = 100.0
    poll_schedule: tuple[float, ...] = _then_hourly((60.0, 120.0, 300.0, 600.0, 1800.0))
    poll_interval: timedelta = timedelta(hours=6)
    max_per_second: float = 2.0
    concurrency: int = 2
    invites_per_hour: int | None = None
    credential_retry: timedelta = timedelta(seconds=60)
    second_read: timedelta = timedelta(seconds=30)
    reuse_within: timedelta | None = None
    include_report_link: bool = True


def _choice(kind: type[StrEnum]) -> tuple[Callable[[Value], Value], str]:
    def read(value: Value) -> Value:
        return kind(value) if isinstance(value, str) else None

    return read, "one of " + ", ".join(kind)


def _flag(value: Value) -> Value:
    return value if isinstance(value, bool) else None


def _number(value: Value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _positive(value: Value) -> Value:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _seconds(value: Value) -> Value:
    number = _number(value)
    return timedelta(seconds=number) if number is not None and 0 <= number <= 31_536_000 else None


def _some_seconds(value: Value) -> Value:
    number = _number(value)
    return timedelta(seconds=number) if number is not None and 0.01 <= number <= 31_536_000 else None


def _count(value: Value) -> Value:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and 1 <= number <= 1000 else None


def _cap(value: Value) -> Value:
    if value is None:
        return _NOTHING
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else None


def _age(value: Value) -> Value:
    number = _number(value)
    if value is None:
        return _NOTHING
    return timedelta(seconds=number) if number is not None and 0 < number <= 315_360_000 else None


def _schedule(value: Value) -> Value:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 500:
        return None
    waits = tuple(_number(item) for item in value)
    named = tuple(wait for wait in waits if wait is not None and wait >= 0)
    return _then_hourly(named) if len(named) == len(waits) else None


def _path(*segments: str) -> tuple[Callable[[Value], Value], str]:
    def read(value: Value) -> Value:
        if not isinstance(value, str) or not value.startswith("/") or "?" in value or "#" in value:
            return None
        return value if all(value.count("{" + name + "}") == 1 for name in segments) else None

    wanted = "".join(f" with {{{name}}}" for name in segments)
    return read, f"a path that begins with '/'{wanted}, without a query"


def _unbuilt(value: Value) -> Value:
    return False if value is False else None


_NOTHING: Final = object()
_NOT_OURS: Final = ""

# name -> (field of Options, or `paths.FIELD`, or nothing when another service acts on it; reader; expected)
_TABLE: Final[dict[str, tuple[str, Callable[[Value], Value], str]]] = {
    "paths.assessments": ("paths.assessments", *_path()),
    "paths.invite": ("paths.invite", *_path()),
    "paths.candidate": ("paths.candidate", *_path("email")),
    "paths.report": ("paths.report", *_path("email", "assessment_id")),
    "invite.delivery": ("delivery", *_choice(Delivery)),
    "invite.internal_id_mode": ("internal_ids", *_choice(InternalIds)),
    "invite.duplicate_behaviour": ("duplicate", *_choice(Duplicate)),
    "invite.on_unknown": ("on_unknown", *_choice(OnUnknown)),
    "invite.reinvite": ("reinvite", *_choice(Reinvite)),
    "invite.poll_interval": ("poll_interval", _some_seconds, "seconds, at least 0.01"),
    "lookup.lists_pending_invites": ("lists_pending", _flag, "true or false"),
    "lookup.second_read_s": ("second_read", _seconds, "seconds, 0 or more"),
    "report.pick_attempt": ("pick_attempt", *_choice(PickAttempt)),
    "report.time_taken_unit": ("time_unit", *_choice(TimeUnit)),
    "report.score_scale": ("score_scale", _positive, "a number above 0"),
    "report.poll_schedule": ("poll_schedule", _schedule, "a list of 1 to 500 waits in seconds, each 0 or more"),
    "result.on_collision": ("on_collision", *_choice(OnCollision)),
    "result.reuse_within": ("reuse_within", _age, "null for never, or seconds, more than 0"),
    "rate.max_per_second": ("max_per_second", _positive, "a number above 0"),
    "rate.concurrency": ("concurrency", _count, "a whole number from 1 to 1000"),
    "cap.invites_per_hour": ("invites_per_hour", _cap, "null for no cap, or a whole number from 1"),
    "credential.retry_s": ("credential_retry", _some_seconds, "seconds, at least 0.01"),
    "note.include_report_link": ("include_report_link", _flag, "true or false"),
    # Kept, since `trellis apply` sends a connection's settings to both services; ingest acts on them.
    "webhook.key_encoding": (_NOT_OURS, lambda value: value if value in ("utf8", "base64") else None, "utf8 or base64"),
    "webhook.require_exp": (_NOT_OURS, _flag, "true or false"),
    "interviews.enabled": (_NOT_OURS, _unbuilt, "false: live interviews are not built yet"),
}
KNOWN: Final = tuple(sorted(_TABLE))


def parse(settings: Mapping[str, Value]) -> Options:
    """Return the options that *settings* (exact name -> JSON value) make; what is not named has its default.

    Raises:
        InputError: A name is unknown, or a value is not what its name expects.
    """
    options, paths = Options(), {}
    for name, value in settings.items():
        if name not in _TABLE:
            raise InputError(f"settings.{name}", "a setting that exists", f"known are {', '.join(KNOWN)}")
        field, read, expected = _TABLE[name]
        try:
            found = read(value)
        except ValueError:
            found = None
        if found is None:
            raise InputError(f"settings.{name}", expected, "correct it in the account's file and apply it again")
        if field.startswith("paths."):
            paths[field.removeprefix("paths.")] = found
        elif field != _NOT_OURS:
            options = replace(options, **{field: None if found is _NOTHING else found})  # type: ignore[arg-type]
    return replace(options, paths=replace(options.paths, **paths)) if paths else options  # type: ignore[arg-type]
