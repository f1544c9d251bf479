"""Typed access to JSON bodies, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = dict[str, object]
"""A JSON object, as it is written to the wire."""


class ControlError(Exception):
    """A control request that cannot be carried out; becomes an answer with *status* and *message*."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Body:
    """A JSON object whose fields are read by type. An absent field and null are the same."""

    def __init__(self, fields: Mapping[str, object] | None = None) -> None:
        self.fields: Mapping[str, object] = fields or {}

    @classmethod
    def of(cls, value: object) -> Body:
        """Wrap a decoded body; raises `ControlError` if it is not an object."""
        if value is None:
            return cls()
        if not isinstance(value, dict):
            raise ControlError("the body must be a JSON object")
        return cls(value)

    def has(self, name: str) -> bool:
        """Whether the field is there, null included."""
        return name in self.fields

    def text(self, name: str, default: str | None = None) -> str:
        """A text field; numbers are taken as their digits."""
        value = self.fields.get(name)
        if value is None:
            if default is None:
                raise ControlError(f"'{name}' is required")
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ControlError(f"'{name}' must be text")
        return str(value)

    def optional_text(self, name: str) -> str | None:
        """A text field, or `None`."""
        return None if self.fields.get(name) is None else self.text(name)

    def number(self, name: str, default: float) -> float:
        """A number field."""
        value = self.optional_number(name)
        return default if value is None else value

    def optional_number(self, name: str) -> float | None:
        """A number field, or `None`; whole numbers stay `int`."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ControlError(f"'{name}' must be a number")
        return value

    def integer(self, name: str, default: int) -> int:
        """A whole number field."""
        value = self.optional_integer(name)
        return default if value is None else value

    def optional_integer(self, name: str) -> int | None:
        """A whole number field, or `None`."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ControlError(f"'{name}' must be a whole number")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A true or false field."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ControlError(f"'{name}' must be true or false")
        return value

    def items(self, name: str) -> list[object] | None:
        """A list field, or `None`."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise ControlError(f"'{name}' must be a list")
        return value

    def texts(self, name: str) -> list[str] | None:
        """A list of texts (one text is a list of one), or `None`."""
        value = self.fields.get(name)
        if isinstance(value, str):
            return [value]
        found = self.items(name)
        if found is None:
            return None
        if not all(isinstance(item, str) for item in found):
            raise ControlError(f"'{name}' must be a list of texts")
        return [str(item) for item in found]

    def section(self, name: str) -> Body:
        """A nested object; empty if absent."""
        try:
            return Body.of(self.fields.get(name))
        except ControlError as error:
            raise ControlError(f"'{name}' must be an object") from error
