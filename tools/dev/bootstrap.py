"""Set-up of the Python environment: uv, then what `requirements.lock` pins, then the workspace's members."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools.dev.console import Problem, say
from tools.dev.packages import unpacked
from tools.dev.paths import MEMBERS, ROOT, VENV, dev_folder

LOCK_FILE = ROOT / "requirements.lock"
_UV_PIN = Path(__file__).with_name("uv-requirements.txt")
_STAMP = VENV / "trellis-stamp"


def ensure_environment() -> Path:
    """Build or refresh `.venv` where it does not fit the lock file any more; returns its Python.

    A stamp of everything that goes in makes this free when nothing has changed. Concurrent runs wait for
    the one that builds.

    Raises:
        Problem: pip, uv or a package cannot be had, or the lock file lacks something a member wants.
    """
    python = VENV / "bin/python"
    if not _fits(python):
        with (dev_folder() / "setup.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _fits(python):
                _build(python)
    return python


def pinned(lock: str) -> list[str]:
    """Return the `name==version` lines of a lock file's text, each with its marker."""
    return [line.removesuffix("\\").strip() for line in lock.splitlines() if re.match(r"[\w.-]+==", line)]


def stamp(files: Iterable[Path], *facts: str) -> str:
    """Return a digest that changes when one of *files* (a missing one included) or *facts* does."""
    digest = hashlib.sha256()
    for part in (*facts, *(path.read_text("utf-8") if path.exists() else "-" for path in files)):
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()


def installed_apart(requirements: Path) -> Path:
    """Return a folder of `.dev/tools` with what the pinned *requirements* file names, apart from the environment.

    Raises:
        Problem: It cannot be had.
    """
    pin = pinned(requirements.read_text("utf-8"))[0]
    target = dev_folder() / "tools" / pin.replace("==", "-")
    if not target.exists():
        say(f"installing {pin} into .dev/tools")
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        where = ["--target", str(partial), "--requirement", str(requirements)]
        run_uv(["pip", "install", "--quiet", "--no-deps", "--require-hashes", *where])
        partial.rename(target)
    return target


def members() -> list[str]:
    """Return the folders of the workspace's members that are there."""
    return [member for member in MEMBERS if (ROOT / member / "pyproject.toml").exists()]


def run_uv(arguments: Sequence[str], *, cwd: Path = ROOT) -> None:
    """Run uv, installing it first where it is missing.

    Raises:
        Problem: It failed, with what it said.
    """
    environment = {"UV_NO_PROGRESS": "1", **os.environ}
    environment.pop("VIRTUAL_ENV", None)
    # uv reads neither pip's variables nor its files; a mirror set up for pip should serve here as well.
    for ours, pips in (("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), ("SSL_CERT_FILE", "PIP_CERT")):
        if ours not in environment and environment.get(pips):
            environment[ours] = environment[pips]
    if "UV_CACHE_DIR" not in environment and not os.access(os.environ.get("HOME", "/nonexistent"), os.W_OK):
        environment["UV_CACHE_DIR"] = str(dev_folder() / "cache/uv")
    done = subprocess.run(
        [str(_uv_program()), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise Problem(f"uv {' '.join(arguments[:2])}: {reason[-600:]}")


def _fits(python: Path) -> bool:
    return python.exists() and _STAMP.exists() and _STAMP.read_text("utf-8") == _present_stamp()


def _present_stamp() -> str:
    files = [LOCK_FILE, _UV_PIN, ROOT / "pyproject.toml", *(ROOT / member / "pyproject.toml" for member in members())]
    return stamp(files, str(VENV), sys.version)


def _build(python: Path) -> None:
    say("setting up .venv from requirements.lock")
    if not _runs_our_version(python):
        base = getattr(sys, "_base_executable", sys.executable)
        run_uv(["venv", "--quiet", "--clear", "--no-python-downloads", "--python", base, str(VENV)])
    into = ["--quiet", "--python", str(python)]
    run_uv(["pip", "sync", *into, "--require-hashes", str(LOCK_FILE)])
    editable = [part for member in members() for part in ("-e", str(ROOT / member))]
    run_uv(["pip", "install", *into, "--no-deps", *editable])
    try:
        run_uv(["pip", "check", *into])
    except Problem as problem:
        raise Problem(f"requirements.lock does not fit the members ({problem}); run ./dev lock") from None
    _STAMP.write_text(_present_stamp(), "utf-8")


def _runs_our_version(python: Path) -> bool:
    try:
        found = subprocess.run([python, "-c", "import sys; print(sys.version)"], capture_output=True, text=True)
    except OSError:
        return False
    return found.stdout.strip() == sys.version


def _uv_program() -> Path:
    pin = pinned(_UV_PIN.read_text("utf-8"))[0]
    target = dev_folder() / "tools" / pin.replace("==", "-")
    program = target / "bin/uv"
    if program.exists():
        return program
    on_path = shutil.which("uv")
    if on_path and _recent_enough(on_path):
        return Path(on_path)
    say("installing uv into .dev/tools")
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    pip = [*_pip(), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    pip += ["--only-binary", ":all:", "--target", str(partial), "--requirement", str(_UV_PIN)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(f"pip cannot install uv ({' '.join(done.stderr.split())[-300:]}); is a package index reachable?")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return program


def _recent_enough(uv: str) -> bool:
    """Say whether *uv* can build the members by itself: it must be of the series their `build-system` names."""
    said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"uv (\d+)\.(\d+)", said)
    return found is not None and (0, 9) <= (int(found[1]), int(found[2])) < (1, 0)


def _pip() -> list[str]:
    """Return how to run a pip: Python's own, else the wheel of Debian's `python3-pip-whl`."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    wheels = sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"))
    if not wheels:
        try:
            wheels = sorted(unpacked("python3-pip-whl").glob("usr/share/python-wheels/pip-*.whl"))
        except Problem as problem:
            raise Problem(f"no pip and no uv ({problem}); apt-get install python3-pip") from None
    return [sys.executable, f"{wheels[-1]}/pip"]
