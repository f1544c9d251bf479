"""A private PostgreSQL: one server on a port of 127.0.0.1, everything it writes in one folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

from tools.dev.compose import container
from tools.dev.console import Problem
from tools.dev.identity import Identity, elsewhere, unprivileged
from tools.dev.paths import private_folder
from tools.dev.ports import PortBook, is_free
from tools.dev.process import Lease, Process, Program, bring_up
from tools.dev.programs import PostgresPrograms, find_postgres
from tools.dev.secrets_kept import kept_secret

_CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 128MB
dynamic_shared_memory_type = mmap
password_encryption = 'scram-sha-256'
timezone = 'GMT'
log_timezone = 'GMT'
jit = off
fsync = {durable}
full_page_writes = {durable}
max_wal_size = 512MB
"""
# Without Unix sockets no path can be too long for one, and nobody but the owner of the password gets in.
# Shared memory in files of the data folder neither needs /dev/shm nor stays behind after a kill.
# The compiler of queries (jit) is left out where Debian's packages are unpacked.


class PostgresServer:
    """A PostgreSQL in *folder*; stopped and started again it has the same port.

    Started with a lease it stops by itself when the last holder of that lease ends.

    Args:
        folder: What it writes lies in here, except where root needs another place for the data.
        lease: Whose holders it serves; without one it runs until it is stopped.
        durable: Whether what it committed outlives a power cut; tests do without, since it costs them time.
        programs: The server's programs, found by themselves where none are given.
    """

    name = "postgres"

    def __init__(
        self,
        folder: Path,
        *,
        lease: Lease | None = None,
        durable: bool = True,
        programs: PostgresPrograms | None = None,
    ) -> None:
        self.folder = folder
        self._lease = lease
        self._durable = durable
        self._programs = programs
        self._book = PortBook(folder)
        self._process = Process(folder, self.name)

    @property
    def pid(self) -> int | None:
        """Return the server's process id, `None` while it is down."""
        return self._process.pid

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return self._book.get("postgres")

    @property
    def password(self) -> str:
        """Return the superuser's password, made the first time and readable by its owner only."""
        return kept_secret(self.folder / "password")

    @property
    def url(self) -> str:
        """Return the superuser's URL of the database `postgres`."""
        return self.database_url("postgres")

    @property
    def log(self) -> Path:
        """Return the server's log file."""
        return self._process.log

    def database_url(self, database: str, *, user: str = "postgres", password: str | None = None) -> str:
        """Return the URL of *database* for *user*, the superuser where none is named."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server unless it runs, and wait until it accepts connections.

        Raises:
            Problem: Its programs cannot be had, or it did not come up; the log says why.
        """
        what = f"PostgreSQL (see {self.log})"
        bring_up(self._process, self._program, self._accepts, what=what, seconds=60, lease=self._lease)

    def stop(self) -> None:
        """Shut the server down without waiting for its clients."""
        self._process.stop()

    def kill(self) -> None:
        """Kill the server and all its connections at once."""
        self._process.kill()

    def _accepts(self) -> bool:
        """Say whether the server asks a client that introduces itself for a password.

        While it starts or recovers it answers with an error instead.
        """
        introduction = struct.pack("!i", 196_608) + b"user\0postgres\0database\0postgres\0\0"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as server:
            server.settimeout(2)
            server.sendall(struct.pack("!i", len(introduction) + 4) + introduction)
            return server.recv(1) == b"R"
        return False

    def _program(self) -> Program:
        private_folder(self.folder)
        found = self._programs or find_postgres()
        port = self.port if is_free(self.port) else self._book.replace("postgres")
        if found is None:
            return container("postgres", self.folder, {"TRELLIS_PASSWORD": self.password, "TRELLIS_PORT": str(port)})
        identity, programs = unprivileged(found, self.folder)
        data = self._data_folder(identity)
        if not self._fits(programs, data / "PG_VERSION"):
            self._make_cluster(programs, identity, data)
        durable = "on" if self._durable else "off"
        configuration = data / "postgresql.conf"
        configuration.write_text(_CONFIGURATION.format(port=port, durable=durable), "utf-8")
        identity.give(data)
        return Program(
            argv=[*identity.prefix, str(programs.bin / "postgres"), "-D", str(data)],
            env=programs.environment(),
            cwd=Path("/"),
            stop_signal=signal.SIGINT,
        )

    def _fits(self, programs: PostgresPrograms, version_file: Path) -> bool:
        if not version_file.exists():
            return False
        made_by = version_file.read_text("ascii").strip()
        if made_by == programs.major_version():
            return True
        if self._durable:
            raise Problem(f"the data in {self.folder} is PostgreSQL {made_by}'s; ./dev clean removes it")
        return False

    def _data_folder(self, identity: Identity) -> Path:
        # Another user may not be able to reach a folder below ours.
        return self.folder / "data" if identity.owner is None else elsewhere("data", self.folder, identity.owner)

    def _make_cluster(self, programs: PostgresPrograms, identity: Identity, data: Path) -> None:
        shutil.rmtree(data, ignore_errors=True)  # what an interrupted attempt left
        data.mkdir(mode=0o700)
        password = data.with_name(f"{data.name}.password")
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, self.password.encode())
            os.close(descriptor)
            identity.give(data)
            identity.give(password)
            argv = ["initdb", "-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}"]
            argv += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
            done = subprocess.run(
                [*identity.prefix, str(programs.bin / argv[0]), *argv[1:]],
                env=programs.environment(), cwd="/", capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            raise Problem(f"initdb failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
