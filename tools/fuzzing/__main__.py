"""`python -m tools.fuzzing`: drives each parser for a while; the input that breaks a promise is kept and printed."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import sys
from collections.abc import Sequence

from tools.dev.paths import dev_folder
from tools.fuzzing.loop import Found, Target, fuzz
from tools.fuzzing.targets import targets

_MOST_BYTES = 2 * 2**30


def main(arguments: Sequence[str]) -> int:
    """Fuzz the parsers named and return 0 if none broke a promise."""
    known = {target.name: target for target in targets()}
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(known)}; all without one")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="for each (20)")
    parser.add_argument("--seed", type=int, metavar="N", help="make the same inputs again")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.targets if name not in known]:
        print(f"no parser is called {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    found = {}
    for name in given.targets or known:
        found[name] = fuzz(known[name], seed=seed, seconds=given.seconds)
        _tell(known[name], found[name])
    broken = [name for name, one in found.items() if one.breaks is not None]
    if given.json:
        figures = {name: {"runs": one.runs, "features": len(one.features)} for name, one in found.items()}
        print(
            json.dumps(
                {"seed": seed, "runs": sum(one.runs for one in found.values()), "broken": broken, "parsers": figures}
            )
        )
    return 1 if broken else 0


def _tell(target: Target, found: Found) -> None:
    print(
        f"{target.name:<20}{found.runs:>9} inputs, {found.kept:>5} reached something new, {len(found.features):>6} steps"
    )
    if found.breaks is None:
        return
    text, fault = found.breaks
    folder = dev_folder() / "fuzz"
    folder.mkdir(exist_ok=True)
    path = folder / f"{target.name}-{hashlib.sha256(text).hexdigest()[:12]}"
    path.write_bytes(text)
    print(f"  {fault}\n  by {text[:300]!r}\n  kept in {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
