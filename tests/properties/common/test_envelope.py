"""Whatever lies on the broker, it is read as a message of ours or refused in words that hold nothing of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from trellis.common.contracts.envelope import MESSAGE_TYPES, Envelope, decode, encode
from trellis.common.errors import PermanentError

PLANTED = "person@example.com"
"""Stands wherever a text can stand: no refusal may repeat it."""
NAMES_A_FIELD = re.compile(
    r"^(the message is not JSON( that we read \(\w+\)| ?object)|the message is not a JSON object"
    r"|the envelope is not a CloudEvent of ours: [\w.]+: |specversion: expected |type: expected |dataschema: expected "
    r"|data of [a-z_.]+: [\w.…]+.*: )"
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.just(PLANTED)
    | st.sampled_from(["", "2026-11-24T09:00:00Z", "2026-11-24T09:00:00", "1", str(UUID(int=1)), "active", "done"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "x", PLANTED]), inner, max_size=3)
    ),
    max_leaves=6,
)


def fields_of(model: type) -> list[str]:
    """The names of a message's fields, and of those of the snapshot and the origin within it."""
    return [*model.__annotations__, "application_id", "stage", "id", "name", "status", "custom_fields", "workflow"]


@st.composite
def envelopes(draw: st.DrawFn) -> dict[str, Any]:
    """A message that is nearly one of ours, with anything in any place."""
    name = draw(st.sampled_from(sorted(MESSAGE_TYPES)))
    names = st.sampled_from(fields_of(MESSAGE_TYPES[name]))
    data = draw(st.dictionaries(names, values | st.dictionaries(names, values, max_size=6), max_size=8) | values)
    head: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(UUID(int=1)),
        "source": "trellis/test",
        "type": name,
        "time": "2026-11-24T09:00:00Z",
        "accountid": "northwind",
        "correlationid": "c",
        "dataschema": f"urn:trellis:schema:{name}:v1",
        "data": data,
    }
    changes = draw(st.dictionaries(st.sampled_from([*head, "subject", "contentkey"]), values, max_size=1))
    return head | changes


def judged(body: bytes) -> Envelope | None:
    try:
        return decode(body)
    except PermanentError as refusal:
        said = str(refusal)
    assert PLANTED not in said
    assert NAMES_A_FIELD.match(said), said
    assert len(said) < 2000
    return None


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"data":' * 100_000)
@example(b'{"a":' + b"9" * 10_000 + b"}")
@example(b'{"time": NaN}')
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    judged(body)


@given(envelopes())
def test_anything_in_any_place_is_a_message_that_can_be_sent_again_or_refused(raw: dict[str, Any]) -> None:
    message = judged(json.dumps(raw).encode())
    if message is not None:
        assert decode(encode(message)) == message
        assert message.time.tzinfo is not None


@given(values, st.integers(1, 60_000), st.sampled_from([lambda x: [x], lambda x: {"application": x}]))
def test_depth_is_no_way_out(value: Any, depth: int, wrap: Callable[[Any], Any]) -> None:
    opening, _, closing = json.dumps(wrap(0)).partition("0")
    text = opening * depth + json.dumps(value) + closing * depth
    head = json.dumps({"specversion": "1.0", "type": "application.updated", "data": None})
    assert judged(head.replace("null", text).encode()) is None


@given(st.datetimes(), st.sampled_from(["time", "received_at"]))
def test_a_time_without_a_zone_is_refused(moment: datetime, field: str) -> None:
    signal = {"kind": "started", "address_hash": "h", "sealed_body_id": str(UUID(int=2)), "received_at": None}
    raw = {
        "specversion": "1.0",
        "id": str(UUID(int=1)),
        "source": "trellis/test",
        "type": "assessment.signalled",
        "accountid": "northwind",
        "correlationid": "c",
        "dataschema": "urn:trellis:schema:assessment.signalled:v1",
    }
    for zone in (None, UTC):
        texts = {"time": datetime.now(UTC).isoformat(), "received_at": datetime.now(UTC).isoformat()}
        texts[field] = moment.replace(tzinfo=zone).isoformat()
        body = {**raw, "time": texts["time"], "data": {**signal, "received_at": texts["received_at"]}}
        assert (judged(json.dumps(body).encode()) is None) is (zone is None)
