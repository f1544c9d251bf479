"""What only the client over HTTP can do wrong: when a request has left, redirects, sizes, repeats, secrets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from trellis.assessments.adapters import coderbyte
from trellis.assessments.adapters.coderbyte import CredentialError, HttpCoderbyte, Organization, segment
from trellis.assessments.domain.invites import Answered, InviteRequest, Lost, NeverLeft, Seen
from trellis.assessments.domain.options import Options, Paths
from trellis.common.contracts.identifiers import AccountId, AssessmentId
from trellis.common.errors import TransientError

REQUEST = InviteRequest(address="jane@mail.example", assessment_url="https://coderbyte.com/x", read_at=0.0)
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def organization(base: str, **options: Any) -> Organization:
    return Organization(
        account=AccountId("acme"),
        base_url=base,
        organization_id="acme",
        api_key="s3cret-key",
        options=Options(**options),
    )


class Served:
    def __init__(self) -> None:
        self.connections = 0
        self.base = ""


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Served]:
    """A TCP server that does what *script* says with each connection."""
    served = Served()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        try:
            await script(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    served.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()


async def invite(base: str) -> Seen:
    client = HttpCoderbyte.open()
    try:
        return await client.invite(organization(base), REQUEST)
    finally:
        await client.close()


def answering(raw: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    return script


async def close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def close_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(30)


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize(
    "base",
    [f"http://127.0.0.1:{unused_port()}", "http://no-such-host.invalid", "http://127.0.0.1:1/api"],
    ids=["unused-port", "unknown-name", "refused-port"],
)
async def test_what_cannot_connect_never_left(base: str) -> None:
    assert isinstance(await invite(base), NeverLeft)


async def test_a_failed_handshake_never_left() -> None:
    async with scripted(answering(b"not tls")) as served:
        assert isinstance(await invite(served.base.replace("http:", "https:")), NeverLeft)


async def test_a_connect_that_takes_too_long_never_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coderbyte, "CONNECT_SECONDS", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        seen = await invite(f"http://127.0.0.1:{port}")
        for one in waiting:
            one.close()
    assert isinstance(seen, NeverLeft)


@pytest.mark.parametrize(
    "script",
    [close_after_reading, answering(b"garbage\r\n\r\n"), answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}")],
)
async def test_what_was_written_may_have_happened(script: Script) -> None:
    async with scripted(script) as served:
        assert isinstance(await invite(served.base), Lost)
        assert served.connections == 1


async def test_a_connection_closed_before_reading_is_never_taken_for_nothing_sent_without_proof() -> None:
    async with scripted(close_at_once) as served:
        seen = await invite(served.base)
        assert isinstance(seen, Lost | NeverLeft)
        assert served.connections == 1


async def test_a_total_time_out_while_waiting_for_the_answer_may_have_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coderbyte, "TOTAL_SECONDS", 0.3)
    async with scripted(hang) as served:
        assert isinstance(await invite(served.base), Lost)


async def test_an_invite_follows_no_redirect_and_is_made_once() -> None:
    raw = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with scripted(answering(raw)) as served:
        seen = await invite(served.base)
        assert isinstance(seen, Answered)
        assert seen.status == 307
        assert served.connections == 1


async def test_a_redirected_reading_leaks_the_key_to_nobody() -> None:
    async with scripted(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as other:
        raw = f"HTTP/1.1 302 Found\r\nLocation: {other.base}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with scripted(answering(raw)) as served:
            client = HttpCoderbyte.open()
            with pytest.raises(TransientError):
                await client.assessments(organization(served.base))
            await client.close()
        assert other.connections == 0


async def test_an_endless_answer_is_cut_off_and_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coderbyte, "MOST_BYTES", 1000)
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b" " * 5000
    async with scripted(answering(raw)) as served:
        seen = await invite(served.base)
        assert isinstance(seen, Answered)
        assert seen.body is None


async def test_a_connection_is_not_used_for_a_second_invite() -> None:
    body = b'{"status":"success","data":{"candidates":[{"url":"u"}]}}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with scripted(answering(raw)) as served:
        client = HttpCoderbyte.open()
        for _ in range(2):
            assert isinstance(await client.invite(organization(served.base), REQUEST), Answered)
        await client.close()
        assert served.connections == 2


async def test_each_path_is_a_setting_and_the_address_one_encoded_segment() -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"status":"success","data":{"reports":[]}}')

    paths = Paths(report="/v2/of/{email}/in/{assessment_id}")
    async with scripted(script) as served:
        client = HttpCoderbyte.open()
        await client.reports(organization(served.base, paths=paths), "a+b/c%d@e.example", AssessmentId("t/1"))
        await client.close()
    assert heads == [b"GET /v2/of/a%2Bb%2Fc%25d%40e.example/in/t%2F1 HTTP/1.1"]
    assert segment("../x") == "..%2Fx"


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"status":"success","data":{"reports":[{"username":"a"},null,3,{}]}}', 2),
        (b'{"status":"success","data":{"reports":[]}}', 0),
        (b'{"status":"success","data":{"reports":null}}', 0),
        (b'{"status":"success","data":{"reports":{}}}', 0),
        (b'{"status":"success","data":{}}', 0),
        (b'{"status":"success","data":[]}', 0),
        (b'{"status":"SUCCESS","data":{"reports":[{}]},"more":1}', 1),
    ],
)
async def test_reports_are_read_in_every_form(body: bytes, count: int) -> None:
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body
    async with scripted(answering(raw)) as served:
        client = HttpCoderbyte.open()
        assert len(await client.reports(organization(served.base), "a@b.example", AssessmentId("t"))) == count
        await client.close()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"status":"success","data":{"assessments":[{"test_id":"t"},{},null]}}', {"t"}),
        (b'{"status":"success","data":[{"test_id":"t"}]}', {"t"}),
        (b'{"status":"success","data":[]}', set()),
        (b'{"status":"success","data":{}}', set()),
    ],
)
async def test_a_persons_list_is_read_in_both_forms(body: bytes, found: set[str]) -> None:
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body
    async with scripted(answering(raw)) as served:
        client = HttpCoderbyte.open()
        assert set(await client.listed(organization(served.base), "a@b.example")) == found
        await client.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"<html>", b'{"status":"error"}', b'{"status":"success"}', b'{"status":"success","data":"x"}'],
)
async def test_what_is_no_success_is_no_empty_answer(body: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body
    async with scripted(answering(raw)) as served:
        client = HttpCoderbyte.open()
        for read in (
            client.reports(organization(served.base), "a@b.example", AssessmentId("t")),
            client.listed(organization(served.base), "a@b.example"),
            client.assessments(organization(served.base)),
        ):
            with pytest.raises(TransientError):
                await read
        await client.close()


async def test_errors_and_representations_name_no_address_and_no_key() -> None:
    async with scripted(answering(b"HTTP/1.1 503 Busy\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n")) as served:
        client, own = HttpCoderbyte.open(), organization(served.base)
        with pytest.raises(TransientError) as caught:
            await client.listed(own, "jane@mail.example")
        await client.close()
    assert caught.value.retry_after == timedelta(seconds=4)
    for text in (str(caught.value), repr(own), str(CredentialError("x")), repr(caught.value)):
        assert "jane" not in text
        assert "s3cret" not in text


async def test_the_key_is_a_bearer_token() -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with scripted(script) as served:
        client = HttpCoderbyte.open()
        with pytest.raises(CredentialError):
            await client.assessments(organization(served.base))
        assert isinstance(await client.invite(organization(served.base), REQUEST), Answered)
        await client.close()
    assert all(b"Authorization: Bearer s3cret-key\r\n" in head for head in heads)
    assert b"Content-Type: application/json" in heads[1]
