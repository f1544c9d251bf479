"""Debian packages without installing them: fetched with apt, unpacked into a folder of ours.

Nothing of the system is changed: where its package lists are missing or stale, private ones are fetched.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.dev.console import Problem, say
from tools.dev.paths import cache_folder

_INSTALL_LINE = re.compile(r"^Inst (?P<name>[^\s:]+)\S* (?:\[[^]]*\] )?\((?P<version>\S+) ", re.MULTILINE)

_NEVER = re.compile(r"^(libc6|libc-bin|libgcc-s1|libstdc\+\+6|gcc-.*-base)$")
"""Must be the system's own: the dynamic loader that starts our programs belongs to its C library."""


def unpacked(package: str, *, keep: Callable[[str], bool] = lambda name: True) -> Path:
    """Return a folder with *package* and what it needs beyond the system, downloading it the first time.

    Args:
        package: A Debian package's name.
        keep: Which of the packages it depends on are wanted.

    Raises:
        Problem: apt is missing, or knows no such package, or cannot fetch it.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Problem(f"{tool} is missing: {package} can be unpacked on Debian only")
    target = cache_folder() / f"{_system()}-{package}"
    if target.is_dir():
        return target
    # In the cache itself, since renaming must not cross file systems; the rename makes it appear whole.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="unpack-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        debs = _download(package, keep, scratch)
        root = scratch / "root"
        for deb in debs:
            _run(["dpkg-deb", "-x", str(deb), str(root)])
        relocate(root, target)
        root.chmod(0o755)
        with contextlib.suppress(OSError):  # Another checkout was faster; its folder is as good.
            root.rename(target)
    return target


def relocate(root: Path, target: Path) -> None:
    """Make Erlang in *root* work from *target*: its start scripts have their folder written in.

    A link to such a script becomes a copy, since the script looks for its neighbours beside itself.
    """
    for script in [*root.glob("usr/lib/erlang/bin/*"), *root.glob("usr/lib/erlang/erts-*/bin/*")]:
        if script.name in {"erl", "start"} and script.exists():
            text = script.read_text("utf-8").replace("=/usr/lib/erlang", f"={target}/usr/lib/erlang")
            script.unlink()
            script.write_text(text, "utf-8")
            script.chmod(0o755)


def parse_simulation(output: str) -> dict[str, str]:
    """Return name and version of each package `apt-get -s install` would install, without the C library."""
    found = {match["name"]: match["version"] for match in _INSTALL_LINE.finditer(output)}
    return {name: version for name, version in found.items() if not _NEVER.match(name)}


def library_folders(root: Path) -> tuple[Path, ...]:
    """Return the folders of *root* that hold shared libraries."""
    candidates = [root / "usr/lib", root / "lib", *root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
    return tuple(folder for folder in candidates if any(folder.glob("*.so*")))


def _download(package: str, keep: Callable[[str], bool], scratch: Path) -> list[Path]:
    private = scratch / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (private / part).mkdir(parents=True)
    own_lists = [
        *("-o", f"Dir::State::lists={private}/lists", "-o", f"Dir::Cache={private}/cache"),
        *("-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", "-o", "APT::Update::Post-Invoke-Success::="),
    ]
    with contextlib.suppress(Problem):
        return _download_with(package, keep, scratch / "system", ["-o", "APT::Sandbox::User="])
    # Some list of the system's may be out of reach; the one that counts shows below.
    subprocess.run(["apt-get", *own_lists, "-q", "update"], capture_output=True, check=False)
    return _download_with(package, keep, scratch / "private", own_lists)


def _download_with(package: str, keep: Callable[[str], bool], folder: Path, options: list[str]) -> list[Path]:
    simulation = ["apt-get", *options, "-s", "--no-install-recommends", "install", package]
    packages = parse_simulation(_run(simulation))
    wanted = [f"{name}={version}" for name, version in packages.items() if name == package or keep(name)]
    if package not in packages:
        raise Problem(f"apt knows no package {package} to install; add a Debian source that has it")
    folder.mkdir()
    say(f"downloading Debian's {package}, once ({len(wanted)} packages)")
    _run(["apt-get", *options, "-q", "download", *wanted], cwd=folder)
    debs = sorted(folder.glob("*.deb"))
    if len(debs) < len(wanted):
        raise Problem(f"apt downloaded only {len(debs)} of the {len(wanted)} packages of {package}")
    return debs


def _run(argv: list[str], cwd: Path | None = None) -> str:
    env = {**os.environ, "LC_ALL": "C"}  # apt's words are parsed
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Problem(f"{argv[0]} failed: {reason}")
    return done.stdout


def _system() -> str:
    release = platform.freedesktop_os_release()
    name = release.get("VERSION_CODENAME") or release.get("VERSION_ID") or release["ID"]
    return f"{name}-{_run(['dpkg', '--print-architecture']).strip()}"
