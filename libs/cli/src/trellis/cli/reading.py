"""Reads an account's file and says of each fault where it stands: file, line, column, what was expected."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from trellis.cli.account_file import AccountFile, resolve
from trellis.cli.yaml_text import MOST_BYTES, YamlFault, load, plain
from trellis.common.errors import InputError, PermanentError

_REMEDIES = {
    "extra_forbidden": "remove it, or see `trellis schema` for the fields that are known",
    "missing": "add it",
}


class FileError(PermanentError):
    """The file is wrong; the message has a line per fault."""


def read(path: Path, environ: Mapping[str, str] | None = None) -> AccountFile:
    """Return the account in the file at *path*; `-` is the standard input.

    With *environ*, what the file names by reference must be there too.

    Raises:
        FileError: It cannot be read, is no YAML, or does not fit; each fault on a line `file:line:column: …`.
    """
    try:
        raw = load(_text(path))
        given = plain(raw)
    except YamlFault as fault:
        place = f"{path}" if fault.line is None else f"{path}:{fault.line + 1}:{fault.column + 1}"
        raise FileError(f"{place}: {fault.expected}") from None
    try:
        file = AccountFile.model_validate(given)
    except ValidationError as error:
        raise FileError(_explained(path, raw, error)) from None
    if environ is not None:
        _check_references(path, raw, file, environ)
    return file


def _check_references(path: Path, raw: CommentedMap, file: AccountFile, environ: Mapping[str, str]) -> None:
    lines = []
    for loc, reference in file.references():
        try:
            resolve(reference, environ, path.parent)
        except InputError as error:
            line, column, field = _place(raw, loc, missing=False)
            lines.append(f"{path}:{line}:{column}: {field}: {error}")
    if lines:
        raise FileError("\n".join(lines))


def _text(path: Path) -> str:
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            body = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None
    if len(body) > MOST_BYTES:
        raise FileError(f"{path}: expected at most {MOST_BYTES // 1024} KiB; an account has one file")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise FileError(f"{path}:{line}: expected text in UTF-8; save the file in that encoding") from None


def _explained(path: Path, raw: CommentedMap, error: ValidationError) -> str:
    lines = []
    seen: set[tuple[int, int, str]] = set()
    for fault in error.errors(include_input=False, include_url=False):
        kind = fault["type"]
        for loc, message in _single(fault):
            line, column, field = _place(raw, loc, missing=kind == "missing")
            expected = _expected(kind, message)
            if (line, column, expected) in seen:
                continue
            seen.add((line, column, expected))
            remedy = _REMEDIES.get(kind)
            lines.append(f"{path}:{line}:{column}: {field}: {expected}" + (f"; {remedy}" if remedy else ""))
    return "\n".join(lines)


def _single(fault: ErrorDetails) -> list[tuple[tuple[int | str, ...], str]]:
    """Return the faults that stand in *fault*, each with its place: one, or those of the fields of a mapping."""
    if fault["type"] == "fields":
        return [((*fault["loc"], name), message) for name, message in fault["ctx"]["faults"]]
    return [(fault["loc"], fault["msg"])]


def _expected(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such field is known here"
    if kind == "missing":
        return "is missing"
    message = message.removeprefix("Value error, ")
    return (
        f"expected {message}"
        if not message.startswith(("Input", "String"))
        else message.replace("Input should be", "expected")
    )


def _place(raw: CommentedMap, loc: tuple[int | str, ...], *, missing: bool) -> tuple[int, int, str]:
    """Return line, column and dotted name of the place *loc*; parts that name a union's branch are skipped."""
    node: Any = raw
    line, column = 0, 0
    names: list[str] = []
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(node, CommentedMap) and part in node:
            line, column = node.lc.key(part)
            if last or not isinstance(node[part], CommentedMap | CommentedSeq):
                line, column = (
                    node.lc.value(part) if not isinstance(node[part], CommentedMap | CommentedSeq) else (line, column)
                )
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
        elif last and missing:
            names.append(str(part))
            break
        else:
            continue
        names.append(str(part))
        node = node[part]
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in ".".join(names))
    return line + 1, column + 1, shown or "file"
