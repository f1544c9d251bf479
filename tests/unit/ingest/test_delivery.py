"""Broker, spool, or neither: where a fact goes, and what a drain does with what was spooled."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from tests.fakes.ingest import MemorySpool, ScriptedPublisher

from trellis.common.contracts.envelope import Envelope
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.errors import BrokerAwayError, StoreAwayError
from trellis.common.runtime.metrics import Metrics
from trellis.ingest.delivery import Delivered, Outlet
from trellis.ingest.spool import LEASE_SECONDS, UNROUTABLE_SECONDS, Drain


def fact(identity: UUID | None = None) -> Envelope:
    return Envelope(
        id=identity or uuid4(),
        source="trellis/ingest",
        accountid=AccountId("acme"),
        time=datetime(2026, 11, 24, tzinfo=UTC),
        data=CandidateUpdated(candidate_id=CandidateId(1)),
        correlationid="c",
    )


class Rig:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.publisher = ScriptedPublisher()
        self.spool = MemorySpool(lambda: self.seconds)
        metrics = Metrics("ingest")
        self.outlet = Outlet(
            self.publisher,
            self.spool,
            confirm_seconds=0.5,
            bypass_after_count=3,
            bypass_seconds=5.0,
            monotonic=lambda: self.seconds,
            metrics=metrics,
        )
        self.drain = Drain(self.spool, self.publisher, metrics)


async def test_a_confirmed_fact_is_published_and_not_spooled() -> None:
    rig = Rig()
    envelope = fact()
    assert await rig.outlet.deliver([envelope]) is Delivered.PUBLISHED
    assert rig.publisher.stored == [envelope]
    assert rig.spool.envelopes == []


@pytest.mark.parametrize("state", ["down", "slow", "unroutable"])
async def test_an_unconfirmed_fact_is_on_disk_under_the_same_id(state: str) -> None:
    rig = Rig()
    rig.publisher.state = state
    envelope = fact()
    assert await rig.outlet.deliver([envelope]) is Delivered.SPOOLED
    assert rig.spool.envelopes == [envelope]


@pytest.mark.parametrize("state", ["down", "slow", "unroutable"])
async def test_without_broker_and_spool_nothing_is_accepted(state: str) -> None:
    rig = Rig()
    rig.publisher.state, rig.spool.is_away = state, True
    with pytest.raises(StoreAwayError):
        await rig.outlet.deliver([fact()])


async def test_after_three_unconfirmed_in_a_row_the_broker_is_passed_by_for_a_while() -> None:
    rig = Rig()
    rig.publisher.state = "slow"
    for _ in range(5):
        assert await rig.outlet.deliver([fact()]) is Delivered.SPOOLED
    assert rig.publisher.calls == 3
    rig.publisher.state, rig.seconds = "up", 4.9
    assert await rig.outlet.deliver([fact()]) is Delivered.SPOOLED
    rig.seconds = 5.1
    assert await rig.outlet.deliver([fact()]) is Delivered.PUBLISHED


async def test_a_confirm_between_ends_the_row_of_failures() -> None:
    rig = Rig()
    for state in ("slow", "slow", "up", "slow", "slow", "up"):
        rig.publisher.state = state
        await rig.outlet.deliver([fact()])
    assert rig.publisher.calls == 6


async def test_while_the_broker_is_passed_by_it_is_asked_when_the_spool_fails() -> None:
    rig = Rig()
    rig.publisher.state = "down"
    for _ in range(3):
        await rig.outlet.deliver([fact()])
    rig.publisher.state, rig.spool.is_away = "up", True
    assert await rig.outlet.deliver([fact()]) is Delivered.PUBLISHED


async def test_of_several_facts_only_the_unconfirmed_are_spooled() -> None:
    rig = Rig()
    first, second = fact(), fact()
    original = rig.publisher.publish

    async def second_fails(body: bytes, routing_key: str, **more: float) -> None:
        rig.publisher.state = "up" if rig.publisher.calls == 0 else "down"
        await original(body, routing_key, **more)  # type: ignore[arg-type]

    rig.publisher.publish = second_fails  # type: ignore[method-assign]
    assert await rig.outlet.deliver([first, second]) is Delivered.SPOOLED
    assert rig.publisher.stored == [first]
    assert rig.spool.envelopes == [second]


async def test_the_spool_drains_when_the_broker_is_back() -> None:
    rig = Rig()
    envelopes = [fact() for _ in range(120)]
    await rig.spool.put(envelopes)
    rig.publisher.state = "down"
    with pytest.raises(BrokerAwayError):
        await rig.drain.drain_pending()
    assert len(rig.spool.envelopes) == 120
    rig.publisher.state, rig.seconds = "up", 0.1
    confirmed = 0
    while count := await rig.drain.drain_pending():
        confirmed += count
    assert confirmed == 120
    assert {item.id for item in rig.publisher.stored} == {item.id for item in envelopes}
    assert rig.spool.envelopes == []


async def test_rows_no_queue_takes_are_kept_and_let_others_pass() -> None:
    rig = Rig()
    await rig.spool.put([fact()])
    rig.publisher.state = "unroutable"
    assert await rig.drain.drain_pending() == 0
    assert len(rig.spool.envelopes) == 1
    rig.publisher.state = "up"
    assert await rig.drain.drain_pending() == 0
    rig.seconds = UNROUTABLE_SECONDS + 1
    assert await rig.drain.drain_pending() == 1


async def test_a_drain_that_died_after_publishing_publishes_again_under_the_same_id() -> None:
    rig = Rig()
    envelope = fact()
    await rig.spool.put([envelope])
    rig.publisher.state = "up"
    [claimed] = await rig.spool.claim(10, LEASE_SECONDS)
    await rig.publisher.publish(claimed.body, claimed.routing_key)
    assert await rig.drain.drain_pending() == 0
    rig.seconds = LEASE_SECONDS + 1
    assert await rig.drain.drain_pending() == 1
    assert [item.id for item in rig.publisher.stored] == [envelope.id, envelope.id]
