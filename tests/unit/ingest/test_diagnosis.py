"""What is wrong with webhooks, from what was seen of their endpoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trellis.ingest.diagnosis import MIXED, EndpointSeen, Refusal, of_account, of_spool
from trellis.ingest.endpoints import Vendor
from trellis.ingest.silence import Silence

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
QUIET = Silence(since=NOW - timedelta(hours=1), expected=6.9)
UNUSUAL = Silence(since=NOW - timedelta(hours=5), expected=7.0)


def endpoint(vendor: Vendor = Vendor.GREENHOUSE, **more: Any) -> EndpointSeen:
    fields: dict[str, Any] = {"received_at": NOW - timedelta(hours=2), "silence": QUIET, "refusal": None, "opens": True}
    return EndpointSeen(vendor=vendor, **(fields | more))


def told(*seen: EndpointSeen) -> list[tuple[str, str]]:
    return [(finding.check, finding.subject) for finding in of_account(seen, NOW)]


def refused(reason: str, at: datetime) -> Refusal:
    return Refusal(reason=reason, at=at)


def test_connected_endpoints_have_no_fault() -> None:
    assert told(endpoint(), endpoint(Vendor.CODERBYTE)) == []


def test_greenhouse_pings_when_a_webhook_is_saved_and_coderbyte_never_does() -> None:
    unheard = {"received_at": None, "silence": None}
    assert told(endpoint(**unheard), endpoint(Vendor.CODERBYTE, **unheard)) == [("webhook-never-pinged", "greenhouse")]


def test_an_unusual_silence_is_told_with_what_is_usual() -> None:
    (finding,) = of_account([endpoint(silence=UNUSUAL)], NOW)
    assert finding.check == "webhook-silent"
    assert "5 hours" in finding.fault
    assert "about 7" in finding.fault


@pytest.mark.parametrize(
    ("age", "received", "stands"),
    [
        (timedelta(days=2), None, True),
        (timedelta(days=2), timedelta(days=3), True),
        (timedelta(days=2), timedelta(days=1), False),
        (MIXED - timedelta(seconds=1), timedelta(), True),
        (MIXED, timedelta(), False),
    ],
)
def test_a_refusal_stands_until_an_authentic_webhook_came_and_an_hour_went(
    age: timedelta, received: timedelta | None, stands: bool
) -> None:
    seen = endpoint(
        refusal=refused("signature_wrong", NOW - age), received_at=None if received is None else NOW - received
    )
    assert told(seen) == ([("webhook-refused", "greenhouse")] if stands else [])


@pytest.mark.parametrize(
    ("reason", "check"),
    [
        ("signature_wrong", "webhook-refused"),
        ("signature_missing", "webhook-refused"),
        ("issuer_wrong", "organization-wrong"),
        ("organization_wrong", "organization-wrong"),
        ("token_expired", "clock-skew"),
        ("token_early", "clock-skew"),
    ],
)
def test_the_reason_of_a_refusal_tells_secret_organization_and_clock_apart(reason: str, check: str) -> None:
    seen = endpoint(Vendor.CODERBYTE, refusal=refused(reason, NOW))
    assert told(seen) == [(check, "coderbyte")]


def test_a_secret_that_does_not_open_is_the_cause_of_refusals_and_silence() -> None:
    seen = endpoint(opens=False, refusal=refused("signature_wrong", NOW), silence=UNUSUAL)
    assert told(seen) == [("secret-unreadable", "greenhouse")]


def test_a_spool_is_stuck_when_its_oldest_fact_waits_for_two_minutes() -> None:
    assert of_spool(0, timedelta(hours=1)) == []
    assert of_spool(3, timedelta(seconds=119)) == []
    (finding,) = of_spool(3, timedelta(minutes=2))
    assert "3 webhooks" in finding.fault
