"""The recorded report of Coderbyte, changed as a test wants it, and the result that is read from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trellis.assessments.domain.options import Options
from trellis.assessments.domain.results import Result, parse_report, to_result

DATA = Path(__file__).parents[2] / "data" / "coderbyte"
OPTIONS = Options()


def full(**changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((DATA / "report.json").read_text())["data"]["reports"][0]
    return raw | changes


def result_of(raw: dict[str, Any], options: Options = OPTIONS) -> Result:
    return to_result(parse_report(raw), options, attempt_count=1, time_expired=None)
