"""What `trellis restored` says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MEANS: Final = {
    "waiting": "proven not done, or new: done once this ends",
    "unknown": "being looked up",
    "in_doubt": "nobody can tell: `trellis parked list` asks a person",
    "attempting": "begun before this was noticed",
    "parked": "needs a person, as before",
}


def restoration_lines(found: Mapping[str, Any]) -> list[str]:
    """Return *found* (of `asking.restoration`) as lines for people."""
    lines = []
    for service, said in found["services"].items():
        restoration = said["restoration"]
        if restoration is None or restoration["ended_at"] is not None:
            ended = "" if restoration is None else f" (ended {restoration['ended_at']} by {restoration['by'] or '?'})"
            lines.append(f"{service}: not restored{ended}")
            continue
        lines.append(f"{service}: RESTORED, noticed {restoration['found_at']}")
        lines.append(f"  what was done since {restoration['as_of']} may be missing here; no effect begins")
        lines += [
            f"  {count:>6} {state:<10} {_MEANS.get(state, '')}".rstrip()
            for state, count in sorted(said["open"].items())
        ]
    if not found["erasures_replayed"]:
        lines.append("the journal of erasures was not applied again yet: `trellis erasures replay FILE`")
    if found["not_compared"]:
        lines.append(f"not yet compared with Greenhouse: {', '.join(found['not_compared'])}")
    return lines
