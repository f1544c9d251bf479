"""What is wrong with broker and outbox, from what was seen of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from trellis.common.bus.topology import ASSESSMENTS, QUEUES, WORKFLOW, all_queues
from trellis.common.contracts.findings import spoken
from trellis.common.contracts.identifiers import AccountId
from trellis.common.setup.plumbing import LATE, BrokerSeen, QueueSeen, of_broker, of_dead_letters, of_outbox

WHOLE = BrokerSeen(
    queues={queue.name: QueueSeen(messages=0, consumers=1) for queue in all_queues()},
    bindings=frozenset((queue.name, key) for queue in QUEUES for key in queue.bindings),
    settings={queue.name: queue.settings for queue in all_queues()},
)


def told(seen: BrokerSeen) -> list[tuple[str, str]]:
    return [(finding.check, finding.subject) for finding in of_broker(seen, QUEUES, all_queues())]


def with_queue(name: str, queue: QueueSeen | None) -> BrokerSeen:
    return replace(WHOLE, queues={**WHOLE.queues, name: queue})


def test_a_whole_broker_has_no_fault() -> None:
    assert told(WHOLE) == []


def test_of_a_broker_that_is_away_nothing_else_is_told() -> None:
    assert told(BrokerSeen(away="ConnectionError", takes=False, has_exchange=False)) == [("broker-away", "")]


@pytest.mark.parametrize("seen", [replace(WHOLE, takes=False), replace(WHOLE, alarms=("memory",))])
def test_an_alarm_is_told_by_what_it_does_or_by_what_the_broker_says(seen: BrokerSeen) -> None:
    assert told(seen) == [("broker-alarm", "")]


def test_what_is_missing_is_told_once_and_by_name() -> None:
    seen = replace(with_queue(WORKFLOW.dead, None), has_exchange=False)
    (finding,) = of_broker(seen, QUEUES, all_queues())
    assert finding.check == "topology-missing"
    assert "the exchange, workflow.inbound.dead" in finding.fault


def test_a_queue_without_consumer_is_told_with_what_waits_in_it() -> None:
    seen = with_queue(ASSESSMENTS.name, QueueSeen(messages=7, consumers=0))
    (finding,) = of_broker(seen, QUEUES, all_queues())
    assert (finding.check, finding.subject) == ("queue-without-consumer", "assessments.inbound")
    assert "7 messages" in finding.fault


def test_a_queue_of_dead_letters_needs_no_consumer_and_no_message() -> None:
    assert told(with_queue(ASSESSMENTS.dead, QueueSeen(messages=0, consumers=0))) == []
    assert told(with_queue(ASSESSMENTS.dead, QueueSeen(messages=1, consumers=0))) == [
        ("dead-letters", "assessments.inbound.dead")
    ]


def test_dead_letters_are_counted_by_queue_and_shown_where_they_are_listed() -> None:
    assert of_dead_letters({}) == []
    acme, other = AccountId("acme"), AccountId("other")
    first, second = of_dead_letters({(WORKFLOW.name, acme): 2, (WORKFLOW.name, None): 1, (ASSESSMENTS.name, other): 1})
    assert [(item.check, item.subject) for item in (first, second)] == [
        ("dead-letters", "assessments.inbound"),
        ("dead-letters", "workflow.inbound"),
    ]
    assert "3 messages" in second.fault
    assert "`trellis parked list`, `trellis parked list --account acme`" in second.remedy
    assert "--account other" in first.remedy


def test_a_missing_binding_is_told_by_its_routing_key() -> None:
    bindings = (WHOLE.bindings or frozenset()) - {("assessments.inbound", "invite.send.v1")}
    (finding,) = of_broker(replace(WHOLE, bindings=bindings), QUEUES, all_queues())
    assert (finding.check, finding.subject) == ("binding-missing", "assessments.inbound")
    assert "invite.send.v1" in finding.fault


def test_a_policy_that_sets_something_else_is_no_policy() -> None:
    settings = {**(WHOLE.settings or {}), WORKFLOW.name: {"overflow": "drop-head"}}
    assert told(replace(WHOLE, settings=settings)) == [("policy-missing", "workflow.inbound")]


def test_policies_and_bindings_that_were_not_looked_at_are_no_fault() -> None:
    assert told(replace(WHOLE, settings=None, bindings=None)) == []


def test_an_outbox_is_stuck_from_two_minutes_on() -> None:
    assert of_outbox(LATE - timedelta(seconds=1), "workflow") == []
    assert [finding.check for finding in of_outbox(LATE, "workflow")] == ["outbox-stuck"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (59, "59 seconds"), (60, "1 minute"), (-300, "5 minutes"), (7200, "2 hours"), (86400, "1 day")],
)
def test_a_time_is_spoken_in_its_largest_unit(seconds: int, words: str) -> None:
    assert spoken(timedelta(seconds=seconds)) == words
