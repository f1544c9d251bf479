"""Webhooks of Greenhouse against the real broker and the real database."""

from __future__ import annotations

import json

import pytest
from tests.integration.ingest.conftest import Ingest, signed, until, wire

from trellis.common.contracts.facts import ApplicationStageChanged


async def test_a_signed_stage_change_is_answered_200_and_is_on_the_queue(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()
    body = wire("greenhouse", "candidate_stage_change")
    assert await ingest.post(url, body, signed(body, secret)) == 200
    [(envelope, raw)] = await ingest.message_count(1)
    assert isinstance(envelope.data, ApplicationStageChanged)
    assert envelope.data.application.application_id == 6200455003
    assert envelope.data.application.stage is not None
    assert envelope.data.application.stage.id == 7310088003
    assert envelope.accountid == "acme"
    assert envelope.subject == "application/6200455003"
    assert envelope.source == "trellis/ingest"
    assert b"Lindqvist" not in raw
    assert not await ingest.rows("select * from spool")


async def test_the_same_delivery_twice_is_one_id_and_another_is_another(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()
    body = wire("greenhouse", "candidate_stage_change")
    for event_id in ("771", "771", "772"):
        assert await ingest.post(url, body, signed(body, secret) | {"Greenhouse-Event-ID": event_id}) == 200
    taken = [envelope for envelope, _ in await ingest.message_count(3)]
    assert len({envelope.id for envelope in taken}) == 2
    assert len({envelope.contentkey for envelope in taken}) == 1


async def test_a_ping_shows_the_endpoint_as_connected(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()
    [before] = await ingest.call("GET", "/internal/v1/endpoints?account=acme")
    assert before["connected_at"] is None
    body = wire("greenhouse", "ping")
    assert await ingest.post(url, body, signed(body, secret)) == 200

    async def is_connected() -> bool:
        [shown] = await ingest.call("GET", "/internal/v1/endpoints?account=acme")
        return shown["connected_at"] is not None and shown["last_received_at"] is not None

    await until(is_connected)
    assert await ingest.messages() == []
    [row] = await ingest.rows("select last_used_at from endpoint_secret")
    assert row["last_used_at"] is not None


async def test_every_refusal_for_want_of_a_signature_looks_the_same(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()
    body = wire("greenhouse", "candidate_stage_change")
    good = signed(body, secret)["Signature"]
    unknown = url.rsplit("/", 1)[0] + "/" + "A" * 43
    short = url.rsplit("/", 1)[0] + "/abc"
    flipped = good[:-1] + ("0" if good[-1] != "0" else "1")
    doubled = [("Signature", good), ("Signature", good)]
    attempts = [
        (unknown, [("Signature", good)]),
        (short, [("Signature", good)]),
        (url.replace("greenhouse", "coderbyte"), [("Signature", good)]),
        (url, []),
        (url, doubled),
        (url, [("Signature", flipped)]),
        (url, [("Signature", good.replace(" ", "="))]),
        (url, [("Signature", "sha256 zz")]),
    ]
    seen = set()
    for target, headers in attempts:
        async with ingest.client.post(target, data=body, headers=headers) as answer:
            kept = {k: v for k, v in answer.headers.items() if k not in ("Date",)}
            seen.add((answer.status, await answer.text(), json.dumps(kept, sort_keys=True)))
    assert {status for status, _, _ in seen} == {401}
    assert len(seen) == 1
    assert await ingest.messages() == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"not json at all", "not_json"),
        (b"", "not_json"),
        (b"[1,2]", "wrong_shape"),
        (b'{"payload":{}}', "wrong_shape"),
        (b'{"action":"candidate_stage_change","payload":{"application":{"id":"x"}}}', "wrong_shape"),
        (b'{"action":"merge_candidate","payload":null}', "wrong_shape"),
        (b"\xff\xfe{}", "not_json"),
        (b"[" * 100_000, "not_json"),
    ],
)
async def test_a_signed_body_we_cannot_read_is_kept_for_a_person(ingest: Ingest, body: bytes, fault: str) -> None:
    url, secret = await ingest.connect_greenhouse()
    assert await ingest.post(url, body, signed(body, secret)) == 200
    [notice] = await ingest.call("GET", "/internal/v1/accounts/acme/unreadable")
    assert notice["reason"] == fault
    assert set(notice) == {"id", "vendor", "received_at", "expires_at", "reason"}
    [row] = await ingest.rows("select * from sealed_body")
    assert not body or body not in row["sealed"]
    assert (row["expires_at"] - row["received_at"]).days == 30
    assert await ingest.messages() == []
    assert await ingest.call("GET", "/internal/v1/accounts/other/unreadable") == []


async def test_an_unknown_action_is_200_and_dropped(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()
    for body in (b'{"action":"offer_created","payload":{}}', wire("greenhouse", "scorecard_deleted")):
        assert await ingest.post(url, body, signed(body, secret)) == 200
    assert await ingest.messages() == []
    assert not await ingest.rows("select * from sealed_body")
    assert 'outcome="dropped",vendor="greenhouse"} 2.0' in ingest.metrics.expose().decode()


async def test_a_rotated_secret_and_the_old_one_are_both_accepted(ingest: Ingest) -> None:
    url, old = await ingest.connect_greenhouse()
    body = wire("greenhouse", "ping")
    assert await ingest.post(url, body, signed(body, old)) == 200
    assert await ingest.call("POST", "/internal/v1/accounts/acme/keys/rotate", {"overlap_seconds": 1.5})
    [shown] = await ingest.call("GET", "/internal/v1/endpoints?account=acme")
    new = shown["secret"]
    assert new is not None
    assert new != old
    assert await ingest.post(url, body, signed(body, new)) == 200
    assert await ingest.post(url, body, signed(body, old)) == 200

    async def is_over() -> bool:
        return await ingest.post(url, body, signed(body, old)) == 401

    await until(is_over)
    assert await ingest.post(url, body, signed(body, new)) == 200


async def test_a_secret_made_by_another_process_is_found_before_a_refusal(ingest: Ingest) -> None:
    """The cache of this process may be 30 s old; a fresh secret must work at once, and a ping is sent once."""
    url, old = await ingest.connect_greenhouse()
    body = wire("greenhouse", "ping")
    assert await ingest.post(url, body, signed(body, old)) == 200
    from trellis.common.store.postgres import open_pool
    from trellis.ingest.adapters.registry import PostgresRegistry

    pool = await open_pool(ingest.database, name="other", schema="ingest")
    elsewhere = PostgresRegistry(pool, ingest.keyring)
    await elsewhere.rotate("acme", overlap_seconds=60)  # type: ignore[arg-type]
    [shown] = await elsewhere.shown("acme")  # type: ignore[arg-type]
    await pool.close()
    assert shown.secret is not None

    async def is_known() -> bool:
        return await ingest.post(url, body, signed(body, shown.secret or "")) == 200

    await until(is_known, seconds=5)
