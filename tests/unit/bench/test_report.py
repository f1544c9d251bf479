"""The JSON object's shape, the verdict, and the table."""

import json

from bench.figures import spread
from bench.report import Line, Sense, as_json, as_table, failures


def line(name: str = "ingest", ratio: float = 0.6, sense: Sense = Sense.AT_LEAST, limit: float = 0.5) -> Line:
    return Line(
        name=name, unit="webhooks/s", ratio=spread([ratio]), ours=spread([600.0]), bare=spread([1000.0]),
        limit=limit, sense=sense, details={"body_bytes": 6144}, remarks=("a remark",),
    )  # fmt: skip


MACHINE: dict[str, object] = {"cores": 2}


def test_each_line_has_ratio_ours_limit_and_runs_beside_machine_and_memory() -> None:
    report = json.loads(json.dumps(as_json([line()], MACHINE, {"ingest": 80.04})))
    assert set(report) == {"ingest", "machine", "memory"}
    assert {key: report["ingest"][key] for key in ("ratio", "ours", "limit", "runs", "holds", "body_bytes")} == {
        "ratio": 0.6, "ours": 600.0, "limit": 0.5, "runs": 1, "holds": True, "body_bytes": 6144,
    }  # fmt: skip
    assert report["memory"] == {"ingest": 80.0}


def test_the_median_ratio_is_judged_on_its_side_of_the_limit() -> None:
    assert line(ratio=0.5).holds
    assert not line(ratio=0.49).holds
    assert line(ratio=4.0, sense=Sense.AT_MOST, limit=4).holds
    assert not line(ratio=4.1, sense=Sense.AT_MOST, limit=4).holds


def test_what_misses_its_limit_is_named_memory_too() -> None:
    found = failures([line(ratio=0.3), line("workflow")], {"ingest": 150.0, "workflow": 149.0})
    assert [words.split(":")[0] for words in found] == ["ingest", "ingest"]
    assert "at least 0.5" in found[0]
    assert "150 MiB" in found[1]


def test_the_table_says_everything_a_person_needs() -> None:
    text = as_table([line(ratio=0.3)], MACHINE, {"ingest": 80.0})
    assert all(
        word in text for word in ("0.30 (0.30 to 0.30)", "at least 0.5", "MISSED", "a remark", "80 MiB", "cores 2")
    )
