"""How PostgreSQL's programs, which refuse root, are run by somebody else when we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import Problem
from tools.dev.paths import folder_id
from tools.dev.programs import PostgresPrograms

_DIE_WITH_KEEPER = ("--pdeathsig", "KILL", "--")
"""A change of user makes the kernel forget that the process should die with its parent."""

_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--", "setpriv", *_DIE_WITH_KEEPER)
"""In a user namespace root has another number; the files it makes stay root's, so any folder will do."""

_ELSEWHERE = Path("/var/tmp")  # noqa: S108 - whose a folder in there is, is checked


@dataclass(frozen=True)
class Identity:
    """Somebody who may run PostgreSQL."""

    prefix: tuple[str, ...]
    """What the commands begin with."""
    owner: int | None = None
    """The user who must own the data, if not the one we are."""

    def give(self, path: Path) -> None:
        """Make *path* and what lies below it belong to this identity."""
        if self.owner is not None:
            for item in [path, *path.rglob("*")]:
                os.chown(item, self.owner, -1, follow_symlinks=False)


def unprivileged(programs: PostgresPrograms, folder: Path) -> tuple[Identity, PostgresPrograms]:
    """Return somebody to run *programs*, and where that user can reach them; *folder* is the server's.

    Raises:
        Problem: We are root and no way to be somebody else was found.
    """
    if os.getuid() != 0:
        return Identity(()), programs
    if _works(_NAMESPACE, programs):
        return Identity(_NAMESPACE), programs
    nobody = pwd.getpwnam("nobody")
    become = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *_DIE_WITH_KEEPER)
    if not _works(become, programs) and programs.root is not None:
        programs = programs.below(_reachable_copy(programs.root, folder))
    if _works(become, programs):
        return Identity(become, owner=nobody.pw_uid), programs
    raise Problem("PostgreSQL refuses root; run ./dev as an ordinary user, or apt-get install postgresql")


def elsewhere(purpose: str, folder: Path, owner: int) -> Path:
    """Return a folder for *purpose* that every user can reach, kept for *folder*, which gets a link to it.

    By that link `./dev clean` finds it.

    Raises:
        Problem: Somebody else put something there.
    """
    place = _ELSEWHERE / f"trellis-{purpose}-{folder_id(folder)}"
    link = folder / f"{purpose}-elsewhere"
    if not link.is_symlink() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)  # what an earlier folder of this name left
    place.mkdir(mode=0o700, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid not in {os.getuid(), owner}:
        raise Problem(f"{place} belongs to somebody else; remove it")
    link.unlink(missing_ok=True)
    link.symlink_to(place)
    return place


def remove_elsewhere(folder: Path) -> None:
    """Remove what servers below *folder* keep in other places."""
    for link in folder.rglob("*-elsewhere"):
        shutil.rmtree(link.resolve(), ignore_errors=True)


def _reachable_copy(root: Path, folder: Path) -> Path:
    place = elsewhere("programs", folder, os.getuid())
    place.chmod(0o755)
    if not (place / "usr").exists():
        partial = place / "part"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(root / "usr", partial, symlinks=True)
        partial.rename(place / "usr")
    return place


def _works(prefix: Sequence[str], programs: PostgresPrograms) -> bool:
    argv = [*prefix, str(programs.bin / "postgres"), "--version"]
    try:
        done = subprocess.run(argv, env=programs.environment(), cwd="/", capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
