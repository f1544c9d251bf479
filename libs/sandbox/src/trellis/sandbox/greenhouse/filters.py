"""Query parameters of Harvest v3 lists: read strictly, then applied to rows.

Source: greenhouse.md section 5.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import parse_instant
from trellis.sandbox.greenhouse.answers import invalid, unprocessable

MAX_IDS = 50
MAX_PER_PAGE = 500
DEFAULT_PER_PAGE = 100
MAX_FIELDS = 50

Predicate = Callable[[Json], bool]
Pairs = Iterable[tuple[str, str]]

_BRACKET = re.compile(r"^(\w+)\[(\w+)\]$")
_COMPARISONS: dict[str, Callable[[datetime, datetime], bool]] = {
    "gte": lambda value, bound: value >= bound,
    "lte": lambda value, bound: value <= bound,
    "gt": lambda value, bound: value > bound,
    "lt": lambda value, bound: value < bound,
}


@dataclass(frozen=True)
class Filters:
    """The parameters a list takes beyond `ids`, `per_page`, `cursor`, `fields`, `created_at` and `updated_at`.

    Each maps the parameter to the column it looks at.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    """Comma lists of ids, at most 50 each."""
    id: Mapping[str, str] = field(default_factory=dict)
    """One id."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """`true` or `false`."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Any text, compared exactly."""
    words: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    """A word of a closed set: column, and what each word is called in rows."""
    ranges: tuple[str, ...] = ()
    """Further time ranges; the column has the parameter's name."""
    options: tuple[str, ...] = ()
    """`true` or `false` for the source of the rows, not a filter."""
    special: Mapping[str, Callable[[str], Predicate]] = field(default_factory=dict)
    """Anything else."""


@dataclass
class Query:
    """A list's parameters, checked."""

    per_page: int = DEFAULT_PER_PAGE
    ids: dict[str, list[int]] = field(default_factory=dict)
    """Id lists by parameter, `ids` included."""
    fields: list[str] | None = None
    options: dict[str, bool] = field(default_factory=dict)
    predicates: list[Predicate] = field(default_factory=list)

    def matches(self, row: Json) -> bool:
        """Whether *row* passes every filter."""
        return all(predicate(row) for predicate in self.predicates)


def read_query(pairs: Pairs, filters: Filters, range_syntax: str) -> Query:
    """Check *pairs* against *filters*.

    Args:
        pairs: Decoded parameters, without a cursor.
        filters: What the list takes.
        range_syntax: A value of the switch `filters.range_syntax`.

    Raises:
        Refusal: 422, naming the parameter.
    """
    query = Query()
    seen: set[str] = set()
    unknown: list[str] = []
    for name, value in pairs:
        base = name.partition("[")[0]
        if name in seen:
            raise invalid(name, "is given twice")
        seen.add(name)
        if not _read_one(query, filters, (name, base, value), range_syntax):
            unknown.append(name)
    if unknown:
        raise unprocessable(f"Invalid query params: {', '.join(unknown)}")
    bases = {name.partition("[")[0] for name in seen}
    if {"created_at", "updated_at"} <= bases:
        raise unprocessable("created_at and updated_at cannot be used together")
    return query


def _read_one(query: Query, filters: Filters, parameter: tuple[str, str, str], range_syntax: str) -> bool:
    """Take one parameter into *query*; False if the list does not know it."""
    name, base, value = parameter
    if base in ("created_at", "updated_at", *filters.ranges):
        return _read_range(query, parameter, range_syntax)
    if name == "per_page":
        query.per_page = _per_page(value)
    elif name == "fields":
        query.fields = _fields(value)
    elif name == "ids" or name in filters.ids:
        wanted = _id_list(name, value)
        query.ids[name] = wanted
        query.predicates.append(_is_in("id" if name == "ids" else filters.ids[name], set(wanted)))
    elif name in filters.id:
        query.predicates.append(_is_in(filters.id[name], {_number(name, value)}))
    elif name in filters.flags:
        query.predicates.append(_is_in(filters.flags[name], {_boolean(name, value)}))
    elif name in filters.options:
        query.options[name] = _boolean(name, value)
    elif name in filters.texts:
        query.predicates.append(_is_in(filters.texts[name], {value}))
    elif name in filters.words:
        column, words = filters.words[name]
        if value not in words:
            raise invalid(name, f"`{value}` must be one of: {', '.join(words)}")
        query.predicates.append(_is_in(column, {words[value]}))
    elif name in filters.special:
        query.predicates.append(filters.special[name](value))
    else:
        return False
    return True


def _read_range(query: Query, parameter: tuple[str, str, str], syntax: str) -> bool:
    name, base, value = parameter
    bracket = _BRACKET.match(name)
    if bracket is None and name != base:
        return False
    if bracket is None:
        if syntax in ("bracket",):
            raise invalid(name, "must be a hash")
        parts = value.split("|")
        if len(parts) not in (2, 4):
            raise invalid(name, f"`{value}` is not a range")
        bounds = list(zip(parts[::2], parts[1::2], strict=True))
    else:
        if syntax == "pipe":
            return False
        bounds = [(bracket.group(2), value)]
    for operator, text in bounds:
        if operator not in _COMPARISONS:
            raise invalid(name, f"`{operator}` must be one of: gte, lte, gt, lt")
        bound = _instant(name, text)
        if bracket is None or syntax != "bracket_ignored":
            query.predicates.append(_in_range(base, operator, bound))
    return True


def _in_range(column: str, operator: str, bound: datetime) -> Predicate:
    compare = _COMPARISONS[operator]

    def check(row: Json) -> bool:
        value = row.get(column)
        return isinstance(value, str) and compare(parse_instant(value), bound)

    return check


def _is_in(column: str, wanted: set[object] | set[int] | set[str] | set[bool]) -> Predicate:
    return lambda row: row.get(column) in wanted


def _instant(name: str, text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise invalid(name, f"`{text}` is not a time") from error


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise invalid(name, f"`{text}` must be boolean")
    return text == "true"


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise invalid(name, f"`{text}` must be an integer")
    return int(text)


def _id_list(name: str, value: str) -> list[int]:
    ids = [_number(name, part.strip()) for part in value.split(",")]
    if len(ids) > MAX_IDS:
        raise invalid(name, f"{len(ids)} ids are more than {MAX_IDS}")
    return ids


def _per_page(value: str) -> int:
    number = _number("per_page", value)
    if number > MAX_PER_PAGE:
        raise invalid("per_page", f"`{number}` number is greater than: {MAX_PER_PAGE}")
    if number < 1:
        raise invalid("per_page", f"`{number}` number is less than: 1")
    return number


def _fields(value: str) -> list[str]:
    names = [part.strip() for part in value.split(",") if part.strip()]
    if not names or len(names) > MAX_FIELDS:
        raise invalid("fields", f"from 1 to {MAX_FIELDS} columns")
    return names
