"""The disk under ingest's spool, which can be full: a small filesystem with the table on it, else the error alone."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import asyncpg
from tools.dev.identity import elsewhere, unprivileged
from tools.dev.postgres import PostgresServer
from tools.dev.programs import find_postgres

from faults import mounts

_KILOBYTES = 16 * 1024
_FULL = b"No space left on device"


class Disk(Protocol):
    """What the spool lies on."""

    words: str
    """How it is made to be full."""

    async def prepare(self, server: PostgresServer, database: str) -> None:
        """Put the spool on it; the schema must be there."""

    async def fill(self) -> None:
        """Leave no room for another row."""

    async def clear(self) -> None:
        """Make room again."""

    def remove(self) -> None:
        """Give back what it took of the machine."""


def disk(folder: Path, reason: str) -> Disk:
    """Return a disk in *folder*; *reason* says why this process may not mount, and is empty if it may."""
    if not reason and find_postgres() is None:
        reason = "PostgreSQL runs in a container"
    return EmulatedDisk(reason) if reason else SmallDisk(folder / "spool-disk")


def refusals(log: Path) -> int:
    """Return how often the server whose *log* it is had no space for a row."""
    with contextlib.suppress(FileNotFoundError):
        return log.read_bytes().count(_FULL)
    return 0


class SmallDisk:
    """A tmpfs in *folder* as a tablespace; a file beside the table takes what is left of it."""

    words = f"the spool on a filesystem of {_KILOBYTES // 1024} MB, filled up"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._url = ""

    async def prepare(self, server: PostgresServer, database: str) -> None:
        """See `Disk.prepare`."""
        programs = find_postgres()
        if programs is None:
            raise RuntimeError("a container's server cannot see what is mounted here")
        identity, _ = unprivileged(programs, server.folder)
        self._folder.mkdir(exist_ok=True)
        if identity.owner is not None:  # somebody else, who may not reach our folders
            self._folder = elsewhere("spool-disk", server.folder, identity.owner)
            self._folder.chmod(0o755)
        mounts.mount_tmpfs(self._folder, _KILOBYTES)
        place = self._folder / "tablespace"
        place.mkdir(mode=0o700)
        identity.give(place)
        self._url = server.database_url(database)
        async with _connected(self._url) as connection:
            await connection.execute(f"create tablespace spool_disk location '{place}'")
            await connection.execute("alter table ingest.spool set tablespace spool_disk")
            for row in await connection.fetch("select indexname from pg_indexes where tablename = 'spool'"):
                await connection.execute(f'alter index ingest."{row["indexname"]}" set tablespace spool_disk')

    async def fill(self) -> None:
        """See `Disk.fill`; the table is packed first, so that no page of its own has room for the next row."""
        async with _connected(self._url) as connection:
            await connection.execute("vacuum full ingest.spool")
        with (self._folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    async def clear(self) -> None:
        """See `Disk.clear`."""
        (self._folder / "ballast").unlink(missing_ok=True)

    def remove(self) -> None:
        """See `Disk.remove`."""
        mounts.unmount(self._folder)


class EmulatedDisk:
    """A trigger that fails as PostgreSQL does when a file cannot grow (SQLSTATE 53100)."""

    def __init__(self, reason: str) -> None:
        self.words = f"emulated by a trigger that fails with disk_full, since nothing can be mounted here: {reason}"
        self._url = ""

    async def prepare(self, server: PostgresServer, database: str) -> None:
        """See `Disk.prepare`."""
        self._url = server.database_url(database)
        async with _connected(self._url) as connection:
            await connection.execute(
                "create function ingest.has_no_space() returns trigger language plpgsql as $$ begin "
                f"raise exception '{_FULL.decode()}' using errcode = 'disk_full'; end $$; "
                "create trigger has_no_space before insert or update on ingest.spool "
                "for each statement execute function ingest.has_no_space(); "
                "alter table ingest.spool disable trigger has_no_space"
            )

    async def fill(self) -> None:
        """See `Disk.fill`."""
        await self._let("enable")

    async def clear(self) -> None:
        """See `Disk.clear`."""
        await self._let("disable")

    def remove(self) -> None:
        """See `Disk.remove`: there is nothing."""

    async def _let(self, word: str) -> None:
        async with _connected(self._url) as connection:
            await connection.execute(f"alter table ingest.spool {word} trigger has_no_space")


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
