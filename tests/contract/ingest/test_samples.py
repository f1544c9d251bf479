"""Recorded bodies of both vendors parse, whatever of them is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trellis.ingest.translation import signal_kind
from trellis.ingest.webhooks import parse_coderbyte, parse_greenhouse

DATA = Path(__file__).resolve().parents[2] / "data"
GREENHOUSE = [path for path in sorted((DATA / "greenhouse").glob("*.json")) if path.stem != "signature_vectors"]
CODERBYTE = sorted((DATA / "coderbyte").glob("webhook_*.json"))


@pytest.mark.parametrize("path", GREENHOUSE, ids=lambda path: path.stem)
def test_a_body_of_greenhouses_parses(path: Path) -> None:
    assert parse_greenhouse(path.read_bytes()).action == json.loads(path.read_text())["action"]


@pytest.mark.parametrize("path", CODERBYTE, ids=lambda path: path.stem)
def test_a_body_of_coderbytes_parses(path: Path) -> None:
    parsed = parse_coderbyte(path.read_bytes())
    assert signal_kind(parsed.operation) is not None
    assert parsed.organization_id == "northwindhiring"


def test_the_samples_are_there() -> None:
    assert len(GREENHOUSE) == 20
    assert len(CODERBYTE) == 4
