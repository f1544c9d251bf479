"""Whatever is posted, the edge gives one of its documented answers, counts it once, and goes on."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import warnings
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.integration.ingest.conftest import signed, wire
from tests.integration.ingest.edge import API_KEY, SECRET, TOKEN, Edge, edge

MOST_BYTES = 20_000
PING = b'{"action":"ping","payload":{}}'
BEFORE_ALL_TIME = json.dumps(
    {
        "action": "candidate_stage_change",
        "payload": {"application": {"id": 1, "last_activity_at": "0001-01-01T00:00:00+23:59"}},
    }
).encode()
SAMPLES = [
    wire("greenhouse", "candidate_stage_change"),
    PING,
    wire("coderbyte", "webhook_assessment_completed"),
    b'{"action":"candidate_stage_change","payload":{"application":{"id":1}}}',
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["northwindhiring", "assessment_completed", "ping", "2026-11-24T09:00:00Z", "\ud800"])
)
keys = st.sampled_from(
    ["action", "payload", "application", "id", "current_stage", "candidate", "custom_fields", "jobs", "operation"]
) | st.sampled_from(["organization_id", "email", "assessment_id", "test_id", "last_activity_at", ""])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=10
)


@st.composite
def cut_or_mixed(draw: st.DrawFn) -> bytes:
    """A sample with some bytes taken out and others put in."""
    sample = draw(st.sampled_from(SAMPLES))
    start = draw(st.integers(0, len(sample)))
    return sample[:start] + draw(st.binary(max_size=6)) + sample[start + draw(st.integers(0, 30)) :]


bodies = (
    st.sampled_from(SAMPLES)
    | values.map(lambda value: json.dumps(value).encode())
    | cut_or_mixed()
    | st.binary(max_size=100)
    | st.sampled_from(
        [b"", b"[" * 15_000, b'{"a":' * 3_000, b'{"a":' + b"9" * 5_000 + b"}", b"\xef\xbb\xbf{}", b"{}" * 9]
    )
)
headers = st.dictionaries(
    st.sampled_from(["Greenhouse-Event-ID", "Content-Encoding", "Content-Type", "Signature", "Authorization", "X-Y"]),
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40)
    | st.sampled_from(["gzip", "identity", "sha256 00", "Bearer x.y.z", "application/json; charset=utf-7", "4711"]),
    max_size=3,
)
SIGNED = ("right", "wrong", "not")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[asyncio.Runner, Edge]]:
    """One edge for all examples of this module, and the loop it runs in."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        it = runner.run(stack.enter_async_context(edge(body_bytes=MOST_BYTES)))
        yield runner, it
        runner.run(stack.aclose())


def answered(it: Edge) -> float:
    """How many webhooks the metric counts, whatever came of them."""
    (metric,) = [one for one in it.metrics.registry.collect() if one.name == "trellis_ingest_webhooks"]
    return sum(sample.value for sample in metric.samples if sample.name.endswith("_total"))


def authentic(vendor: str, body: bytes, how: str) -> dict[str, str]:
    if how == "not":
        return {}
    key = (SECRET if vendor == "greenhouse" else API_KEY) + ("" if how == "right" else "x")
    if vendor == "greenhouse":
        return signed(body, key)
    with warnings.catch_warnings(action="ignore"):
        return {"Authorization": f"Bearer {jwt.encode({'iss': 'northwindhiring'}, key, algorithm='HS256')}"}


async def posted(it: Edge, vendor: str, body: bytes, more: dict[str, str], token: str = TOKEN) -> int:
    lines = [f"POST /webhooks/{vendor}/{token} HTTP/1.1", "Host: h", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in ({"Content-Length": str(len(body))} | more).items()]
    came, _ = await it.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    return int(came.split(b" ", 2)[1])


