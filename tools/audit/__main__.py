"""`python -m tools.audit`: prints licences, faults of the lock file and known vulnerabilities; 1 when one is found."""

from __future__ import annotations

import re
import sys

from tools.audit import licences, vulnerabilities
from tools.dev.bootstrap import LOCK_FILE, pinned
from tools.dev.console import Problem, say


def main() -> int:
    """Audit what is installed beside this Python and return 0 when nothing is wrong."""
    found = licences.installed()
    ours = {name for name in found if name.startswith("trellis-")}
    shipped = licences.needed_by(ours, found)
    faults = []
    for name in sorted(found.keys() - ours):
        said, role = licences.licence_of(found[name]), "shipped" if name in shipped else "tool"
        print(f"{name:<28} {found[name].version:<20} {role:<8} {said}")
        if not licences.is_taken(said, licences.SHIPPED if name in shipped else licences.TOOLS):
            faults.append(f"{name}: the licence {said} is not on the list for what is {role}")
    versions = {name: found[name].version for name in found.keys() - ours}
    faults += unlocked(versions, LOCK_FILE.read_text("utf-8"))
    try:
        known = vulnerabilities.known(versions)
        print(f"{len(known)} known vulnerabilities in {len(versions)} distributions")
        faults += known
    except Problem as problem:
        faults.append(str(problem))
    for fault in faults:
        say(fault)
    return 1 if faults else 0


def unlocked(versions: dict[str, str], lock: str) -> list[str]:
    """Return what of *versions* is not as *lock* pins it, and what it pins without a hash or with an address."""
    locked = dict(line.partition(" ;")[0].strip().split("==") for line in pinned(lock))
    faults = [
        f"{name} {version}: requirements.lock pins {locked.get(name, 'no version of it')}"
        for name, version in sorted(versions.items())
        if locked.get(name) != version
    ]
    blocks = re.split(r"(?m)^(?=[\w.-]+==)", lock)
    faults += [f"{block.split()[0]}: pinned without a hash" for block in blocks if block and "--hash=" not in block]
    return faults + (["requirements.lock: names an address"] if "://" in lock else [])


if __name__ == "__main__":
    sys.exit(main())
