"""The metrics of the connection to Greenhouse."""

from __future__ import annotations

from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.metrics import Metrics


class Measures:
    """Counts and times calls; outcomes are HTTP statuses, `cut` and `never_left`."""

    def __init__(self, metrics: Metrics) -> None:
        self._calls = metrics.counter("harvest_calls", "Calls of Harvest", ("account", "route", "outcome"))
        self._seconds = metrics.histogram("harvest_call_seconds", "Time of one call of Harvest", ("route",))
        self._paused = metrics.gauge("connection_paused", "1 while the Greenhouse connection is paused", ("account",))

    def called(self, account: AccountId, route: str, outcome: str, seconds: float) -> None:
        """Count one call."""
        self._calls.labels(account, route, outcome).inc()
        self._seconds.labels(route).observe(seconds)

    def paused(self, accounts: dict[str, bool]) -> None:
        """Show which accounts' connections are paused."""
        self._paused.clear()
        for account, is_paused in accounts.items():
            self._paused.labels(account).set(1 if is_paused else 0)
