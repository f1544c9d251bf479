"""The list of failpoints is the product's: whoever walks it has been everywhere."""

from __future__ import annotations

import re
from pathlib import Path

from trellis.common.failpoints import FAILPOINTS

ROOT = Path(__file__).parents[3]


def test_the_list_names_every_failpoint_of_the_product_and_no_other() -> None:
    sources = [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    called = {name for path in sources for name in re.findall(r'\bfailpoint\("([^"]+)"\)', path.read_text("utf-8"))}
    assert called == set(FAILPOINTS)
    assert len(FAILPOINTS) == len(called)
