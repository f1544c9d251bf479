"""The commands of `./dev`, one function each; its docstring's first line is its help."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tools.dev import bootstrap, testing
from tools.dev.console import Problem, say
from tools.dev.foreground import end_orderly_on_signals

Command = Callable[[Sequence[str]], int]


def main(arguments: Sequence[str]) -> int:
    """Run the command *arguments* name and return its exit code; without one, print them all."""
    if not arguments or arguments[0] in {"help", "-h", "--help"}:
        print(_overview())
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        print(f"dev: unknown command {arguments[0]!r}\n{_overview()}", file=sys.stderr)
        return 2
    end_orderly_on_signals()
    try:
        return command(arguments[1:])
    except Problem as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        return 130


def test(arguments: Sequence[str]) -> int:
    """Check everything, or: test [all | LEVEL | PATH …] [pytest's options]."""
    return testing.test(arguments)


def lint(arguments: Sequence[str]) -> int:
    """Check formatting, style, types, import contracts and spelling; --fix mends what it can."""
    return testing.lint(fix=_only_flag(arguments, "--fix"))


def bench(arguments: Sequence[str]) -> int:
    """Measure throughput and latency against their limits; --json for one object as the last line."""
    return testing.bench(arguments)


def setup(arguments: Sequence[str]) -> int:
    """Build the Python environment, as every other command does when it needs it."""
    _only_flag(arguments)
    bootstrap.ensure_environment()
    return 0


def lock(arguments: Sequence[str]) -> int:
    """Refresh requirements.lock; --upgrade takes the newest versions."""
    bootstrap.refresh_lock(upgrade=_only_flag(arguments, "--upgrade"))
    return 0


COMMANDS: dict[str, Command] = {
    "test": test,
    "lint": lint,
    "bench": bench,
    "setup": setup,
    "lock": lock,
}


def _overview() -> str:
    lines = [f"  {name:<8} {(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: ./dev COMMAND [ARGUMENT …]", "", *lines])


def _only_flag(arguments: Sequence[str], flag: str | None = None) -> bool:
    for argument in arguments:
        if argument != flag:
            raise Problem(f"unexpected argument {argument!r}" + (f"; only {flag} is known" if flag else ""))
    return bool(arguments)
