"""Named places where a test may kill the process, between two commits or around a request.

`TRELLIS_FAILPOINT=name` kills the process the first time it passes *name*; `name:3` the third time;
`name@FILE` kills only while FILE does not exist, and makes it first, so that a supervised process dies
once. Unset, a failpoint costs one comparison.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_SPEC: Final = os.environ.get("TRELLIS_FAILPOINT", "")
_passes: dict[str, int] = {}

FAILPOINTS: Final = (
    "ingest.before_publish",
    "ingest.after_publish",
    "ingest.after_spool",
    "ingest.spool_drain.after_publish",
    "consumer.before_handle",
    "consumer.after_handle",
    "workflow.before_commit",
    "workflow.after_commit",
    "relay.after_claim",
    "relay.after_publish",
    "ledger.after_intake",
    "ledger.after_claim",
    "ledger.after_prepare",
    "ledger.after_attempting",
    "ledger.after_request",
    "ledger.after_outcome",
    "ledger.after_lookup",
    "reports.after_claim",
    "reports.after_read",
    "reports.after_outcome",
    "reconciler.after_portion",
)
"""Every failpoint there is, in the order of one webhook's way; the tests walk this list."""


def failpoint(name: str) -> None:
    """Die here with exit status 137, as `kill -9` would, if the environment names this place."""
    if not _SPEC:
        return
    wanted, _, file = _SPEC.partition("@")
    wanted, _, nth = wanted.partition(":")
    if name != wanted:
        return
    _passes[name] = _passes.get(name, 0) + 1
    if _passes[name] != int(nth or 1):
        return
    if file:
        marker = Path(file)
        if marker.exists():
            return
        marker.touch()
    os._exit(137)
