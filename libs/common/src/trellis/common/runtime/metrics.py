"""Metrics of one process: a registry of its own, names by one scheme."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest as _text
from prometheus_client.openmetrics.exposition import generate_latest as _openmetrics

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


class Metrics:
    """Makes the metrics of one service: `trellis_<service>_<name>`.

    Labels come from closed sets; an account is one, bounded by the number of accounts; no other id,
    name or address is ever a label.
    """

    def __init__(self, service: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._prefix = f"trellis_{service.replace('-', '_')}"

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """Return a counter; its exposed name ends in `_total`."""
        return Counter(f"{self._prefix}_{name}", documentation, labels, registry=self.registry)

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        """Return a gauge."""
        return Gauge(f"{self._prefix}_{name}", documentation, labels, registry=self.registry)

    def histogram(
        self, name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """Return a histogram of seconds."""
        return Histogram(f"{self._prefix}_{name}", documentation, labels, buckets=buckets, registry=self.registry)

    def expose(self, *, openmetrics: bool = False) -> bytes:
        """Return the exposition of all metrics."""
        return bytes(_openmetrics(self.registry) if openmetrics else _text(self.registry))  # type: ignore[no-untyped-call]
