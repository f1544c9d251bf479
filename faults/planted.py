"""`python -m faults.planted NAME run SERVICE`: a service with one of the simulator's planted mistakes in its running code.

A run of `./dev faults --planted NAME` starts every replica this way. Nothing in a service knows of it: the mistake is
patched into a process that only such a run starts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from tools.dev.paths import ROOT, VENV

MISTAKES: Final = (
    "ack before commit",
    "look-up skipped",
    "no answer treated as not executed",
    "outbox row marked before it is published",
    "failed message forgotten",
    "note never found again",
    "dead letter acknowledged before its row is committed",
)
"""Those of `simulation/planted.py` that change what runs in a service; the others change the simulator's twins."""


def programs(name: str, replicas: Iterable[str]) -> dict[str, list[str]]:
    """Return for each of *replicas*, such as `workflow.2`, the command line that starts it with the mistake *name*."""
    start = [str(VENV / "bin/python"), "-m", "faults.planted", name]
    return {replica: [*start, "run", replica.partition(".")[0]] for replica in replicas}


def environment() -> Mapping[str, str]:
    """Return what a replica with a mistake needs in its environment to find this module."""
    return {"PYTHONPATH": str(ROOT)}


def plant(name: str) -> None:
    """Put the mistake *name* into this process, for good.

    Raises:
        LookupError: There is none of that name.
    """
    from simulation.planted import BUGS  # noqa: PLC0415 - no run without a mistake needs the simulator

    if name not in MISTAKES:
        raise LookupError(f"no mistake is called {name!r}; there are {', '.join(MISTAKES)}")
    next(bug for bug in BUGS if bug.name == name).patch(setattr)


def main() -> None:
    """Plant the mistake that the first argument names and run the `trellis` command with the others."""
    plant(sys.argv.pop(1))
    from trellis.cli.main import main as trellis  # noqa: PLC0415 - what it imports is patched by now

    trellis()


if __name__ == "__main__":
    main()
