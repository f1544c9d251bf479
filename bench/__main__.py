"""`python -m bench [--json] [ingest] [workflow] [latency]`: measure, print, and say whether the limits hold."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Callable

from tools.dev.console import Problem, say
from tools.dev.foreground import end_orderly_on_signals

from bench import ingest, latency, machine, workflow
from bench.report import Line, as_json, as_table, failures
from bench.stage import Stage, set_up

LINES: dict[str, Callable[[Stage], Line]] = {"ingest": ingest.run, "workflow": workflow.run, "latency": latency.run}


def main() -> int:
    """Run what the command line names, everything if it names nothing; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(prog="bench", description="Our code against the least that could do its work.")
    parser.add_argument("--json", action="store_true", help="print only the last line, the JSON object")
    parser.add_argument("lines", nargs="*", metavar="line", help=f"some of: {', '.join(LINES)}")
    wanted = parser.parse_args()
    unknown = [name for name in wanted.lines if name not in LINES]
    if unknown:
        parser.error(f"no line is called {unknown[0]}; there are {', '.join(LINES)}")
    end_orderly_on_signals()
    about = machine.describe(
        {name: importlib.metadata.version(name) for name in ("aiohttp", "aio-pika", "asyncpg", "uvloop")}
    )
    try:
        with set_up() as stage:
            lines = [measure(stage) for name, measure in LINES.items() if not wanted.lines or name in wanted.lines]
            memory = dict(sorted(stage.memory.items()))
    except Problem as problem:
        say(str(problem))
        return 2
    if not wanted.json:
        print(as_table(lines, about, memory))
    missed = failures(lines, memory)
    for words in missed:
        say(f"missed: {words}")
    print(json.dumps(as_json(lines, about, memory)))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
