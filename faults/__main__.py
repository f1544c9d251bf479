"""`python -m faults [--minutes M] [--seed S] [--json] [--planted NAME]`: hurt a real system and say whether the promises held."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import sys
import time

from tools.dev.console import Problem, say
from tools.dev.foreground import end_orderly_on_signals
from tools.dev.paths import DEV
from tools.dev.servers import alone

from faults.disk import disk
from faults.mounts import own_view
from faults.planted import MISTAKES
from faults.run import run

FOLDER = DEV / "faults"


def main() -> int:
    """Run once; 1 on any violation, 2 when the servers cannot be had, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="faults", description="Real servers and processes, hurt on purpose.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults go on (default 5)")
    parser.add_argument("--seed", type=int, help="what is broken when; random if not given")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    parser.add_argument(
        "--planted", choices=MISTAKES, default="", help="a mistake put into every replica, which must be found (exit 1)"
    )
    wanted = parser.parse_args()
    seed = wanted.seed if wanted.seed is not None else secrets.randbelow(1_000_000)
    end_orderly_on_signals()
    logging.getLogger("aiormq").addHandler(logging.NullHandler())  # a broker that is away is what is wanted here
    begun = time.monotonic()

    def tell(words: str) -> None:
        say(f"{time.monotonic() - begun:6.1f} {words}")

    try:
        with alone(FOLDER):
            on = disk(FOLDER / "run", own_view(FOLDER))
            result = asyncio.run(
                run(FOLDER, minutes=wanted.minutes, seed=seed, disk=on, say=tell, mistake=wanted.planted)
            )
    except Problem as problem:
        say(str(problem))
        return 2
    except KeyboardInterrupt:
        say("stopped; nothing of it is left")
        return 130
    print(result.as_text())
    if wanted.json:
        print(json.dumps(result.as_json()))
    return result.code


if __name__ == "__main__":
    sys.exit(main())
