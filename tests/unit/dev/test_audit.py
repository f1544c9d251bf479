"""What is installed stands under a licence we take, is what the lock file pins, and is looked up as a whole."""

from __future__ import annotations

import json
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from tools.audit import licences
from tools.audit.__main__ import unlocked
from tools.audit.licences import SHIPPED, TOOLS, is_taken, licence_of
from tools.audit.vulnerabilities import found_in
from tools.dev.bootstrap import LOCK_FILE
from tools.dev.console import Problem


def test_everything_installed_stands_under_a_licence_we_take_and_is_locked() -> None:
    found = licences.installed()
    ours = {name for name in found if name.startswith("trellis-")}
    shipped = licences.needed_by(ours, found)
    assert {"aiohttp", "asyncpg", "cryptography", "multidict"} <= shipped
    assert not {"codespell", "pytest", "mypy"} & shipped
    for name, distribution in found.items():
        assert is_taken(licence_of(distribution), SHIPPED if name in shipped else TOOLS), name
    versions = {name: distribution.version for name, distribution in found.items() if name not in ours}
    assert unlocked(versions, LOCK_FILE.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", True),
        ("GPL-3.0-only OR MIT AND LGPL-3.0-only", False),
        ("GPL-2.0-only", False),
        ("unknown", False),
        ("", False),
        ("MIT WITH exception", False),
        ("(MIT", False),
    ],
)
def test_an_expression_is_taken_when_it_can_be_met_with_the_list_alone(expression: str, taken: bool) -> None:
    assert is_taken(expression, SHIPPED) is taken


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("License-Expression: MIT AND Apache-2.0\nLicense: GPL", "MIT AND Apache-2.0"),
        ("License: Apache 2.0", "Apache-2.0"),
        ("License: see file\nClassifier: License :: OSI Approved :: BSD License", "BSD-3-Clause"),
        ("License: Proprietary", "unknown"),
        ("Summary: none", "unknown"),
    ],
)
def test_a_licence_is_read_in_the_new_way_and_the_old(tmp_path: Path, lines: str, said: str) -> None:
    (tmp_path / "x-1.dist-info").mkdir()
    (tmp_path / "x-1.dist-info/METADATA").write_text(f"Metadata-Version: 2.4\nName: x\nVersion: 1\n{lines}\n")
    assert licence_of(Distribution.at(tmp_path / "x-1.dist-info")) == said


def test_what_is_not_as_it_is_locked_is_told() -> None:
    lock = "a==1 \\\n    --hash=sha256:00\nb==2\n"
    assert unlocked({"a": "1"}, lock) == ["b==2: pinned without a hash"]
    assert unlocked({"a": "2"}, "a==1 \\\n    --hash=sha256:00")[0] == "a 2: requirements.lock pins 1"
    assert unlocked({"c": "2"}, "a==1 \\\n    --hash=sha256:00")[0] == "c 2: requirements.lock pins no version of it"
    assert unlocked({}, "--index-url https://index.example\na==1 \\\n    --hash=sha256:00")[-1].endswith(
        "names an address"
    )


def test_vulnerabilities_are_told_with_what_mends_them() -> None:
    vulnerable = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}]}
    report = json.dumps({"dependencies": [vulnerable, {"name": "b", "version": "2", "vulns": []}], "fixes": []})
    assert found_in(report, "", ["a", "b"]) == ["a 1: PYSEC-1, mended in 1.1 or 2.0"]


def test_a_source_that_is_away_or_silent_about_something_is_no_clean_bill() -> None:
    with pytest.raises(Problem, match=r"^vulnerabilities: the database cannot be reached \(requests.*ProxyError\)$"):
        found_in("", "Traceback\nrequests.exceptions.ProxyError: HTTPSConnectionPool(host='x')", ["a"])
    skipped = {"name": "a", "skip_reason": "not found"}
    with pytest.raises(Problem, match="nothing was said of a"):
        found_in(json.dumps({"dependencies": [skipped]}), "", ["a"])
