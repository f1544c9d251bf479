"""The small mistakes that can be planted in one module's source. Pure.

A mutant is found by its place in the walk over the module's syntax tree, so the tree can be made anew in
another process. What is left alone: annotations, docstrings, and texts for people (any text with a space).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import CodeType
from typing import Any, Final

Members = Callable[[str], list[str]]
"""The members of the enumeration that a dotted name means in the module; empty when it means none."""

_COMPARED: Final[Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_CALCULATED: Final[Mapping[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Attributes:
        index: Its place in the walk.
        line: Of the source, from 1.
        name: The function or class it is in, what stood there and what stands there now; unique in the module.
    """

    index: int
    line: int
    name: str


@dataclass(frozen=True, slots=True)
class _Site:
    node: ast.AST
    inside: str
    before: str
    after: str
    plant: Callable[[], None]


def mutants_of(source: str, members: Members) -> list[Mutant]:
    """Return every mutant of *source*, in the order of the walk."""
    seen: Counter[str] = Counter()
    found = []
    for index, site in enumerate(_sites(ast.parse(source), members)):
        name = f"{site.inside}: {site.before} -> {site.after}"
        seen[name] += 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        found.append(Mutant(index, getattr(site.node, "lineno", 0), name + again))
    return found


def planted(source: str, members: Members, index: int, filename: str) -> CodeType:
    """Return the code of *source* with mutant number *index* in it."""
    tree = ast.parse(source)
    site = list(_sites(tree, members))[index]
    site.plant()
    return compile(ast.fix_missing_locations(tree), filename, "exec")


def members_in(module: object) -> Members:
    """Return the way to look enumerations up in *module*."""

    def members(dotted: str) -> list[str]:
        found: object = module
        for part in dotted.split("."):
            found = getattr(found, part, None)
        return list(found.__members__) if isinstance(found, type) and issubclass(found, Enum) else []

    return members


# -- the walk


def _sites(tree: ast.Module, members: Members) -> Iterator[_Site]:
    yield from _Walk(members).block(tree, "body", ())


