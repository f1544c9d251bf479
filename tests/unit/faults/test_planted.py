"""A planted mistake reaches the process of every replica, and no other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from faults import planted
from faults.stage import Stage
from simulation.planted import BUGS
from tools.dev.process import Lease

from trellis.common.bus.consumer import Consumer


@pytest.mark.parametrize("name", planted.MISTAKES)
def test_a_mistake_changes_nothing_but_the_products_code(name: str) -> None:
    put: list[tuple[str, str]] = []
    next(bug for bug in BUGS if bug.name == name).patch(
        lambda target, attribute, value: put.append((getattr(target, "__module__", None) or target.__name__, attribute))
    )
    assert put
    assert all(module.startswith("trellis.") for module, _ in put), put


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(LookupError, match="ack before commit"):
        planted.plant("nothing")


def test_it_is_planted_in_the_code_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Consumer._try
    monkeypatch.setattr(Consumer, "_try", sound)
    planted.plant("ack before commit")
    assert Consumer._try is not sound


def test_the_program_of_a_replica_runs_its_service_with_the_mistake(tmp_path: Path) -> None:
    """The real program is started as a replica is, up to where it would serve."""
    argv = planted.programs("ack before commit", ["workflow.2"])["workflow.2"]
    assert argv[-2:] == ["run", "workflow"]
    assert argv[-3] == "ack before commit"
    environ = {**os.environ, **planted.environment()}
    told = subprocess.run(
        [*argv[:-2], "run", "--help"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert "Run SERVICE in this process" in told.stdout


@pytest.mark.parametrize("mistake", ["", "look-up skipped"])
def test_a_replica_finds_the_mistake_only_where_one_is_planted(tmp_path: Path, mistake: str) -> None:
    stage = Stage(tmp_path, Lease(tmp_path), None, mistake)  # type: ignore[arg-type]  # no disk is filled up
    assert ("PYTHONPATH" in stage._extra("workflow.2")) == bool(mistake)
