"""Endpoints: whose webhook is this, and what signs it? Remembered for some seconds in the process."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from trellis.common.contracts.identifiers import AccountId
from trellis.common.errors import StoreAwayError
from trellis.ingest.signature import KeyEncoding
from trellis.ingest.translation import Rules

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""32 random bytes in base64url, as `adapters/endpoint_store.py` makes them."""
_MOST_REMEMBERED: Final = 10_000
REFRESH_SECONDS: Final = 2.0
"""A secret newer than what is remembered is looked for at most this often for one endpoint."""


class Vendor(StrEnum):
    """Who posts webhooks."""

    GREENHOUSE = "greenhouse"
    CODERBYTE = "coderbyte"


@dataclass(frozen=True, slots=True, repr=False)
class LiveSecret:
    """A secret that signs webhooks; *expires_at* is None until another replaces it."""

    id: UUID
    value: bytes
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one vendor posts the webhooks of one account.

    Attributes:
        id: Part of the id of each delivery.
        account: The tenant.
        vendor: Who posts here.
        secrets: What signs, newest first; also those whose time is nearly over.
        rules: How bodies are translated.
        organization_id: Coderbyte's name of the account.
        key_encoding: How Coderbyte's keys became bytes.
        require_exp: Coderbyte's tokens must expire.
        read_timeout_seconds: The account's own limit on receiving a request; None means the service's.
        incomplete: A secret could not be opened, so a signature that none of *secrets* made may be right.
    """

    id: UUID
    account: AccountId
    vendor: Vendor
    secrets: tuple[LiveSecret, ...]
    rules: Rules
    organization_id: str | None = None
    key_encoding: KeyEncoding = "utf8"
    require_exp: bool = False
    read_timeout_seconds: float | None = None
    incomplete: bool = False

    def live(self, now: datetime) -> list[LiveSecret]:
        """Return the secrets that count at *now*."""
        return [secret for secret in self.secrets if secret.expires_at is None or secret.expires_at > now]


class EndpointStore(Protocol):
    """Where endpoints are kept."""

    async def find(self, vendor: Vendor, token_hash: bytes) -> Endpoint | None:
        """Return the endpoint of *vendor* whose token has this SHA-256, or None.

        Raises:
            StoreAwayError: The table cannot be read.
        """


@dataclass(slots=True)
class _Remembered:
    endpoint: Endpoint | None
    read_at: float


class Endpoints:
    """Finds endpoints, in memory while they are fresh; unknown tokens are remembered as well.

    Args:
        store: Where they are kept.
        cache_seconds: How long one is fresh.
        wait_seconds: How long one look-up may take.
        monotonic: The clock that counts the seconds.
    """

    def __init__(
        self, store: EndpointStore, *, cache_seconds: float, wait_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._cache_seconds = cache_seconds
        self._wait_seconds = wait_seconds
        self._monotonic = monotonic
        self._known: dict[tuple[Vendor, bytes], _Remembered] = {}
        self._unknown: dict[tuple[Vendor, bytes], _Remembered] = {}
        self._reading: dict[tuple[Vendor, bytes], asyncio.Task[Endpoint | None]] = {}

    async def find(self, vendor: Vendor, token: str) -> Endpoint | None:
        """Return the endpoint with *token*, or None.

        Raises:
            StoreAwayError: It is not remembered, and the table cannot be read in time.
        """
        return await self._find(vendor, token, self._cache_seconds)

    async def find_fresh(self, vendor: Vendor, token: str) -> Endpoint | None:
        """Return the endpoint as it was at most `REFRESH_SECONDS` ago: for a signature that did not match.

        Raises:
            StoreAwayError: The table cannot be read in time, so nobody knows that the signature is wrong.
        """
        return await self._find(vendor, token, min(REFRESH_SECONDS, self._cache_seconds))

    def forget(self) -> None:
        """Read every endpoint anew; called when one was changed by this process."""
        self._known.clear()
        self._unknown.clear()

    async def _find(self, vendor: Vendor, token: str, max_age: float) -> Endpoint | None:
        if not _TOKEN.fullmatch(token):
            return None
        key = (vendor, hashlib.sha256(token.encode()).digest())
        remembered = self._known.get(key) or self._unknown.get(key)
        if remembered is not None and self._monotonic() - remembered.read_at <= max_age:
            return remembered.endpoint
        return await self._read(key)

    async def _read(self, key: tuple[Vendor, bytes]) -> Endpoint | None:
        """Read once, for all who ask for the same at the same time."""
        task = self._reading.get(key)
        if task is None:
            task = asyncio.ensure_future(self._read_once(key))
            self._reading[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)

    def _finished(self, key: tuple[Vendor, bytes], task: asyncio.Task[Endpoint | None]) -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # taken by whoever waits; nobody may be left who does

    async def _read_once(self, key: tuple[Vendor, bytes]) -> Endpoint | None:
        started = self._monotonic()
        try:
            async with asyncio.timeout(self._wait_seconds):
                endpoint = await self._store.find(*key)
        except TimeoutError:
            raise StoreAwayError("the endpoint table does not answer in time") from None
        self._known.pop(key, None)
        self._unknown.pop(key, None)
        table = self._known if endpoint is not None else self._unknown
        if len(table) >= _MOST_REMEMBERED:
            table.pop(next(iter(table)))
        table[key] = _Remembered(endpoint, started)
        return endpoint