@dataclass(frozen=True, slots=True)
class _Walk:
    members: Members

    def block(self, owner: ast.AST, field: str, inside: tuple[str, ...]) -> Iterator[_Site]:
        """Walk the statements in *field* of *owner*."""
        for place, statement in enumerate(getattr(owner, field)):
            if _is_docstring(statement):
                continue
            if inside and _can_go(statement):
                yield _site(statement, inside, "nothing", _putting(getattr(owner, field), place, ast.Pass()))
            yield from self.node(statement, inside)

    def node(self, node: ast.AST, inside: tuple[str, ...]) -> Iterator[_Site]:
        """Walk *node* and all below it; annotations are no code."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = (*inside, node.name)
        yield from self.mistakes(node, inside)
        if _is_type(node):
            return
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_params", "decorator_list"):
                continue
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                yield from self.block(node, field, inside)
            elif isinstance(value, list):
                for place, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        yield from self.child(item, inside, _putter(value, place))
            elif isinstance(value, ast.AST):
                yield from self.child(value, inside, _setter(node, field))

    def child(self, node: ast.AST, inside: tuple[str, ...], put: Callable[[ast.AST], None]) -> Iterator[_Site]:
        """Walk a part that can be replaced as a whole through *put*."""
        if isinstance(node, ast.JoinedStr):
            # The texts between a format's fields are for people; the fields are code.
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from self.node(part, inside)
            return
        for after in self.replacements(node):
            yield _site(node, inside, ast.unparse(after), lambda after=after: put(after))  # type: ignore[misc]
        yield from self.node(node, inside)

    def replacements(self, node: ast.AST) -> Iterator[ast.expr]:
        """What may stand in the place of an expression."""
        match node:
            case ast.Constant(value=bool(value)):
                yield ast.Constant(not value)
            case ast.Constant(value=int(value) | float(value)):
                yield ast.Constant(value + 1)
            case ast.Constant(value=str(value)) if " " not in value.strip():
                yield ast.Constant(f"{value}XX")
            case ast.Attribute(value=owner, attr=name, ctx=ast.Load()):
                others = self.members(ast.unparse(owner))
                if name in others and len(others) > 1:
                    other = others[(others.index(name) + 1) % len(others)]
                    yield ast.Attribute(owner, other, ast.Load())
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield operand
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _CALCULATED and not _is_type(node):
                yield ast.BinOp(left, _CALCULATED[type(op)](), right)
            case ast.BoolOp(op=op, values=values):
                yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
                for place in range(len(values)):
                    rest = values[:place] + values[place + 1 :]
                    yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                for place, compared in enumerate(ops):
                    for wrong in _COMPARED[type(compared)]:
                        yield ast.Compare(left, [*ops[:place], wrong(), *ops[place + 1 :]], comparators)

    def mistakes(self, node: ast.AST, inside: tuple[str, ...]) -> Iterator[_Site]:
        """What may go wrong within one node."""
        match node:
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                yield _site(node, inside, "return None", lambda: _setter(node, "value")(ast.Constant(None)))
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not _negates_itself(test):
                yield _negated(node, "test", test, inside)
            case ast.match_case(guard=ast.expr() as guard) if not _negates_itself(guard):
                yield _negated(node, "guard", guard, inside)
            case ast.comprehension(ifs=ifs):
                for place, condition in enumerate(ifs):
                    if not _negates_itself(condition):
                        opposite = ast.UnaryOp(ast.Not(), condition)
                        yield _site(condition, inside, ast.unparse(opposite), _putting(ifs, place, opposite))
            case ast.Dict(keys=keys, values=values) if inside or len(keys) > 1:
                for place, key in enumerate(keys):
                    if key is not None:
                        yield _site(key, inside, "no such entry", _without(place, keys, values))
            case ast.Call(func=func, keywords=keywords):
                for place, keyword in enumerate(keywords):
                    if keyword.arg is not None:
                        yield _site(
                            keyword, inside, "no such argument", _without(place, keywords), f"{ast.unparse(func)}(…)"
                        )
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Tuple(elts=elements)]):
                for place, element in enumerate(elements):
                    yield _site(element, inside, "not among them", _without(place, elements))


def _site(node: ast.AST, inside: tuple[str, ...], after: str, plant: Callable[[], None], of: str = "") -> _Site:
    before = " ".join([of, ast.unparse(node)] if of else [ast.unparse(node)])
    return _Site(node, ".".join(inside) or "module", _short(before), _short(after), plant)


def _negated(node: ast.AST, field: str, condition: ast.expr, inside: tuple[str, ...]) -> _Site:
    opposite = ast.UnaryOp(ast.Not(), condition)
    return _site(condition, inside, ast.unparse(opposite), lambda: _setter(node, field)(opposite))


def _short(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _setter(node: ast.AST, field: str) -> Callable[[ast.AST], None]:
    return lambda new: setattr(node, field, new)


def _putter(items: list[Any], place: int) -> Callable[[ast.AST], None]:
    return lambda new: items.__setitem__(place, new)


def _putting(items: list[Any], place: int, new: ast.AST) -> Callable[[], None]:
    return lambda: items.__setitem__(place, new)


def _without(place: int, *lists: list[Any]) -> Callable[[], None]:
    def plant() -> None:
        for items in lists:
            del items[place]

    return plant


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_type(node: ast.AST) -> bool:
    """Whether an expression is a union of types or a `Literal`, which no mistake can hide in from the type checker."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return all(_is_type(part) or _is_named_as_type(part) for part in (left, right))
        case ast.Subscript(value=ast.Name(id="Literal")):
            return True
    return False


def _is_named_as_type(node: ast.AST) -> bool:
    name = ast.unparse(node).rpartition(".")[2].lstrip("_")
    return name in ("int", "float", "str", "bool", "bytes", "None") or (name.isidentifier() and name[:1].isupper())


def _can_go(statement: ast.stmt) -> bool:
    """Whether a statement inside a function can be left out; what declares a field is no statement."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call) and ast.unparse(statement.value.func) != "assert_never"
    return isinstance(statement, ast.Assign | ast.AugAssign)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _negates_itself(condition: ast.expr) -> bool:
    """Whether another mutant of the same condition is its negation already."""
    match condition:
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Compare(ops=[_]):
            return True
        case ast.Constant():
            return True
    return False
