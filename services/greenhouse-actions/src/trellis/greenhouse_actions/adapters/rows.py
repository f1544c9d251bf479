"""Reading Greenhouse's bodies leniently: what both versions of Harvest share.

Unknown fields are ignored and a missing one is null, as Greenhouse's rules for its own changes demand.
Source: greenhouse fact sheet, section 1.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from trellis.common.contracts.facts import ApplicationStatus
from trellis.common.errors import TransientError
from trellis.greenhouse_actions.domain.readings import Address

Instant = Annotated[datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=UTC))]
STATUSES: Final = {
    "in_process": ApplicationStatus.ACTIVE,
    "active": ApplicationStatus.ACTIVE,
    "rejected": ApplicationStatus.REJECTED,
    "hired": ApplicationStatus.HIRED,
    "converted": ApplicationStatus.CONVERTED,
}
Parsed = TypeVar("Parsed")


class Part(BaseModel):
    """A part of a row."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Row(Part):
    """What all rows share."""

    id: int


class AddressRow(Part):
    """One of a candidate's addresses."""

    value: str | None = None
    type: str | None = None


def status_of(word: str | None) -> ApplicationStatus:
    """Return what a status means; a word that is not known is that."""
    return STATUSES.get((word or "").strip(), ApplicationStatus.UNKNOWN)


def addresses_of(rows: list[AddressRow] | None) -> tuple[Address, ...]:
    """Return the addresses in *rows* that are there."""
    return tuple(Address(value=row.value, type=row.type or "") for row in rows or [] if row.value)


def tags_of(tags: Any) -> tuple[str, ...]:
    """Return the tags that are words, or records with a name."""
    names = [tag.get("name") if isinstance(tag, dict) else tag for tag in (tags if isinstance(tags, list) else [])]
    return tuple(name for name in names if isinstance(name, str))


def parsed(adapter: TypeAdapter[Parsed], body: bytes) -> Parsed:
    """Return what *body* holds.

    Raises:
        TransientError: It is not of the shape: cut short, or HTML from a proxy. Nothing of it is in the message.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise TransientError(f"Greenhouse answered what we cannot read ({where}: {fault['type']})") from None


def words_of(body: bytes) -> str:
    """Return Greenhouse's own words of an error, all shapes of `errors` included; empty when unreadable."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    errors = said.get("errors", said.get("message", ""))
    items = errors if isinstance(errors, list) else [errors]
    texts = [", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item) for item in items]
    return "; ".join(texts)[:200]
