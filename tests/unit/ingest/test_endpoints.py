"""The cache of endpoints: fresh, bounded, and never a 401 out of ignorance."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.fakes.ingest import EPOCH, MemoryEndpointStore

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import StoreAwayError
from trellis.ingest.endpoints import Endpoint, Endpoints, LiveSecret, Vendor
from trellis.ingest.translation import Rules

TOKEN = "t" * 43
KEY = (Vendor.GREENHOUSE, hashlib.sha256(TOKEN.encode()).digest())


def endpoint(*values: LiveSecret) -> Endpoint:
    return Endpoint(id=uuid4(), account=AccountId("acme"), vendor=Vendor.GREENHOUSE, secrets=values, rules=Rules())


class Rig:
    def __init__(self) -> None:
        self.seconds = 100.0
        self.store = MemoryEndpointStore()
        self.endpoints = Endpoints(self.store, cache_seconds=30.0, wait_seconds=0.05, monotonic=lambda: self.seconds)


async def test_a_known_endpoint_is_read_once_in_thirty_seconds() -> None:
    rig = Rig()
    rig.store.endpoints[KEY] = endpoint()
    for seconds in (100, 115, 130):
        rig.seconds = seconds
        assert await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN) is rig.store.endpoints[KEY]
    assert rig.store.reads == 1
    rig.seconds = 130.1
    await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN)
    assert rig.store.reads == 2


async def test_an_unknown_token_is_remembered_too() -> None:
    rig = Rig()
    assert await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN) is None
    assert await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN) is None
    assert rig.store.reads == 1
    assert await rig.endpoints.find(Vendor.CODERBYTE, TOKEN) is None
    assert rig.store.reads == 2


@pytest.mark.parametrize("token", ["", "short", "t" * 44, "ü" * 43, "t" * 42 + "/", "t" * 42 + "\n"])
async def test_what_cannot_be_a_token_is_not_looked_up(token: str) -> None:
    rig = Rig()
    assert await rig.endpoints.find(Vendor.GREENHOUSE, token) is None
    assert rig.store.reads == 0


async def test_while_the_table_is_away_a_fresh_endpoint_is_served_and_nothing_else_is_called_unknown() -> None:
    rig = Rig()
    rig.store.endpoints[KEY] = endpoint()
    await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN)
    rig.store.is_away = True
    assert await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN) is not None
    with pytest.raises(StoreAwayError):
        await rig.endpoints.find(Vendor.GREENHOUSE, "u" * 43)
    rig.seconds += 31
    with pytest.raises(StoreAwayError):
        await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN)
    rig.store.is_away = False
    assert await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN) is not None


async def test_a_table_that_hangs_is_away() -> None:
    rig = Rig()

    async def hang(*_: object) -> None:
        await asyncio.sleep(5)

    rig.store.find = hang  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreAwayError):
        await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN)


async def test_many_who_ask_at_once_read_once() -> None:
    rig = Rig()
    rig.store.endpoints[KEY] = endpoint()
    found = await asyncio.gather(*(rig.endpoints.find(Vendor.GREENHOUSE, TOKEN) for _ in range(50)))
    assert {one.id for one in found if one} == {rig.store.endpoints[KEY].id}
    assert rig.store.reads == 1


async def test_before_a_refusal_the_table_is_asked_at_most_every_two_seconds() -> None:
    rig = Rig()
    rig.store.endpoints[KEY] = endpoint()
    await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN)
    await rig.endpoints.find_fresh(Vendor.GREENHOUSE, TOKEN)
    assert rig.store.reads == 1
    rig.seconds += 2.1
    for _ in range(10):
        await rig.endpoints.find_fresh(Vendor.GREENHOUSE, TOKEN)
    assert rig.store.reads == 2


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trellis.ingest.endpoints._MOST_REMEMBERED", 5)
    rig = Rig()
    rig.store.endpoints[KEY] = endpoint()
    await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN)
    for _ in range(50):
        await rig.endpoints.find(Vendor.GREENHOUSE, secrets.token_urlsafe(32))
    assert len(rig.endpoints._unknown) == 5
    reads = rig.store.reads
    await rig.endpoints.find(Vendor.GREENHOUSE, TOKEN)
    assert rig.store.reads == reads, "unknown tokens must not push out known ones"


def test_a_secret_counts_until_it_expires() -> None:
    old = LiveSecret(uuid4(), b"old", EPOCH + timedelta(seconds=10))
    new = LiveSecret(uuid4(), b"new", None)
    both = endpoint(new, old)
    assert both.live(EPOCH) == [new, old]
    assert both.live(EPOCH + timedelta(seconds=10)) == [new]
    assert "old" not in repr(both)
