"""No line of a log bears a key outside the allow-list: it would be dropped, and what it said with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from trellis.common.runtime.logs import ALLOWED

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
CONTROL = {"exc_info"}


def calls() -> Iterator[tuple[str, set[str]]]:
    for folder in ("libs", "services"):
        for path in sorted(Path(folder).rglob("src/**/*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                    continue
                called = node.func
                of_log = isinstance(called, ast.Attribute) and called.attr in LEVELS
                told = isinstance(called, ast.Name) and called.id == "tell"
                if of_log or told:
                    yield f"{path}:{node.lineno}", {item.arg for item in node.keywords if item.arg is not None}


def test_every_key_of_every_line_is_on_the_allow_list() -> None:
    found = dict(calls())
    assert len(found) > 40
    assert {place: keys for place, keys in found.items() if keys - ALLOWED - CONTROL} == {}
