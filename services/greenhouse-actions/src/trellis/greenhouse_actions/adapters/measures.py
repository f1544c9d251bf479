"""The metrics of the connection to Greenhouse."""

from __future__ import annotations

from collections.abc import Iterable

from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.metrics import Metrics
from trellis.greenhouse_actions.reconciliations import Progress


class Measures:
    """Counts and times calls; outcomes are HTTP statuses, `cut` and `never_left`."""

    def __init__(self, metrics: Metrics) -> None:
        self._calls = metrics.counter("harvest_calls", "Calls of Harvest", ("account", "route", "outcome"))
        self._seconds = metrics.histogram("harvest_call_seconds", "Time of one call of Harvest", ("route",))
        self._paused = metrics.gauge("connection_paused", "1 while the Greenhouse connection is paused", ("account",))

        self._windows = metrics.counter("reconciler_windows", "Windows of Greenhouse's time", ("account", "outcome"))
        self._read = metrics.counter("reconciler_applications", "Changed applications that were read", ("account",))
        self._mark = metrics.gauge(
            "reconciler_mark_timestamp_seconds", "Everything in Greenhouse up to here was compared", ("account",)
        )
        self._completed = metrics.gauge(
            "reconciler_completed_timestamp_seconds", "When the comparison last reached the present", ("account",)
        )

    def compared(self, account: AccountId, outcome: str, count: int) -> None:
        """Count one window, `read` or `failed`, and the applications in it."""
        self._windows.labels(account, outcome).inc()
        self._read.labels(account).inc(count)

    def reconciled(self, accounts: Iterable[Progress]) -> None:
        """Show how far each account was reconciled."""
        self._mark.clear()
        self._completed.clear()
        for one in accounts:
            if one.mark is not None:
                self._mark.labels(one.account).set(one.mark.timestamp())
            if one.completed_at is not None:
                self._completed.labels(one.account).set(one.completed_at.timestamp())

    def called(self, account: AccountId, route: str, outcome: str, seconds: float) -> None:
        """Count one call."""
        self._calls.labels(account, route, outcome).inc()
        self._seconds.labels(route).observe(seconds)

    def paused(self, accounts: dict[str, bool]) -> None:
        """Show which accounts' connections are paused."""
        self._paused.clear()
        for account, is_paused in accounts.items():
            self._paused.labels(account).set(1 if is_paused else 0)
