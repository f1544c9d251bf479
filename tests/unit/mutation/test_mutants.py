"""Which mistakes are planted in a piece of source, and that each changes just that."""

from __future__ import annotations

from types import ModuleType

import pytest
from tools.mutation.mutants import members_in, mutants_of, planted

COLOURS = {"Colour": ["RED", "GREEN", "BLUE"]}


def members(dotted: str) -> list[str]:
    return COLOURS.get(dotted, [])


def names(source: str) -> list[str]:
    return [mutant.name for mutant in mutants_of(source, members)]


def values(source: str, name: str = "f", *arguments: object) -> list[object]:
    """What *name* of each mutant of *source* returns; the error's name where it raises."""
    found: list[object] = []
    for mutant in mutants_of(source, members):
        space: dict[str, object] = {}
        try:
            exec(planted(source, members, mutant.index, "m.py"), space)
            found.append(space[name](*arguments))  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - whatever a mutant raises
            found.append(type(error).__name__)
    return found


@pytest.mark.parametrize(
    ("expression", "mistakes"),
    [
        ("a < b", ["a <= b", "a >= b"]),
        ("a >= b", ["a > b", "a < b"]),
        ("a == b", ["a != b"]),
        ("a is not b", ["a is b"]),
        ("a not in b", ["a in b"]),
        ("a + b", ["a - b"]),
        ("a // b", ["a * b"]),
        ("a and b", ["a or b", "b", "a"]),
        ("a or b or c", ["a and b and c", "b or c", "a or c", "a or b"]),
        ("not a", ["a"]),
        ("True", ["False"]),
        ("7", ["8"]),
        ("'word'", ["'wordXX'"]),
        ("Colour.BLUE", ["Colour.RED"]),
        ("a.b", []),
        ("None", []),
    ],
)
def test_an_expression_is_replaced_by_its_neighbours(expression: str, mistakes: list[str]) -> None:
    assert names(f"x = {expression}") == [f"module: {expression} -> {wrong}" for wrong in mistakes]


@pytest.mark.parametrize(
    "source",
    [
        "'A text of one word.'",
        "x = 'a text for people'",
        "x: Literal['word'] = y",
        "def f(a: int = b) -> Literal['word']: ...",
        "x = int | str",
        "x = p.Found | p.Absent | None",
        "@decorated(flag=True)\nclass C: ...",
        "x = f'{y:02}'",
        "def f():\n    assert_never(x)",
    ],
)
def test_types_texts_and_decorators_are_left_alone(source: str) -> None:
    assert names(source) == []


def test_a_condition_is_negated_once() -> None:
    assert names("def f():\n    if a: pass\n    if not b: pass\n    if c is d: pass") == [
        "f: a -> not a",
        "f: not b -> b",
        "f: c is d -> c is not d",
    ]


def test_conditions_of_choices_comprehensions_and_guards_are_negated() -> None:
    source = "def f(y):\n    x = a if b else c\n    z = [d for d in e if g]\n    match y:\n        case 1 if h: pass"
    assert [name for name in names(source) if "not" in name and "nothing" not in name] == [
        "f: b -> not b",
        "f: g -> not g",
        "f: h -> not h",
    ]


def test_statements_entries_arguments_and_members_are_left_out() -> None:
    source = "def f():\n    x = g(a=b)\n    h()\n    return x in (c, d)"
    assert names(source) == [
        "f: x = g(a=b) -> nothing",
        "f: g(…) a=b -> no such argument",
        "f: h() -> nothing",
        "f: return x in (c, d) -> return None",
        "f: x in (c, d) -> x not in (c, d)",
        "f: c -> not among them",
        "f: d -> not among them",
    ]
    assert names("x = {a: b, c: d}") == ["module: a -> no such entry", "module: c -> no such entry"]


def test_a_mistake_made_twice_in_one_function_has_two_names_and_a_method_its_class() -> None:
    source = "class C:\n    def f(self):\n        return [1, 1]"
    assert names(source)[1:] == ["C.f: 1 -> 2", "C.f: 1 -> 2 (2)"]


def test_each_mutant_is_one_mistake() -> None:
    source = (
        "def f(n):\n    total = 0\n    for i in range(n):\n        if i > 1:\n            total += i\n    return total"
    )
    assert values(source, "f", 4) == ["UnboundLocalError", 6, 6, 1, 3, 0, None]


def test_the_rest_of_the_module_stays_as_it_was() -> None:
    source = "A = 1\nB = 2\ndef f():\n    return (A, B)"
    assert values(source) == [(2, 2), (1, 3), None]


def test_enumerations_are_known_by_the_names_the_module_gives_them() -> None:
    from enum import Enum

    module = ModuleType("m")
    module.n = ModuleType("n")  # type: ignore[attr-defined]
    module.n.Colour = Enum("Colour", ["RED", "GREEN"])  # type: ignore[attr-defined]
    assert members_in(module)("n.Colour") == ["RED", "GREEN"]
    assert members_in(module)("n.Shade") == members_in(module)("n") == members_in(module)("a()[0].b") == []
