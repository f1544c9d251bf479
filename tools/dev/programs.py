"""Where PostgreSQL's and RabbitMQ's programs come from, on a machine that need not have them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tools.dev import compose
from tools.dev.bootstrap import installed_apart
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

    def major_version(self) -> str:
        """Return what a data folder of theirs says in `PG_VERSION`."""
        said = subprocess.run(
            [self.bin / "postgres", "--version"], env=self.environment(), capture_output=True, text=True, check=True
        )
        return said.stdout.split()[2].partition(".")[0]

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


def find_postgres() -> PostgresPrograms | None:
    """Return a PostgreSQL 15 or newer: the system's, else Debian's unpacked, else PyPI's; `None` means Docker's.

    `TRELLIS_DEV_POSTGRES` (installed, debian, pypi, docker) allows one of them only.

    Raises:
        Problem: None of them can be had.
    """
    sources = {"installed": _installed_postgres, "debian": _debian_postgres, "pypi": _pypi_postgres, "docker": _docker}
    return _first("PostgreSQL", sources, os.environ.get("TRELLIS_DEV_POSTGRES"))


def find_rabbit() -> RabbitPrograms | None:
    """Return a RabbitMQ server: the system's, else Debian's unpacked; `None` means Docker's.

    `TRELLIS_DEV_RABBITMQ` (installed, debian, docker) allows one of them only.

    Raises:
        Problem: None of them can be had.
    """
    sources = {"installed": _installed_rabbit, "debian": _debian_rabbit, "docker": _docker}
    return _first("RabbitMQ", sources, os.environ.get("TRELLIS_DEV_RABBITMQ"))


_Programs = TypeVar("_Programs")


def _first(what: str, sources: Mapping[str, Callable[[], _Programs | None]], only: str | None) -> _Programs | None:
    reasons = []
    for name, source in sources.items():
        if only in {None, name}:
            try:
                return source()
            except Problem as problem:
                reasons.append(f"{name}: {problem}")
    raise Problem(f"{what} cannot be had ({'; '.join(reasons)}); install it with apt, or start Docker")


def _docker() -> None:
    if not compose.available():
        raise Problem("no engine with docker compose answers")


def _installed_postgres() -> PostgresPrograms:
    programs = _newest_postgres(Path("/"))
    if programs is None:
        raise Problem(f"no version {_OLDEST_POSTGRES} or newer")
    return PostgresPrograms(programs)


def _debian_postgres() -> PostgresPrograms:
    reason = Problem("no package")
    for version in ("15", "17", "16", "18"):  # Debian 12's, Debian 13's, Ubuntu's, the next one's
        try:
            root = unpacked(f"postgresql-{version}", keep=_wanted_with_postgres)
        except Problem as problem:
            reason = problem
            continue
        programs = _newest_postgres(root)
        if programs is not None:
            return PostgresPrograms(programs, library_folders(root), root)
    raise reason


def _pypi_postgres() -> PostgresPrograms:
    root = installed_apart(Path(__file__).with_name("postgres-requirements.txt"))
    server = next(root.glob("**/bin/postgres"), None)
    if server is None:
        raise Problem(f"no server in {root}; remove it")
    return PostgresPrograms(server.parent, root=root)


def _installed_rabbit() -> RabbitPrograms:
    return _rabbit_below(Path("/"))


def _debian_rabbit() -> RabbitPrograms:
    return _rabbit_below(unpacked("rabbitmq-server"))


def _rabbit_below(root: Path) -> RabbitPrograms:
    servers = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    erlang = root / "usr/lib/erlang/bin"
    if not servers or not (erlang / "erl").exists():
        raise Problem("no server with its Erlang")
    return RabbitPrograms(servers[-1].parent, erlang, () if root == Path("/") else library_folders(root))


def _newest_postgres(root: Path) -> Path | None:
    found = {
        int(server.parts[-3]): server.parent
        for server in root.glob("usr/lib/postgresql/*/bin/postgres")
        if server.parts[-3].isdigit() and (server.parent / "initdb").exists()
    }
    newest = max(found, default=0)
    return found[newest] if newest >= _OLDEST_POSTGRES else None


def _wanted_with_postgres(package: str) -> bool:
    """Say whether the server needs *package* to run; the compiler of queries, 100 MB, is left out."""
    return bool(re.match(r"postgresql-client-\d+$|lib(?!llvm|z3|perl)", package))


def _library_path(folders: tuple[Path, ...]) -> Mapping[str, str]:
    return {"LD_LIBRARY_PATH": ":".join(map(str, folders))} if folders else {}
