"""The commands of `./dev`, one function each; its docstring's first line is its help."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence

from tools.dev import bootstrap, locking, running, testing
from tools.dev import demo as tell
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


def demo(arguments: Sequence[str]) -> int:
    """Watch applications go through a fresh system; --once --json prints the counts and ends."""
    return tell.demo(arguments)


def up(arguments: Sequence[str]) -> int:
    """Start what is missing of the whole system in the background; --no-sandbox leaves the vendors out."""
    return running.up(sandbox=not _only_flag(arguments, "--no-sandbox"))


def down(arguments: Sequence[str]) -> int:
    """Stop the system and its servers."""
    _only_flag(arguments)
    return running.down()


def start(arguments: Sequence[str]) -> int:
    """Start one service or server: start NAME."""
    return running.start(_one_name(arguments))


def stop(arguments: Sequence[str]) -> int:
    """Stop one service or server: stop NAME."""
    return running.stop(_one_name(arguments))


def logs(arguments: Sequence[str]) -> int:
    """Print the last log lines of all or of NAME; -f goes on as they come."""
    names = [argument for argument in arguments if argument != "-f"]
    return running.logs(names, follow="-f" in arguments)


def psql(arguments: Sequence[str]) -> int:
    """Open the running system's database."""
    return running.psql(arguments)


def trellis(arguments: Sequence[str]) -> int:
    """Run the trellis command against the running system: trellis why 101, and so on."""
    return running.trellis(arguments)


def env(arguments: Sequence[str]) -> int:
    """Print the running system's environment as export lines, secrets included."""
    _only_flag(arguments)
    for name, value in running.variables().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def test(arguments: Sequence[str]) -> int:
    """Check everything, or only LEVEL or PATH, with pytest's options; test all adds the long proofs."""
    return testing.test(arguments)


def lint(arguments: Sequence[str]) -> int:
    """Check formatting, style, types, import contracts and spelling; --fix mends what it can."""
    return testing.lint(fix=_only_flag(arguments, "--fix"))


def bench(arguments: Sequence[str]) -> int:
    """Measure throughput and latency against their limits; --json prints one object as the last line."""
    return testing.bench(arguments)


def simulate(arguments: Sequence[str]) -> int:
    """Play seeded histories of the whole system in memory; --seeds N, --seed S tells one, --json."""
    return testing.simulate(arguments)


def faults(arguments: Sequence[str]) -> int:
    """Hurt a real system for --minutes M and check the promises; --seed S, --json."""
    return testing.faults(arguments)


def mutate(arguments: Sequence[str]) -> int:
    """Plant small mistakes in the cores and count what their tests notice; MODULE …, --json."""
    return testing.mutate(arguments)


def fuzz(arguments: Sequence[str]) -> int:
    """Feed the parsers what reaches ever more of them; TARGET …, --seconds S, --seed N, --json."""
    return testing.fuzz(arguments)


def budget(arguments: Sequence[str]) -> int:
    """Play a backfill under a shrinking rate limit while people wait; --backfill N, --json."""
    return testing.budget(arguments)


def audit(arguments: Sequence[str]) -> int:
    """List the licences and known vulnerabilities of what is installed; exits with 1 on a fault."""
    _only_flag(arguments)
    return testing.audit()


def setup(arguments: Sequence[str]) -> int:
    """Build the Python environment, as every other command does when it needs it."""
    _only_flag(arguments)
    bootstrap.ensure_environment()
    return 0


def lock(arguments: Sequence[str]) -> int:
    """Refresh requirements.lock; --upgrade takes the newest versions."""
    locking.refresh_lock(upgrade=_only_flag(arguments, "--upgrade"))
    return 0


def clean(arguments: Sequence[str]) -> int:
    """Stop everything and remove the servers' data, logs and secrets."""
    _only_flag(arguments)
    return running.clean()


COMMANDS: dict[str, Command] = {
    command.__name__: command
    for command in (
        *(demo, up, down, start, stop, logs, psql, trellis, env),
        *(test, lint, bench, simulate, faults, budget, mutate, fuzz, audit, setup, lock, clean),
    )
}


def _overview() -> str:
    lines = [f"  {name:<8} {(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: ./dev COMMAND [ARGUMENT …]", "", *lines])


def _only_flag(arguments: Sequence[str], flag: str | None = None) -> bool:
    for argument in arguments:
        if argument != flag:
            raise Problem(f"unexpected argument {argument!r}" + (f"; only {flag} is known" if flag else ""))
    return bool(arguments)


def _one_name(arguments: Sequence[str]) -> str:
    if len(arguments) != 1:
        raise Problem("name one service or server")
    return arguments[0]
