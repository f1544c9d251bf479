"""The clock of the day is read in one place, and a test may move it there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from trellis.common.runtime import clock, tokens
from trellis.common.runtime.keyring import Keyring, NamedKey

ROOT = Path(__file__).parents[3]
PRODUCT = [*ROOT.glob("libs/c*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
READS_THE_DAY = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
READS_THE_DAY |= {("time", "time"), ("time", "time_ns"), ("time", "gmtime"), ("time", "localtime")}


def reads(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (owner, name) in READS_THE_DAY:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {owner}.{name}"


def test_no_product_code_but_the_clock_reads_the_day() -> None:
    found = [read for path in PRODUCT for read in reads(path)]
    assert [read.partition(":")[0] for read in found] == ["libs/common/src/trellis/common/runtime/clock.py"], found


def seconds_ahead() -> int:
    return round((clock.SystemClock().now() - datetime.now(UTC)).total_seconds())


def test_the_file_moves_the_clock_at_each_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "offset"
    monkeypatch.setattr(clock, "_OFFSET_FILE", str(file))
    assert seconds_ahead() == 0
    file.write_text("-300")
    assert seconds_ahead() == -300
    file.write_text("90\n")
    assert seconds_ahead() == 90
    file.unlink()
    assert seconds_ahead() == 0


@pytest.fixture
def keyring() -> Keyring:
    key = NamedKey("k", bytes(32))
    return Keyring(keys=(key,), address_hash_key=bytes(32), service_token_keys=(key,))


@pytest.mark.parametrize(
    ("seconds", "caller"), [(-31, None), (-29, "workflow"), (0, "workflow"), (89, "workflow"), (91, None)]
)
def test_a_service_token_lives_a_minute_and_forgives_half_of_one(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch, seconds: int, caller: str | None
) -> None:
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    monkeypatch.setattr(tokens, "utc_now", lambda: now)
    token = tokens.issue(keyring, caller="workflow", audience="ingest")
    monkeypatch.setattr(tokens, "utc_now", lambda: now + timedelta(seconds=seconds))
    assert tokens.verify(keyring, token, audience="ingest") == caller


def test_a_service_token_is_for_one_service_and_signed_and_dated(keyring: Keyring) -> None:
    token = tokens.issue(keyring, caller="workflow", audience="ingest")
    assert tokens.verify(keyring, token, audience="assessments") is None
    assert tokens.verify(keyring, token[:-2], audience="ingest") is None
    claims = jwt.decode(token, options={"verify_signature": False})
    for spoilt in ({"exp": "soon"}, {"iat": None}, {"exp": 1}):
        key = keyring.service_token_keys[0].key
        forged = jwt.encode({**claims, **spoilt}, key, algorithm="HS256")
        assert tokens.verify(keyring, forged, audience="ingest") is None
