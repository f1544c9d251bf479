"""How the command reaches the services: addresses and the key ring from the environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp

from trellis.common.errors import PermanentError
from trellis.common.runtime.internal import InternalClient
from trellis.common.runtime.keyring import Keyring

_T = TypeVar("_T")
SERVICES = ("ingest", "workflow", "greenhouse-actions", "assessments")


class Clients:
    """The internal clients of all services, by name."""

    def __init__(self, session: aiohttp.ClientSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring

    def __getitem__(self, service: str) -> InternalClient:
        return InternalClient(
            self._session, self.url_of(service), audience=service, caller="cli", keyring=self._keyring
        )

    def url_of(self, service: str) -> str:
        """Return the address of *service*.

        Raises:
            PermanentError: The environment does not name it.
        """
        variable = f"TRELLIS_{service.upper().replace('-', '_')}_URL"
        url = os.environ.get(variable)
        if not url:
            raise PermanentError(f"{variable} is not set: the address of {service}, such as http://127.0.0.1:8080")
        return url


@asynccontextmanager
async def clients() -> AsyncIterator[Clients]:
    """Give the clients, with `TRELLIS_KEYRING_FILE` and `TRELLIS_<SERVICE>_URL` from the environment.

    Raises:
        PermanentError: The key ring is not named or not readable.
    """
    file = os.environ.get("TRELLIS_KEYRING_FILE")
    if not file:
        raise PermanentError("TRELLIS_KEYRING_FILE is not set: the file with the installation's keys")
    keyring = Keyring.load(Path(file))
    async with aiohttp.ClientSession() as session:
        yield Clients(session, keyring)


def with_clients(question: Callable[[Clients], Awaitable[_T]]) -> _T:
    """Return the answer to *question*, asked with the clients."""

    async def ask() -> _T:
        async with clients() as found:
            return await question(found)

    return asyncio.run(ask())
