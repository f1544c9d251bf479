"""A private PostgreSQL: one server on a port of 127.0.0.1, everything it writes in one folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import Problem
from tools.dev.paths import folder_id, private_folder
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
password_encryption = 'scram-sha-256'
timezone = 'GMT'
log_timezone = 'GMT'
jit = off
fsync = {durable}
full_page_writes = {durable}
max_wal_size = 512MB
"""
# Without Unix sockets no path can be too long for one, and nobody but the owner of the password gets in.
# The compiler of queries (jit) is left out where Debian's packages are unpacked.


@dataclass(frozen=True)
class Identity:
    """How the server is kept from running as root, which it refuses."""

    prefix: tuple[str, ...]
    """What its commands begin with."""
    owner: int | None = None
    """The user who must own the data folder, if not the one we are."""


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
        if self._programs is None:
            self._programs = find_postgres()
        private_folder(self.folder)
        identity = unprivileged(self._programs)
        data = self._data_folder(identity)
        if not (data / "PG_VERSION").exists():
            self._make_cluster(self._programs, identity, data)
        port = self.port if is_free(self.port) else self._book.replace("postgres")
        durable = "on" if self._durable else "off"
        configuration = data / "postgresql.conf"
        configuration.write_text(_CONFIGURATION.format(port=port, durable=durable), "utf-8")
        _give(data, identity)
        return Program(
            argv=[*identity.prefix, str(self._programs.bin / "postgres"), "-D", str(data)],
            env=self._programs.environment(),
            cwd=Path("/"),
            stop_signal=signal.SIGINT,
        )

    def _data_folder(self, identity: Identity) -> Path:
        if identity.owner is None:
            return self.folder / "data"
        # The other user may not be able to reach a folder of root's; the link tells `./dev clean` of it.
        data = Path("/var/tmp") / f"trellis-postgres-{folder_id(self.folder)}"  # noqa: S108 - its owner is checked
        data.mkdir(mode=0o700, exist_ok=True)
        if data.is_symlink() or data.stat().st_uid not in {0, identity.owner}:
            raise Problem(f"{data} belongs to somebody else; remove it")
        link = self.folder / "data-elsewhere"
        link.unlink(missing_ok=True)
        link.symlink_to(data)
        return data

    def _make_cluster(self, programs: PostgresPrograms, identity: Identity, data: Path) -> None:
        shutil.rmtree(data, ignore_errors=True)  # what an interrupted attempt left
        data.mkdir(mode=0o700)
        password = data.with_name(f"{data.name}.password")
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, self.password.encode())
            os.close(descriptor)
            _give(data, identity)
            _give(password, identity)
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


def unprivileged(programs: PostgresPrograms) -> Identity:
    """Return how to run *programs* as somebody who is not root.

    Raises:
        Problem: We are root and no way to be somebody else was found.
    """
    die_with_keeper = ("setpriv", "--pdeathsig", "KILL", "--")
    if os.getuid() != 0:
        return Identity(())
    # Root in a user namespace in which it has another number: the files stay root's, so any folder will do.
    namespace = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *die_with_keeper)
    if _works([*namespace, str(programs.bin / "postgres"), "--version"], programs):
        return Identity(namespace)
    nobody = pwd.getpwnam("nobody")
    become_nobody = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    switch = (*become_nobody, *die_with_keeper[1:])
    if _works([*switch, str(programs.bin / "postgres"), "--version"], programs):
        return Identity(switch, owner=nobody.pw_uid)
    raise Problem("PostgreSQL refuses root; run ./dev as an ordinary user, or apt-get install postgresql")


def _works(argv: Sequence[str], programs: PostgresPrograms) -> bool:
    try:
        return (
            subprocess.run(argv, env=programs.environment(), cwd="/", capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def _give(path: Path, identity: Identity) -> None:
    if identity.owner is not None:
        for item in [path, *path.rglob("*")]:
            os.chown(item, identity.owner, -1, follow_symlinks=False)
