"""`python -m simulation`: plays many seeds, or tells the story of one."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from simulation import coverage
from simulation.coverage import Met
from simulation.history import play
from simulation.shrinking import shrink

CHUNK = 25
"""Seeds that a worker plays in one go."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What some seeds came to.

    Attributes:
        failed: Seeds that broke a promise, with what they broke.
        seconds: Seconds of one core.
    """

    count: int
    failed: dict[int, list[str]]
    met: Met
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Play histories and return 0 if none broke a promise."""
    parser = argparse.ArgumentParser(prog="./dev simulate", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=int, default=1000, metavar="N", help="play N fresh seeds (1000)")
    which.add_argument("--seed", type=int, metavar="S", help="play one seed and tell its story")
    parser.add_argument("--first", type=int, metavar="S", help="play the seeds from S on instead of fresh ones")
    parser.add_argument(
        "--workers", type=int, metavar="W", help="processes to play in (one for each core that is free)"
    )
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        first, count = given.seed, 1
        _tell(play(first).story)
    else:
        first = given.first if given.first is not None else random.SystemRandom().randrange(10**9)
        count = given.seeds
        print(f"{count} histories from seed {first} on")
    return _report(_play_all(range(first, first + count), given.workers or _free_cores()), as_json=given.json)


def _free_cores() -> int:
    cores = len(os.sched_getaffinity(0))
    return max(1, cores - round(os.getloadavg()[0]))


def play_some(seeds: Sequence[int]) -> Played:
    """Play *seeds* one after the other."""
    started, met, failed = time.process_time(), Met(), dict[int, list[str]]()
    for seed in seeds:
        outcome = play(seed)
        met += outcome.met
        if outcome.violations:
            failed[seed] = outcome.violations
    return Played(count=len(seeds), failed=failed, met=met, seconds=time.process_time() - started)


def _play_all(seeds: Sequence[int], workers: int) -> Iterator[Played]:
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    if workers == 1 or len(chunks) == 1:
        yield from map(play_some, chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(play_some, chunks)


def _report(parts: Iterator[Played], *, as_json: bool) -> int:
    met, failed = Met(), dict[int, list[str]]()
    count, seconds, started = 0, 0.0, time.perf_counter()
    for part in parts:
        if part.failed and not failed:
            _tell_shortest(min(part.failed))
        for seed, violations in part.failed.items():
            print(f"seed {seed} breaks:", *(f"  {line}" for line in violations[:5]), sep="\n")
        failed |= part.failed
        met += part.met
        count += part.count
        seconds += part.seconds
    broken = sum(map(len, failed.values()))
    print(
        f"{count} histories in {time.perf_counter() - started:.1f} s, {count / seconds:.1f} a second of one core; "
        f"{broken} broken promises"
    )
    if count > 1:
        print(*coverage.told(coverage.report(met)), sep="\n")
    if as_json:
        figures = {
            "histories": count,
            "violations": broken,
            "histories_per_second": round(count / seconds, 1),
            "seeds_failed": sorted(failed),
            "coverage": coverage.report(met),
        }
        print(json.dumps(figures))
    return 1 if failed else 0


def _tell_shortest(seed: int) -> None:
    """Tell the shortest history like that of *seed* that breaks the same promise."""
    outcome = play(seed)
    found = shrink(outcome)
    print(f"seed {seed}, cut from {len(outcome.told)} lines to {len(found.outcome.told)} in {found.played} histories:")
    _tell(found.outcome.story)
    print(*(f"  {line}" for line in found.outcome.violations[:5]), sep="\n")


def _tell(story: Sequence[str]) -> None:
    for number, line in enumerate(story, start=1):
        print(f"{number:4}. {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
