"""What the vendors' routes were asked: counts per account, and a bounded log without secrets or bodies."""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime

from trellis.sandbox.bodies import Json
from trellis.sandbox.clock import iso_milliseconds

CALL_LOG_LENGTH = 5000


class CallCounts:
    """Counts of one account's calls."""

    def __init__(self) -> None:
        self.by_route: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()
        self.max_in_window = 0
        """The most calls of one credential in one rate window, refused ones included."""


class CallLog:
    """The last calls of all accounts, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Json] = deque(maxlen=CALL_LOG_LENGTH)
        self._count = 0

    def request_id(self) -> str:
        """The next `X-Request-Id`."""
        self._count += 1
        return f"sandbox-{self._count:08d}"

    def add(
        self,
        *,
        at: datetime,
        account: str | None,
        route: str,
        method: str,
        path: str,
        status: str,
        request_id: str,
        fault: str | None,
    ) -> None:
        """Remember one call; *status* is a code, or `cut` if the answer was lost."""
        self._calls.append(
            {
                "at": iso_milliseconds(at),
                "account": account,
                "route": route,
                "method": method,
                "path": path,
                "status": status,
                "request_id": request_id,
                "fault": fault,
            }
        )

    def entries(self) -> list[Json]:
        """The log."""
        return list(self._calls)
