"""What a report says, read leniently: every field may be missing, null or in another form. Pure.

A missing score stays unknown and is never zero; a missing `qualified` is unknown and never "failed".

Source: Coderbyte fact sheet, sections 3.4 and 5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from trellis.assessments.domain.options import Options, PickAttempt, TimeUnit
from trellis.common.contracts.outcomes import Integrity


class AttemptStatus(StrEnum):
    """How far an assessment attempt is, as far as its `status` text lets us know."""

    UNDERWAY = "underway"
    FINISHED = "finished"
    TIME_EXPIRED = "time_expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One assessment attempt, as its report tells it.

    Attributes:
        keys: Every identity that can be made of it, best first. An unfinished attempt may lack what a
            finished one has, so two reports are of one attempt when they share any.
        internal_id: Our id, if the vendor echoes it.
        joined_at: When the attempt began; None when it is missing or in a form we do not know.
        ready: Whether grading is over; None when the report does not say.
        link: The report's page.
        scores: `final`, `code`, `mc` and `qualifying` as numbers of the report's own scale; missing is unknown.
        time_taken: In the report's own unit.
    """

    keys: tuple[str, ...]
    internal_id: str | None
    joined_at: datetime | None
    status: AttemptStatus
    ready: bool | None
    link: str | None
    assessment_name: str | None
    scores: Mapping[str, float]
    qualified: bool | None
    integrity: Integrity
    time_taken: float | None

    @property
    def is_ready(self) -> bool:
        """Whether the result can be used; without `report_ready`, a final score says so."""
        if self.status is AttemptStatus.UNDERWAY and "final" not in self.scores:
            return False
        return "final" in self.scores if self.ready is None else self.ready

    @property
    def is_finished(self) -> bool:
        """Whether the candidate handed in or ran out of time."""
        return self.status in (AttemptStatus.FINISHED, AttemptStatus.TIME_EXPIRED) or self.is_ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What rules and people see of a report; scores out of 100, None means unknown."""

    score: float | None = None
    code_score: float | None = None
    mc_score: float | None = None
    qualified: bool | None = None
    qualifying_score: float | None = None
    integrity: Integrity = Integrity.UNKNOWN
    time_expired: bool | None = None
    minutes_taken: int | None = None
    assessment_name: str | None = None
    attempt_count: int = 1


_STATUS: Final[dict[str, AttemptStatus]] = {
    "invited": AttemptStatus.UNDERWAY,
    "in progress": AttemptStatus.UNDERWAY,
    "submitted": AttemptStatus.FINISHED,
    "time expired": AttemptStatus.TIME_EXPIRED,
}
"""Words of the dashboard's export, by which the API's are guessed (fact sheet 3.4)."""
_SCORES: Final = {
    "final": "final_score",
    "code": "code_score",
    "mc": "mc_score",
    "qualifying": "qualifying_score",
}
_MOST_MINUTES: Final = 366 * 24 * 60
"""No attempt takes a year: what says so counts something else."""
_NO_TEXT: Final = re.compile("[\ud800-\udfff\x00]")
_VISIBLE: Final = ("score", "code_score", "mc_score", "qualified", "qualifying_score", "integrity")


def parse_report(raw: Mapping[str, object]) -> Report:
    """Return what can be read of one entry of `data.reports`; it never fails."""
    scores = {
        name: number
        for name, field in _SCORES.items()
        if (number := as_number(raw.get(field))) is not None and number >= 0
    }
    status = (as_text(raw.get("status")) or "").replace("_", " ").replace("-", " ").lower()
    return Report(
        keys=_keys(raw),
        internal_id=as_text(raw.get("internal_id")),
        joined_at=as_time(raw.get("date_joined")),
        status=_STATUS.get(status, AttemptStatus.UNKNOWN),
        ready=as_flag(raw.get("report_ready")),
        link=as_text(raw.get("report_link")),
        assessment_name=as_text(raw.get("display_name")),
        scores=scores,
        qualified=as_flag(raw.get("qualified")),
        integrity=read_integrity(raw.get("cheating_flag"), raw.get("cheating_details")),
        time_taken=as_number(raw.get("time_taken")),
    )


def _keys(raw: Mapping[str, object]) -> tuple[str, ...]:
    link, user, test = (as_text(raw.get(name)) for name in ("report_link", "username", "test_id"))
    email, joined = as_text(raw.get("email")), as_text(raw.get("date_joined"))
    keys = []
    if link:
        keys.append(f"link:{link}")
    if user:
        keys.append(f"user:{user}:{test or ''}")
    if joined or not keys:
        keys.append(f"time:{(email or '').lower()}:{test or ''}:{joined or ''}")
    return tuple(keys)


def read_integrity(flag: object, details: object) -> Integrity:
    """Return what the cheating words mean; the details speak only where the flag says nothing we know."""
    said = _integrity_word(flag)
    if said is not Integrity.UNKNOWN or not isinstance(details, Mapping):
        return said
    words = [_integrity_word(details.get(name)) for name in ("plagiarism", "pasted_code")]
    signs = [as_flag(details.get(name)) for name in ("suspicious_activity", "ai_usage")]
    if Integrity.DETECTED in words:
        return Integrity.DETECTED
    if Integrity.SUSPECTED in words or True in signs:
        return Integrity.SUSPECTED
    return Integrity.UNKNOWN


def _integrity_word(value: object) -> Integrity:
    word = (as_text(value) or "").lower()
    if not word:
        return Integrity.UNKNOWN
    if word.startswith(("not ", "no ")) or word in ("none", "clean"):
        return Integrity.NONE
    if any(part in word for part in ("likely", "light", "suspect", "possible")):
        return Integrity.SUSPECTED
    return Integrity.DETECTED if "detected" in word or "copying" in word else Integrity.UNKNOWN


def since_invite(reports: Sequence[Report], known: frozenset[str]) -> list[Report]:
    """Return the attempts none of whose keys is among *known*, those that existed before the invite went out."""
    return [report for report in reports if not known.intersection(report.keys)]


def of_application(reports: Sequence[Report], internal_id: str | None) -> list[Report]:
    """Return the attempts that may be this application's, where the vendor echoes our ids.

    One that bears another application's id is not; one without an id may be. None asks for all.
    """
    if internal_id is None:
        return list(reports)
    own = [report for report in reports if report.internal_id == internal_id]
    return own or [report for report in reports if not report.internal_id]


def pick_attempt(reports: Sequence[Report], policy: PickAttempt) -> Report | None:
    """Return the attempt that counts; None when there is none.

    In order of their beginning where each tells it, else in the answer's order, whose last is the newest.
    `best` looks among the ready ones, if any is.
    """
    if not reports:
        return None
    times = [report.joined_at for report in reports]
    ordered = list(reports)
    if all(times):
        ordered = sorted(reports, key=lambda report: report.joined_at or datetime.max.replace(tzinfo=UTC))
    match policy:
        case PickAttempt.FIRST:
            return ordered[0]
        case PickAttempt.BEST:
            ready = [report for report in ordered if report.is_ready] or ordered
            return max(reversed(ready), key=lambda report: report.scores.get("final", -1.0))
        case PickAttempt.LATEST:
            return ordered[-1]


def to_result(report: Report, options: Options, *, attempt_count: int, time_expired: bool | None) -> Result:
    """Return the result that *report* tells, in our own units.

    Args:
        report: The attempt that counts.
        options: Score scale and unit of time.
        attempt_count: How many attempts were made since the invite.
        time_expired: What the webhook said of it; None when it did not, then the status is asked.
    """

    def scaled(name: str) -> float | None:
        value = report.scores.get(name)
        share = None if value is None else value * 100.0 / options.score_scale
        return None if share is None or not math.isfinite(share) else round(share, 4)

    if time_expired is None and report.status in (AttemptStatus.FINISHED, AttemptStatus.TIME_EXPIRED):
        time_expired = report.status is AttemptStatus.TIME_EXPIRED
    return Result(
        score=scaled("final"),
        code_score=scaled("code"),
        mc_score=scaled("mc"),
        qualified=report.qualified,
        qualifying_score=scaled("qualifying"),
        integrity=report.integrity,
        time_expired=time_expired,
        minutes_taken=_minutes(report.time_taken, options.time_unit),
        assessment_name=report.assessment_name,
        attempt_count=attempt_count,
    )


def _minutes(taken: float | None, unit: TimeUnit) -> int | None:
    minutes = taken if taken is None or unit is TimeUnit.MINUTES else taken / 60.0
    return None if minutes is None or not 0 <= minutes <= _MOST_MINUTES else round(minutes)


def visibly_differs(one: Result, other: Result) -> bool:
    """Return whether a person or a rule would see a difference: a score, the verdict, the integrity."""
    return any(getattr(one, name) != getattr(other, name) for name in _VISIBLE)


# -- forms of values


def as_number(value: object) -> float | None:
    """Return a number given as integer, decimal or numeric text; None for anything else, null included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip() if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_flag(value: object) -> bool | None:
    """Return a truth given as such, as text or as 0 or 1; None means unknown."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def as_text(value: object) -> str | None:
    """Return trimmed text, or None when there is none; a number counts as its digits.

    JSON may hold signs that no text can: halves of a pair and the sign zero, which neither an encoder nor the
    database takes. They become the sign for what cannot be read.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    return _NO_TEXT.sub("\ufffd", value).strip() or None


def as_time(value: object) -> datetime | None:
    """Return an ISO 8601 time, without a zone taken as UTC; None for any other form."""
    text = as_text(value)
    if text is None or not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
