"""Endpoints: one suite for those of the simulation and the real ones."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from simulation.twins import ingest as twins
from simulation.twins.memory import Session
from tests.contract.ingest.messages import ACME, OTHER

from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.ids import uuid7
from trellis.common.runtime.keyring import Keyring
from trellis.common.store.postgres import Pool
from trellis.ingest.adapters.endpoint_store import PostgresEndpointStore
from trellis.ingest.adapters.registry import PostgresRegistry, WantedAccount, WantedCoderbyte, WantedGreenhouse
from trellis.ingest.endpoints import Endpoint, EndpointStore, LiveSecret, Vendor
from trellis.ingest.translation import Rules


@dataclass
class Registered:
    """Endpoints, with what an administrator does to them."""

    store: EndpointStore
    add: Callable[[AccountId, Vendor, str], Awaitable[str]]
    rotate: Callable[[AccountId, float], Awaitable[None]]
    disable: Callable[[AccountId, bool], Awaitable[None]]

    async def find(self, token: str, vendor: Vendor = Vendor.GREENHOUSE) -> Endpoint | None:
        return await self.store.find(vendor, hashlib.sha256(token.encode()).digest())


def _simulated(session: Session) -> Registered:
    store = twins.MemoryEndpoints(session)

    async def add(account: AccountId, vendor: Vendor, secret: str) -> str:
        organization = account if vendor is Vendor.CODERBYTE else None
        endpoint = Endpoint(
            id=uuid7(), account=account, vendor=vendor, secrets=(LiveSecret(uuid7(), secret.encode(), None),),
            rules=Rules(custom_fields=frozenset({"x"}), new_application_is_entry=False), organization_id=organization,
        )  # fmt: skip
        await store.add(endpoint, f"token of {account} {vendor}")
        return f"token of {account} {vendor}"

    async def rotate(account: AccountId, overlap: float) -> None:
        await store.rotate(account, LiveSecret(uuid7(), b"fresh", None), overlap)

    async def disable(account: AccountId, disabled: bool) -> None:
        await store.disable(account, Vendor.GREENHOUSE, disabled=disabled)

    return Registered(store, add, rotate, disable)


def _in_postgres(pool: Pool) -> Registered:
    keyring = Keyring.generate()
    registry, wanted = PostgresRegistry(pool, keyring), dict[AccountId, dict[str, Any]]()

    async def apply(account: AccountId, **more: Any) -> None:
        wanted.setdefault(account, {"greenhouse": None, "coderbyte": None}).update(more)
        said = WantedAccount(
            account=account, custom_fields=("x",), new_application_is_entry=False, read_timeout_seconds=None,
            **wanted[account],
        )  # fmt: skip
        await registry.apply(said, dry_run=False)

    async def add(account: AccountId, vendor: Vendor, secret: str) -> str:
        if vendor is Vendor.GREENHOUSE:
            await apply(account, greenhouse=WantedGreenhouse(webhook_secret=secret))
        else:
            await apply(account, coderbyte=WantedCoderbyte(organization_id=account, accepted_webhook_keys=(secret,)))
        return next(one.token for one in await registry.shown(account) if one.vendor is vendor)

    async def rotate(account: AccountId, overlap: float) -> None:
        await registry.rotate(account, overlap_seconds=overlap)

    async def disable(account: AccountId, disabled: bool) -> None:
        await apply(account, greenhouse=None if disabled else WantedGreenhouse())

    return Registered(PostgresEndpointStore(pool, keyring), add, rotate, disable)


@pytest.fixture(params=["simulation", "postgres"])
def registered(request: pytest.FixtureRequest) -> Registered:
    if request.param == "simulation":
        return _simulated(request.getfixturevalue("session"))
    return _in_postgres(request.getfixturevalue("pool"))


class TestEndpoints:
    async def test_an_endpoint_is_found_by_its_vendor_and_token(self, registered: Registered) -> None:
        mine = await registered.add(ACME, Vendor.GREENHOUSE, "secret")
        theirs = await registered.add(OTHER, Vendor.GREENHOUSE, "another")
        coderbyte = await registered.add(ACME, Vendor.CODERBYTE, "key")
        found, other = await registered.find(mine), await registered.find(theirs)
        assert found is not None
        assert other is not None
        assert (found.account, other.account) == (ACME, OTHER)
        assert [secret.value for secret in found.secrets] == [b"secret"]
        assert found.rules == Rules(custom_fields=frozenset({"x"}), new_application_is_entry=False)
        assert (found.organization_id, found.incomplete, found.require_exp) == (None, False, False)
        signals = await registered.find(coderbyte, Vendor.CODERBYTE)
        assert signals is not None
        assert (signals.organization_id, [secret.value for secret in signals.secrets]) == (ACME, [b"key"])
        assert await registered.find(mine, Vendor.CODERBYTE) is None
        assert await registered.find(coderbyte) is None
        assert await registered.find("unknown") is None

    async def test_a_rotated_secret_counts_beside_the_new_one_until_its_time_is_over(
        self, registered: Registered
    ) -> None:
        token = await registered.add(ACME, Vendor.GREENHOUSE, "old")
        await registered.rotate(ACME, 0.5)
        both = await registered.find(token)
        assert both is not None
        assert [secret.value == b"old" for secret in both.secrets] == [False, True]
        assert both.secrets[0].expires_at is None
        assert both.secrets[1].expires_at is not None
        await asyncio.sleep(0.6)
        one = await registered.find(token)
        assert one is not None
        assert [secret.id for secret in one.secrets] == [both.secrets[0].id]

    async def test_a_second_rotation_does_not_let_the_first_secret_live_longer(self, registered: Registered) -> None:
        token = await registered.add(ACME, Vendor.GREENHOUSE, "old")
        await registered.rotate(ACME, 60)
        await registered.rotate(ACME, 3600)
        found = await registered.find(token)
        assert found is not None
        ends = [secret.expires_at for secret in found.secrets]
        assert ends[0] is None
        assert ends[1] is not None
        assert ends[2] is not None
        assert ends[2] < ends[1]

    async def test_a_disabled_endpoint_is_not_found_until_it_is_enabled_under_its_old_token(
        self, registered: Registered
    ) -> None:
        token = await registered.add(ACME, Vendor.GREENHOUSE, "secret")
        before = await registered.find(token)
        await registered.disable(ACME, True)
        assert await registered.find(token) is None
        await registered.disable(ACME, False)
        assert await registered.find(token) == before
