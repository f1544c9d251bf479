"""Text to YAML nodes within bounds: how long, how deep and how many, whatever its aliases stand for.

A file is written by a person or made by a program; either may go wrong. What is refused here would take a
parser minutes, a gigabyte, or an exception nobody expects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from trellis.common.errors import TrellisError

MOST_BYTES: Final = 256 * 1024
"""A hundred workflows of a hundred lines each."""
DEEPEST: Final = 40
"""Nesting of mappings and lists; a workflow needs about ten and its conditions as many as they like."""
MOST_VALUES: Final = 20_000
"""Keys and values, both as written and with all aliases put in place of their anchors."""
_LONGEST_PLAIN: Final = 1000
"""Of a text without quotes, which may be read as a number or a date."""


class YamlFault(TrellisError):
    """The text is no YAML that we take.

    Args:
        expected: What should stand there; it never quotes what does.
        line: From 0; None when the fault is of the whole text.
        column: From 0.
    """

    def __init__(self, expected: str, line: int | None = None, column: int = 0) -> None:
        super().__init__(expected)
        self.expected = expected
        self.line = line
        self.column = column


def load(text: str) -> CommentedMap:
    """Return the mapping in *text*, its places kept for those who tell of faults.

    Raises:
        YamlFault: It is no YAML, no mapping, or beyond a bound.
    """
    scalars: list[ScalarEvent] = []
    try:
        scalars += _checked(YAML(typ="safe", pure=True).parse(text))
        raw = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        # Its own words quote both values, of which one may be a secret that should not stand there.
        raise _at(error.problem_mark, "no YAML: expected each key once") from None
    except ConstructorError as error:
        raise _at(error.problem_mark, "no YAML: expected a value that can be read") from None
    except MarkedYAMLError as error:
        raise _at(error.problem_mark, f"no YAML: {error.problem or 'cannot be parsed'}") from None
    except YAMLError as error:
        raise YamlFault(f"no YAML ({type(error).__name__})") from None
    except (ValueError, OverflowError):
        raise _at(
            _unreadable(scalars), "no YAML: expected a number or a date that exists, or quotes around it"
        ) from None
    if not isinstance(raw, CommentedMap):
        raise YamlFault("expected a mapping that begins with `account:`", 0)
    return raw


def _checked(events: Iterator[Event]) -> Iterator[ScalarEvent]:
    """Yield the scalars without quotes, after a look at every event's place, bounds and tag."""
    places = _Places()
    for count, event in enumerate(events):
        if count > MOST_VALUES:
            raise _at(event.start_mark, f"expected at most {MOST_VALUES} keys and values")
        places.take(event)
        if places.depth > DEEPEST:
            raise _at(event.start_mark, f"expected at most {DEEPEST} mappings and lists within each other")
        if getattr(event, "ctag", None) is not None:
            raise _at(event.start_mark, "expected a value without a tag; take the `!…` away")
        if isinstance(event, ScalarEvent) and event.style is None:
            if len(event.value) > _LONGEST_PLAIN:
                raise _at(event.start_mark, f"expected quotes around a text of more than {_LONGEST_PLAIN} signs")
            yield event


class _Places:
    """Where in the tree the events are: how deep, and whether a key comes next."""

    def __init__(self) -> None:
        self._key_is_next: list[bool | None] = []  # for each mapping; None for a list

    @property
    def depth(self) -> int:
        """How many mappings and lists are open."""
        return len(self._key_is_next)

    def take(self, event: Event) -> None:
        """Follow one event; a key that is no text is refused, since no mapping could hold it."""
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._key_is_next.pop()
        elif isinstance(event, NodeEvent):
            if self._key_is_next and self._key_is_next[-1] is not None:
                if self._key_is_next[-1] and not isinstance(event, ScalarEvent):
                    raise _at(event.start_mark, "expected a key that is a text")
                self._key_is_next[-1] = not self._key_is_next[-1]
            if isinstance(event, CollectionStartEvent):
                self._key_is_next.append(True if isinstance(event, MappingStartEvent) else None)


def _unreadable(scalars: list[ScalarEvent]) -> StreamMark | None:
    """Return where the first scalar stands that alone cannot be read either."""
    for scalar in scalars:
        try:
            YAML(typ="safe", pure=True).load(scalar.value)
        except YAMLError:
            continue
        except (ValueError, OverflowError):
            mark: StreamMark = scalar.start_mark
            return mark
    return None


def plain(raw: CommentedMap) -> dict[str, Any]:
    """Return *raw* as ordinary values, aliases put in place.

    Raises:
        YamlFault: A key is no text or number, two keys are one as text, or it becomes too much or too deep.
    """
    result: dict[str, Any] = _Copy().of(raw, 0)
    return result


class _Copy:
    def __init__(self) -> None:
        self._values = 0

    def of(self, node: Any, depth: int) -> Any:
        self._values += 1
        if self._values > MOST_VALUES or depth > DEEPEST:
            raise YamlFault(
                f"expected at most {MOST_VALUES} values, {DEEPEST} within each other, with every alias put in place", 0
            )
        if isinstance(node, dict):
            return self._mapping(node, depth)
        if isinstance(node, list):
            return [self.of(item, depth + 1) for item in node]
        if isinstance(node, bool) or node is None:
            return node
        for kind in (int, float, str):
            if isinstance(node, kind):
                return kind(node)
        return node

    def _mapping(self, node: dict[Any, Any], depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, value in node.items():
            line, column = (
                node.lc.key(key) if isinstance(node, CommentedMap) and key in (node.lc.data or ()) else (0, 0)
            )
            if not isinstance(key, str | int | float):
                raise YamlFault("expected a key that is a text", line, column)
            if str(key) in copied:
                raise YamlFault("expected each key once", line, column)
            copied[str(key)] = self.of(value, depth + 1)
        return copied


def _at(mark: StreamMark | None, expected: str) -> YamlFault:
    return YamlFault(expected) if mark is None else YamlFault(expected, mark.line, mark.column)
