"""The internal API: apply, show, rotate, read sealed bodies; and what it keeps from whom."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import aiohttp
import pytest
from tests.integration.ingest.conftest import Ingest, signed, until, wire

from trellis.common.errors import InputError, PermanentError

CODERBYTE = {"organization_id": "northwindhiring", "accepted_webhook_keys": ["sim-api-key-0001"]}
FULL: dict[str, Any] = {
    "custom_fields": ["candidate.seniority_band", "assessment_score"],
    "settings": {"hook.new_application_is_entry": False, "hook.read_timeout_s": 2.5},
    "greenhouse": {"webhook_secret": None},
    "coderbyte": CODERBYTE | {"settings": {"webhook.key_encoding": "utf8", "webhook.require_exp": True}},
}


async def shown(ingest: Ingest, account: str = "acme") -> dict[str, dict[str, Any]]:
    listed = await ingest.call("GET", f"/internal/v1/endpoints?account={account}")
    return {one["vendor"]: one for one in listed}


async def test_applying_twice_changes_nothing(ingest: Ingest) -> None:
    changes = await ingest.apply(**FULL)
    assert len(changes) == 5
    before = await ingest.rows("select * from endpoint order by vendor")
    assert await ingest.apply(**FULL) == []
    assert await ingest.rows("select * from endpoint order by vendor") == before
    assert len(await ingest.rows("select * from endpoint_secret")) == 2


async def test_a_dry_run_says_what_would_change_and_changes_nothing(ingest: Ingest) -> None:
    would = await ingest.apply(**FULL, dry_run=True)
    for table in ("account", "endpoint", "endpoint_secret"):
        assert not await ingest.rows(f"select * from {table}")
    assert await ingest.apply(**FULL) == would
    assert await ingest.apply(**FULL, dry_run=True) == []


async def test_a_generated_secret_is_shown_once_and_a_key_never(ingest: Ingest) -> None:
    await ingest.apply(**FULL)
    first, second = await shown(ingest), await shown(ingest)
    assert len(first["greenhouse"]["secret"]) >= 32
    assert second["greenhouse"]["secret"] is None
    assert first["coderbyte"]["secret"] is second["coderbyte"]["secret"] is None
    assert {vendor: one["url"] for vendor, one in first.items()} == {v: one["url"] for v, one in second.items()}
    assert first["coderbyte"]["url"].startswith("http://127.0.0.1:0/webhooks/coderbyte/")


async def test_no_token_or_secret_lies_open_in_the_database(ingest: Ingest) -> None:
    await ingest.apply(**FULL)
    endpoints = await shown(ingest)
    token = endpoints["greenhouse"]["url"].rsplit("/", 1)[1]
    planted = [token.encode(), endpoints["greenhouse"]["secret"].encode(), b"sim-api-key-0001"]
    rows = [*await ingest.rows("select * from endpoint"), *await ingest.rows("select * from endpoint_secret")]
    for row in rows:
        for value in row.values():
            raw = value if isinstance(value, bytes) else str(value).encode()
            assert not any(one in raw for one in planted)
    hashes = [row["token_hash"] for row in rows if "token_hash" in row]
    assert hashlib.sha256(token.encode()).digest() in hashes


async def test_a_given_secret_is_never_shown_and_replacing_it_keeps_the_old_for_a_while(ingest: Ingest) -> None:
    changes = await ingest.apply(greenhouse={"webhook_secret": "first-secret"})
    assert not any("first-secret" in change for change in changes)
    endpoint = (await shown(ingest))["greenhouse"]
    assert endpoint["secret"] is None
    url, body = ingest.here(endpoint["url"]), wire("greenhouse", "ping")
    assert await ingest.post(url, body, signed(body, "first-secret")) == 200
    assert len(await ingest.apply(greenhouse={"webhook_secret": "second-secret"})) == 1
    assert await ingest.apply(greenhouse={"webhook_secret": "second-secret"}) == []
    for secret in ("first-secret", "second-secret"):
        assert await ingest.post(url, body, signed(body, secret)) == 200
    [old] = await ingest.rows("select * from endpoint_secret where expires_at is not null")
    assert 57_000 < (old["expires_at"] - old["created_at"]).total_seconds() < 58_000
    assert await ingest.apply(greenhouse={"webhook_secret": None}) == [], "a secret is there"


async def test_a_secret_that_was_rotated_away_does_not_come_back_by_applying_again(ingest: Ingest) -> None:
    await ingest.apply(greenhouse={"webhook_secret": "first-secret"})
    await ingest.call("POST", "/internal/v1/accounts/acme/keys/rotate", {"overlap_seconds": 0})
    assert await ingest.apply(greenhouse={"webhook_secret": "first-secret"}) == []
    endpoint = (await shown(ingest))["greenhouse"]
    url, body = ingest.here(endpoint["url"]), wire("greenhouse", "ping")
    assert await ingest.post(url, body, signed(body, "first-secret")) == 401
    assert await ingest.post(url, body, signed(body, endpoint["secret"])) == 200


async def test_a_connection_taken_away_is_closed_and_comes_back_under_its_url(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()
    body = wire("greenhouse", "ping")
    assert await ingest.post(url, body, signed(body, secret)) == 200
    assert len(await ingest.apply(greenhouse=None)) == 1
    assert await shown(ingest) == {}
    assert await ingest.post(url, body, signed(body, secret)) == 401
    assert len(await ingest.apply(greenhouse={"webhook_secret": None})) == 1
    assert await ingest.post(url, body, signed(body, secret)) == 200


async def test_exactly_the_listed_coderbyte_keys_are_accepted(ingest: Ingest) -> None:
    await ingest.apply(coderbyte=CODERBYTE | {"accepted_webhook_keys": ["key-number-1", "key-number-2"]})
    assert len(await ingest.apply(coderbyte=CODERBYTE | {"accepted_webhook_keys": ["key-number-2"]})) == 1
    assert len(await ingest.rows("select * from endpoint_secret")) == 1
    assert len(await ingest.apply(coderbyte=CODERBYTE | {"organization_id": "other"})) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"custom_fields": ["application.x"]}, "custom_fields.0"),
        ({"settings": {"hook.read_timeout_s": 0}}, "settings.hook.read_timeout_s"),
        ({"settings": {"hook.unknown": 1}}, "settings.hook.unknown"),
        ({"greenhouse": {"webhook_secret": "short"}}, "greenhouse.webhook_secret"),
        ({"coderbyte": {"organization_id": "x", "accepted_webhook_keys": []}}, "coderbyte.accepted_webhook_keys"),
        (
            {"coderbyte": CODERBYTE | {"settings": {"webhook.key_encoding": "base64"}}},
            "coderbyte.accepted_webhook_keys.0",
        ),
        ([], "body"),
    ],
)
async def test_a_fault_names_its_field_and_not_its_value(ingest: Ingest, body: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        await ingest.call("PUT", "/internal/v1/accounts/acme", body)
    assert caught.value.field == field
    assert "short" not in caught.value.expected.replace("shorter", "")
    assert "sim-api-key" not in str(caught.value)
    assert not await ingest.rows("select * from account")


async def test_an_old_secret_is_shown_with_its_end_and_its_last_use_until_it_is_over(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()

    async def ending() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await shown(ingest))["greenhouse"]["ending"]
        return found

    assert await ending() == []
    await ingest.call("POST", "/internal/v1/accounts/acme/keys/rotate", {"overlap_seconds": 3600})
    (old,) = await ending()
    assert old["last_used_at"] is None
    body = wire("greenhouse", "candidate_stage_change")
    assert await ingest.post(url, body, signed(body, secret)) == 200

    async def used() -> bool:
        return (await ending())[0]["last_used_at"] is not None

    await until(used)
    assert (await ending())[0]["expires_at"] == old["expires_at"]
    assert secret not in str(await ending())
    await ingest.rows(
        "update endpoint_secret set expires_at = clock_timestamp() where expires_at is not null returning 1"
    )
    assert await ending() == []


async def test_rotating_without_a_connection_says_what_to_do(ingest: Ingest) -> None:
    with pytest.raises(InputError) as caught:
        await ingest.call("POST", "/internal/v1/accounts/acme/keys/rotate")
    assert "apply" in caught.value.remedy


async def test_accounts_are_apart(ingest: Ingest) -> None:
    acme_url, acme_secret = await ingest.connect_greenhouse("acme", custom_fields=["hourly_rate"])
    other_url, other_secret = await ingest.connect_greenhouse("other")
    body = wire("greenhouse", "candidate_stage_change")
    assert await ingest.post(acme_url, body, signed(body, other_secret)) == 401
    assert await ingest.post(other_url, body, signed(body, acme_secret)) == 401
    for url, secret in ((acme_url, acme_secret), (other_url, other_secret)):
        assert await ingest.post(url, body, signed(body, secret) | {"Greenhouse-Event-ID": "1"}) == 200
    taken = {envelope.accountid: envelope for envelope, _ in await ingest.message_count(2)}
    assert set(taken) == {"acme", "other"}
    assert taken["acme"].id != taken["other"].id
    assert taken["acme"].data.application.custom_fields == {"hourly_rate": 64}  # type: ignore[union-attr]
    assert taken["other"].data.application.custom_fields == {}  # type: ignore[union-attr]


async def test_without_a_token_or_with_one_for_another_service_nothing_is_answered(ingest: Ingest) -> None:
    async with aiohttp.ClientSession() as client:
        for method, path in (("PUT", "/internal/v1/accounts/acme"), ("GET", "/internal/v1/endpoints")):
            async with client.request(method, ingest.url + path, json={}) as answer:
                assert answer.status == 401
    with pytest.raises(PermanentError, match="401"):
        await ingest.call("GET", "/internal/v1/endpoints", audience="workflow")


async def test_a_sealed_body_is_for_assessments_and_its_account_only(ingest: Ingest) -> None:
    import jwt

    await ingest.apply("acme", coderbyte=CODERBYTE)
    await ingest.apply("other", coderbyte=CODERBYTE)
    url = ingest.here((await shown(ingest))["coderbyte"]["url"])
    body = wire("coderbyte", "webhook_assessment_completed")
    with pytest.warns(UserWarning, match="HMAC key"):
        token = jwt.encode({"iss": "northwindhiring"}, "sim-api-key-0001", algorithm="HS256")
    assert await ingest.post(url, body, {"Authorization": f"Bearer {token}"}) == 200
    [(envelope, raw)] = await ingest.message_count(1, "assessments.inbound")
    assert b"priya" not in raw
    path = f"/internal/v1/accounts/acme/sealed-bodies/{envelope.data.sealed_body_id}"  # type: ignore[union-attr]
    answer = await ingest.call("GET", path, caller="assessments")
    assert answer["body"]["email"] == "priya.raman@example.com"
    for caller in ("workflow", "console", "cli"):
        with pytest.raises(PermanentError, match="403"):
            await ingest.call("GET", path, caller=caller)
    with pytest.raises(PermanentError, match="404"):
        await ingest.call("GET", path.replace("acme", "other"), caller="assessments")
    with pytest.raises(InputError):
        await ingest.call("GET", path[:-3], caller="assessments")
    [row] = await ingest.rows("select sealed from sealed_body")
    assert b"priya" not in row["sealed"]
    await ingest.rows("delete from data_key where account_id = 'acme'")
    [spared] = await ingest.rows("select count(*) from sealed_body")
    assert spared["count"] == 1


async def test_an_endpoint_that_fell_silent_is_shown_and_one_more_webhook_ends_it(ingest: Ingest) -> None:
    url, secret = await ingest.connect_greenhouse()
    assert (await shown(ingest))["greenhouse"]["silence"] is None
    body = b'{"action":"ping","payload":{}}'
    assert await ingest.post(url, body, signed(body, secret)) == 200
    async with asyncio.timeout(10):
        while not await ingest.rows("select * from endpoint_hour"):
            await asyncio.sleep(0.05)
    assert [row["webhooks"] for row in await ingest.rows("select * from endpoint_hour")] == [1]
    assert not (await shown(ingest))["greenhouse"]["silence"]["unusual"]
    await ingest.rows(
        "update endpoint set connected_at = clock_timestamp() - interval '60 days', "
        "last_received_at = clock_timestamp() - interval '3 hours' returning 1"
    )
    await ingest.rows(
        "insert into endpoint_hour select e.id, date_trunc('hour', clock_timestamp()) - make_interval(weeks => w, hours => h), 9 "
        "from endpoint e, generate_series(1, 4) w, generate_series(0, 3) h returning 1"
    )
    silence = (await shown(ingest))["greenhouse"]["silence"]
    assert silence["unusual"] and 20 < silence["missing"] < 30
    assert await ingest.post(url, body, signed(body, secret)) == 200
    async with asyncio.timeout(10):
        while (await shown(ingest))["greenhouse"]["silence"]["unusual"]:
            await asyncio.sleep(0.05)
