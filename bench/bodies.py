"""Webhook bodies for the load: the recorded sample, padded to 6 KB, none equal to another."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BODY_BYTES = 6 * 1024
_SAMPLE = Path(__file__).resolve().parents[1] / "tests/data/greenhouse/candidate_stage_change.json"
_START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def stage_changes(count: int, *, first: int = 0) -> Iterator[bytes]:
    """Return *count* bodies of `candidate_stage_change`, on applications numbered from *first*.

    Application, candidate and `last_activity_at` differ, so that nothing is dropped as a repeat.
    """
    sample: dict[str, Any] = json.loads(_SAMPLE.read_text("utf-8"))
    application = sample["payload"]["application"]
    kit = application["current_stage"]["interviews"][0]["interview_kit"]
    kit["content"] += "x" * max(0, BODY_BYTES - len(_compact(sample)))
    for number in range(first, first + count):
        application["id"] = 6_300_000_000 + number
        application["candidate"]["id"] = 5_700_000_000 + number
        at = _START + timedelta(seconds=number)
        application["last_activity_at"] = at.isoformat().replace("+00:00", "Z")
        yield _compact(sample)


def signature(body: bytes, secret: str) -> str:
    """Return the `Signature` header of *body*."""
    return f"sha256 {hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _compact(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
