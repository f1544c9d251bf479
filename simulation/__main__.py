"""`python -m simulation`: plays many seeds, or tells the story of one."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from simulation.history import play
from simulation.patching import silence


def main(arguments: Sequence[str]) -> int:
    """Play histories and return 0 if none broke a promise."""
    parser = argparse.ArgumentParser(prog="./dev simulate", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=int, default=1000, metavar="N", help="play N fresh seeds (1000)")
    which.add_argument("--seed", type=int, metavar="S", help="play one seed and tell its story")
    parser.add_argument("--first", type=int, metavar="S", help="play the seeds from S on instead of fresh ones")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    given = parser.parse_args(arguments)
    silence()
    first = given.first if given.first is not None else random.SystemRandom().randrange(10**9)
    seeds = [given.seed] if given.seed is not None else list(range(first, first + given.seeds))
    return _play_all(seeds, told=given.seed is not None, as_json=given.json)


def _play_all(seeds: Sequence[int], *, told: bool, as_json: bool) -> int:
    failed: list[int] = []
    met: Counter[str] = Counter()
    violations = 0
    started = time.perf_counter()
    for seed in seeds:
        outcome = play(seed)
        met += outcome.met
        violations += len(outcome.violations)
        if told or (outcome.violations and not failed):
            _tell(outcome.story)
        if outcome.violations:
            failed.append(seed)
            print(f"seed {seed} breaks:", *(f"  {line}" for line in outcome.violations[:5]), sep="\n")
    seconds = time.perf_counter() - started
    print(f"{len(seeds)} histories in {seconds:.1f} s, {violations} broken promises")
    if as_json:
        figures = {
            "histories": len(seeds),
            "violations": violations,
            "histories_per_second": round(len(seeds) / seconds, 1),
            "seeds_failed": failed,
            "coverage": dict(sorted(met.items())),
        }
        print(json.dumps(figures))
    return 1 if failed else 0


def _tell(story: Sequence[str]) -> None:
    for number, line in enumerate(story, start=1):
        print(f"{number:4}. {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
