"""The sandbox's clock and the two spellings of an instant that the vendors use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset that a test makes grow, so that a test can let an hour pass at once."""

    def __init__(self) -> None:
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """The current instant, aware and in UTC, cut to milliseconds because Harvest shows no more."""
        now = datetime.now(UTC) + self._offset
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass at once; tokens expire and rate windows end, redeliveries still wait in real time."""
        self._offset += timedelta(seconds=max(0.0, seconds))

    def reset(self) -> None:
        """Back to real time."""
        self._offset = timedelta(0)


def iso_milliseconds(at: datetime | None) -> str | None:
    """Harvest's spelling: `2026-11-20T08:31:07.552Z`.

    Source: greenhouse.md section 1.
    """
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def iso_seconds(at: datetime | None) -> str | None:
    """The spelling of candidate and application webhooks: `2026-11-20T08:31:07Z`.

    Source: greenhouse.md section 1.
    """
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str) -> datetime:
    """The instant *text* names; without an offset it is UTC.

    Raises:
        ValueError: *text* is not ISO 8601.
    """
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
