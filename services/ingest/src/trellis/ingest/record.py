"""One line and some counts for each answer; no body, token or person in either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge, Histogram

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.identifiers import AccountId
from trellis.common.runtime.metrics import Metrics
from trellis.ingest.endpoints import Vendor
from trellis.ingest.translation import application_of, is_known, signal_kind

log = structlog.get_logger()

_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)

OTHER: Final = "other"


class Outcome(StrEnum):
    """What became of a webhook: the closed set of a metric's label."""

    PUBLISHED = "published"
    SPOOLED = "spooled"
    PING = "ping"
    DROPPED = "dropped"
    UNREADABLE = "unreadable"
    UNAUTHORIZED = "unauthorized"
    TOO_LARGE = "too_large"
    TIMED_OUT = "timed_out"
    BAD_REQUEST = "bad_request"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one webhook was answered.

    Attributes:
        reason: In our own words; no part of the request.
        account: None until the endpoint is known.
        delivery: The id of the delivery, once it is authentic.
        action: The vendor's word, if it is one that we know.
        fact: What was published, if anything.
    """

    vendor: Vendor
    status: int
    outcome: Outcome
    reason: str = ""
    account: AccountId | None = None
    endpoint: UUID | None = None
    delivery: UUID | None = None
    bytes_count: int = 0
    received_at: datetime | None = None
    action: str = ""
    fact: Envelope | None = None


class Recorder:
    """Counts and logs answers.

    Args:
        metrics: Where series are made.
        max_accounts: Accounts with series of their own; further ones are counted as `other`.
    """

    def __init__(self, metrics: Metrics, *, max_accounts: int) -> None:
        self._max_accounts = max_accounts
        self._accounts: set[str] = set()
        self._webhooks = _bound(metrics.counter("webhooks", "Webhooks answered", ("vendor", "account", "outcome")))
        self._bytes = _bound(metrics.counter("webhook_bytes", "Bytes of authentic bodies", ("vendor",)))
        self._actions = _bound(
            metrics.counter("actions", "Authentic webhooks by the vendor's event", ("vendor", "action"))
        )
        self._seconds = _bound(
            metrics.histogram("webhook_seconds", "Time from a request's head to its answer", ("vendor",))
        )
        self._last = _bound(
            metrics.gauge(
                "webhook_last_timestamp_seconds", "When the last authentic webhook came", ("vendor", "account")
            )
        )

    def record(self, answer: Answer, *, route: str, seconds: float) -> None:
        """Count *answer* and write its line."""
        vendor, account = answer.vendor.value, self._label(answer.account)
        self._webhooks(vendor, account, answer.outcome.value).inc()
        self._seconds(vendor).observe(seconds)
        if answer.received_at is not None:
            self._bytes(vendor).inc(answer.bytes_count)
            self._actions(vendor, self._action(answer)).inc()
            self._last(vendor, account).set(answer.received_at.timestamp())
        write = log.info if answer.status == 200 else log.warning
        write(
            "webhook.received" if answer.status == 200 else "webhook.rejected",
            route=route,
            status=answer.status,
            outcome=answer.outcome.value,
            duration_ms=round(seconds * 1000, 1),
            **_fields(answer),
        )

    def _label(self, account: AccountId | None) -> str:
        if account is None:
            return ""
        if account not in self._accounts:
            if len(self._accounts) >= self._max_accounts:
                return OTHER
            self._accounts.add(account)
        return account

    def _action(self, answer: Answer) -> str:
        is_named = is_known(answer.action) or signal_kind(answer.action) is not None or answer.action == "ping"
        return answer.action if is_named else OTHER


def _bound(metric: _Metric) -> Callable[..., _Metric]:
    """Return the series of given labels, each looked up once; there are as many as the metric has anyway."""
    return lru_cache(maxsize=None)(metric.labels)


def _fields(answer: Answer) -> dict[str, object]:
    fields: dict[str, object] = {"vendor": answer.vendor.value}
    if answer.reason:
        fields["reason"] = answer.reason
    if answer.account is not None:
        fields["account"] = answer.account
        fields["endpoint_id"] = answer.endpoint
    if answer.delivery is not None:
        fields["correlation_id"] = answer.delivery
    if answer.fact is not None:
        fields["message_id"] = answer.fact.id
        fields["message_type"] = answer.fact.type
        fields["application_id"] = application_of(answer.fact.data)
    return fields
