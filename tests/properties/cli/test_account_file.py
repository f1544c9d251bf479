"""Whatever stands in the account's file, it is read as one account or refused with place, field and expectation."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from tests.unit.test_documents import example as documented

from trellis.cli.account_file import AccountFile
from trellis.cli.reading import FileError, read
from trellis.cli.yaml_text import DEEPEST, MOST_BYTES, MOST_VALUES
from trellis.workflow.domain.compiling import compile_workflow

PLANTED = "hunter2-the-secret"
DOCUMENT: dict[str, Any] = YAML(typ="safe").load(documented())
FILE = Path(tempfile.mkdtemp()) / "trellis.yaml"
KEYS = [*sorted(set(re.findall(r"([a-z_]+):", documented()))), "not", "any", "all", "add_note", "<<", PLANTED]
LINE = re.compile(rf"^{re.escape(str(FILE))}(:\d+(:\d+)?)?: .*\S")


def judged(text: str | bytes) -> AccountFile | None:
    FILE.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        return read(FILE)
    except FileError as refusal:
        lines = str(refusal).splitlines()
    assert lines
    assert all(LINE.match(line) for line in lines), lines
    assert not any(f'"{PLANTED}"' in line for line in lines), "a value is never repeated"
    return None


def is_usable(account: AccountFile) -> bool:
    """It can be sent as JSON, and its workflows can be judged by."""
    json.dumps(account.model_dump(mode="json"), allow_nan=False)
    return all(compile_workflow(document, 1).rules for document in account.workflows)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.sampled_from(
        ["", "next", "any", "env:X", "https://x", "{score:>999999999}", "{score.__class__}", "{", PLANTED]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """The documented example with anything in some of its places."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    for _ in range(draw(st.integers(1, 3))):
        node: Any = document
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if not isinstance(node[key], dict | list) or draw(st.integers(0, 3)) == 0:
                node[key] = draw(values)
                break
            node = node[key]
    return document


@given(documents())
def test_anything_in_any_place_of_a_file_is_an_account_or_told_with_its_place(document: dict[str, Any]) -> None:
    account = judged(json.dumps(document))
    assert account is None or is_usable(account)


signs = st.lists(
    st.sampled_from(["account", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "&a ", "*a", "<<: ", "!!int ", "!x ", "? "])
    | st.sampled_from(
        ["'", '"', "|", ">", "#", "%", "@", "`", "---\n", "...\n", ",", "x", "9", ".inf", "2026-99-99", "\t"]
    )
    | st.sampled_from(["\x00", "é", "\ud800", "\ufeff", "\u2028", "~", "null", "0x", "1e999", "=", PLANTED]),
    max_size=30,
).map("".join)


@example(text="? account\u2028account")
@given(signs | st.binary(max_size=100))
@example(b"\xff\xfe")
@example("account: " + "9" * 5000)
@example("account: !!bool x")
@example("account: 2026-99-99")
@example(f"account: {PLANTED}\naccount: {PLANTED}")
@example("&a\naccount: *a")
@example("? [a]\n: 1")
@example("1: a\n'1': b")
@example("a: &a {x: 1}\nb: {<<: [*a, *a]}")
def test_any_text_is_an_account_or_told_with_its_place(text: str | bytes) -> None:
    judged(text)


def lists_of_aliases(count: int) -> str:
    """Each list holds the one before nine times: 9 to the power of *count* values."""
    first, *others = (f"a{number}: &a{number} [{{}}]" for number in range(count))
    lines = [first.format("x")]
    lines += [line.format(",".join([f"*a{number}"] * 9)) for number, line in enumerate(others)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        lists_of_aliases(12),
        "account: " + "[" * 5000,
        "account: " + "{a: " * 5000,
        "- " * 5000,
        "account: x\nworkflows:\n" + "- 1\n" * (MOST_VALUES + 1),
        "account: x\n" + "#" * MOST_BYTES,
    ],
    ids=["aliases", "lists", "mappings", "items", "many", "long"],
)
def test_what_would_take_a_machine_is_refused_for_what_it_is(text: str) -> None:
    FILE.write_text(text)
    with pytest.raises(FileError, match=r"expected at most \d+"):
        read(FILE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("account: a\naccount: b", "2:1: no YAML: expected each key once"),
        ("account: !!int a", "1:10: expected a value without a tag; take the `!…` away"),
        ("account: a\nx: 2026-99-99", "2:4: no YAML: expected a number or a date that exists, or quotes around it"),
        ("account: " + "9" * 2000, "1:10: expected quotes around a text of more than 1000 signs"),
        ("1: a\n'1': b", "2:1: expected each key once"),
        ("? [a]\n: 1", "1:3: expected a key that is a text"),
        ("{{t: {e: []}}}", "1:2: expected a key that is a text"),
        ("a: &a {x: 1}\n*a : 1", "2:1: expected a key that is a text"),
        ("a: [{[b]: 1}]", "1:6: expected a key that is a text"),
        ("- a", "1:1: expected a mapping that begins with `account:`"),
        ("x: 1\n\xff", None),
    ],
)
def test_each_fault_of_the_text_is_told_where_it_stands(text: str, told: str | None) -> None:
    FILE.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError) as caught:
        read(FILE)
    assert str(caught.value) == f"{FILE}:{told or '2: expected text in UTF-8; save the file in that encoding'}"


@settings(max_examples=25)
@given(st.integers(1, 2 * DEEPEST), st.sampled_from([lambda x: {"not": x}, lambda x: {"all": [x]}]))
def test_conditions_nest_as_deep_as_a_file_may_and_no_deeper(depth: int, wrap: Callable[[Any], Any]) -> None:
    condition: Any = {"qualified": True}
    for _ in range(depth):
        condition = wrap(condition)
    rule = {"name": "r", "when": {"assessment_completed": {}}, "if": condition, "then": [{"move": "next"}]}
    account = judged(json.dumps({"account": "a", "workflows": [{"name": "w", "rules": [rule]}]}))
    assert (account is not None) is (len(re.findall(r"[{\[]", json.dumps(condition))) + 5 <= DEEPEST)
    assert account is None or is_usable(account)


@pytest.mark.parametrize("text", ["{score:>999999999}", "{score.__class__}", "{score!r}", "{}", "{0}", "{nobody}", "{"])
def test_a_placeholder_is_a_known_name_and_nothing_else(text: str) -> None:
    rule = {"name": "r", "when": {"assessment_completed": {}}, "then": [{"add_note": text}]}
    FILE.write_text(json.dumps({"account": "a", "workflows": [{"name": "w", "rules": [rule]}]}))
    with pytest.raises(FileError, match="expected only these placeholders in braces"):
        read(FILE)
