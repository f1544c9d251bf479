"""A mutated module meets its tests: noticed, not noticed, or never ending."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tools.dev.paths import ROOT
from tools.mutation import __main__ as command
from tools.mutation.cores import CORES, Core, chosen
from tools.mutation.equivalents import EQUIVALENT
from tools.mutation.running import NoVerdict, Verdict, judged

SOURCE = """
def bounded(value):
    while value > 10:
        value -= 1
    return value
"""
TESTS = """
import sample_core

def test_bounded():
    assert sample_core.bounded(12) == 10
    assert sample_core.bounded(3) == 3
"""


@dataclass(frozen=True, slots=True)
class Sample(Core):
    """A core in a folder of its own."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "sample_core.py"


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sample]:
    (tmp_path / "sample_core.py").write_text(SOURCE)
    (tmp_path / "test_sample.py").write_text(TESTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield Sample("sample_core", (f"--rootdir={tmp_path}", str(tmp_path / "test_sample.py")), tmp_path)
    sys.modules.pop("sample_core", None)


def judge(core: Core, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr("tools.mutation.running._LEAST_SECONDS", 3.0)
    shown: list[Verdict] = []
    verdicts = judged(core, jobs=3, shown=shown.append)
    assert sorted(shown, key=lambda verdict: verdict.mutant.index) == verdicts
    return {verdict.mutant.name: verdict.fate for verdict in verdicts}


def test_each_mutant_meets_the_tests_and_no_file_changes(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(sample, monkeypatch) == {
        "bounded: value > 10 -> value >= 10": "killed",
        "bounded: value > 10 -> value <= 10": "killed",
        "bounded: 10 -> 11": "killed",
        "bounded: value -= 1 -> nothing": "timed out",
        "bounded: 1 -> 2": "survived",
        "bounded: return value -> return None": "killed",
    }
    assert sample.path.read_text() == SOURCE


def test_tests_that_fail_by_themselves_judge_nothing(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    sample.path.write_text(SOURCE.replace("10", "11"))
    with pytest.raises(NoVerdict, match="do not pass by themselves"):
        judge(sample, monkeypatch)


def test_every_core_is_there_with_its_tests() -> None:
    for core in CORES:
        assert core.path.is_file()
        assert all((ROOT / test).exists() for test in core.tests), core


def test_a_core_is_named_by_its_module_or_its_service() -> None:
    assert [core.short for core in chosen(["workflow.decisions"])] == ["workflow.decisions"]
    assert {core.short.partition(".")[0] for core in chosen(["workflow"])} == {"workflow"}
    assert len(chosen(["workflow"])) > 1
    assert chosen([]) == list(CORES)
    with pytest.raises(LookupError, match=r"workflow\.decisions"):
        chosen(["nothing"])


def test_what_is_called_equivalent_is_of_a_core_and_has_a_reason() -> None:
    assert EQUIVALENT.keys() <= {core.short for core in CORES}
    assert all(len(reason) > 20 for known in EQUIVALENT.values() for reason in known.values())


@pytest.mark.parametrize(("survived", "code"), [(0, 0), (9, 0), (10, 1), (11, 1)])
def test_a_score_of_ninety_in_a_hundred_is_not_enough(
    survived: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score = command.Score(100 - survived, survived, 3)
    monkeypatch.setattr(command, "_score", lambda core, jobs: score)
    assert command.main(["ledger.states", "--json"]) == code
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["modules"]["ledger.states"] == {
        "mutants": 103,
        "killed": 100 - survived,
        "survived": survived,
        "equivalent": 3,
        "score": (100 - survived) / 100,
    }
    assert told["score"] == (100 - survived) / 100


def test_an_unknown_core_is_refused_with_the_names_there_are() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tools.mutation", "nothing"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert "workflow.decisions" in told.stderr