@settings(max_examples=150)
@given(st.sampled_from(["greenhouse", "coderbyte"]), bodies, st.sampled_from(SIGNED), headers)
@example("greenhouse", PING, "right", {"Content-Encoding": "gzip"})
@example("greenhouse", PING, "right", {"Greenhouse-Event-ID": "\xa0"})
@example("greenhouse", BEFORE_ALL_TIME, "right", {})
def test_any_body_gets_a_documented_answer_that_is_counted_once(
    running: tuple[asyncio.Runner, Edge], vendor: str, body: bytes, how: str, more: dict[str, str]
) -> None:
    runner, it = running
    before, kept, facts = answered(it), len(it.bodies.kept), len(it.facts)
    status = runner.run(posted(it, vendor, body, more | authentic(vendor, body, how)))
    if status == 400:  # aiohttp itself refuses a head that is none
        assert (len(it.bodies.kept), len(it.facts)) == (kept, facts)
        return
    assert answered(it) == before + 1
    plain = more.get("Content-Encoding", "identity").strip().lower() in ("", "identity")
    if not plain:
        assert status == 415
    elif how != "right":
        assert status == 401
    else:
        assert status in ((200,) if vendor == "greenhouse" else (200, 401))
    if status != 200:
        assert (len(it.bodies.kept), len(it.facts)) == (kept, facts), "a refusal has no effect"


@given(st.lists(st.sampled_from(["broker", "spool", "table", "bodies"]), unique=True), st.sampled_from(SAMPLES))
@settings(max_examples=60)
def test_what_is_not_safe_yet_is_503_and_what_is_accepted_is_there(
    running: tuple[asyncio.Runner, Edge], away: list[str], body: bytes
) -> None:
    runner, it = running
    it.publisher.state = "down" if "broker" in away else "up"
    it.spool.is_away, it.store.is_away, it.bodies.is_away = "spool" in away, "table" in away, "bodies" in away
    kept, facts = len(it.bodies.kept), len(it.facts) if not it.spool.is_away else len(it.publisher.stored)
    it.endpoints.forget()
    try:
        status = runner.run(posted(it, "greenhouse", body, signed(body, SECRET)))
    finally:
        it.publisher.state = "up"
        it.spool.is_away = it.store.is_away = it.bodies.is_away = False
    assert status in (200, 503)
    if "table" in away:
        assert status == 503
    elif status == 200 and body is SAMPLES[0]:
        assert len(it.facts) > facts
    elif status == 503:
        assert len(it.bodies.kept) == kept
        assert away


@settings(max_examples=60)
@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from(
            [b"POST ", b"/webhooks/greenhouse/", TOKEN.encode(), b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"\x00"]
        )
        | st.sampled_from(
            [b"Content-Length: ", b"-1", b"99999999999999999999", b"Transfer-Encoding: chunked", b"0\r\n"]
        )
        | st.sampled_from(
            [b"Host: h\r\n", b"Signature: ", b"GET ", b"/%00", b"Expect: 100-continue\r\n", b"ffffffffffff\r\n"]
        ),
        max_size=14,
    )
)
def test_any_bytes_on_the_wire_leave_the_edge_at_work(
    running: tuple[asyncio.Runner, Edge], chunks: list[bytes]
) -> None:
    runner, it = running
    came, _ = runner.run(it.raw(b"".join(chunks), b"\r\n\r\n", seconds=0.02))
    assert not came.startswith(b"HTTP/1.1 5"), came
    assert not came.startswith(b"HTTP/1.1 200"), "nothing unsigned is accepted"
    assert runner.run(posted(it, "greenhouse", PING, signed(PING, SECRET))) == 200


@given(st.text(st.characters(codec="ascii", exclude_characters=" /?#", exclude_categories=["Cc"]), min_size=1))
def test_any_other_token_is_unauthorized(running: tuple[asyncio.Runner, Edge], token: str) -> None:
    runner, it = running
    status = runner.run(posted(it, "greenhouse", PING, signed(PING, SECRET), token))
    assert status in (400, 401, 404)


def test_the_samples_are_signed_as_the_vendor_signs() -> None:
    digest = hmac.new(SECRET.encode(), PING, hashlib.sha256).hexdigest()
    assert signed(PING, SECRET)["Signature"] == f"sha256 {digest}"


def test_the_edge_serves_what_it_should(running: tuple[asyncio.Runner, Edge]) -> None:
    runner, it = running
    facts: list[Any] = []
    for vendor, body in (("greenhouse", SAMPLES[0]), ("coderbyte", SAMPLES[2])):
        before = len(it.facts)
        assert runner.run(posted(it, vendor, body, authentic(vendor, body, "right"))) == 200
        facts += it.facts[before:]
    assert len(facts) == 2
