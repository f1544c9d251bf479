"""What is told of a message that could not be handled."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from trellis.common.contracts.envelope import Envelope, Glimpse, encode, glimpse
from trellis.common.contracts.facts import CandidateUpdated
from trellis.common.contracts.identifiers import AccountId, CandidateId
from trellis.common.dead_letters.letters import Death, death_of, latest, remedy_of

BODY = encode(
    Envelope(
        id=UUID(int=1),
        source="trellis/ingest",
        accountid=AccountId("acme"),
        time=datetime(2026, 11, 24, tzinfo=UTC),
        data=CandidateUpdated(candidate_id=CandidateId(7)),
        correlationid="c-1",
        subject="candidate/7",
    )
)


def death(
    body: bytes = BODY, queue: str = "workflow.inbound", key: str | None = "candidate.updated.v1", **headers: object
) -> Death:
    return death_of(queue, body, key, {name.replace("_", "-"): value for name, value in headers.items()}, limit=20)


def test_an_envelope_tells_whose_it_is_and_what_it_is_about() -> None:
    found = death(x_reason="no", x_attempt=4, x_redriven=2)
    assert (found.account, found.subject, found.correlation_id) == ("acme", "candidate/7", "c-1")
    assert (found.type, found.reason, found.attempts, found.redriven_count) == ("candidate.updated", "no", 4, 2)
    assert not found.ends_process


def test_the_same_bytes_of_one_queue_are_one_message_whatever_came_with_them() -> None:
    assert death(x_reason="a").id == death(x_reason="b", x_attempt=3).id
    assert death().id != death(queue="assessments.inbound").id
    assert death().id != death(BODY + b" ").id


def test_what_the_broker_set_aside_is_told_in_words() -> None:
    found = death()
    assert "more than 20 times" in found.reason
    assert found.attempts == 21
    assert found.ends_process
    assert "workflow ended" in remedy_of(found)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{", b"7", b"{}"])
def test_of_bytes_that_are_no_message_nothing_is_told(body: bytes) -> None:
    assert glimpse(body) == Glimpse()
    found = death(body, key=None, x_reason="not JSON")
    assert (found.account, found.type) == (None, "unknown")
    assert "under the release that wrote it" in remedy_of(found)


def test_a_message_of_a_newer_release_tells_whose_it_is() -> None:
    newer = json.loads(BODY) | {"type": "candidate.moved_house", "dataschema": "urn:trellis:schema:x:v9", "data": 1}
    assert glimpse(json.dumps(newer).encode()).account == "acme"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accountid", "Mia Meyer"),
        ("accountid", 7),
        ("subject", "mia@example.com"),
        ("subject", "candidate/x"),
        ("correlationid", "a b"),
    ],
)
def test_what_has_not_the_form_of_ours_is_not_shown(name: str, value: object) -> None:
    field = {"accountid": "account", "subject": "subject", "correlationid": "correlation_id"}[name]
    assert getattr(glimpse(json.dumps(json.loads(BODY) | {name: value}).encode()), field) is None


def test_words_and_counts_of_headers_are_bounded() -> None:
    found = death(x_reason="a\x00b\n" + "c" * 1000, x_attempt=-1, x_redriven="7", key="k\x00" + "y" * 1000)
    assert found.reason.startswith("a b c")
    assert (len(found.reason), found.attempts, found.redriven_count) == (500, 1, 0)
    assert len(found.routing_key) == 500
    assert "\x00" not in found.reason + found.routing_key


def test_of_several_copies_the_one_redriven_most_often_counts() -> None:
    copies = [death(x_reason="a", x_redriven=1), death(x_reason="b", x_redriven=0), death(b"x", x_reason="c")]
    assert {(item.reason, item.redriven_count) for item in latest(copies)} == {("a", 1), ("c", 0)}
    assert sorted(latest(copies), key=lambda item: item.id) == latest(copies)
