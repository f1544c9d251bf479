"""`python -m tools.budget`: a backfill under a limit that shrinks, with fresh invites meanwhile; all of it in memory."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from tools.budget.playing import Played, play


def main(arguments: Sequence[str]) -> int:
    """Play it, print what it came to, and return 0 if no limit was broken."""
    parser = argparse.ArgumentParser(prog="./dev budget", description=__doc__)
    parser.add_argument("--backfill", type=int, default=5000, metavar="N", help="readings of each account (5000)")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    given = parser.parse_args(arguments)
    played = play(given.backfill)
    waits, faults = sorted(played.waits) or [0.0], played.faults()
    figures = {
        "calls": dict(played.calls),
        "refused": played.refused,
        "refused_share": round(played.share, 5),
        "fresh_invites": len(played.waits),
        "fresh_wait_p95_s": round(waits[int(0.95 * (len(waits) - 1))], 2),
        "fresh_wait_max_s": round(waits[-1], 2),
        "accounts_ratio": round(played.ratio, 3),
        "calls_of_a_flow": dict(played.flow),
        "simulated_seconds": round(played.seconds),
        "broken": faults,
    }
    _tell(played, figures)
    if given.json:
        print(json.dumps(figures))
    return 1 if faults else 0


def _tell(played: Played, figures: dict[str, object]) -> None:
    print(
        f"calls of Harvest: {played.calls.total()} in {played.seconds / 3600:.1f} simulated hours, {played.refused} answered 429 ({played.share:.2%}; less than 1 %)"
    )
    print(
        f"fresh invites: {figures['fresh_invites']}, p95 {figures['fresh_wait_p95_s']} s, max {figures['fresh_wait_max_s']} s (at most 5 s)"
    )
    print(f"two accounts in one process: {played.ratio:.0%} (at least 80 %)")
    routes = ", ".join(f"{route} {count}" for route, count in sorted(played.flow.items()))
    print(f"one flow: {played.flow.total()} calls of Harvest (at most 6): {routes}")
    for fault in played.faults():
        print(f"broken: {fault}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
