"""What a stranger may hold open: slow, oversized, half-open and too many connections."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest
from tests.integration.ingest.conftest import signed, wire
from tests.integration.ingest.edge import SECRET, TOKEN, edge

PING = wire("greenhouse", "ping")


def head(length: int, *more: str, body: bytes = PING) -> bytes:
    lines = [
        f"POST /webhooks/greenhouse/{TOKEN} HTTP/1.1",
        "Host: hooks.example",
        f"Content-Length: {length}",
        f"Signature: {signed(body, SECRET)['Signature']}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


GOOD = head(len(PING)) + PING


async def test_a_whole_request_is_answered_and_the_connection_is_kept() -> None:
    async with edge(read_seconds=0.5) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        for pause in (0.0, 0.8, 0.8):  # longer than a request may take: idling is no crime
            await asyncio.sleep(pause)
            writer.write(GOOD)
            answer = await reader.readuntil(b"\r\n\r\nok")
            assert answer.startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_two_requests_in_one_packet_are_two_answers() -> None:
    async with edge(read_seconds=0.5) as it:
        received, _ = await it.raw(GOOD + GOOD, seconds=0.4)
        assert received.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("part", [b"", GOOD[:1], GOOD[:40], head(5)[:-2]], ids=["nothing", "a byte", "half", "no end"])
async def test_a_head_that_does_not_come_is_closed(part: bytes) -> None:
    async with edge(read_seconds=0.5) as it:
        received, seconds = await it.raw(part)
        assert received == b""
        assert 0.4 < seconds < 2.5


async def test_a_head_that_trickles_is_closed_all_the_same() -> None:
    async with edge(read_seconds=0.6) as it:
        trickle: list[bytes | float] = []
        for index in range(60):
            trickle += [GOOD[index : index + 1], 0.1]
        started = time.monotonic()
        received, _ = await it.raw(*trickle)
        assert received == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(b"\r\n\r\n" + GOOD[:30])  # blank lines before a request are allowed and change nothing
        assert await asyncio.wait_for(reader.read(), 3) == b""
        writer.close()
        assert time.monotonic() - started < 12


async def test_a_second_head_that_does_not_come_is_closed() -> None:
    async with edge(read_seconds=0.5) as it:
        received, seconds = await it.raw(GOOD, 0.3, GOOD[:50])
        assert received.count(b"HTTP/1.1 ") == 1
        assert 0.7 < seconds < 3


@pytest.mark.parametrize(
    "parts", [(GOOD[:-20],), (GOOD[:-20], 0.2, b"x", 0.2, b"x", 0.2, b"x", 0.2)], ids=["half", "trickle"]
)
async def test_a_body_that_does_not_come_is_closed(parts: tuple[bytes | float, ...]) -> None:
    async with edge(read_seconds=0.5) as it:
        received, seconds = await it.raw(*parts)
        assert b" 200 " not in received
        assert 0.4 < seconds < 2.5
        assert it.count("timed_out") == 1
        assert it.facts == []


async def test_an_account_may_set_its_own_time_for_a_body() -> None:
    from trellis.ingest.endpoints import Vendor

    async with edge(read_seconds=10) as it:
        it.change(Vendor.GREENHOUSE, read_timeout_seconds=0.3)
        _, seconds = await it.raw(GOOD[:-20])
        assert seconds < 2


async def test_a_slow_body_within_its_time_is_taken() -> None:
    async with edge(read_seconds=2) as it:
        received, _ = await it.raw(GOOD[:-20], 0.3, GOOD[-20:-10], 0.3, GOOD[-10:], seconds=0.5)
        assert received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Pad: " + "a" * 20_000],
        [f"X-Pad-{index}: " + "a" * 4_000 for index in range(5)],
        [f"X-{index}: {index}" for index in range(3_000)],
    ],
    ids=["one long", "some long", "many short"],
)
async def test_headers_over_16_kib_are_refused(lines: list[str]) -> None:
    async with edge() as it:
        received, _ = await it.raw(head(len(PING), *lines) + PING)
        assert received.split(b" ")[1] in (b"431", b"400")
        assert it.used == []


async def test_headers_without_end_are_refused_when_they_are_too_many() -> None:
    async with edge() as it:
        endless = [GOOD[: GOOD.index(b"\r\n\r\n")], *(b"\r\nX-Pad: " + b"a" * 2000 for _ in range(20))]
        received, _ = await it.raw(*endless)
        assert received.split(b" ")[1] in (b"431", b"400")


async def test_headers_a_little_under_16_kib_are_taken() -> None:
    async with edge() as it:
        request = head(len(PING), *(f"X-Pad-{index}: " + "a" * 3_900 for index in range(4))) + PING
        assert 15_000 < request.index(b"\r\n\r\n") < 16 * 1024
        received, _ = await it.raw(request, seconds=0.5)
        assert received.startswith(b"HTTP/1.1 200 ")


async def test_a_large_body_in_the_packet_of_its_head_is_not_taken_for_headers() -> None:
    async with edge() as it:
        body = b'{"action":"ping","payload":"' + b"\\r\\n" * 15_000 + b'"}'
        received, _ = await it.raw(head(len(body), body=body) + body, seconds=0.5)
        assert received.startswith(b"HTTP/1.1 200 ")


async def test_the_answer_to_an_oversized_body_arrives_though_the_rest_is_not_read() -> None:
    async with edge(body_bytes=50_000) as it:
        received, seconds = await it.raw(head(400_000) + b"x" * 100_000, 0.1, b"x" * 300_000)
        assert received.count(b"HTTP/1.1 ") == 1
        assert received.startswith(b"HTTP/1.1 413 ")
        assert seconds < 4


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /webhooks/greenhouse/x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /webhooks/greenhouse/x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        head(0)[:-2] + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
async def test_malformed_requests_are_refused_and_the_service_goes_on(request_bytes: bytes) -> None:
    async with edge(read_seconds=1.0) as it:
        received, _ = await it.raw(request_bytes)
        assert b" 200 " not in received
        good, _ = await it.raw(GOOD, seconds=0.4)
        assert good.startswith(b"HTTP/1.1 200 ")


async def test_a_peer_that_resets_in_the_middle_leaves_nothing_behind() -> None:
    async with edge(in_flight=1, read_seconds=5) as it:
        for part in (GOOD[:30], GOOD[:-20], GOOD):
            peer = socket.create_connection(("127.0.0.1", it.port))
            peer.sendall(part)
            await asyncio.sleep(0.1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        await asyncio.sleep(0.1)
        received, _ = await it.raw(GOOD, seconds=0.4)
        assert received.startswith(b"HTTP/1.1 200 ")


async def test_one_connection_too_many_is_refused_and_the_next_served_when_one_ends() -> None:
    async with edge(connections=3) as it:
        held = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(3)]
        await asyncio.sleep(0.1)
        received, _ = await it.raw(0.1)
        assert received.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 60" in received
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.2)
        received, _ = await it.raw(GOOD, seconds=0.4)
        assert received.startswith(b"HTTP/1.1 200 ")


async def test_a_stop_finishes_the_request_in_hand_and_takes_no_other() -> None:
    async with edge(read_seconds=5) as it:
        body = wire("greenhouse", "candidate_stage_change")
        original = it.publisher.publish

        async def slowly(*args: object, **more: object) -> None:
            await asyncio.sleep(0.4)
            await original(*args, **more)  # type: ignore[arg-type]

        it.publisher.publish = slowly  # type: ignore[method-assign, assignment]
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(head(len(body), body=body) + body)
        await asyncio.sleep(0.1)
        closing = asyncio.ensure_future(it.listener.close())
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", it.port)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert len(it.publisher.stored) == 1
        await closing
        writer.close()
