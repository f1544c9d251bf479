"""Exactly 200, 401, 413, 415 or 503: what a vendor is answered when something behind the edge fails."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from uuid import uuid4

import aiohttp
import jwt
import pytest
import structlog
from tests.fakes.ingest import EPOCH
from tests.integration.ingest.conftest import signed, wire
from tests.integration.ingest.edge import API_KEY, SECRET, edge

from trellis.common.contracts.facts import AssessmentSignalled, SignalKind
from trellis.common.runtime import logs
from trellis.ingest.endpoints import LiveSecret, Vendor

STAGE_CHANGE = wire("greenhouse", "candidate_stage_change")


async def post(url: str, body: object, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
    async with aiohttp.ClientSession() as client, client.post(url, data=body, headers=headers) as answer:
        await answer.read()
        return answer.status, answer.headers


async def greenhouse(url: str, body: bytes = STAGE_CHANGE, secret: str = SECRET) -> int:
    return (await post(url, body, signed(body, secret)))[0]


def bearer(**claims: object) -> dict[str, str]:
    key = str(claims.pop("key", API_KEY))
    with warnings.catch_warnings(action="ignore"):
        token = jwt.encode({"iss": "northwindhiring"} | claims, key, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("state", ["down", "slow", "unroutable"])
@pytest.mark.parametrize("spool_is_away", [False, True])
async def test_200_only_when_broker_or_spool_has_the_fact(state: str, spool_is_away: bool) -> None:
    async with edge() as it:
        it.publisher.state, it.spool.is_away = state, spool_is_away
        status, headers = await post(it.greenhouse, STAGE_CHANGE, signed(STAGE_CHANGE, SECRET))
        if spool_is_away:
            assert (status, headers["Retry-After"]) == (503, "60")
            assert it.spool.envelopes == []
            assert it.count("unavailable") == 1
        else:
            assert status == 200
            assert len(it.spool.envelopes) == 1
            assert it.count("spooled") == 1


async def test_the_id_is_the_same_in_broker_and_spool_and_at_the_next_delivery() -> None:
    async with edge() as it:
        headers = signed(STAGE_CHANGE, SECRET) | {"Greenhouse-Event-ID": "4711"}
        for state in ("slow", "down", "up"):
            it.publisher.state = state
            assert (await post(it.greenhouse, STAGE_CHANGE, headers))[0] == 200
        assert len(it.facts) == 4  # the slow broker stored it as well
        assert len({one.id for one in it.facts}) == 1
        del headers["Greenhouse-Event-ID"]
        await post(it.greenhouse, STAGE_CHANGE, headers)
        assert len({one.id for one in it.facts}) == 2
        assert len({one.contentkey for one in it.facts}) == 1


async def test_an_unreadable_table_is_503_and_never_401() -> None:
    async with edge() as it:
        it.store.is_away = True
        assert await greenhouse(it.greenhouse) == 503
        assert await greenhouse(it.greenhouse, secret="wrong") == 503
        it.store.is_away = False
        assert await greenhouse(it.greenhouse) == 200


async def test_with_the_table_away_a_remembered_endpoint_serves_and_a_wrong_signature_is_not_called_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trellis.ingest.endpoints.REFRESH_SECONDS", 0.0)
    async with edge() as it:
        assert await greenhouse(it.greenhouse) == 200
        it.store.is_away = True
        assert await greenhouse(it.greenhouse) == 200
        assert await greenhouse(it.greenhouse, secret="perhaps a secret made a second ago") == 503
        it.store.is_away = False
        assert await greenhouse(it.greenhouse, secret="perhaps a secret made a second ago") == 401


async def test_a_secret_that_cannot_be_opened_is_503_where_no_other_matches() -> None:
    async with edge() as it:
        it.change(Vendor.GREENHOUSE, incomplete=True)
        assert await greenhouse(it.greenhouse) == 200
        assert await greenhouse(it.greenhouse, secret="wrong") == 503


async def test_an_expired_secret_is_refused_though_it_is_remembered() -> None:
    async with edge() as it:
        old = LiveSecret(uuid4(), b"old-secret", EPOCH + timedelta(seconds=10))
        it.change(Vendor.GREENHOUSE, secrets=(LiveSecret(uuid4(), SECRET.encode(), None), old))
        assert await greenhouse(it.greenhouse, secret="old-secret") == 200
        it.clock.at += timedelta(seconds=11)
        assert await greenhouse(it.greenhouse, secret="old-secret") == 401
        assert await greenhouse(it.greenhouse) == 200


async def test_unreadable_is_200_when_kept_and_503_when_not() -> None:
    async with edge() as it:
        assert await greenhouse(it.greenhouse, b"{") == 200
        assert it.bodies.kept[0].fault == "not_json"
        it.bodies.is_away = True
        assert await greenhouse(it.greenhouse, b"{") == 503
        assert await greenhouse(it.greenhouse, b"{", secret="wrong") == 401
        assert len(it.bodies.kept) == 1


@pytest.mark.parametrize("pause", [None, 0.0, 0.02], ids=["told by the head", "chunked", "chunked slowly"])
async def test_a_body_over_the_limit_is_413_before_its_signature_is_checked(pause: float | None) -> None:
    async with edge() as it:
        body = b"x" * 300_000

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 30_000):
                yield body[start : start + 30_000]
                await asyncio.sleep(pause or 0.0)

        for headers in (signed(body, SECRET), {}):
            status, _ = await post(it.greenhouse, body if pause is None else chunks(), headers)
            assert status == 413
        assert it.count("too_large", account="" if pause is None else "acme") == 2
        assert it.facts == []
        exact = b'{"action":"ping","payload":"' + b"x" * (100_000 - 30) + b'"}'
        assert len(exact) == 100_000
        assert await greenhouse(it.greenhouse, exact) == 200


async def test_a_chunked_body_verifies_like_any_other() -> None:
    async with edge() as it:

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(STAGE_CHANGE), 700):
                yield STAGE_CHANGE[start : start + 700]
                await asyncio.sleep(0)

        status, _ = await post(it.greenhouse, chunks(), signed(STAGE_CHANGE, SECRET))
        assert status == 200
        assert len(it.publisher.stored) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
async def test_an_encoded_body_is_refused_unread(encoding: str) -> None:
    async with edge() as it:
        body = gzip.compress(STAGE_CHANGE)
        for signed_bytes in (body, STAGE_CHANGE):
            headers = signed(signed_bytes, SECRET) | {"Content-Encoding": encoding}
            assert (await post(it.greenhouse, body, headers))[0] == 415
        assert it.facts == []
        assert it.bodies.kept == []
        headers = signed(STAGE_CHANGE, SECRET) | {"Content-Encoding": "identity"}
        assert (await post(it.greenhouse, STAGE_CHANGE, headers))[0] == 200


async def test_one_webhook_too_many_at_once_is_503_at_once() -> None:
    async with edge(in_flight=2, read_seconds=5) as it:
        head = (
            f"POST /webhooks/greenhouse/{'t' * 43} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
            "Signature: sha256 00\r\n\r\n"
        ).encode()
        held = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(2)]
        for _, writer in held:
            writer.write(head + b"12345")
        await asyncio.sleep(0.2)
        assert await greenhouse(it.greenhouse) == 503
        assert it.count("overloaded", account="") == 1
        for reader, writer in held:
            writer.write(b"67890")
            assert b" 401 " in await reader.readline()
            writer.close()
        assert await greenhouse(it.greenhouse) == 200


async def test_a_coderbyte_hint_is_kept_first_and_published_with_a_reference() -> None:
    async with edge() as it:
        body = wire("coderbyte", "webhook_assessment_completed")
        for headers in (bearer(), bearer(iat=1767225600)):
            assert (await post(it.coderbyte, body, headers))[0] == 200
        first, second = it.publisher.stored
        assert isinstance(first.data, AssessmentSignalled)
        assert first.data.kind is SignalKind.COMPLETED
        assert first.data.assessment_id == "backend-assessment-7kq2vd91xw"
        assert first.data.address_hash == it.keyring.address_hash("acme", " Priya.Raman@EXAMPLE.com")  # type: ignore[arg-type]
        assert await it.bodies.open("acme", first.data.sealed_body_id) == body  # type: ignore[arg-type]
        assert await it.bodies.open("other", first.data.sealed_body_id) is None  # type: ignore[arg-type]
        assert first.id != second.id, "equal bodies may be two events"
        assert first.contentkey is None


async def test_a_coderbyte_body_that_cannot_be_kept_is_503_and_tells_nothing() -> None:
    async with edge() as it:
        it.bodies.is_away = True
        body = wire("coderbyte", "webhook_assessment_completed")
        status, headers = await post(it.coderbyte, body, bearer())
        assert (status, headers["Retry-After"]) == (503, "60")
        assert it.facts == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(key="another-key"),
        bearer(iss="someoneelse"),
        bearer(exp=int(EPOCH.timestamp()) - 61),
        {"Authorization": "Bearer " + jwt.encode({"iss": "northwindhiring"}, None, algorithm="none")},
        {"Authorization": "Basic bm9ydGh3aW5kaGlyaW5nOng="},
    ],
)
async def test_a_coderbyte_body_without_a_good_token_is_401(headers: dict[str, str]) -> None:
    async with edge() as it:
        body = wire("coderbyte", "webhook_candidate_joined")
        assert (await post(it.coderbyte, body, headers))[0] == 401
        assert it.facts == []
        assert it.bodies.kept == []
        assert it.used == []


async def test_a_good_token_of_another_organization_opens_nothing() -> None:
    async with edge() as it:
        body = wire("coderbyte", "webhook_candidate_joined").replace(b"northwindhiring", b"someoneelse")
        assert (await post(it.coderbyte, body, bearer()))[0] == 401
        assert it.bodies.kept == []
        assert it.used == []


@pytest.mark.parametrize(
    ("body", "kept_fault", "outcome"),
    [
        (b"no json", "not_json", "unreadable"),
        (b'{"operation":"candidate_joined"}', "wrong_shape", "unreadable"),
        (b'{"operation":"candidate_joined","organization_id":"northwindhiring","email":"a@b.example"}', "wrong_shape", "unreadable"),
        (b'{"operation":"candidate_joined","organization_id":"northwindhiring","assessment_id":"x"}', "wrong_shape", "unreadable"),
        (b'{"operation":"assessment_started_over","organization_id":"northwindhiring"}', None, "dropped"),
    ],
)  # fmt: skip
async def test_odd_coderbyte_bodies_under_a_good_token_are_200(
    body: bytes, kept_fault: str | None, outcome: str
) -> None:
    async with edge() as it:
        assert (await post(it.coderbyte, body, bearer()))[0] == 200
        assert [one.fault for one in it.bodies.kept] == ([kept_fault] if kept_fault else [])
        assert it.count(outcome, vendor="coderbyte") == 1
        assert it.facts == []


async def test_a_coderbyte_fact_is_spooled_when_the_broker_is_away() -> None:
    async with edge() as it:
        it.publisher.state = "down"
        assert (await post(it.coderbyte, wire("coderbyte", "webhook_interview_completed"), bearer()))[0] == 200
        assert len(it.spool.envelopes) == len(it.bodies.kept) == 1


async def test_other_methods_and_paths_are_no_webhooks() -> None:
    async with edge() as it, aiohttp.ClientSession() as client:
        async with client.get(it.greenhouse) as answer:
            assert answer.status == 405
        async with client.post(it.greenhouse + "/x", data=STAGE_CHANGE) as answer:
            assert answer.status == 404
        async with client.post(it.greenhouse.replace("greenhouse", "lever"), data=STAGE_CHANGE) as answer:
            assert answer.status == 404


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Log through the process's own processors into a list, and undo it afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr("trellis.ingest.record.log", structlog.get_logger())
    logs.configure("ingest", "1", "debug")
    lines: list[str] = []

    class Into:
        def __getattr__(self, _level: str) -> Callable[[str], None]:
            return lines.append

    structlog.configure(logger_factory=lambda *_: Into(), cache_logger_on_first_use=False)
    yield lines
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


async def test_nothing_personal_secret_or_of_the_path_is_logged(log_lines: list[str]) -> None:
    async with edge() as it:
        await greenhouse(it.greenhouse)
        await greenhouse(it.greenhouse, secret="wrong")
        await greenhouse(it.greenhouse, b'{"action":"update_candidate","payload":{"candidate":{"id":"Odessa"}}}')
        body = wire("coderbyte", "webhook_scorecard_updated")
        headers = bearer()
        await post(it.coderbyte, body, headers)
    lines = [json.loads(line) for line in log_lines]
    mine = [line for line in lines if line["event"].startswith("webhook.")]
    assert [line["outcome"] for line in mine] == ["published", "unauthorized", "unreadable", "published"]
    text = json.dumps(lines)
    for planted in (
        "t" * 43,
        SECRET,
        API_KEY,
        headers["Authorization"],
        "Odessa",
        "priya.raman",
        "reviewer",
        "Lindqvist",
    ):
        assert planted not in text
    assert not any("dropped" in line for line in lines), "a key was not on the allow-list"
    first = mine[0]
    assert first["route"] == "/webhooks/greenhouse/{endpoint_token}"
    assert {"account", "correlation_id", "message_id", "application_id", "outcome", "duration_ms"} <= set(first)
