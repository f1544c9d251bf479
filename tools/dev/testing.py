"""`./dev lint`, `./dev test`, `./dev bench` and their like: the checks, with the servers they need."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tools.dev.bootstrap import ensure_environment
from tools.dev.console import Problem, say
from tools.dev.foreground import run
from tools.dev.paths import DEV, ROOT, VENV
from tools.dev.servers import shared_servers

LEVELS = ("unit", "properties", "contract", "integration", "e2e")
"""The levels of tests, each a folder of `tests/`."""

_SERVERLESS = ("tests/unit", "tests/properties")
"""Tests of code without a network; alone, they need not wait for servers."""

_SPELLED = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "libs", "services"),
    *("tools", "tests", "bench", "simulation", "faults", "deploy", "dev"),
)


_FUZZ_SECONDS = "30"
"""For each parser, in `./dev test all`."""
_LONG_PROOF_MINUTES = "6"
"""Long enough for every sort of fault and every failpoint."""

_SIDE_BY_SIDE = ("-n", "3", "--dist", "worksteal")
"""Most tests of whole systems wait for processes and vendors, so three at a time suit two cores."""


def _is_narrow(words: Sequence[str]) -> bool:
    """Whether only some files or one test are asked for, which need no company."""
    return any(word.endswith(".py") or "::" in word for word in words)


def lint(*, fix: bool = False) -> int:
    """Run every static check and return 0 if all pass; with *fix* mend what can be mended first."""
    ensure_environment()
    if fix:
        _tool("ruff", "check", "--fix", "--quiet", ".")
        _tool("ruff", "format", "--quiet", ".")
    checks = [
        ("ruff", "format", "--check", "--quiet", "."),
        ("ruff", "check", "--quiet", "."),
        ("mypy",),
        ("mypy", "--no-error-summary", "-p", "tools"),
        *([("mypy", "--no-error-summary", "-p", "simulation")] if (ROOT / "simulation").is_dir() else []),
        ("mypy", "--no-error-summary", "-p", "faults"),
        ("mypy", "--no-error-summary", "-p", "bench"),
        *([("lint-imports", "--no-cache")] if _has_contracts() else []),
        ("codespell", *(name for name in _SPELLED if (ROOT / name).exists())),
    ]
    failed = [check for check in checks if _tool(*check) != 0]
    for check in failed:
        say(f"failed: {' '.join(check[:3])}")
    return 1 if failed else 0


def test(arguments: Sequence[str]) -> int:
    """Run the tests the *arguments* name against the private servers; returns pytest's exit code.

    With no level or path among them the static checks come first, and both count; with `all` and no other, the
    mutation of the cores, the fuzzing of the parsers and a run of `./dev faults` too, each by itself, since the last
    measures recoveries.
    """
    environment = dict(os.environ)
    if "all" in arguments:
        environment["TRELLIS_LONG"] = "1"
    rest = [f"tests/{word}" if word in LEVELS else word for word in arguments if word != "all"]
    chosen = any((ROOT / word.partition("::")[0]).exists() for word in rest if not word.startswith("-"))
    python = ensure_environment()
    lint_code = 0 if chosen else lint()
    long_codes = _long_proofs() if "all" in arguments and not chosen else {}
    if chosen and all(word.startswith(_SERVERLESS) for word in rest if not word.startswith("-")):
        return run([str(python), "-m", "pytest", *rest], environment)
    if not any(word.startswith("-n") for word in rest) and not _is_narrow(rest):
        rest += _SIDE_BY_SIDE
    with shared_servers(DEV / "test") as servers:
        environment |= servers.test_environment()
        code = run([str(python), "-m", "pytest", *rest], environment)
    failed = [what for what, its in ({"the static checks": lint_code} | long_codes).items() if its]
    for what in failed:
        say(f"{what} failed, see above")
    return code or (1 if failed else 0)


def _long_proofs() -> dict[str, int]:
    """Run what takes minutes and needs the machine for itself; return each command's exit code."""
    return {
        "./dev mutate": mutate([]),
        "./dev fuzz": fuzz(["--seconds", _FUZZ_SECONDS]),
        "./dev faults": faults(["--minutes", _LONG_PROOF_MINUTES]),
    }


def bench(arguments: Sequence[str]) -> int:
    """Run `python -m bench` against servers that keep what they commit, as production's do."""
    if not (ROOT / "bench/__main__.py").exists():
        raise Problem("there is no bench/ to run yet")
    python = ensure_environment()
    with shared_servers(DEV / "bench", durable=True) as servers:
        return run([str(python), "-m", "bench", *arguments], {**os.environ, **servers.test_environment()})


def faults(arguments: Sequence[str]) -> int:
    """Run `python -m faults`, which has servers of its own to hurt."""
    python = ensure_environment()
    return run([str(python), "-m", "faults", *arguments], dict(os.environ))


def simulate(arguments: Sequence[str]) -> int:
    """Run `python -m simulation`, which needs no server."""
    python = ensure_environment()
    return run([str(python), "-m", "simulation", *arguments], dict(os.environ))


def budget(arguments: Sequence[str]) -> int:
    """Run `python -m tools.budget`, which needs no server."""
    python = ensure_environment()
    return run([str(python), "-m", "tools.budget", *arguments], dict(os.environ))


def mutate(arguments: Sequence[str]) -> int:
    """Run `python -m tools.mutation`, which needs no server."""
    python = ensure_environment()
    return run([str(python), "-m", "tools.mutation", *arguments], {**os.environ, "PYTHONHASHSEED": "0"})


def fuzz(arguments: Sequence[str]) -> int:
    """Run `python -m tools.fuzzing`, which needs no server."""
    python = ensure_environment()
    return run([str(python), "-m", "tools.fuzzing", *arguments], {**os.environ, "PYTHONHASHSEED": "0"})


def audit() -> int:
    """Run `python -m tools.audit` in the environment it looks at."""
    return run([str(ensure_environment()), "-m", "tools.audit"], dict(os.environ))


def _tool(*argv: str) -> int:
    say(" ".join(argv))
    return run([str(VENV / "bin" / argv[0]), *argv[1:]], dict(os.environ))


def _has_contracts() -> bool:
    return "[tool.importlinter" in (ROOT / "pyproject.toml").read_text("utf-8")
