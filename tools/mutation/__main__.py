"""`python -m tools.mutation`: mutates the cores and prints the score of their tests."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tools.mutation.cores import Core, chosen
from tools.mutation.equivalents import EQUIVALENT
from tools.mutation.running import NoVerdict, Verdict, judged

WANTED = 0.9
"""A score below this fails."""


@dataclass(frozen=True, slots=True)
class Score:
    """How the tests of one core did; equivalent mutants do not count."""

    killed: int
    survived: int
    equivalent: int

    @property
    def mutants(self) -> int:
        """All that were planted."""
        return self.killed + self.survived + self.equivalent

    @property
    def part(self) -> float:
        """The part of those that could be noticed which were, from 0 to 1."""
        noticeable = self.killed + self.survived
        return self.killed / noticeable if noticeable else 1.0

    def __add__(self, other: Score) -> Score:
        return Score(self.killed + other.killed, self.survived + other.survived, self.equivalent + other.equivalent)

    def figures(self) -> dict[str, float]:
        """The figures as the JSON line tells them."""
        return {
            "mutants": self.mutants,
            "killed": self.killed,
            "survived": self.survived,
            "equivalent": self.equivalent,
            "score": round(self.part, 4),
        }


def main(arguments: Sequence[str]) -> int:
    """Mutate the cores named and return 0 if each of them, and all together, reach the wanted score."""
    parser = argparse.ArgumentParser(prog="./dev mutate", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="a core, as workflow.decisions; all without one")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="mutants at once (CPUs)")
    given = parser.parse_args(arguments)
    try:
        cores = chosen(given.modules)
        started = time.monotonic()
        scores = {core.short: _score(core, given.jobs) for core in cores}
    except (LookupError, NoVerdict) as problem:
        print(problem, file=sys.stderr)
        return 2
    total = sum(scores.values(), Score(0, 0, 0))
    _print_table({**scores, "all": total})
    print(f"in {time.monotonic() - started:.0f} s")
    if given.json:
        modules = {name: score.figures() for name, score in scores.items()}
        print(json.dumps({**total.figures(), "modules": modules}))
    return 0 if min(score.part for score in (*scores.values(), total)) > WANTED else 1


def _score(core: Core, jobs: int) -> Score:
    """Judge one core and print the survivors as they come."""
    known = EQUIVALENT.get(core.short, {})

    def shown(verdict: Verdict) -> None:
        if verdict.fate == "survived" and verdict.mutant.name not in known:
            print(f"survived: {core.path.name}:{verdict.mutant.line} {verdict.mutant.name}", flush=True)

    verdicts = judged(core, jobs=jobs, shown=shown)
    for name in known.keys() - {verdict.mutant.name for verdict in verdicts if verdict.fate == "survived"}:
        print(f"not equivalent, or no mutant any more: {core.path.name} {name}", flush=True)
    survived = [verdict.mutant.name for verdict in verdicts if verdict.fate == "survived"]
    equivalent = len([name for name in survived if name in known])
    return Score(len(verdicts) - len(survived), len(survived) - equivalent, equivalent)


def _print_table(scores: dict[str, Score]) -> None:
    print(f"{'module':<28}{'mutants':>9}{'killed':>9}{'survived':>10}{'equivalent':>12}{'score':>9}")
    for name, score in scores.items():
        print(
            f"{name:<28}{score.mutants:>9}{score.killed:>9}{score.survived:>10}{score.equivalent:>12}{score.part:>9.1%}"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
