"""What the lines are measured on: durable servers of this checkout, and a whole system of ours beside them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from tools.dev.console import Problem
from tools.dev.paths import DEV, private_folder
from tools.dev.process import Lease
from tools.dev.servers import Servers, shared_servers
from tools.dev.system import System

from trellis.common.runtime.internal import InternalClient
from trellis.common.runtime.keyring import Keyring

_FOLDER = DEV / "bench"
_NAME = "bench"


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers, a prepared system of which nothing runs yet, and a folder for what is written."""

    servers: Servers
    system: System
    folder: Path
    memory: dict[str, float] = field(default_factory=dict)
    """The highest resident size of each service so far, in MiB."""

    @property
    def broker_url(self) -> str:
        """Return the system's virtual host."""
        return self.servers.rabbitmq.vhost_url(_NAME)

    def internal(self, session: aiohttp.ClientSession, service: str) -> InternalClient:
        """Return a client of the internal API of *service*, as the `trellis` command has it."""
        keyring = Keyring.load(self.system.folder / "keyring.json")
        return InternalClient(session, self.system.url(service), audience=service, caller="cli", keyring=keyring)

    @contextlib.asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[str]:
        """Give the superuser's address of a fresh database, dropped afterwards."""
        server = self.servers.postgres.url
        admin = await asyncpg.connect(server)
        try:
            await admin.execute(f"drop database if exists {name} with (force)")
            await admin.execute(f"create database {name}")
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            await admin.execute(f"drop database if exists {name} with (force)")
            await admin.close()


@contextlib.contextmanager
def set_up() -> Iterator[Stage]:
    """Give a fresh stage; afterwards, also after a kill, nothing of it runs any more.

    Raises:
        Problem: Another bench of this checkout runs, or the servers cannot be had.
    """
    with _alone(), shared_servers(_FOLDER, durable=True) as servers:
        folder = private_folder(_FOLDER / "system")
        with Lease(folder) as lease:
            system = System(folder, servers.postgres, servers.rabbitmq, database=_NAME, vhost=_NAME, lease=lease)
            system.kill_all()  # what a killed bench left
            system.drop()
            try:
                system.prepare()
                yield Stage(servers, system, folder)
            finally:
                system.kill_all()
                system.drop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    descriptor = os.open(private_folder(_FOLDER) / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Problem("another bench of this checkout runs; two would only measure each other") from None
    else:
        yield
    finally:
        os.close(descriptor)
