"""What the doctor makes of all that was found: each fault once, and no fault that follows from another."""

from __future__ import annotations

from datetime import timedelta

from trellis.cli import diagnosis
from trellis.cli.diagnosis import Told, merged
from trellis.common.contracts.findings import Finding


def finding(check: str, subject: str = "", account: str = "", fault: str = "f") -> Told:
    return Told(account=account, finding=Finding(check=check, subject=subject, fault=fault, meaning="m", remedy="r"))


def test_what_two_services_see_is_told_once_in_the_words_of_the_first() -> None:
    told = merged([finding("broker-alarm", fault="first"), finding("broker-alarm", fault="second")])
    assert [item.finding.fault for item in told] == ["first"]


def test_equal_faults_of_two_accounts_or_two_subjects_are_two() -> None:
    told = [finding("brake-on", "account", "a"), finding("brake-on", "account", "b"), finding("brake-on", "w", "b")]
    assert merged(told) == told


def test_a_service_that_is_down_needs_no_fault_for_its_queue_but_another_does() -> None:
    told = merged(
        [
            finding("queue-without-consumer", "workflow.inbound"),
            finding("queue-without-consumer", "assessments.inbound"),
            finding("service-away", "assessments"),
        ]
    )
    assert [(item.finding.check, item.finding.subject) for item in told] == [
        ("queue-without-consumer", "workflow.inbound"),
        ("service-away", "assessments"),
    ]


def test_a_service_whose_schema_lacks_a_migration_is_not_told_as_away() -> None:
    told = merged(
        [
            finding("migration-pending", "workflow"),
            finding("queue-without-consumer", "workflow.inbound"),
            finding("service-away", "workflow"),
            finding("service-away", "ingest"),
        ]
    )
    assert [(item.finding.check, item.finding.subject) for item in told] == [
        ("migration-pending", "workflow"),
        ("service-away", "ingest"),
    ]


def test_clocks_may_be_half_a_minute_apart_in_either_direction() -> None:
    assert diagnosis.skewed("ingest", timedelta(seconds=30)) == diagnosis.skewed("ingest", timedelta(seconds=-30)) == []
    (ahead,), (behind,) = (diagnosis.skewed("ingest", timedelta(minutes=sign * 5)) for sign in (1, -1))
    assert "5 minutes ahead of" in ahead.fault
    assert "5 minutes behind" in behind.fault
