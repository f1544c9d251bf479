"""Metrics that count nothing."""

from __future__ import annotations

from typing import cast

from trellis.common.runtime.metrics import Metrics


class NoMetric:
    """Counts nothing."""

    def labels(self, *_: object) -> NoMetric:
        """Return itself."""
        return self

    def nothing(self, *_: object) -> None:
        """Do nothing."""

    inc = set = observe = clear = nothing


class NoMetrics:
    """Makes metrics that count nothing."""

    def make(self, *_: object, **__: object) -> NoMetric:
        """Return one."""
        return _NO_METRIC

    counter = gauge = histogram = make


_NO_METRIC = NoMetric()
METRICS = cast(Metrics, NoMetrics())
