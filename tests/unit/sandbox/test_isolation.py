from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

from trellis.sandbox.ids import RANGES, Ids

ROOT = Path("libs/sandbox/src/trellis/sandbox")


def test_sandbox_shares_no_code_with_the_services() -> None:
    """One mistake must not be able to hide in both."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith("trellis.") or name.startswith("trellis.sandbox"), (path, name)


def test_ranges_of_ids_lie_above_four_thousand_million_and_far_apart() -> None:
    ranges = sorted(RANGES.values())
    assert ranges[0] >= 4_000_000_000
    assert min(b - a for a, b in pairwise(ranges)) >= 3_000_000


def test_ids_are_the_same_on_every_run() -> None:
    first, second = Ids(), Ids()
    assert [first.next("job") for _ in range(3)] == [second.next("job") for _ in range(3)]
