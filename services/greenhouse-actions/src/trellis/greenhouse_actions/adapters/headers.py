"""What Greenhouse's response headers say. Source: greenhouse fact sheet, sections 4 and 5.3."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

from trellis.common.runtime.clock import utc_now

LONGEST_WAIT = timedelta(hours=1)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return what `Retry-After` asks for, in seconds or as a date, at most an hour; None when it says nothing."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - utc_now()
    return min(max(wait, timedelta()), LONGEST_WAIT)


def count(headers: Mapping[str, str], name: str) -> int | None:
    """Return the whole number in header *name*; None when it is missing or something else."""
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def next_cursor(headers: Mapping[str, str]) -> str | None:
    """Return the cursor of the next page; None on the last one.

    Only the cursor is taken from the link, so an answer cannot send us to another host.
    """
    return next_query(headers).get("cursor")


def next_query(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the next page; empty on the last one.

    Only they are taken from the link, so an answer cannot send us to another host or path.
    """
    for part in headers.get("Link", "").split(","):
        address, _, rest = part.strip().partition(">")
        if 'rel="next"' in rest.replace("'", '"') and address.startswith("<"):
            return dict(parse_qsl(urlsplit(address[1:]).query))
    return {}
